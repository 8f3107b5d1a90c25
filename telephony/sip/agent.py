"""The user agent: SIP without sockets, clocks or threads.

Five doors carry everything in and out: :meth:`UserAgent.receive`, :meth:`UserAgent.expire`,
:meth:`UserAgent.next_deadline`, :meth:`UserAgent.take_sends`, :meth:`UserAgent.take_events`. After
any call of a door or an order the driver empties the last two and re-arms its one timer. ``now``
is always monotonic seconds.

Orders about a session return ``True`` when they were carried out or queued, and ``False`` when the
session is gone or is in a state in which the order means nothing: calls end while orders are on
their way, so that is no error. Orders never raise for anything a peer did; ``ValueError`` says
that the caller's own header, URI or id cannot be written.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from telephony.base.trace import Trace
from telephony.sip import session_timer
from telephony.sip.addresses import Destination, Send, Source
from telephony.sip.auth import Credentials, DigestClient
from telephony.sip.checks import Refusal, check_request
from telephony.sip.core import AgentConfig, Core, Items, numeric
from telephony.sip.dialog import Dialog
from telephony.sip.events import (
    AddressLearned,
    By,
    Ending,
    EndKind,
    RegisterReceived,
    RequestAnswered,
    SessionEnded,
    SipEvent,
)
from telephony.sip.exchange import Callbacks, Exchange
from telephony.sip.headers import check_value, header_name
from telephony.sip.invite_session import InviteSession
from telephony.sip.limits import MAX_DIALOGS, MAX_LEARNED_ADDRESSES, MAX_REGISTRATIONS
from telephony.sip.message import Request, Response
from telephony.sip.parser import Malformed, parse
from telephony.sip.registration import Account, Registration
from telephony.sip.status import reason_phrase
from telephony.sip.transactions.hosts import AnyServer
from telephony.sip.transactions.invite_server import InviteServerTransaction
from telephony.sip.transactions.layer import Layer, reply_destination, stamp_via
from telephony.sip.uri import NameAddr, SyntaxFault, Uri

__all__ = ["AgentConfig", "Destination", "Send", "Source", "UserAgent"]

HeaderItems = Mapping[str, str] | Sequence[tuple[str, str]]
"""Headers an order adds: a mapping, or pairs where a name comes more than once."""

_OURS = frozenset(
    [
        "via",
        "from",
        "to",
        "call-id",
        "cseq",
        "content-length",
        "max-forwards",
        "route",
        "record-route",
        "contact",
    ]
)


def _items(headers: HeaderItems, *, contact: bool = False) -> Items:
    """Header rows to add, checked. Raises SyntaxFault (a ValueError)."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    rows = []
    for name, value in pairs:
        key, shown = header_name(name)
        if key in _OURS and not (contact and key == "contact"):
            raise SyntaxFault(f"{shown} is written by the agent itself")
        rows.append((shown, check_value(value)))
    return tuple(rows)


class UserAgent:
    """Every transaction, dialog, session, subscription and registration of one SIP address."""

    def __init__(
        self, config: AgentConfig, rng: random.Random, *, trace: Trace | None = None
    ) -> None:
        """``rng`` makes tags, branches, Call-IDs, ids and back-offs; seeded in tests."""
        self._core = Core(config, rng, trace)
        self._layer = Layer(self._core)
        self._sessions: dict[str, InviteSession] = {}
        self._dialogs: dict[tuple[str, str], InviteSession] = {}
        self._registrations: dict[str, Registration] = {}
        self._requests: dict[str, AnyServer] = {}
        self._learned: OrderedDict[str, tuple[str, int]] = OrderedDict()

    @property
    def config(self) -> AgentConfig:
        """What the agent was told."""
        return self._core.config

    @property
    def trace(self) -> Trace:
        """What was dropped and refused, with reasons."""
        return self._core.trace

    # -- the five doors -----------------------------------------------------------------------

    def receive(
        self, data: bytes | Request | Response | Malformed, source: Source, now: float
    ) -> None:
        """A datagram, or a message a stream framer made. Never raises for what it holds."""
        message = parse(bytes(data)) if isinstance(data, bytes | bytearray | memoryview) else data
        if isinstance(message, Malformed):
            self._malformed(message, source, now)
        elif isinstance(message, Response):
            self._response(message, source, now)
        else:
            self._request(message, source, now)

    def expire(self, now: float) -> None:
        """Do all that is due at ``now``."""
        alarms = self._core.alarms
        while (due := alarms.pop(now)) is not None:
            owner, name = due
            owner.on_alarm(name, now)

    def next_deadline(self) -> float | None:
        """When :meth:`expire` must be called next, in monotonic seconds."""
        return self._core.alarms.next()

    def take_sends(self) -> list[Send]:
        """What must go out, in order. Each is handed out once."""
        sends = list(self._core.sends)
        self._core.sends.clear()
        return sends

    def take_events(self) -> list[SipEvent]:
        """What happened, in order. Each is handed out once."""
        events = list(self._core.events)
        self._core.events.clear()
        return events

    def transport_failed(self, send: Send, now: float) -> None:
        """``send`` could not be delivered (ICMP, connection refused, name lookup, closed)."""
        self._core.transport_failed(now, send.destination)
        if send.key:
            self._layer.transport_failed(send.key, now)

    def flow_closed(self, flow: int, now: float) -> None:
        """The connection ``flow`` is gone; requests that wait on it fail over."""
        if flow:
            self._core.flow_closed(flow)
            self._layer.flow_closed(flow, now)

    def resolved(self, token: str, destinations: Sequence[Destination], *, now: float) -> None:
        """The answer to :class:`~telephony.sip.events.NeedResolve`."""
        self._core.resolved(token, destinations, now)

    # -- standing -----------------------------------------------------------------------------

    def trust(self, hosts: Iterable[str]) -> None:
        """The numeric hosts (trunks, phones) that ceilings per source do not count.

        Replaces what was told before. Loopback addresses are always among them.
        """
        self._core.trusted = frozenset(hosts)

    def learned_address(self, peer_host: str) -> tuple[str, int] | None:
        """How that peer last saw our address (RFC 3581), if it differs from ours."""
        return self._learned.get(peer_host)

    def idle(self) -> bool:
        """Whether no transaction, session, subscription, registration or timer is left."""
        return (
            not self._sessions
            and not self._registrations
            and not self._core.resolving
            and not len(self._layer)
            and not len(self._core.alarms)
        )

    def sessions(self) -> list[str]:
        """The ids of the sessions that have not ended."""
        return [name for name, session in self._sessions.items() if not session.ended]

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
        Uri.parse(target)
        caller = NameAddr.parse(from_)
        called = NameAddr.parse(to or f"<{target}>")
        rows = _items(headers)
        for route in routes:
            NameAddr.parse(route)
        name = session or self._core.token(128)
        if name in self._sessions:
            raise ValueError("a session of that id is there already")
        if len(self._sessions) >= MAX_DIALOGS:
            ending = Ending(EndKind.TRANSPORT, By.LOCAL, 503, "Too many sessions")
            self._core.emit(SessionEnded(name, ending))
            return name
        call = InviteSession(
            self._core,
            self._layer,
            name,
            ours=True,
            call_id=check_value(call_id) or self._core.token(128),
            local_tag=self._core.token(),
            credentials=credentials,
            buried=self._buried,
        )
        self._add(call)
        call.call(
            target=target,
            from_=caller,
            to=called,
            routes=routes,
            contact_user=contact_user,
            headers=rows,
            body=body,
            content_type=content_type,
            destinations=destinations,
            now=now,
        )
        return name

    def cancel(self, session: str, *, reason: str = "", now: float) -> bool:
        """Give up a call of ours that is not answered yet (RFC 3261 §9.1).

        The CANCEL waits for a provisional response. When a 2xx crosses it, the agent sends ACK
        and BYE. ``reason`` is the text of a Reason header.
        """
        call = self._sessions.get(session)
        return call is not None and call.cancel(check_value(reason), now)

    def acknowledge(
        self, session: str, body: bytes, *, content_type: str = "application/sdp", now: float
    ) -> bool:
        """Send the ACK with our answer, when ``Answered.needs_answer`` or a re-INVITE asked it."""
        call = self._sessions.get(session)
        return call is not None and call.acknowledge(body, content_type, now)

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
        rows = _items(headers)
        call = self._sessions.get(session)
        return call is not None and call.provisional(
            status, check_value(reason), rows, body, content_type, now
        )

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
        rows = _items(headers)
        call = self._sessions.get(session)
        return call is not None and call.answer(rows, body, content_type, guard, credentials, now)

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
        rows = _items(headers, contact=True)
        call = self._sessions.get(session)
        return call is not None and call.reject(
            status,
            now,
            reason=check_value(reason),
            headers=rows,
            body=body,
            content_type=content_type,
            stateless=stateless,
        )

    # -- both ---------------------------------------------------------------------------------

    def bye(self, session: str, *, reason: str = "", headers: HeaderItems = (), now: float) -> bool:
        """End the session whatever its state: BYE, CANCEL, or 480 to a call that still rings us.

        ``reason`` is the text of a Reason header (RFC 3326), such as ``Q.850;cause=16``.
        """
        rows = _items(headers)
        if reason:
            rows = (("Reason", check_value(reason)), *rows)
        call = self._sessions.get(session)
        return call is not None and call.bye(now, rows)

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
        rows = _items(headers)
        call = self._sessions.get(session)
        if call is None:
            return ""
        return call.offers.offer("INVITE", body, content_type, rows, now)

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
        rows = _items(headers)
        call = self._sessions.get(session)
        if call is None:
            return ""
        return call.offers.offer("UPDATE", body, content_type, rows, now)

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
        rows = _items(headers)
        call = self._sessions.get(session)
        return call is not None and call.offers.accept(body, content_type, rows, now)

    def reject_offer(
        self, session: str, status: int = 488, *, reason: str = "", now: float
    ) -> bool:
        """Refuse :class:`OfferReceived`; the session goes on as it was."""
        call = self._sessions.get(session)
        return call is not None and call.offers.reject(status, check_value(reason), now)

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
        rows = _items(headers)
        call = self._sessions.get(session)
        return "" if call is None else call.ask("INFO", rows, body, content_type, now)

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
        rows = _items(headers)
        NameAddr.parse(refer_to)
        call = self._sessions.get(session)
        if call is None:
            return ""
        return call.referrals.refer(refer_to, check_value(referred_by), rows, now)

    def accept_refer(self, session: str, token: str, *, now: float) -> bool:
        """202, and the NOTIFY with ``100 Trying`` that must follow (RFC 3515 §2.4.4)."""
        call = self._sessions.get(session)
        return call is not None and call.referrals.accept(token, now)

    def reject_refer(
        self, session: str, token: str, status: int = 603, *, reason: str = "", now: float
    ) -> bool:
        """Refuse a REFER."""
        call = self._sessions.get(session)
        return call is not None and call.referrals.reject(token, status, check_value(reason), now)

    def notify_refer(
        self, session: str, token: str, status: int, *, reason: str = "", now: float
    ) -> bool:
        """NOTIFY how the accepted REFER goes; a final status ends its subscription."""
        call = self._sessions.get(session)
        return call is not None and call.referrals.notify(token, status, check_value(reason), now)

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
        Uri.parse(target)
        caller = NameAddr.parse(from_).with_tag(self._core.token())
        rows = _items(headers)
        token, call_id = self._core.token(), self._core.token(128)
        cseq = self._core.rng.randrange(1, 2**16)

        def build(destination: Destination) -> Request:
            nonlocal cseq
            cseq += 1
            request = Request("OPTIONS", target)
            put = request.headers.add
            put("Max-Forwards", "70")
            put("From", str(caller))
            put("To", f"<{target}>")
            put("Call-ID", call_id)
            put("CSeq", f"{cseq} OPTIONS")
            put("Contact", self._core.contact("", destination.transport))
            put("Accept", "application/sdp")
            self._core.identify(request)
            for name, value in rows:
                put(name, value)
            return request

        digest = DigestClient(credentials, self._core.rng)
        sink = Callbacks(self._options_done, self._options_failed)
        exchange = Exchange(self._core, self._layer, build, digest, sink, token=token)
        exchange.start(destinations, now)
        return token

    def session_options(self, session: str, *, headers: HeaderItems = (), now: float) -> str:
        """OPTIONS in a dialog. Returns a token; ends in :class:`RequestAnswered`."""
        rows = _items(headers)
        call = self._sessions.get(session)
        return "" if call is None else call.ask("OPTIONS", rows, b"", "", now)

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
        Uri.parse(registrar)
        Uri.parse(aor)
        account = Account(
            registrar,
            aor,
            contact_user,
            max(0, expires),
            _items(headers),
            tuple(credentials),
            tuple(destinations),
        )
        present = self._registrations.get(registration)
        if present is not None:
            present.change(account, now)
            return registration
        if len(self._registrations) >= MAX_REGISTRATIONS:
            raise ValueError("too many registrations")
        name = registration or self._core.token(128)
        made = Registration(self._core, self._layer, name, account, self._released)
        self._registrations[name] = made
        made.start(now)
        return name

    def unregister(self, registration: str, *, now: float) -> bool:
        """Remove the binding; ends in :class:`Unregistered` whatever the registrar says."""
        present = self._registrations.get(registration)
        if present is None:
            return False
        present.stop(now)
        return True

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
        rows = _items(headers, contact=True)
        transaction = self._requests.pop(token, None)
        if transaction is None or not transaction.open:
            return False
        request = transaction.request
        response = request.reply(
            status, check_value(reason) or None, to_tag=self._core.stateless_tag(request)
        )
        self._core.identify(response)
        for name, value in rows:
            response.headers.add(name, value)
        if body:
            response.headers.set("Content-Type", content_type)
            response.body = body
        transaction.respond(response, now)
        if stateless:
            transaction.abandon()
        return True

    # -- inside: sessions ---------------------------------------------------------------------

    def _add(self, call: InviteSession) -> None:
        self._sessions[call.id] = call
        self._dialogs[call.call_id, call.local_tag] = call

    def _buried(self, call: InviteSession) -> None:
        self._sessions.pop(call.id, None)
        self._dialogs.pop((call.call_id, call.local_tag), None)

    def _released(self, registration: Registration) -> None:
        self._registrations.pop(registration.id, None)

    def _options_done(self, exchange: Exchange, response: Response, now: float) -> None:
        self._options_end(exchange, response.status, response.reason, response, now)

    def _options_failed(self, exchange: Exchange, unreachable: bool, now: float) -> None:
        status = 503 if unreachable else 408
        self._options_end(exchange, status, reason_phrase(status), None, now)

    def _options_end(
        self, exchange: Exchange, status: int, reason: str, response: Response | None, now: float
    ) -> None:
        self._core.emit(
            RequestAnswered(
                "",
                exchange.token,
                "OPTIONS",
                status,
                reason,
                now - exchange.started_at,
                exchange.destination,
                response,
            )
        )

    # -- inside: what comes in ----------------------------------------------------------------

    def _malformed(self, message: Malformed, source: Source, now: float) -> None:
        if message.answer is None:
            self._core.dropped(now, message.reason, source)
            return
        self._core.refused(now, message.reason, message.status, source)
        stamp_via(message.answer, source)
        destination = reply_destination(message.answer.top_via, source)
        self._core.send(message.answer, destination, source.local)

    def _response(self, response: Response, source: Source, now: float) -> None:
        if not self._layer.take_response(response, source, now):
            self._core.dropped(now, "response without a transaction", source)
            return
        self._learn(response, source)

    def _learn(self, response: Response, source: Source) -> None:
        """How the peer sees us (RFC 3581 §4), of responses that have a transaction."""
        via = response.top_via
        if via.received is None and not via.rport:
            return
        config = self._core.config
        host = via.received or config.host
        text = via.rport or ""
        port = int(text) if text.isdecimal() and len(text) < 6 else config.port
        if not numeric(host):
            return
        peer = source.address[0]
        if (host, port) == (config.host, config.port):
            self._learned.pop(peer, None)
            return
        if self._learned.get(peer) == (host, port):
            return
        self._learned[peer] = (host, port)
        if len(self._learned) > MAX_LEARNED_ADDRESSES:
            self._learned.popitem(last=False)
        self._core.emit(AddressLearned((host, port), source.transport, source.address))

    def _request(self, request: Request, source: Source, now: float) -> None:
        stamp_via(request, source)
        if request.method == "ACK":
            self._ack(request, source, now)
            return
        if request.method == "CANCEL":
            self._cancel(request, source, now)
            return
        transaction = self._layer.server_of(request, source)
        if transaction is not None:
            transaction.receive(request, now)
            return
        refusal = check_request(request, self._core.config.registrar)
        if refusal is None and self._layer.is_merged(request):
            refusal = Refusal(482)
        if refusal is not None:
            self._refuse(request, source, now, refusal)
        elif request.to_tag:
            self._in_dialog(request, source, now)
        else:
            self._outside(request, source, now)

    def _refuse(self, request: Request, source: Source, now: float, refusal: Refusal) -> None:
        """Answer without keeping state (RFC 3261 §8.2.7): nobody is hit by retransmissions."""
        self._core.refused(now, f"{request.method} {refusal.status}", refusal.status, source)
        tag = self._core.stateless_tag(request)
        response = request.reply(refusal.status, refusal.reason, to_tag=tag)
        for name, value in refusal.headers:
            response.headers.add(name, value)
        self._core.identify(response)
        self._core.send(response, reply_destination(request.top_via, source), source.local)

    def _find(self, request: Request) -> tuple[InviteSession, Dialog] | None:
        call = self._dialogs.get((request.call_id, request.to_tag))
        dialog = None if call is None else call.dialog_of(request.from_tag)
        return None if call is None or dialog is None else (call, dialog)

    def _in_dialog(self, request: Request, source: Source, now: float) -> None:
        found = self._find(request)
        if found is None:
            self._refuse(request, source, now, Refusal(481))
        elif not found[0].allows(source):
            self._refuse(request, source, now, Refusal(403))
        elif self._layer.full():
            self._refuse(request, source, now, _BUSY)
        else:
            transaction = self._layer.serve(request, source, now)
            found[0].on_request(transaction, found[1], now)

    def _outside(self, request: Request, source: Source, now: float) -> None:
        method = request.method
        if method == "OPTIONS":
            tag = self._core.stateless_tag(request)
            response = self._core.capabilities(request, tag)
            self._core.send(response, reply_destination(request.top_via, source), source.local)
        elif method not in ("INVITE", "REGISTER"):
            self._refuse(request, source, now, Refusal(481))
        elif not self._layer.has_room(source) or len(self._sessions) >= MAX_DIALOGS:
            self._refuse(request, source, now, _BUSY)
        elif method == "INVITE" and session_timer.too_small(request, self._core.config.min_se):
            # RFC 4028 §9: the interval may be made shorter, never longer.
            floor = ("Min-SE", str(self._core.config.min_se))
            self._refuse(request, source, now, Refusal(422, None, (floor,)))
        else:
            transaction = self._layer.serve(request, source, now)
            if isinstance(transaction, InviteServerTransaction):
                self._invited(transaction, source, now)
            else:
                self._requests = {t: x for t, x in self._requests.items() if not x.done}
                token = self._core.token()
                self._requests[token] = transaction
                self._core.emit(RegisterReceived(token, request, source))

    def _invited(self, transaction: InviteServerTransaction, source: Source, now: float) -> None:
        call = InviteSession(
            self._core,
            self._layer,
            self._core.token(128),
            ours=False,
            call_id=transaction.request.call_id,
            local_tag=self._core.token(),
            buried=self._buried,
        )
        self._add(call)
        call.offered(transaction, source, now)

    def _ack(self, request: Request, source: Source, now: float) -> None:
        transaction = self._layer.server_of(request, source)
        if transaction is not None:
            transaction.receive(request, now)
            return
        found = self._find(request)
        if found is None or not found[0].allows(source):
            # RFC 3261 §17.1.1.3: an ACK is never answered.
            self._core.dropped(now, "ACK without a dialog", source)
            return
        found[0].on_ack(request, now)

    def _cancel(self, request: Request, source: Source, now: float) -> None:
        repeated = self._layer.cancel_of(request, source)
        if repeated is not None:
            repeated.receive(request, now)
            return
        invite = self._layer.server_of(request, source)
        if (
            not isinstance(invite, InviteServerTransaction)
            or invite.on_cancel is None
            or invite.request.from_tag != request.from_tag
            or self._layer.full()
        ):
            self._refuse(request, source, now, Refusal(481))
            return
        invite.on_cancel(self._layer.serve(request, source, now), now)


_BUSY = Refusal(503, None, (("Retry-After", "5"),))
