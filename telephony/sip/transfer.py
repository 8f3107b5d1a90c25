"""REFER and its subscription, both ends (RFC 3515, RFC 4488)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from telephony.sip.headers import Headers
from telephony.sip.message import Request, Response
from telephony.sip.status import reason_phrase
from telephony.sip.transactions.server import ServerTransaction
from telephony.sip.uri import NameAddr, SyntaxFault, find_param

_STATUS_LINE = re.compile(rb"\s*SIP/2\.0[ \t]+([1-6][0-9]{2})(?:[ \t]+([^\r\n]{0,128}))?", re.I)

#: Seconds after the 202 without any NOTIFY until a REFER counts as lost, and without a final one.
#: A callee may well ring for three minutes.
FIRST_NOTIFY_SECONDS = 32.0
LAST_NOTIFY_SECONDS = 240.0


@dataclass(slots=True)
class OutgoingRefer:
    """A REFER of ours. ``cseq`` is its number, which names its subscription (RFC 3515 §2.4.6)."""

    token: str
    cseq: int = 0
    status: int = 0
    reason: str = ""
    accepted: bool = False
    ended: bool = False


@dataclass(slots=True)
class IncomingRefer:
    """A REFER of the peer. NOTIFYs wait in ``queue``: they must not overtake each other."""

    token: str
    transaction: ServerTransaction
    event: str
    silent: bool = False
    accepted: bool = False
    ended: bool = False
    notifying: bool = False
    queue: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Referral:
    """What a REFER asks. ``replaces`` is "" for a blind transfer."""

    uri: str
    replaces: str
    referred_by: str
    wants_no_subscription: bool


def read_refer(request: Request) -> Referral | None:
    """The request of a REFER; None when Refer-To is missing, doubled or unreadable (400)."""
    values = request.headers.rows("Refer-To")
    if len(values) != 1:
        return None
    try:
        uri = NameAddr.parse(values[0]).uri
    except SyntaxFault:
        return None
    replaces = find_param(uri.headers, "Replaces") or ""
    no_subscription = (request.headers.get("Refer-Sub") or "").strip().lower() == "false"
    return Referral(str(uri), replaces, request.headers.get("Referred-By") or "", no_subscription)


def read_sipfrag(body: bytes) -> tuple[int, str] | None:
    """Status and reason phrase of a ``message/sipfrag`` (RFC 3420); None when it has no status."""
    found = _STATUS_LINE.match(body)
    if found is None:
        return None
    reason = (found[2] or b"").decode("utf-8", "replace").strip()
    status = int(found[1])
    return status, reason or reason_phrase(status)


def sipfrag(status: int, reason: str) -> bytes:
    """The body of a NOTIFY about a REFER."""
    return f"SIP/2.0 {status} {reason or reason_phrase(status)}\r\n".encode()


def notify_id(request: Request) -> tuple[str, str]:
    """(event package, id) of a NOTIFY."""
    event, _, rest = (request.headers.get("Event") or "").partition(";")
    found = re.search(r"(?:^|;)[ \t]*id[ \t]*=[ \t]*([0-9A-Za-z.\-]{1,64})", rest)
    return event.strip().lower(), found[1] if found else ""


def subscription_over(request: Request) -> bool:
    """Whether a NOTIFY says that it is the last."""
    state = (request.headers.get("Subscription-State") or "").partition(";")[0]
    return state.strip().lower() == "terminated"


def notify_headers(refer: IncomingRefer, final: bool) -> Headers:
    """The headers of a NOTIFY of ours."""
    headers = Headers()
    headers.add("Event", refer.event)
    state = "terminated;reason=noresource" if final else "active;expires=240"
    headers.add("Subscription-State", state)
    return headers


def without_subscription(response: Response) -> bool:
    """Whether a 2xx to our REFER says that no NOTIFY will come (RFC 4488 §4)."""
    return (response.headers.get("Refer-Sub") or "").strip().lower() == "false"
