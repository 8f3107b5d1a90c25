"""One call: an INVITE of ours or theirs, its dialogs, and all until the end (RFC 3261 §13-15).

``InviteSession`` is one class for both roles. What happens inside the dialog is in its parts:
offers and refreshes in :mod:`telephony.sip.offers`, transfers in :mod:`telephony.sip.referrals`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from enum import Enum

from telephony.sip import session_timer
from telephony.sip.addresses import Destination, Source
from telephony.sip.auth import Credentials, DigestClient
from telephony.sip.core import ALLOW, SUPPORTED, Core, Items
from telephony.sip.dialog import Dialog, DialogState, refusal
from telephony.sip.digits import read_digit
from telephony.sip.events import (
    Answered,
    By,
    DigitReceived,
    Ending,
    EndKind,
    InfoReceived,
    InviteReceived,
    Progress,
    RequestAnswered,
    SessionConfirmed,
    SessionEnded,
    SipEvent,
)
from telephony.sip.exchange import Callbacks, Exchange, Sink
from telephony.sip.headers import Headers
from telephony.sip.limits import (
    MAX_FORKED_2XX,
    MAX_FORKS,
    MAX_INFO_BODY,
    MAX_PROVISIONALS,
    MAX_REQUESTS_PER_SESSION,
)
from telephony.sip.message import Request, Response
from telephony.sip.offers import Offers
from telephony.sip.reasons import contacts_of, failure, q850, quiet
from telephony.sip.referrals import Referrals
from telephony.sip.status import reason_phrase
from telephony.sip.success import SuccessKeeper
from telephony.sip.transactions.hosts import AnyServer
from telephony.sip.transactions.invite_server import InviteServerTransaction
from telephony.sip.transactions.layer import Layer
from telephony.sip.uri import NameAddr

#: A provisional response is repeated this often, so that no proxy cancels (RFC 3261 §13.3.1.1).
REPEAT_PROVISIONAL_SECONDS = 60.0
#: How often 64*T1 are waited for what is under way when a session ends: a BYE, and one more that
#: answers a challenge.
MAX_ROUNDS = 3
#: ACKs kept to be sent again: one an INVITE of the dialog, and those of forks.
MAX_ACKS = 16


class Phase(Enum):
    """Where a session is."""

    SETUP = "setup"
    """No final response to the INVITE yet."""
    ANSWERED = "answered"
    """A 2xx was sent or received, and its ACK is missing."""
    CONFIRMED = "confirmed"
    ENDED = "ended"


class InviteSession:
    """One call. ``ours`` is whether the INVITE was."""

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
        self.forks: dict[str, Dialog] = {}
        self.digest = DigestClient(credentials, core.rng)
        self.guard: frozenset[str] | None = None
        self.offers = Offers(self)
        self.referrals = Referrals(self)
        self.min_se = core.config.min_se
        self.peer_updates = False
        self.established = False
        self.early_answered = False
        self._buried = buried
        self._exchanges: list[Exchange] = []
        self._keepers: dict[int, SuccessKeeper] = {}
        self._acks: OrderedDict[tuple[str, int], tuple[bytes, Destination]] = OrderedDict()
        self._provisionals = 0
        self._invite: Exchange | None = None
        self._has_offer = False
        self._cancelling = False
        self._cancel_sent = False
        self._cancel_reason = ""
        self._server: InviteServerTransaction | None = None
        self._last_provisional: Response | None = None
        self._bye_waits: Items | None = None
        self._rounds = 0

    # -- what the parts use -------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether :class:`SessionEnded` has been reported."""
        return self.phase is Phase.ENDED

    def emit(self, event: SipEvent) -> None:
        """Report, unless the session has ended."""
        if not self.ended:
            self.core.emit(event)

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
        self._exchanges = [x for x in self._exchanges if not x.finished]
        self._exchanges.append(exchange)
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

    def keep_success(
        self, transaction: InviteServerTransaction, response: Response, offer: bool, now: float
    ) -> None:
        """Send a 2xx to an INVITE until its ACK; ``offer`` is whether the ACK brings an answer."""
        cseq = transaction.request.cseq.number
        keeper = SuccessKeeper(self.core, transaction, response, offer, self._no_ack)
        self._keepers[cseq] = keeper
        transaction.on_ack = self._on_ack
        keeper.start(now)

    def ack(
        self,
        dialog: Dialog,
        cseq: int,
        now: float,
        *,
        invite: Request | None = None,
        body: bytes = b"",
        content_type: str = "",
    ) -> None:
        """ACK a 2xx (RFC 3261 §13.2.2.4) and keep the ACK for its repetitions."""
        request = dialog.request("ACK", cseq)
        if invite is not None:
            # RFC 3261 §22.1: an ACK cannot be challenged, it carries what its INVITE carried.
            request.headers.copy_from(invite.headers, "Authorization", "Proxy-Authorization")
        if body:
            request.headers.set("Content-Type", content_type)
            request.body = body

        def send(destinations: Sequence[Destination], at: float) -> None:
            if not destinations:
                self.core.dropped(at, "nowhere to send an ACK to")
                return
            destination = destinations[0]
            via = self.core.via(destination.transport, self.core.branch())
            request.headers.prepend("Via", str(via))
            data = bytes(request)
            self._acks[dialog.remote_tag, cseq] = (data, destination)
            if len(self._acks) > MAX_ACKS:
                self._acks.popitem(last=False)
            self.core.send(data, destination)

        dialog.locate(self.core, now, send)

    def ack_again(self, remote_tag: str, cseq: int) -> bool:
        """Send the ACK of a repeated 2xx; whether there is one."""
        kept = self._acks.get((remote_tag, cseq))
        if kept is None:
            return False
        self.core.send(*kept)
        return True

    def cancel_exchange(self, exchange: Exchange, now: float, reason: str = "") -> None:
        """CANCEL an INVITE of ours (RFC 3261 §9.1): its branch, its Request-URI, its Route."""
        exchange.give_up()
        transaction = exchange.transaction
        if transaction is None or exchange.finished:
            return
        invite = transaction.request
        headers = Headers()
        headers.copy_from(invite.headers, "Max-Forwards", "Route", "From", "To", "Call-ID")
        headers.add("CSeq", f"{invite.cseq.number} CANCEL")
        if reason:
            headers.add("Reason", reason)
        request = Request("CANCEL", invite.uri, headers)
        self.core.identify(request)
        self.layer.request(request, transaction.destination, quiet, now, via=invite.top_via)

    def gone(self, status: int, reason: str, now: float, message: Response | None = None) -> None:
        """The peer does not know the dialog any more, or is not there (RFC 3261 §12.2.1.2).

        Before the answer it is only an early dialog that is gone: the INVITE tells the end.
        """
        if self.established and not self.ended:
            ending = Ending(EndKind.GONE, By.NETWORK, status, reason, answered=True)
            self._send_bye(self.dialog, (), now)
            self.finish(ending, message, now)

    def finish(self, ending: Ending, message: Request | Response | None, now: float) -> None:
        """The one way out: close the parts, report the end once, keep what late messages need."""
        if self.ended:
            return
        self.core.silence(self, "unanswered", "again", "cancelled", "answer")
        self.referrals.close(now)
        self.offers.close(now)
        for exchange in self._exchanges:
            if not exchange.finished and exchange.token and exchange.request is not None:
                method = exchange.request.method
                if method in ("INFO", "OPTIONS"):
                    self._answered_request(exchange, 487, "Session ended", None, now)
        self.core.emit(SessionEnded(self.id, ending, message))
        self.phase = Phase.ENDED
        for dialog in (self.dialog, *self.forks.values()):
            if dialog is not None:
                dialog.state = DialogState.TERMINATED
        self._bury(now)

    def _bury(self, now: float) -> None:
        """Leave the agent's tables, now or when nothing of the call can come back any more."""
        busy = any(not x.finished for x in self._exchanges)
        busy = busy or any(k.active for k in self._keepers.values())
        invite = self._invite
        if invite is not None and invite.transaction is not None:
            busy = busy or (self.established and not invite.transaction.done)
        if (busy or self._bye_waits is not None) and self._rounds < MAX_ROUNDS:
            self._rounds += 1
            self.core.alarm(self, "bury", now + self.core.timers.timeout)
            return
        # A re-INVITE whose final response was lost with the dialog would wait for ever.
        for exchange in (*self._exchanges, *((invite,) if invite is not None else ())):
            if not exchange.finished:
                exchange.stop()
        self.core.silence(self, "bury")
        self._buried(self)

    def on_alarm(self, name: str, now: float) -> None:
        """One of our timers is due."""
        if name == "bury":
            self._bury(now)
        elif name == "unanswered":
            self._unanswered(now)
        elif name == "again" and self._server is not None and self._last_provisional is not None:
            self._server.respond(self._last_provisional, now)
            self.core.alarm(self, "again", now + REPEAT_PROVISIONAL_SECONDS)
        elif name == "cancelled":
            # RFC 3261 §9.1: no final response in 64*T1 after the CANCEL.
            if self._invite is not None:
                self._invite.stop()
            self.finish(self._cancelled_ending(None), None, now)
        elif name == "answer":
            self.bye(now, (("Reason", 'SIP;cause=488;text="No answer to the offer"'),))

    def _unanswered(self, now: float) -> None:
        if self.ours:
            self.cancel("", now)
        else:
            self.reject(480, now)

    # -- calls out ----------------------------------------------------------------------------

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
        self._has_offer = bool(body)
        if body:
            self.offers.local_body = (content_type, body)
        cseq = self.core.rng.randrange(1, 2**16)
        caller = str(from_.with_tag(self.local_tag))

        def build(destination: Destination) -> Request:
            nonlocal cseq
            cseq += 1
            request = Request("INVITE", target)
            put = request.headers.add
            put("Max-Forwards", "70")
            for route in routes:
                put("Route", route)
            put("From", caller)
            put("To", str(to))
            put("Call-ID", self.call_id)
            put("CSeq", f"{cseq} INVITE")
            put("Contact", self.core.contact(contact_user, destination.transport))
            put("Allow", ALLOW)
            put("Supported", SUPPORTED)
            self.core.identify(request)
            session_timer.ask(request.headers, self.core.config.session_expires, self.min_se)
            for name, value in headers:
                put(name, value)
            if body:
                request.headers.set("Content-Type", content_type)
                request.body = body
            return request

        self._invite = Exchange(self.core, self.layer, build, self.digest, self)
        self._contact_user = contact_user
        self.core.alarm(self, "unanswered", now + self.core.config.unanswered)
        self._invite.start(destinations, now)

    def on_provisional(self, exchange: Exchange, response: Response, now: float) -> None:
        """See :class:`~telephony.sip.exchange.Sink`."""
        if self._cancelling and not self._cancel_sent:
            self._send_cancel(now)
        if response.status == 100 or self.phase is not Phase.SETUP or self._cancelling:
            return
        tag = response.to_tag
        if tag and tag not in self.forks and len(self.forks) < MAX_FORKS:
            self.forks[tag] = self._fork(exchange, response)
            self.dialog = self.dialog or self.forks[tag]
        self._learn_allow(response)
        if response.body:
            self.early_answered = self._has_offer
        self._provisionals += 1
        if self._provisionals > MAX_PROVISIONALS:
            self.core.dropped(now, "too many provisional responses")
            return
        self.emit(Progress(self.id, response.status, response.reason, tag, response.body, response))

    def on_final(self, exchange: Exchange, response: Response, now: float) -> None:
        """See :class:`~telephony.sip.exchange.Sink`."""
        if response.status < 300:
            self._on_success(exchange, response, now)
            return
        if self.ended:
            return
        if response.status == 422 and not self._cancelling:
            wanted = session_timer.read_min_se(response)
            if wanted > self.min_se:
                # RFC 4028 §7.4: once more, with what the peer can bear.
                self.min_se = wanted
                self.forks.clear()
                self.dialog = None
                exchange.restart(now)
                return
        if self._cancelling:
            self.finish(self._cancelled_ending(response), response, now)
        else:
            self.finish(failure(response), response, now)

    def on_failed(self, exchange: Exchange, unreachable: bool, now: float) -> None:
        """See :class:`~telephony.sip.exchange.Sink`."""
        if self._cancelling:
            ending = self._cancelled_ending(None)
        elif unreachable:
            ending = Ending(EndKind.TRANSPORT, By.NETWORK, 503, reason_phrase(503))
        else:
            ending = Ending(EndKind.TIMEOUT, By.NETWORK, 408, reason_phrase(408))
        self.finish(ending, None, now)

    def _fork(self, exchange: Exchange, response: Response) -> Dialog:
        assert exchange.transaction is not None
        destination = exchange.transaction.destination
        contact = self.core.contact(self._contact_user, destination.transport)
        return Dialog.of_client(exchange.transaction.request, response, destination, contact)

    def _on_success(self, exchange: Exchange, response: Response, now: float) -> None:
        tag = response.to_tag
        cseq = response.cseq.number
        if self.ack_again(tag, cseq):
            return
        if self.phase is not Phase.SETUP:
            if self.dialog is not None and tag == self.dialog.remote_tag:
                # The answer to a delayed offer is not ready: its ACK ends the repetitions.
                return
            if len(self._acks) < MAX_FORKED_2XX:
                self._end_fork(exchange, response, now)
            return
        dialog = self.forks.get(tag) or self._fork(exchange, response)
        self.dialog = dialog
        self.forks = {tag: dialog}
        dialog.confirm(response)
        # Requests of ours in the early dialog may have gone before; the INVITE's number stays.
        dialog.local_cseq = max(dialog.local_cseq, cseq)
        self.established = True
        self.core.silence(self, "unanswered")
        if self._cancelling:
            # RFC 3261 §9.1: the CANCEL came too late, so the call is answered and hung up.
            self.ack(dialog, cseq, now, invite=exchange.transaction_request)
            self._send_bye(dialog, self._reason_items(), now)
            self.finish(self._cancelled_ending(response), response, now)
            return
        self._learn_allow(response)
        self.offers.agree(session_timer.agreed(response), now)
        if self._has_offer:
            self.ack(dialog, cseq, now, invite=exchange.transaction_request)
            self.phase = Phase.CONFIRMED
            if response.body:
                self.offers.remote_body = response.body
        else:
            self.phase = Phase.ANSWERED
            self.offers.remote_body = response.body
            self._invite_cseq = cseq
            self.core.alarm(self, "answer", now + self.core.timers.timeout)
        self.emit(Answered(self.id, tag, response.body, not self._has_offer, response))

    def _end_fork(self, exchange: Exchange, response: Response, now: float) -> None:
        """A 2xx of another branch of the call: acknowledged, then hung up (RFC 3261 §13.2.2.4)."""
        fork = self._fork(exchange, response)
        fork.confirm(response)
        self.ack(fork, response.cseq.number, now, invite=exchange.transaction_request)
        self._send_bye(fork, (), now)
        fork.state = DialogState.TERMINATED
        self.forks[fork.remote_tag] = fork

    def acknowledge(self, body: bytes, content_type: str, now: float) -> bool:
        """The ACK with our answer to the offer in the 2xx."""
        if self.phase is not Phase.ANSWERED or not self.ours or self.dialog is None:
            return False
        self.core.silence(self, "answer")
        invite = None if self._invite is None else self._invite.transaction_request
        self.ack(
            self.dialog,
            self._invite_cseq,
            now,
            invite=invite,
            body=body,
            content_type=content_type,
        )
        if body:
            self.offers.local_body = (content_type, body)
        self.phase = Phase.CONFIRMED
        return True

    def cancel(self, reason: str, now: float) -> bool:
        """Give the call up before its answer."""
        if not self.ours or self.phase is not Phase.SETUP or self._cancelling:
            return False
        self._cancelling = True
        self._cancel_reason = reason
        self.core.silence(self, "unanswered")
        if self._invite is not None:
            self._invite.give_up()
            if self._invite.provisional:
                self._send_cancel(now)
        return True

    def _send_cancel(self, now: float) -> None:
        if self._invite is not None:
            self._cancel_sent = True
            self.cancel_exchange(self._invite, now, self._cancel_reason)
            self.core.alarm(self, "cancelled", now + self.core.timers.timeout)

    def _reason_items(self) -> Items:
        return (("Reason", self._cancel_reason),) if self._cancel_reason else ()

    def _cancelled_ending(self, response: Response | None) -> Ending:
        return Ending(
            EndKind.CANCELLED,
            By.LOCAL,
            0 if response is None else response.status,
            "" if response is None else response.reason,
            answered=self.established,
        )

    # -- calls in -----------------------------------------------------------------------------

    def offered(self, transaction: InviteServerTransaction, source: Source, now: float) -> None:
        """A new INVITE: 100, and the event (RFC 3261 §13.3)."""
        request = transaction.request
        self._server = transaction
        user = request.request_uri.user or "" if request.request_uri.is_sip else ""
        peer = Destination(source.address, source.transport, source.flow)
        contact = self.core.contact(user, source.transport)
        self.dialog = Dialog.of_server(request, source, self.local_tag, contact, peer)
        self._learn_allow(request)
        self._has_offer = bool(request.body)
        self.offers.remote_body = request.body
        transaction.on_cancel = self.cancelled
        self.reply(transaction, 100, now)
        wait = self.core.config.unanswered
        if request.expires:
            # RFC 3261 §13.3.1: the caller says how long his invitation stands.
            wait = min(wait, float(request.expires))
        self.core.alarm(self, "unanswered", now + wait)
        self.emit(InviteReceived(self.id, request, source, request.body or None))

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
        if self._server is None or self.phase is not Phase.SETUP or not 100 < status < 200:
            return False
        if body:
            self.offers.local_body = (content_type, body)
            self.early_answered = self._has_offer
        self._last_provisional = self.reply(
            self._server,
            status,
            now,
            reason=reason,
            headers=headers,
            body=body,
            content_type=content_type,
        )
        self.core.alarm(self, "again", now + REPEAT_PROVISIONAL_SECONDS)
        return True

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
        transaction = self._server
        if transaction is None or self.phase is not Phase.SETUP or self.dialog is None:
            return False
        self.guard = guard
        self.digest = DigestClient(credentials, self.core.rng)
        response = self.response(transaction.request, 200, "", headers, body, content_type)
        agreement = session_timer.agree(
            transaction.request,
            response.headers,
            self.core.config.session_expires,
            self.core.config.min_se,
        )
        if body:
            self.offers.local_body = (content_type, body)
        self.core.silence(self, "unanswered", "again")
        self.phase = Phase.ANSWERED
        self.established = True
        self.dialog.state = DialogState.CONFIRMED
        transaction.respond(response, now)
        self.keep_success(transaction, response, not self._has_offer, now)
        self.offers.agree(agreement, now)
        return True

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
        if self._server is None or self.phase is not Phase.SETUP or not 300 <= status < 700:
            return False
        response = self.reply(
            self._server,
            status,
            now,
            reason=reason,
            headers=headers,
            body=body,
            content_type=content_type,
        )
        if stateless:
            self._server.abandon()
        kind = EndKind.REDIRECTED if contacts_of(response) else EndKind.REJECTED
        ending = Ending(kind, By.LOCAL, status, response.reason, contacts=contacts_of(response))
        self.finish(ending, response, now)
        return True

    def cancelled(self, cancel: AnyServer, now: float) -> None:
        """The peer's CANCEL of the INVITE, or of a re-INVITE (RFC 3261 §9.2)."""
        request = cancel.request
        self.reply(cancel, 200, now)
        if self._server is not None and request.cseq.number == self._server.request.cseq.number:
            if self.phase is Phase.SETUP and not self.ours:
                response = self.reply(self._server, 487, now)
                cause, text = q850(request)
                ending = Ending(
                    EndKind.CANCELLED,
                    By.REMOTE,
                    487,
                    response.reason,
                    cause=cause,
                    reason_header=text,
                )
                self.finish(ending, request, now)
            return
        self.offers.cancelled(request, now)

    def on_ack(self, request: Request, now: float) -> None:
        """An ACK that found the dialog."""
        self._on_ack(request, now)

    def _on_ack(self, request: Request, now: float) -> None:
        keeper = self._keepers.get(request.cseq.number)
        if keeper is None or not keeper.active:
            return
        keeper.stop()
        del self._keepers[request.cseq.number]
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
        self._keepers.pop(keeper.cseq, None)
        if self._bye_waits is not None:
            self._release_bye(now)
            return
        if not self.ended:
            self._send_bye(self.dialog, (), now)
            ending = Ending(EndKind.NO_ACK, By.NETWORK, 408, "No ACK", answered=True)
            self.finish(ending, None, now)

    # -- the end ------------------------------------------------------------------------------

    def bye(self, now: float, headers: Items = ()) -> bool:
        """End the session, whatever its phase."""
        reason = dict(headers).get("Reason", "")
        if self.phase is Phase.SETUP:
            if self.ours:
                return self.cancel(reason, now)
            return self.reject(480, now, headers=headers)
        if self.ended or self.dialog is None:
            return False
        if self.phase is Phase.ANSWERED and not self.ours:
            # RFC 3261 §15: the callee may not send BYE before the ACK came or never will.
            self._bye_waits = headers
        else:
            if self.phase is Phase.ANSWERED:
                self.acknowledge(b"", "", now)
            self._send_bye(self.dialog, headers, now)
        self.finish(Ending(EndKind.BYE, By.LOCAL, answered=True), None, now)
        return True

    def expire_session(self, now: float) -> None:
        """The session timer ran out (RFC 4028 §10)."""
        if not self.ended:
            self._send_bye(self.dialog, (("Reason", 'SIP;cause=408;text="Session expired"'),), now)
            self.finish(
                Ending(EndKind.EXPIRED, By.NETWORK, 408, "Session expired", answered=True),
                None,
                now,
            )

    def _send_bye(self, dialog: Dialog | None, headers: Items, now: float) -> None:
        if dialog is None:
            return
        sink = Callbacks(self._bye_done, self._bye_failed)
        self.exchange("BYE", sink, now, headers=headers, dialog=dialog)

    def _release_bye(self, now: float) -> None:
        if self._bye_waits is not None:
            headers, self._bye_waits = self._bye_waits, None
            self._send_bye(self.dialog, headers, now)

    def _bye_done(self, exchange: Exchange, response: Response, now: float) -> None:
        """Whatever the answer, the session is over (RFC 3261 §15.1.1)."""

    def _bye_failed(self, exchange: Exchange, unreachable: bool, now: float) -> None:
        """Nobody is there to be told."""

    # -- requests in the dialog ---------------------------------------------------------------

    def dialog_of(self, remote_tag: str) -> Dialog | None:
        """The dialog with the peer's tag."""
        if self.dialog is not None and self.dialog.remote_tag == remote_tag:
            return self.dialog
        return self.forks.get(remote_tag)

    def allows(self, source: Source) -> bool:
        """Whether requests from there are heard in this dialog."""
        return self.guard is None or source.address[0] in self.guard

    def on_request(self, transaction: AnyServer, dialog: Dialog, now: float) -> None:
        """A request in one of our dialogs, past the agent's checks."""
        request = transaction.request
        method = request.method
        if method == "BYE" and dialog.state is DialogState.TERMINATED:
            # Two BYEs crossed: both sides want the same, and 481 would look like a fault.
            self.reply(transaction, 200, now)
            return
        status = refusal(method, dialog.state)
        if status == 0 and not dialog.take_cseq(request.cseq.number):
            status = 500
        if status:
            items = (("Retry-After", str(self.core.rng.randrange(11))),) if status == 500 else ()
            self.reply(transaction, status, now, headers=items)
            return
        source = transaction.source
        dialog.peer = Destination(source.address, source.transport, source.flow)
        _HANDLERS[method](self, transaction, dialog, now)

    def _on_invite(self, transaction: AnyServer, dialog: Dialog, now: float) -> None:
        if isinstance(transaction, InviteServerTransaction):
            self.offers.on_reinvite(transaction, now)

    def _on_update(self, transaction: AnyServer, dialog: Dialog, now: float) -> None:
        self.offers.on_update(transaction, dialog, now)

    def _on_refer(self, transaction: AnyServer, dialog: Dialog, now: float) -> None:
        self.referrals.on_refer(transaction, now)

    def _on_notify(self, transaction: AnyServer, dialog: Dialog, now: float) -> None:
        self.referrals.on_notify(transaction, now)

    def _on_options(self, transaction: AnyServer, dialog: Dialog, now: float) -> None:
        transaction.respond(self.core.capabilities(transaction.request, self.local_tag), now)

    def _on_bye(self, transaction: AnyServer, dialog: Dialog, now: float) -> None:
        request = transaction.request
        self.reply(transaction, 200, now)
        if dialog is not self.dialog or (self.ours and self.phase is Phase.SETUP):
            # A fork hung up before we knew that it had answered; the INVITE goes on elsewhere.
            dialog.state = DialogState.TERMINATED
            return
        cause, text = q850(request)
        if self.phase is Phase.SETUP and self._server is not None:
            # RFC 3261 §15.1.2: a caller may end an early dialog by BYE as well.
            self.reply(self._server, 487, now)
            kind, answered = EndKind.CANCELLED, False
        else:
            kind, answered = EndKind.BYE, True
        for keeper in self._keepers.values():
            keeper.stop()
        self._keepers.clear()
        ending = Ending(kind, By.REMOTE, answered=answered, cause=cause, reason_header=text)
        self.finish(ending, request, now)

    def _on_info(self, transaction: AnyServer, dialog: Dialog, now: float) -> None:
        request = transaction.request
        if request.headers.get("Info-Package"):
            # RFC 6086 §7.2.1: we have told of no package.
            self.reply(transaction, 469, now, headers=(("Recv-Info", ""),))
            return
        if len(request.body) > MAX_INFO_BODY:
            self.reply(transaction, 413, now)
            return
        self.reply(transaction, 200, now)
        if not request.body:
            return
        digit = read_digit(request.content_type, request.body)
        if digit is not None:
            self.emit(DigitReceived(self.id, *digit))
        else:
            self.emit(InfoReceived(self.id, request.content_type, request.body, request))

    # -- requests of ours ---------------------------------------------------------------------

    def ask(self, method: str, headers: Items, body: bytes, content_type: str, now: float) -> str:
        """INFO or OPTIONS in the dialog; ends in :class:`RequestAnswered`."""
        if self.ended or self.dialog is None or not self.dialog.remote_tag:
            return ""
        if sum(not x.finished for x in self._exchanges) >= MAX_REQUESTS_PER_SESSION:
            return ""
        token = self.core.token()
        self.exchange(
            method,
            Callbacks(self._ask_done, self._ask_failed),
            now,
            headers=headers,
            body=body,
            content_type=content_type,
            token=token,
        )
        return token

    def _ask_done(self, exchange: Exchange, response: Response, now: float) -> None:
        self._answered_request(exchange, response.status, response.reason, response, now)
        if response.status == 481:
            self.gone(481, response.reason, now, response)

    def _ask_failed(self, exchange: Exchange, unreachable: bool, now: float) -> None:
        status = 503 if unreachable else 408
        self._answered_request(exchange, status, reason_phrase(status), None, now)
        if not unreachable:
            # A lost connection counts as 503 (RFC 3261 §8.1.3.1), which ends no dialog.
            self.gone(status, reason_phrase(status), now)

    def _answered_request(
        self, exchange: Exchange, status: int, reason: str, response: Response | None, now: float
    ) -> None:
        method = "" if exchange.request is None else exchange.request.method
        self.emit(
            RequestAnswered(
                self.id,
                exchange.token,
                method,
                status,
                reason,
                now - exchange.started_at,
                exchange.destination,
                response,
            )
        )

    def _learn_allow(self, message: Request | Response) -> None:
        allowed = message.headers.all("Allow")
        if allowed:
            self.peer_updates = "UPDATE" in allowed


_HANDLERS: dict[str, Callable[[InviteSession, AnyServer, Dialog, float], None]] = {
    "INVITE": InviteSession._on_invite,
    "BYE": InviteSession._on_bye,
    "UPDATE": InviteSession._on_update,
    "INFO": InviteSession._on_info,
    "OPTIONS": InviteSession._on_options,
    "REFER": InviteSession._on_refer,
    "NOTIFY": InviteSession._on_notify,
}
