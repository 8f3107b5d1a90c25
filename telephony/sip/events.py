"""What a user agent reports: one frozen value per fact.

A *session* is one INVITE, ours or theirs, with every dialog it forks into, and all that happens
in them. Whatever happens, a session that was reported by :class:`InviteReceived` or made by
:meth:`~telephony.sip.agent.UserAgent.invite` ends with exactly one :class:`SessionEnded`, and
nothing about it is reported afterwards. Bodies are bytes: SDP is read by ``telephony.sdp``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from telephony.sip.addresses import Destination, Source
from telephony.sip.message import Request, Response


class EndKind(Enum):
    """The closed set of ways in which a session ends."""

    BYE = "bye"
    """Answered, then hung up by ``by``."""
    CANCELLED = "cancelled"
    """Given up before an answer: our ``cancel`` or ``bye``, or their CANCEL (or early BYE)."""
    REJECTED = "rejected"
    """A final response from 400 on, theirs (``by`` remote) or ours (``by`` local)."""
    REDIRECTED = "redirected"
    """A 3xx; ``contacts`` holds where to. It is never followed by the agent."""
    TIMEOUT = "timeout"
    """Nobody answered on any destination (Timer B), or after our CANCEL (RFC 3261 §9.1)."""
    NO_ACK = "no_ack"
    """Our 200 was never acknowledged; BYE was sent (RFC 3261 §13.3.1.4)."""
    EXPIRED = "expired"
    """The session timer ran out (RFC 4028 §10); BYE was sent."""
    TRANSPORT = "transport"
    """No destination could be reached by the transport."""
    GONE = "gone"
    """In the dialog the peer answered 481 or 408 or nothing at all (RFC 3261 §12.2.1.2)."""


class By(Enum):
    """Who brought a session to its end."""

    LOCAL = "local"
    REMOTE = "remote"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a session ended.

    ``status`` and ``reason`` are of the final response where there was one (0 and "" otherwise).
    ``answered`` is whether a 2xx to the INVITE was sent or received. ``cause`` is the Q.850 cause
    of a Reason header (RFC 3326), ``reason_header`` that header's text. ``retry_after`` is in
    seconds. ``contacts`` are the URIs of a 3xx, best first.
    """

    kind: EndKind
    by: By
    status: int = 0
    reason: str = ""
    answered: bool = False
    cause: int | None = None
    reason_header: str | None = None
    retry_after: int | None = None
    contacts: tuple[str, ...] = ()


# -- sessions ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InviteReceived:
    """A new call comes in; 100 Trying has been sent.

    Reply with ``provisional``, ``answer`` or ``reject``. ``offer`` is the SDP offer, or ``None``
    when the INVITE has none and our answer must carry the offer (its answer is then in
    :class:`SessionConfirmed`). ``request`` is the whole INVITE: Request-URI, identity and ``X-``
    headers are read there.
    """

    session: str
    request: Request
    source: Source
    offer: bytes | None


@dataclass(frozen=True, slots=True)
class Progress:
    """A provisional response (101-199) to our INVITE.

    ``fork`` is the To tag: each tag is an early dialog of its own. ``body`` is the SDP of early
    media, or empty. 100 is not reported.
    """

    session: str
    status: int
    reason: str
    fork: str
    body: bytes
    response: Response


@dataclass(frozen=True, slots=True)
class Answered:
    """Our INVITE got its 2xx; later 2xx of other forks are ended by the agent itself.

    ``body`` is the answer. When our INVITE carried no offer, ``needs_answer`` is true, ``body``
    is the peer's offer, and ``acknowledge`` must be called with our answer; otherwise the ACK has
    been sent already.
    """

    session: str
    fork: str
    body: bytes
    needs_answer: bool
    response: Response


@dataclass(frozen=True, slots=True)
class SessionConfirmed:
    """Our 2xx was acknowledged. ``body`` is the answer to our offer in the 2xx, else empty."""

    session: str
    body: bytes


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The only terminal event of a session. ``message`` is what ended it, where a message did."""

    session: str
    ending: Ending
    message: Request | Response | None = None


@dataclass(frozen=True, slots=True)
class OfferReceived:
    """A re-INVITE or UPDATE of the peer; reply with ``accept_offer`` or ``reject_offer``.

    ``body`` is the offer; empty in a re-INVITE means that our reply must make the offer (the
    answer comes as :class:`OfferAnswered` with token ""). ``method`` is ``"INVITE"`` or
    ``"UPDATE"``. An UPDATE without a body is answered by the agent and not reported.
    """

    session: str
    method: str
    body: bytes
    request: Request


@dataclass(frozen=True, slots=True)
class OfferAnswered:
    """Our re-INVITE or UPDATE was accepted, or the ACK answered our offer.

    ``token`` is what ``reinvite`` or ``update`` returned; ``body`` the SDP answer (may be empty).
    """

    session: str
    token: str
    body: bytes


@dataclass(frozen=True, slots=True)
class OfferFailed:
    """Our re-INVITE or UPDATE was refused; the session goes on as it was (RFC 3261 §14.1).

    Glare (491) has been retried by then. ``status`` is 408 when nobody answered.
    """

    session: str
    token: str
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class SessionRefreshed:
    """The session timer was refreshed (RFC 4028), by us or by the peer."""

    session: str
    by: By


@dataclass(frozen=True, slots=True)
class InfoReceived:
    """An INFO with a body that is no digit; it has been answered 200."""

    session: str
    content_type: str
    body: bytes
    request: Request


@dataclass(frozen=True, slots=True)
class DigitReceived:
    """A key in an INFO (``application/dtmf-relay`` or ``application/dtmf``), answered 200.

    ``digit`` is one of ``0-9*#A-D`` or ``!`` (flash). ``duration_ms`` is 0 when not told.
    """

    session: str
    digit: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class RequestAnswered:
    """Our ``info``, ``options`` (in a dialog or to a gateway) or ``send_request`` was answered.

    ``session`` is "" outside a dialog. ``status`` is 408 without an answer and 503 when the
    transport failed. ``seconds`` is the time from the first transmission to the answer.
    """

    session: str
    token: str
    method: str
    status: int
    reason: str
    seconds: float
    destination: Destination | None = None
    response: Response | None = None


# -- transfer (RFC 3515) ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReferReceived:
    """The peer asks us to call someone; reply with ``accept_refer`` or ``reject_refer``.

    ``refer_to`` is the URI, ``replaces`` the text of its Replaces header if it has one,
    ``referred_by`` the header's text or "". After ``accept_refer`` tell the progress with
    ``notify_refer`` until a final one.
    """

    session: str
    token: str
    refer_to: str
    referred_by: str
    replaces: str
    request: Request


@dataclass(frozen=True, slots=True)
class ReferProgress:
    """What the peer tells of our REFER: 202 first, then the statuses of its NOTIFYs."""

    session: str
    token: str
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReferEnded:
    """Our REFER has come to its end, exactly once each.

    ``status`` is the last one told: 2xx for success, the refusal, 408 when the REFER or its
    NOTIFYs stayed out, 202 when the peer ended the subscription without telling. When the session
    ends first it is what was told until then (202, 100, 180 ...), 487 when that was nothing.
    """

    session: str
    token: str
    status: int
    reason: str


# -- registration -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RegisterReceived:
    """A REGISTER for us; reply with ``respond(token, ...)``, within 32 s.

    :func:`telephony.sip.registration.read_register` reads its bindings. A REGISTER comes here
    only when :attr:`AgentConfig.registrar` is set, else it is answered 405.
    """

    token: str
    request: Request
    source: Source


@dataclass(frozen=True, slots=True)
class Registered:
    """A registration of ours is in force for ``expires`` seconds; it will be refreshed."""

    registration: str
    expires: int


@dataclass(frozen=True, slots=True)
class RegistrationFailed:
    """A registration of ours did not work; it is tried again in ``retry_in`` seconds."""

    registration: str
    status: int
    reason: str
    retry_in: float


@dataclass(frozen=True, slots=True)
class Unregistered:
    """A registration of ours is over, after ``unregister``; exactly once."""

    registration: str


# -- the network ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NeedResolve:
    """A request in a dialog must go to ``uri``, whose host is a name.

    Resolve it (RFC 3263) and call ``resolved(token, destinations)``; an empty list fails the
    request as the transport would.
    """

    token: str
    uri: str


@dataclass(frozen=True, slots=True)
class AddressLearned:
    """A peer told, by ``received`` and ``rport`` (RFC 3581), how it sees our address."""

    address: tuple[str, int]
    transport: str
    peer: tuple[str, int]


SipEvent = (
    InviteReceived
    | Progress
    | Answered
    | SessionConfirmed
    | SessionEnded
    | OfferReceived
    | OfferAnswered
    | OfferFailed
    | SessionRefreshed
    | InfoReceived
    | DigitReceived
    | RequestAnswered
    | ReferReceived
    | ReferProgress
    | ReferEnded
    | RegisterReceived
    | Registered
    | RegistrationFailed
    | Unregistered
    | NeedResolve
    | AddressLearned
)
