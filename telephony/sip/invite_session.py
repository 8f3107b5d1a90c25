"""One call: an INVITE of ours or theirs, its dialogs, and all until the end (RFC 3261 §13-15).

``InviteSession`` is one class for both roles. It holds what its parts share, writes the messages
of the dialog, and knows the ways out; what happens is in the parts: the set-up of a call of ours
in :mod:`telephony.sip.calling` and of theirs in :mod:`telephony.sip.answering`, ACKs in
:mod:`telephony.sip.acks`, requests inside the dialog in :mod:`telephony.sip.in_dialog`, offers and
refreshes in :mod:`telephony.sip.offers`, transfers in :mod:`telephony.sip.referrals`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from telephony.sip.acks import Acks
from telephony.sip.addresses import Destination, Source
from telephony.sip.answering import Answering
from telephony.sip.auth import Credentials, DigestClient
from telephony.sip.calling import Calling
from telephony.sip.core import ALLOW, SUPPORTED, Core, Items
from telephony.sip.dialog import Dialog, DialogState
from telephony.sip.events import By, Ending, EndKind, SessionConfirmed, SessionEnded, SipEvent
from telephony.sip.exchange import Callbacks, Exchange, Sink
from telephony.sip.in_dialog import InDialog
from telephony.sip.message import Request, Response
from telephony.sip.offers import Offers
from telephony.sip.phase import Phase
from telephony.sip.referrals import Referrals
from telephony.sip.success import SuccessKeeper
from telephony.sip.transactions.hosts import AnyServer
from telephony.sip.transactions.invite_server import InviteServerTransaction
from telephony.sip.transactions.layer import Layer
from telephony.sip.uri import NameAddr

#: How often 64*T1 are waited for what is under way when a session ends: a BYE, and one more that
#: answers a challenge.
MAX_ROUNDS = 3


class InviteSession:
    """One call. ``ours`` is whether the INVITE was.

    ``dialog`` is the one the call goes on in: the first early one, then the one that answered.
    ``established`` is whether there ever was a 2xx. ``exchanges`` are the requests of ours in the
    dialogs, some of them finished.
    """

    def __init__(
        self,
        core: Core,
        layer: Layer,
        session: str,
        *,
        ours: bool,
        call_id: str,
        local_tag: str,
        credentials: Sequence[Credentials] = (),
        buried: Callable[[InviteSession], None],
    ) -> None:
        self.core = core
        self.layer = layer
        self.id = session
        self.ours = ours
        self.call_id = call_id
        self.local_tag = local_tag
        self.phase = Phase.SETUP
        self.dialog: Dialog | None = None
        self.digest = DigestClient(credentials, core.rng)
        self.guard: frozenset[str] | None = None
        self.min_se = core.config.min_se
        self.peer_updates = False
        self.established = False
        self.exchanges: list[Exchange] = []
        self.calling = Calling(self)
        self.answering = Answering(self)
        self.acks = Acks(core, self._acked, self._no_ack)
        self.in_dialog = InDialog(self)
        self.offers = Offers(self)
        self.referrals = Referrals(self)
        self._buried = buried
        self._bye_waits: Items | None = None
        self._rounds = 0

    # -- orders: handed to the part that carries them out --------------------------------------

    def call(
        self,
        *,
        target: str,
        from_: NameAddr,
        to: NameAddr,
        routes: Sequence[str],
        contact_user: str,
        headers: Items,
        body: bytes,
        content_type: str,
        destinations: Sequence[Destination],
        now: float,
    ) -> None:
        """Send the INVITE (RFC 3261 §13.2.1)."""
        self.calling.start(
            target=target,
            from_=from_,
            to=to,
            routes=routes,
            contact_user=contact_user,
            headers=headers,
            body=body,
            content_type=content_type,
            destinations=destinations,
            now=now,
        )

    def acknowledge(self, body: bytes, content_type: str, now: float) -> bool:
        """The ACK with our answer to the offer in the 2xx."""
        return self.calling.acknowledge(body, content_type, now)

    def cancel(self, reason: str, now: float) -> bool:
        """Give the call up before its answer."""
        return self.calling.cancel(reason, now)

    def provisional(
        self,
        status: int,
        reason: str,
        headers: Items,
        body: bytes,
        content_type: str,
        now: float,
    ) -> bool:
        """Send 101-199."""
        return self.answering.provisional(status, reason, headers, body, content_type, now)

    def answer(
        self,
        headers: Items,
        body: bytes,
        content_type: str,
        guard: frozenset[str] | None,
        credentials: Sequence[Credentials],
        now: float,
    ) -> bool:
        """Send the 200."""
        return self.answering.answer(headers, body, content_type, guard, credentials, now)

    def reject(
        self,
        status: int,
        now: float,
        *,
        reason: str = "",
        headers: Items = (),
        body: bytes = b"",
        content_type: str = "",
        stateless: bool = False,
    ) -> bool:
        """Send a final response from 300 on."""
        return self.answering.reject(
            status,
            now,
            reason=reason,
            headers=headers,
            body=body,
            content_type=content_type,
            stateless=stateless,
        )

    def ask(self, method: str, headers: Items, body: bytes, content_type: str, now: float) -> str:
        """INFO or OPTIONS in the dialog; its token, or "" when it cannot be."""
        return self.in_dialog.ask(method, headers, body, content_type, now)

    # -- what comes in -------------------------------------------------------------------------

    def offered(self, transaction: InviteServerTransaction, source: Source, now: float) -> None:
        """A new INVITE (RFC 3261 §13.3)."""
        self.answering.start(transaction, source, now)

    def dialog_of(self, remote_tag: str) -> Dialog | None:
        """The dialog with the peer's tag."""
        if self.dialog is not None and self.dialog.remote_tag == remote_tag:
            return self.dialog
        return self.calling.forks.get(remote_tag)

    def allows(self, source: Source) -> bool:
        """Whether requests from there are heard in this dialog."""
        return self.guard is None or source.address[0] in self.guard

    def on_request(self, transaction: AnyServer, dialog: Dialog, now: float) -> None:
        """A request in one of our dialogs, past the agent's checks."""
        self.in_dialog.receive(transaction, dialog, now)

    def on_ack(self, request: Request, now: float) -> None:
        """An ACK that found the dialog."""
        self.acks.receive(request, now)

    def cancelled(self, cancel: AnyServer, now: float) -> None:
        """The peer's CANCEL of the INVITE, or of a re-INVITE (RFC 3261 §9.2)."""
        request = cancel.request
        self.reply(cancel, 200, now)
        if self.answering.is_for(request):
            self.answering.cancelled(request, now)
        else:
            self.offers.cancelled(request, now)

    # -- what the parts use --------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether :class:`SessionEnded` has been reported."""
        return self.phase is Phase.ENDED

    def emit(self, event: SipEvent) -> None:
        """Report, unless the session has ended."""
        if not self.ended:
            self.core.emit(event)

    def learn_allow(self, message: Request | Response) -> None:
        """What the peer says it takes, where it says so."""
        allowed = message.headers.all("Allow")
        if allowed:
            self.peer_updates = "UPDATE" in allowed

    def exchange(
        self,
        method: str,
        sink: Sink,
        now: float,
        *,
        headers: Items = (),
        body: bytes = b"",
        content_type: str = "",
        prepare: Callable[[Request], None] | None = None,
        dialog: Dialog | None = None,
        token: str = "",
    ) -> Exchange:
        """Send a request in the dialog."""
        used = dialog or self.dialog
        assert used is not None

        def build(destination: Destination) -> Request:
            request = used.request(method, used.next_cseq())
            if method in ("INVITE", "UPDATE", "REFER", "NOTIFY"):
                request.headers.add("Contact", used.contact)
            self.core.identify(request)
            if method in ("INVITE", "UPDATE", "OPTIONS"):
                request.headers.add("Allow", ALLOW)
                request.headers.add("Supported", SUPPORTED)
            for name, value in headers:
                request.headers.add(name, value)
            if body:
                request.headers.set("Content-Type", content_type)
                request.body = body
            if prepare is not None:
                prepare(request)
            return request

        exchange = Exchange(self.core, self.layer, build, self.digest, sink, token=token)
        self.exchanges = [x for x in self.exchanges if not x.finished]
        self.exchanges.append(exchange)
        used.locate(self.core, now, exchange.start)
        return exchange

    def reply(
        self,
        transaction: AnyServer,
        status: int,
        now: float,
        *,
        reason: str = "",
        headers: Items = (),
        body: bytes = b"",
        content_type: str = "",
    ) -> Response:
        """Respond to a request of the peer."""
        response = self.response(transaction.request, status, reason, headers, body, content_type)
        transaction.respond(response, now)
        return response

    def response(
        self,
        request: Request,
        status: int,
        reason: str = "",
        headers: Items = (),
        body: bytes = b"",
        content_type: str = "",
    ) -> Response:
        """A response with what every one of ours has."""
        response = request.reply(status, reason or None, to_tag=self.local_tag)
        if self.dialog is not None and request.method in ("INVITE", "UPDATE", "REFER"):
            if 100 < status < 300:
                response.headers.add("Contact", self.dialog.contact)
            if 100 < status < 300 or status == 405:
                response.headers.add("Allow", ALLOW)
                response.headers.add("Supported", SUPPORTED)
        self.core.identify(response)
        for name, value in headers:
            response.headers.add(name, value)
        if body:
            response.headers.set("Content-Type", content_type)
            response.body = body
        return response

    # -- ACKs of our 2xx -----------------------------------------------------------------------

    def _acked(self, keeper: SuccessKeeper, request: Request, now: float) -> None:
        if self.phase is Phase.ANSWERED and not self.ours:
            self.phase = Phase.CONFIRMED
            if keeper.offer and request.body:
                self.offers.remote_body = request.body
            self.emit(SessionConfirmed(self.id, request.body if keeper.offer else b""))
        elif keeper.offer:
            self.offers.answered_in_ack(request.body)
        self._release_bye(now)

    def _no_ack(self, keeper: SuccessKeeper, now: float) -> None:
        """64*T1 without an ACK: the session is over, and is told so (RFC 3261 §13.3.1.4)."""
        if self._bye_waits is not None:
            self._release_bye(now)
        elif not self.ended:
            self.send_bye(self.dialog, (), now)
            ending = Ending(EndKind.NO_ACK, By.NETWORK, 408, "No ACK", answered=True)
            self.finish(ending, None, now)

    # -- the end -------------------------------------------------------------------------------

    def bye(self, now: float, headers: Items = ()) -> bool:
        """End the session, whatever its phase."""
        if self.phase is Phase.SETUP:
            if self.ours:
                return self.cancel(dict(headers).get("Reason", ""), now)
            return self.reject(480, now, headers=headers)
        if self.ended or self.dialog is None:
            return False
        if self.phase is Phase.ANSWERED and not self.ours:
            # RFC 3261 §15: the callee may not send BYE before the ACK came or never will.
            self._bye_waits = headers
        else:
            if self.phase is Phase.ANSWERED:
                self.acknowledge(b"", "", now)
            self.send_bye(self.dialog, headers, now)
        self.finish(Ending(EndKind.BYE, By.LOCAL, answered=True), None, now)
        return True

    def expire_session(self, now: float) -> None:
        """The session timer ran out (RFC 4028 §10)."""
        if not self.ended:
            reason = ("Reason", 'SIP;cause=408;text="Session expired"')
            self.send_bye(self.dialog, (reason,), now)
            ending = Ending(EndKind.EXPIRED, By.NETWORK, 408, "Session expired", answered=True)
            self.finish(ending, None, now)

    def gone(self, status: int, reason: str, now: float, message: Response | None = None) -> None:
        """The peer does not know the dialog any more, or is not there (RFC 3261 §12.2.1.2).

        Before the answer it is only an early dialog that is gone: the INVITE tells the end.
        """
        if self.established and not self.ended:
            ending = Ending(EndKind.GONE, By.NETWORK, status, reason, answered=True)
            self.send_bye(self.dialog, (), now)
            self.finish(ending, message, now)

    def send_bye(self, dialog: Dialog | None, headers: Items, now: float) -> None:
        """Hang up one dialog; whatever is answered, it is over (RFC 3261 §15.1.1)."""
        if dialog is not None:
            self.exchange("BYE", _UNHEARD, now, headers=headers, dialog=dialog)

    def _release_bye(self, now: float) -> None:
        if self._bye_waits is not None:
            headers, self._bye_waits = self._bye_waits, None
            self.send_bye(self.dialog, headers, now)

    def finish(self, ending: Ending, message: Request | Response | None, now: float) -> None:
        """The one way out: close the parts, report the end once, keep what late messages need."""
        if self.ended:
            return
        self.calling.close()
        self.answering.close()
        self.referrals.close(now)
        self.offers.close(now)
        self.in_dialog.close(now)
        self.core.emit(SessionEnded(self.id, ending, message))
        self.phase = Phase.ENDED
        for dialog in (self.dialog, *self.calling.forks.values()):
            if dialog is not None:
                dialog.state = DialogState.TERMINATED
        self._bury(now)

    def on_alarm(self, name: str, now: float) -> None:
        """What was under way at the end has had its time."""
        self._bury(now)

    def _bury(self, now: float) -> None:
        """Leave the agent's tables, now or when nothing of the call can come back any more."""
        busy = (
            any(not x.finished for x in self.exchanges)
            or self.acks.waiting
            or (self.established and self.calling.pending)
            or self._bye_waits is not None
        )
        if busy and self._rounds < MAX_ROUNDS:
            self._rounds += 1
            self.core.alarm(self, "bury", now + self.core.timers.timeout)
            return
        # A re-INVITE whose final response was lost with the dialog would wait for ever.
        for exchange in self.exchanges:
            if not exchange.finished:
                exchange.stop()
        self.calling.stop()
        self.core.silence(self, "bury")
        self._buried(self)


def _unheard(exchange: Exchange, outcome: Response | bool, now: float) -> None:
    """Nobody is told what became of a BYE: the session is over before it leaves."""


_UNHEARD = Callbacks(_unheard, _unheard)
