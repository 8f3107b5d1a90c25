"""The user agent: SIP without sockets, clocks or threads.

Five doors carry everything in and out: :meth:`UserAgent.receive`, :meth:`UserAgent.expire`,
:meth:`UserAgent.next_deadline`, :meth:`UserAgent.take_sends`, :meth:`UserAgent.take_events`. After
any call of a door or an order the driver empties the last two and re-arms its one timer. ``now``
is always monotonic seconds.

Orders about a session return ``True`` when they were carried out or queued, and ``False`` when the
session is gone or is in a state in which the order means nothing: calls end while orders are on
their way, so that is no error. Orders never raise for anything a peer did.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from telephony.base.trace import Trace
from telephony.sip.addresses import Destination, Send, Source
from telephony.sip.auth import Credentials
from telephony.sip.events import SipEvent
from telephony.sip.message import Request, Response
from telephony.sip.parser import Malformed
from telephony.sip.timers import Timers

__all__ = ["AgentConfig", "Destination", "Send", "Source", "UserAgent"]

HeaderItems = Mapping[str, str] | Sequence[tuple[str, str]]
"""Headers an order adds: a mapping, or pairs where a name comes more than once."""


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """What an agent is told once.

    host, port: the address written into Via and Contact; the external one behind a NAT.
    user_agent: the User-Agent and Server header; empty leaves it out.
    registrar: report REGISTER as an event instead of answering 405.
    session_expires, min_se: seconds, RFC 4028; 0 for ``session_expires`` asks for no timer.
    symmetric: send requests in a dialog over UDP to where the peer's messages come from, when its
        Contact is a private address and that is not, or is unspecified (RFC 3261 knows nothing of
        NATs; most phones behind one depend on it).
    cancel_unanswered: seconds after which an INVITE of ours that still rings is cancelled
        (as Timer C would in a proxy, RFC 3261 §16.6).
    server_seconds: how long a call coming in may ring before the agent answers 480.
    timers: the values of RFC 3261 table 4.
    """

    host: str = "127.0.0.1"
    port: int = 5060
    user_agent: str = "telephony"
    registrar: bool = False
    session_expires: int = 1800
    min_se: int = 90
    symmetric: bool = True
    cancel_unanswered: float = 240.0
    server_seconds: float = 240.0
    timers: Timers = field(default_factory=Timers)


class UserAgent:
    """Every transaction, dialog, session, subscription and registration of one SIP address."""

    def __init__(
        self, config: AgentConfig, rng: random.Random, *, trace: Trace | None = None
    ) -> None:
        """``rng`` makes tags, branches, Call-IDs, ids and back-offs; seeded in tests."""

    # -- the five doors -----------------------------------------------------------------------

    def receive(
        self, data: bytes | Request | Response | Malformed, source: Source, now: float
    ) -> None:
        """A datagram, or a message a stream framer made. Never raises for what it holds."""

    def expire(self, now: float) -> None:
        """Do all that is due at ``now``."""

    def next_deadline(self) -> float | None:
        """When :meth:`expire` must be called next, in monotonic seconds."""

    def take_sends(self) -> list[Send]:
        """What must go out, in order. Each is handed out once."""

    def take_events(self) -> list[SipEvent]:
        """What happened, in order. Each is handed out once."""

    def transport_failed(self, send: Send, now: float) -> None:
        """``send`` could not be delivered (ICMP, connection refused, name lookup, closed)."""

    def flow_closed(self, flow: int, now: float) -> None:
        """The connection ``flow`` is gone; requests that wait on it fail over."""

    def resolved(self, token: str, destinations: Sequence[Destination], *, now: float) -> None:
        """The answer to :class:`~telephony.sip.events.NeedResolve`."""

    # -- standing -----------------------------------------------------------------------------

    def trust(self, hosts: Iterable[str]) -> None:
        """The numeric hosts (trunks, phones) that ceilings per source do not count.

        Replaces what was told before. Loopback addresses are always among them.
        """

    def learned_address(self, peer_host: str) -> tuple[str, int] | None:
        """How that peer last saw our address (RFC 3581), if it differs from ours."""

    def idle(self) -> bool:
        """Whether no transaction, session, subscription, registration or timer is left."""

    def sessions(self) -> list[str]:
        """The ids of the sessions that have not ended."""

    # -- calls out ----------------------------------------------------------------------------

    def invite(
        self,
        *,
        target: str,
        destinations: Sequence[Destination],
        from_: str,
        to: str = "",
        body: bytes = b"",
        content_type: str = "application/sdp",
        headers: HeaderItems = (),
        credentials: Sequence[Credentials] = (),
        routes: Sequence[str] = (),
        session: str = "",
        call_id: str = "",
        contact_user: str = "",
        now: float,
    ) -> str:
        """Call ``target`` (a SIP URI) and return the session's id (``session``, or a new one).

        ``destinations`` are tried in order: the next after a transport error, Timer B without any
        response, or 503 (RFC 3263 §4.3), with the same Call-ID and a new branch. ``from_`` and
        ``to`` are name-addrs or URIs without tag; ``to`` is ``target`` when empty. An empty
        ``body`` makes an INVITE without an offer. ``credentials`` answer the challenges of this
        call and all requests in its dialogs, and of nothing else. ``call_id`` lets the caller
        write the Call-ID down before the INVITE leaves.
        """
        return ""

    def cancel(self, session: str, *, reason: str = "", now: float) -> bool:
        """Give up a call of ours that is not answered yet (RFC 3261 §9.1).

        The CANCEL waits for a provisional response. When a 2xx crosses it, the agent sends ACK
        and BYE. ``reason`` is the text of a Reason header.
        """
        return False

    def acknowledge(
        self, session: str, body: bytes, *, content_type: str = "application/sdp", now: float
    ) -> bool:
        """Send the ACK with our answer, when ``Answered.needs_answer`` or a re-INVITE asked it."""
        return False

    # -- calls in -----------------------------------------------------------------------------

    def provisional(
        self,
        session: str,
        status: int,
        *,
        reason: str = "",
        body: bytes = b"",
        content_type: str = "application/sdp",
        headers: HeaderItems = (),
        now: float,
    ) -> bool:
        """Send 101-199. It is repeated each minute by the agent (RFC 3261 §13.3.1.1)."""
        return False

    def answer(
        self,
        session: str,
        body: bytes,
        *,
        content_type: str = "application/sdp",
        headers: HeaderItems = (),
        guard: frozenset[str] | None = None,
        credentials: Sequence[Credentials] = (),
        now: float,
    ) -> bool:
        """Send the 200, retransmitted until its ACK comes.

        ``guard``: the only numeric hosts whose requests in this dialog are accepted; others get
        403 (for calls set up with digest). ``credentials`` answer challenges of our requests in
        this dialog; a call coming in gets none unless its trunk is known.
        """
        return False

    def reject(
        self,
        session: str,
        status: int,
        *,
        reason: str = "",
        headers: HeaderItems = (),
        body: bytes = b"",
        content_type: str = "",
        stateless: bool = False,
        now: float,
    ) -> bool:
        """Send a final response 300-699 and end the session.

        ``stateless`` sends it once and forgets the transaction: for challenges and refusals of
        strangers, so that nobody is hit by our retransmissions.
        """
        return False

    # -- both ---------------------------------------------------------------------------------

    def bye(self, session: str, *, reason: str = "", headers: HeaderItems = (), now: float) -> bool:
        """End the session whatever its state: BYE, CANCEL, or 480 to a call that still rings us.

        ``reason`` is the text of a Reason header (RFC 3326), such as ``Q.850;cause=16``.
        """
        return False

    def reinvite(
        self,
        session: str,
        body: bytes,
        *,
        content_type: str = "application/sdp",
        headers: HeaderItems = (),
        now: float,
    ) -> str:
        """Offer anew in the dialog (hold is an SDP). Returns a token, "" when it cannot be.

        Ends in :class:`OfferAnswered` or :class:`OfferFailed`; 491 is retried by itself
        (RFC 3261 §14.1). Only one offer may be under way.
        """
        return ""

    def update(
        self,
        session: str,
        body: bytes,
        *,
        content_type: str = "application/sdp",
        headers: HeaderItems = (),
        now: float,
    ) -> str:
        """As :meth:`reinvite`, with UPDATE (RFC 3311); also in an early dialog."""
        return ""

    def accept_offer(
        self,
        session: str,
        body: bytes,
        *,
        content_type: str = "application/sdp",
        headers: HeaderItems = (),
        now: float,
    ) -> bool:
        """Answer :class:`OfferReceived` with 200."""
        return False

    def reject_offer(
        self, session: str, status: int = 488, *, reason: str = "", now: float
    ) -> bool:
        """Refuse :class:`OfferReceived`; the session goes on as it was."""
        return False

    def info(
        self,
        session: str,
        content_type: str,
        body: bytes,
        *,
        headers: HeaderItems = (),
        now: float,
    ) -> str:
        """Send an INFO. Returns a token; ends in :class:`RequestAnswered`."""
        return ""

    # -- transfer -----------------------------------------------------------------------------

    def refer(
        self,
        session: str,
        refer_to: str,
        *,
        referred_by: str = "",
        headers: HeaderItems = (),
        now: float,
    ) -> str:
        """Ask the peer to call ``refer_to`` (RFC 3515). Returns a token, "" when it cannot be.

        Ends in one :class:`ReferEnded` per token, before the session's end or with it.
        """
        return ""

    def accept_refer(self, session: str, token: str, *, now: float) -> bool:
        """202, and the NOTIFY with ``100 Trying`` that must follow (RFC 3515 §2.4.4)."""
        return False

    def reject_refer(
        self, session: str, token: str, status: int = 603, *, reason: str = "", now: float
    ) -> bool:
        """Refuse a REFER."""
        return False

    def notify_refer(
        self, session: str, token: str, status: int, *, reason: str = "", now: float
    ) -> bool:
        """NOTIFY how the accepted REFER goes; a final status ends its subscription."""
        return False

    # -- outside a session --------------------------------------------------------------------

    def options(
        self,
        *,
        target: str,
        destinations: Sequence[Destination],
        from_: str,
        headers: HeaderItems = (),
        credentials: Sequence[Credentials] = (),
        now: float,
    ) -> str:
        """Ping a gateway. Returns a token; ends in :class:`RequestAnswered`."""
        return ""

    def session_options(self, session: str, *, headers: HeaderItems = (), now: float) -> str:
        """OPTIONS in a dialog. Returns a token; ends in :class:`RequestAnswered`."""
        return ""

    def register(
        self,
        *,
        registrar: str,
        aor: str,
        destinations: Sequence[Destination],
        credentials: Sequence[Credentials] = (),
        contact_user: str = "",
        expires: int = 300,
        headers: HeaderItems = (),
        registration: str = "",
        now: float,
    ) -> str:
        """Register ``aor`` at ``registrar`` (URIs) and keep it so; returns the registration's id.

        Called again with the id of a registration, it takes the new values and registers at once.
        """
        return ""

    def unregister(self, registration: str, *, now: float) -> bool:
        """Remove the binding; ends in :class:`Unregistered` whatever the registrar says."""
        return False

    def respond(
        self,
        token: str,
        status: int,
        *,
        reason: str = "",
        headers: HeaderItems = (),
        body: bytes = b"",
        content_type: str = "",
        stateless: bool = False,
        now: float,
    ) -> bool:
        """Answer a request outside of sessions (:class:`RegisterReceived`)."""
        return False
