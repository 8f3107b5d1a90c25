"""Session timers (RFC 4028): what is asked, what is agreed, and when to act. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

from telephony.sip.headers import Headers
from telephony.sip.limits import MAX_DELTA_SECONDS
from telephony.sip.message import Request, Response, parse_number
from telephony.sip.uri import SyntaxFault, find_param, parse_params


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a 2xx settled: an interval in seconds (0: no timer) and whether we refresh."""

    seconds: int = 0
    local: bool = False

    @property
    def refresh_after(self) -> float:
        """Half the interval (RFC 4028 §10)."""
        return self.seconds / 2

    @property
    def expire_after(self) -> float:
        """When the session is given up: min(32, a third) before its end (RFC 4028 §10)."""
        return self.seconds - min(32.0, self.seconds / 3)


def read_session_expires(message: Request | Response) -> tuple[int, str] | None:
    """(seconds, refresher "uac", "uas" or "") of Session-Expires; None if missing or unreadable."""
    text = message.headers.get("Session-Expires")
    seconds = parse_number(text, MAX_DELTA_SECONDS)
    if text is None or seconds is None:
        return None
    _, semicolon, rest = text.partition(";")
    try:
        refresher = find_param(parse_params(semicolon + rest), "refresher") or ""
    except SyntaxFault:
        refresher = ""
    return seconds, refresher.lower() if refresher.lower() in ("uac", "uas") else ""


def read_min_se(message: Request | Response) -> int:
    """Min-SE, 90 s when missing (RFC 4028 §5)."""
    seconds = parse_number(message.headers.get("Min-SE"), MAX_DELTA_SECONDS)
    return 90 if seconds is None else max(90, seconds)


def supports_timer(message: Request | Response) -> bool:
    """Whether the peer knows session timers."""
    return "timer" in message.option_tags("Supported") or "timer" in message.option_tags("Require")


def ask(headers: Headers, seconds: int, min_se: int, refresher: str = "") -> None:
    """Put the UAC's request for a timer into an INVITE or UPDATE (RFC 4028 §7.1)."""
    if not seconds:
        return
    suffix = f";refresher={refresher}" if refresher else ""
    headers.set("Session-Expires", f"{max(seconds, min_se)}{suffix}")
    headers.set("Min-SE", str(min_se))


def too_small(request: Request, min_se: int) -> bool:
    """Whether to answer 422 with our Min-SE (RFC 4028 §9)."""
    asked = read_session_expires(request)
    return asked is not None and asked[0] < min_se and supports_timer(request)


def agree(request: Request, headers: Headers, seconds: int, min_se: int) -> Agreement:
    """The UAS's side (RFC 4028 §9): fill the headers of our 2xx and say what holds.

    ``seconds`` is what we want, 0 for no wish of our own. A peer that neither knows the extension
    nor has a proxy asking for it gets no timer.
    """
    asked = read_session_expires(request)
    known = supports_timer(request)
    if asked is None and not (known and seconds):
        return Agreement()
    floor = max(min_se, read_min_se(request))
    if asked is None:
        interval, refresher = max(seconds, floor), ""
    else:
        interval, refresher = asked
        if seconds:
            interval = min(interval, max(seconds, floor))
        interval = max(interval, floor)
    if not known:
        # RFC 4028 §9 table 2: the UAC cannot refresh, a proxy between us asked for it.
        refresher = "uas"
    elif not refresher:
        refresher = "uac"
    headers.set("Session-Expires", f"{interval};refresher={refresher}")
    if refresher == "uac":
        headers.add("Require", "timer")
    return Agreement(interval, refresher == "uas")


def agreed(response: Response) -> Agreement:
    """The UAC's side (RFC 4028 §7.2): what a 2xx to our INVITE or UPDATE settled."""
    told = read_session_expires(response)
    if told is None:
        return Agreement()
    seconds, refresher = told
    return Agreement(max(90, seconds), refresher != "uas")
