"""Re-INVITE and UPDATE in both directions, glare, and the session timer's refreshes.

RFC 3261 §14, RFC 3311, RFC 4028 §7-10. One offer is under way at a time (RFC 3264 §4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from telephony.sip import session_timer
from telephony.sip.core import Items
from telephony.sip.dialog import Dialog, DialogState
from telephony.sip.events import By, OfferAnswered, OfferFailed, OfferReceived, SessionRefreshed
from telephony.sip.exchange import Exchange
from telephony.sip.limits import MAX_GLARE_RETRIES
from telephony.sip.message import Request, Response
from telephony.sip.status import reason_phrase
from telephony.sip.transactions.hosts import AnyServer
from telephony.sip.transactions.invite_server import InviteServerTransaction

if TYPE_CHECKING:
    from telephony.sip.invite_session import InviteSession

#: Longest Retry-After of a 500 to an offer that is worth waiting for (RFC 3261 §14.1: 0-10 s).
MAX_RETRY_AFTER = 10
#: Wait before a refresh that could not be made is tried again.
REFRESH_AGAIN_SECONDS = 10.0


@dataclass(slots=True)
class _Outgoing:
    """An offer or refresh of ours. ``token`` is "" for a refresh, which reports nothing."""

    token: str
    method: str
    body: bytes
    content_type: str
    headers: Items
    exchange: Exchange | None = None
    retries: int = 0
    cancelled: bool = False


class Offers:
    """The part of a session that renews it."""

    def __init__(self, session: InviteSession) -> None:
        self.session = session
        self.local_body: tuple[str, bytes] = ("", b"")
        self.remote_body = b""
        self.early_answered = False
        """Whether the offer of the INVITE had its answer before the 2xx."""
        self.agreement = session_timer.Agreement()
        self._outgoing: _Outgoing | None = None
        self._incoming: AnyServer | None = None

    def close(self, now: float) -> None:
        """The session ends: answer what waits, forget what is planned."""
        core = self.session.core
        core.silence(self, "glare", "refresh", "expire", "stuck", "ignored")
        incoming, self._incoming = self._incoming, None
        if incoming is not None and incoming.open:
            self.session.reply(incoming, 487, now)
        outgoing, self._outgoing = self._outgoing, None
        if outgoing is not None and outgoing.token:
            self.session.emit(OfferFailed(self.session.id, outgoing.token, 487, "Session ended"))

    def on_alarm(self, name: str, now: float) -> None:
        """One of our timers is due."""
        if name == "refresh":
            self._refresh(now)
        elif name == "expire":
            self.session.expire_session(now)
        elif name == "glare" and self._outgoing is not None:
            if self._incoming is not None:
                # The peer's own offer came first in the meantime: ours waits for its end.
                self.session.core.alarm(self, "glare", now + self._back_off())
            else:
                self._send(self._outgoing, now)
        elif name == "stuck":
            self._give_up(now)
        elif name == "ignored":
            self.reject(488, "", now)

    # -- ours ---------------------------------------------------------------------------------

    def offer(self, method: str, body: bytes, content_type: str, headers: Items, now: float) -> str:
        """Start a re-INVITE or UPDATE; its token, or "" when it cannot be."""
        session = self.session
        dialog = session.dialog
        if dialog is None or session.ended or self._outgoing is not None:
            return ""
        if self._incoming is not None or not dialog.remote_tag:
            return ""
        confirmed = dialog.state is DialogState.CONFIRMED
        if method == "INVITE" and not (confirmed and body):
            return ""
        if method == "UPDATE" and body and not (confirmed or self.early_answered):
            # RFC 3311 §5.1: the first offer must be answered before another one.
            return ""
        token = session.core.token()
        self._outgoing = _Outgoing(token, method, body, content_type, headers)
        self._send(self._outgoing, now)
        return token

    def _refresh(self, now: float) -> None:
        """RFC 4028 §7.4: UPDATE where the peer knows it, else a re-INVITE with the same SDP."""
        if self._outgoing is not None or self._incoming is not None:
            # That request refreshes as well; if it fails, the expiry is still set.
            self.session.core.alarm(self, "refresh", now + REFRESH_AGAIN_SECONDS)
            return
        content_type, body = self.local_body
        if self.session.peer_updates or not body:
            self._outgoing = _Outgoing("", "UPDATE", b"", "", ())
        else:
            self._outgoing = _Outgoing("", "INVITE", body, content_type, ())
        self._send(self._outgoing, now)

    def _send(self, outgoing: _Outgoing, now: float) -> None:
        session = self.session
        config = session.core.config

        def prepare(request: Request) -> None:
            agreement = self.agreement
            if agreement.seconds:
                refresher = "uac" if agreement.local else "uas"
                seconds = max(agreement.seconds, session.min_se)
                session_timer.ask(request.headers, seconds, session.min_se, refresher)
            else:
                session_timer.ask(request.headers, config.session_expires, session.min_se)

        outgoing.exchange = None
        session.core.alarm(self, "stuck", now + 2 * session.core.timers.timeout)
        exchange = session.exchange(
            outgoing.method,
            self,
            now,
            headers=outgoing.headers,
            body=outgoing.body,
            content_type=outgoing.content_type,
            prepare=prepare,
        )
        if self._outgoing is outgoing:
            outgoing.exchange = exchange

    def _give_up(self, now: float) -> None:
        """A re-INVITE that only ever got provisional responses is cancelled."""
        outgoing = self._outgoing
        if outgoing is None or outgoing.exchange is None:
            return
        if outgoing.method == "INVITE" and not outgoing.cancelled:
            outgoing.cancelled = True
            outgoing.exchange.cancel(now)
            self.session.core.alarm(self, "stuck", now + self.session.core.timers.timeout)
            return
        outgoing.exchange.stop()
        self._failed(408, reason_phrase(408), now)

    def on_provisional(self, exchange: Exchange, response: Response, now: float) -> None:
        """See :class:`~telephony.sip.exchange.Sink`."""

    def on_final(self, exchange: Exchange, response: Response, now: float) -> None:
        """See :class:`~telephony.sip.exchange.Sink`."""
        session = self.session
        dialog = session.dialog
        if dialog is None:
            return
        method = response.cseq.method
        if response.status < 300 and method == "INVITE":
            if session.acks.again(dialog.remote_tag, response.cseq.number):
                return
            dialog.refresh_target(response)
            session.acks.send(
                dialog, response.cseq.number, now, invite=exchange.transaction_request
            )
        outgoing = self._outgoing
        if outgoing is None or session.ended:
            return
        if outgoing.exchange is not None and outgoing.exchange is not exchange:
            return
        session.core.silence(self, "stuck")
        if response.status < 300:
            if method == "UPDATE":
                dialog.refresh_target(response)
            self._succeeded(outgoing, response, now)
        elif response.status == 422 and session_timer.read_min_se(response) > session.min_se:
            session.min_se = session_timer.read_min_se(response)
            exchange.restart(now)
        elif self._is_glare(response) and outgoing.retries < MAX_GLARE_RETRIES:
            outgoing.retries += 1
            wait = self._back_off()
            if response.status == 500:
                wait = float(response.retry_after or 0) + wait
            session.core.alarm(self, "glare", now + wait)
        else:
            self._failed(response.status, response.reason, now)
            if response.status in (408, 481):
                session.gone(response.status, response.reason, now, response)

    def on_failed(self, exchange: Exchange, unreachable: bool, now: float) -> None:
        """See :class:`~telephony.sip.exchange.Sink`."""
        status = 503 if unreachable else 408
        self.session.core.silence(self, "stuck")
        self._failed(status, reason_phrase(status), now)
        if not unreachable:
            # A lost connection counts as 503 (RFC 3261 §8.1.3.1), which ends no dialog.
            self.session.gone(status, reason_phrase(status), now)

    def _is_glare(self, response: Response) -> bool:
        if response.status == 491:
            return True
        # RFC 3261 §14.2, RFC 3311 §5.2: the peer was in the middle of an offer of its own.
        wait = response.retry_after
        return response.status == 500 and wait is not None and wait <= MAX_RETRY_AFTER

    def _back_off(self) -> float:
        """RFC 3261 §14.1, in steps of 10 ms."""
        rng = self.session.core.rng
        dialog = self.session.dialog
        if dialog is not None and dialog.ours:
            return rng.randrange(210, 401) / 100
        return rng.randrange(0, 201) / 100

    def _succeeded(self, outgoing: _Outgoing, response: Response, now: float) -> None:
        self._outgoing = None
        before = self.remote_body
        if outgoing.body:
            self.local_body = (outgoing.content_type, outgoing.body)
        if response.body:
            self.remote_body = response.body
        self.agree(session_timer.agreed(response), now)
        if outgoing.token or (response.body and response.body != before):
            self.session.emit(OfferAnswered(self.session.id, outgoing.token, response.body))
        if not outgoing.token:
            self.session.emit(SessionRefreshed(self.session.id, By.LOCAL))

    def _failed(self, status: int, reason: str, now: float) -> None:
        outgoing, self._outgoing = self._outgoing, None
        self.session.core.silence(self, "stuck", "glare")
        if outgoing is not None and not outgoing.token and not self.session.ended:
            # RFC 4028 §10: the refresher goes on trying until the session expires.
            self.session.core.alarm(self, "refresh", now + REFRESH_AGAIN_SECONDS)
        if outgoing is not None and outgoing.token:
            self.session.emit(OfferFailed(self.session.id, outgoing.token, status, reason))

    # -- theirs -------------------------------------------------------------------------------

    def on_reinvite(self, transaction: InviteServerTransaction, now: float) -> None:
        """RFC 3261 §14.2."""
        request = transaction.request
        if not self._may_offer(transaction, now):
            return
        if request.body and request.body == self.remote_body and self.local_body[1]:
            # The same session once more, as a refresh by re-INVITE is (RFC 4028 §7.4).
            self._incoming = transaction
            content_type, body = self.local_body
            self.accept(body, content_type, (), now)
            self.session.emit(SessionRefreshed(self.session.id, By.REMOTE))
            return
        self.session.reply(transaction, 100, now)
        self._ask(transaction, now)

    def on_update(self, transaction: AnyServer, dialog: Dialog, now: float) -> None:
        """RFC 3311 §5.2; an early dialog may be updated too."""
        session = self.session
        request = transaction.request
        if session_timer.too_small(request, session.core.config.min_se):
            self._too_small(transaction, now)
            return
        if not request.body:
            self._incoming_done(transaction, dialog, b"", "", (), now)
            session.emit(SessionRefreshed(session.id, By.REMOTE))
            return
        if dialog.state is DialogState.EARLY and not self.early_answered:
            if session.ours:
                session.reply(transaction, 491, now)
            else:
                self._retry_later(transaction, now)
            return
        if self._may_offer(transaction, now):
            self._ask(transaction, now)

    def _may_offer(self, transaction: AnyServer, now: float) -> bool:
        session = self.session
        if self._incoming is not None and self._incoming.open:
            self._retry_later(transaction, now)
            return False
        if self._outgoing is not None and not session.core.alarms.deadline((self, "glare")):
            session.reply(transaction, 491, now)
            return False
        if session_timer.too_small(transaction.request, session.core.config.min_se):
            self._too_small(transaction, now)
            return False
        return True

    def _too_small(self, transaction: AnyServer, now: float) -> None:
        min_se = self.session.core.config.min_se
        self.session.reply(transaction, 422, now, headers=(("Min-SE", str(min_se)),))

    def _retry_later(self, transaction: AnyServer, now: float) -> None:
        wait = self.session.core.rng.randrange(11)
        self.session.reply(transaction, 500, now, headers=(("Retry-After", str(wait)),))

    def _ask(self, transaction: AnyServer, now: float) -> None:
        request = transaction.request
        self._incoming = transaction
        if isinstance(transaction, InviteServerTransaction):
            transaction.on_cancel = self.session.cancelled
        self.session.core.alarm(self, "ignored", now + self.session.core.timers.timeout / 2)
        self.session.emit(OfferReceived(self.session.id, request.method, request.body, request))

    def accept(self, body: bytes, content_type: str, headers: Items, now: float) -> bool:
        """200 with our answer, or with our offer where theirs had none."""
        transaction, self._incoming = self._incoming, None
        self.session.core.silence(self, "ignored")
        dialog = self.session.dialog
        if transaction is None or not transaction.open or dialog is None:
            return False
        self._incoming_done(transaction, dialog, body, content_type, headers, now)
        return True

    def _incoming_done(
        self,
        transaction: AnyServer,
        dialog: Dialog,
        body: bytes,
        content_type: str,
        headers: Items,
        now: float,
    ) -> None:
        session = self.session
        request = transaction.request
        config = session.core.config
        response = session.response(request, 200, "", headers, body, content_type)
        agreement = session_timer.agree(
            request, response.headers, config.session_expires, config.min_se
        )
        dialog.refresh_target(request)
        if request.body:
            self.remote_body = request.body
        if body:
            self.local_body = (content_type, body)
        transaction.respond(response, now)
        if isinstance(transaction, InviteServerTransaction):
            session.acks.keep(transaction, response, not request.body, now)
        if dialog.state is DialogState.CONFIRMED:
            self.agree(agreement, now)

    def reject(self, status: int, reason: str, now: float) -> bool:
        """Refuse the offer; nothing changes."""
        transaction, self._incoming = self._incoming, None
        self.session.core.silence(self, "ignored")
        if transaction is None or not transaction.open:
            return False
        self.session.reply(transaction, status, now, reason=reason)
        return True

    def cancelled(self, request: Request, now: float) -> None:
        """The peer's CANCEL of its re-INVITE."""
        incoming = self._incoming
        if incoming is not None and incoming.request.cseq.number == request.cseq.number:
            self.reject(487, "", now)

    def answered_in_ack(self, body: bytes) -> None:
        """The answer to the offer in our 200 to an empty re-INVITE."""
        if body:
            self.remote_body = body
        self.session.emit(OfferAnswered(self.session.id, "", body))

    # -- the session timer --------------------------------------------------------------------

    def agree(self, agreement: session_timer.Agreement, now: float) -> None:
        """A 2xx settled the timer: start it anew (RFC 4028 §10)."""
        self.agreement = agreement
        core = self.session.core
        core.silence(self, "refresh", "expire")
        if not agreement.seconds or self.session.ended:
            return
        core.alarm(self, "expire", now + agreement.expire_after)
        if agreement.local:
            core.alarm(self, "refresh", now + agreement.refresh_after)
