"""What every request is checked for before anybody is asked (RFC 3261 §8.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from telephony.sip.core import ACCEPT, ALLOW
from telephony.sip.message import METHODS, Request

_TAKEN = frozenset(ALLOW.split(", "))
_EXTENSIONS = frozenset({"timer", "norefersub"})
_ACCEPTABLE = frozenset({"application/sdp", "application/*", "*/*"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status to answer with, once and without state."""

    status: int
    reason: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


def check_request(request: Request, registrar: bool) -> Refusal | None:
    """The first thing wrong with a request, in the order of RFC 3261 §8.2."""
    for check in _CHECKS:
        refusal = check(request, registrar)
        if refusal is not None:
            return refusal
    return None


def _method(request: Request, registrar: bool) -> Refusal | None:
    method = request.method
    if method in _TAKEN or (method == "REGISTER" and registrar):
        return None
    allow = f"{ALLOW}, REGISTER" if registrar else ALLOW
    return Refusal(405 if method in METHODS else 501, None, (("Allow", allow),))


def _scheme(request: Request, registrar: bool) -> Refusal | None:
    # RFC 3261 §8.2.2.1: the scheme decides, never To.
    return None if request.request_uri.scheme in ("sip", "sips", "tel") else Refusal(416)


def _require(request: Request, registrar: bool) -> Refusal | None:
    # RFC 3261 §8.2.2.3; Proxy-Require is for proxies.
    unknown = [t for t in request.headers.all("Require") if t.lower() not in _EXTENSIONS]
    if not unknown:
        return None
    return Refusal(420, None, (("Unsupported", ", ".join(unknown)),))


def _content(request: Request, registrar: bool) -> Refusal | None:
    # RFC 3261 §8.2.3.
    encodings = [e.lower() for e in request.headers.all("Content-Encoding")]
    if any(e != "identity" for e in encodings):
        return Refusal(415, None, (("Accept-Encoding", "identity"),))
    described = request.method in ("INVITE", "UPDATE") and request.body
    if described and request.content_type != "application/sdp":
        return Refusal(415, None, (("Accept", ACCEPT),))
    return None


def _accept(request: Request, registrar: bool) -> Refusal | None:
    if request.method != "INVITE" or "Accept" not in request.headers:
        return None
    types = {a.partition(";")[0].strip().lower() for a in request.headers.all("Accept")}
    if types & _ACCEPTABLE:
        return None
    warning = ("Warning", '399 telephony "Only application/sdp can be sent"')
    return Refusal(406, None, (warning,))


_CHECKS: tuple[Callable[[Request, bool], Refusal | None], ...] = (
    _method,
    _scheme,
    _require,
    _content,
    _accept,
)
