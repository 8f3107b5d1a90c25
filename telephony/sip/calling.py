"""The caller's set-up: INVITE, its forks, its 2xx, its CANCEL (RFC 3261 §13.2, §9.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from telephony.sip import session_timer
from telephony.sip.addresses import Destination
from telephony.sip.core import ALLOW, SUPPORTED, Items
from telephony.sip.dialog import Dialog, DialogState
from telephony.sip.events import Answered, By, Ending, EndKind, Progress
from telephony.sip.exchange import Exchange
from telephony.sip.limits import MAX_FORKED_2XX, MAX_FORKS, MAX_PROVISIONALS
from telephony.sip.message import Request, Response
from telephony.sip.phase import Phase
from telephony.sip.reasons import failure
from telephony.sip.status import reason_phrase
from telephony.sip.uri import NameAddr

if TYPE_CHECKING:
    from telephony.sip.invite_session import InviteSession


class Calling:
    """The part of a session that calls; it lies idle where the peer called us.

    ``forks`` are the dialogs the INVITE opened, by the peer's tag (RFC 3261 §12.1).
    """

    def __init__(self, session: InviteSession) -> None:
        self.session = session
        self.forks: dict[str, Dialog] = {}
        self._exchange: Exchange | None = None
        self._contact_user = ""
        self._has_offer = False
        self._provisionals = 0
        self._answered_cseq = 0
        self._cancelling = False
        self._cancel_sent = False
        self._cancel_reason = ""

    @property
    def pending(self) -> bool:
        """Whether the INVITE's transaction may still bring a 2xx."""
        exchange = self._exchange
        if exchange is None or exchange.transaction is None:
            return False
        return not exchange.transaction.done

    def close(self) -> None:
        """The session ends."""
        self.session.core.silence(self, "unanswered", "cancelled", "answer")

    def stop(self) -> None:
        """Nothing more is expected of the INVITE."""
        if self._exchange is not None and not self._exchange.finished:
            self._exchange.stop()

    def on_alarm(self, name: str, now: float) -> None:
        """One of our timers is due."""
        if name == "unanswered":
            self.cancel("", now)
        elif name == "cancelled":
            # RFC 3261 §9.1: no final response in 64*T1 after the CANCEL.
            if self._exchange is not None:
                self._exchange.stop()
            self.session.finish(self._cancelled_ending(None), None, now)
        elif name == "answer":
            reason = ("Reason", 'SIP;cause=488;text="No answer to the offer"')
            self.session.bye(now, (reason,))

    # -- orders -------------------------------------------------------------------------------

    def start(
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
        session, core = self.session, self.session.core
        self._has_offer = bool(body)
        if body:
            session.offers.local_body = (content_type, body)
        cseq = core.rng.randrange(1, 2**16)
        caller = str(from_.with_tag(session.local_tag))

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
            put("Call-ID", session.call_id)
            put("CSeq", f"{cseq} INVITE")
            put("Contact", core.contact(contact_user, destination.transport))
            put("Allow", ALLOW)
            put("Supported", SUPPORTED)
            core.identify(request)
            session_timer.ask(request.headers, core.config.session_expires, session.min_se)
            for name, value in headers:
                put(name, value)
            if body:
                request.headers.set("Content-Type", content_type)
                request.body = body
            return request

        self._exchange = Exchange(core, session.layer, build, session.digest, self)
        self._contact_user = contact_user
        core.alarm(self, "unanswered", now + core.config.unanswered)
        self._exchange.start(destinations, now)

    def acknowledge(self, body: bytes, content_type: str, now: float) -> bool:
        """The ACK with our answer to the offer in the 2xx."""
        session = self.session
        exchange = self._exchange
        if session.phase is not Phase.ANSWERED or exchange is None or session.dialog is None:
            return False
        session.core.silence(self, "answer")
        session.acks.send(
            session.dialog,
            self._answered_cseq,
            now,
            invite=exchange.transaction_request,
            body=body,
            content_type=content_type,
        )
        if body:
            session.offers.local_body = (content_type, body)
        session.phase = Phase.CONFIRMED
        return True

    def cancel(self, reason: str, now: float) -> bool:
        """Give the call up before its answer."""
        exchange = self._exchange
        if exchange is None or self.session.phase is not Phase.SETUP or self._cancelling:
            return False
        self._cancelling = True
        self._cancel_reason = reason
        self.session.core.silence(self, "unanswered")
        exchange.give_up()
        if exchange.provisional:
            self._send_cancel(exchange, now)
        return True

    def _send_cancel(self, exchange: Exchange, now: float) -> None:
        self._cancel_sent = True
        exchange.cancel(now, self._cancel_reason)
        core = self.session.core
        core.alarm(self, "cancelled", now + core.timers.timeout)

    def _cancelled_ending(self, response: Response | None) -> Ending:
        return Ending(
            EndKind.CANCELLED,
            By.LOCAL,
            0 if response is None else response.status,
            "" if response is None else response.reason,
            answered=self.session.established,
        )

    # -- what comes back ----------------------------------------------------------------------

    def on_provisional(self, exchange: Exchange, response: Response, now: float) -> None:
        """See :class:`~telephony.sip.exchange.Sink`."""
        session = self.session
        if self._cancelling and not self._cancel_sent:
            self._send_cancel(exchange, now)
        if response.status == 100 or session.phase is not Phase.SETUP or self._cancelling:
            return
        tag = response.to_tag
        if tag and tag not in self.forks and len(self.forks) < MAX_FORKS:
            self.forks[tag] = self._fork(exchange, response)
            session.dialog = session.dialog or self.forks[tag]
        session.learn_allow(response)
        if response.body:
            session.offers.early_answered = self._has_offer
        self._provisionals += 1
        if self._provisionals > MAX_PROVISIONALS:
            session.core.dropped(now, "too many provisional responses")
            return
        session.emit(
            Progress(session.id, response.status, response.reason, tag, response.body, response)
        )

    def on_final(self, exchange: Exchange, response: Response, now: float) -> None:
        """See :class:`~telephony.sip.exchange.Sink`."""
        session = self.session
        if response.status < 300:
            self._on_success(exchange, response, now)
            return
        if session.ended:
            return
        if response.status == 422 and not self._cancelling:
            wanted = session_timer.read_min_se(response)
            if wanted > session.min_se:
                # RFC 4028 §7.4: once more, with what the peer can bear.
                session.min_se = wanted
                self.forks.clear()
                session.dialog = None
                exchange.restart(now)
                return
        if self._cancelling:
            session.finish(self._cancelled_ending(response), response, now)
        else:
            session.finish(failure(response), response, now)

    def on_failed(self, exchange: Exchange, unreachable: bool, now: float) -> None:
        """See :class:`~telephony.sip.exchange.Sink`."""
        if self._cancelling:
            ending = self._cancelled_ending(None)
        elif unreachable:
            ending = Ending(EndKind.TRANSPORT, By.NETWORK, 503, reason_phrase(503))
        else:
            ending = Ending(EndKind.TIMEOUT, By.NETWORK, 408, reason_phrase(408))
        self.session.finish(ending, None, now)

    def _fork(self, exchange: Exchange, response: Response) -> Dialog:
        assert exchange.transaction is not None
        destination = exchange.transaction.destination
        contact = self.session.core.contact(self._contact_user, destination.transport)
        return Dialog.of_client(exchange.transaction.request, response, destination, contact)

    def _on_success(self, exchange: Exchange, response: Response, now: float) -> None:
        session = self.session
        tag = response.to_tag
        cseq = response.cseq.number
        if session.acks.again(tag, cseq):
            return
        if session.phase is not Phase.SETUP:
            if session.dialog is not None and tag == session.dialog.remote_tag:
                # The answer to a delayed offer is not ready: its ACK ends the repetitions.
                return
            if session.acks.sent < MAX_FORKED_2XX:
                self._end_fork(exchange, response, now)
            return
        dialog = self.forks.get(tag) or self._fork(exchange, response)
        session.dialog = dialog
        self.forks = {tag: dialog}
        dialog.confirm(response)
        # Requests of ours in the early dialog may have gone before; the INVITE's number stays.
        dialog.local_cseq = max(dialog.local_cseq, cseq)
        session.established = True
        session.core.silence(self, "unanswered")
        if self._cancelling:
            # RFC 3261 §9.1: the CANCEL came too late, so the call is answered and hung up.
            session.acks.send(dialog, cseq, now, invite=exchange.transaction_request)
            reason = (("Reason", self._cancel_reason),) if self._cancel_reason else ()
            session.send_bye(dialog, reason, now)
            session.finish(self._cancelled_ending(response), response, now)
            return
        session.learn_allow(response)
        session.offers.agree(session_timer.agreed(response), now)
        if self._has_offer:
            session.acks.send(dialog, cseq, now, invite=exchange.transaction_request)
            session.phase = Phase.CONFIRMED
            if response.body:
                session.offers.remote_body = response.body
        else:
            session.phase = Phase.ANSWERED
            session.offers.remote_body = response.body
            self._answered_cseq = cseq
            session.core.alarm(self, "answer", now + session.core.timers.timeout)
        session.emit(Answered(session.id, tag, response.body, not self._has_offer, response))

    def _end_fork(self, exchange: Exchange, response: Response, now: float) -> None:
        """A 2xx of another branch of the call: acknowledged, then hung up (RFC 3261 §13.2.2.4)."""
        fork = self._fork(exchange, response)
        fork.confirm(response)
        invite = exchange.transaction_request
        self.session.acks.send(fork, response.cseq.number, now, invite=invite)
        self.session.send_bye(fork, (), now)
        fork.state = DialogState.TERMINATED
        self.forks[fork.remote_tag] = fork
