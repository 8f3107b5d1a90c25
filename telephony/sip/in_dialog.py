"""Requests in the dialogs of a session: theirs handed to who answers them, INFO and OPTIONS ours.

Offers go on to :mod:`telephony.sip.offers`, transfers to :mod:`telephony.sip.referrals`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from telephony.sip.addresses import Destination
from telephony.sip.core import Items
from telephony.sip.dialog import Dialog, DialogState, refusal
from telephony.sip.digits import read_digit
from telephony.sip.events import (
    By,
    DigitReceived,
    Ending,
    EndKind,
    InfoReceived,
    RequestAnswered,
)
from telephony.sip.exchange import Callbacks, Exchange
from telephony.sip.limits import MAX_INFO_BODY, MAX_REQUESTS_PER_SESSION
from telephony.sip.message import Response
from telephony.sip.phase import Phase
from telephony.sip.reasons import q850
from telephony.sip.status import reason_phrase
from telephony.sip.transactions.hosts import AnyServer
from telephony.sip.transactions.invite_server import InviteServerTransaction

if TYPE_CHECKING:
    from telephony.sip.invite_session import InviteSession


class InDialog:
    """The part of a session that hears and asks inside its dialogs."""

    def __init__(self, session: InviteSession) -> None:
        self.session = session

    def close(self, now: float) -> None:
        """The session ends: each question of ours has its end before it."""
        for exchange in self.session.exchanges:
            if exchange.finished or not exchange.token or exchange.request is None:
                continue
            if exchange.request.method in ("INFO", "OPTIONS"):
                self._answered(exchange, 487, "Session ended", None, now)

    # -- theirs -------------------------------------------------------------------------------

    def receive(self, transaction: AnyServer, dialog: Dialog, now: float) -> None:
        """A request in one of our dialogs, past the agent's checks."""
        session = self.session
        request = transaction.request
        method = request.method
        if method == "BYE" and dialog.state is DialogState.TERMINATED:
            # Two BYEs crossed: both sides want the same, and 481 would look like a fault.
            session.reply(transaction, 200, now)
            return
        status = refusal(method, dialog.state)
        if status == 0 and not dialog.take_cseq(request.cseq.number):
            status = 500
        if status:
            rng = session.core.rng
            items = (("Retry-After", str(rng.randrange(11))),) if status == 500 else ()
            session.reply(transaction, status, now, headers=items)
            return
        source = transaction.source
        dialog.peer = Destination(source.address, source.transport, source.flow)
        _HANDLERS[method](self, transaction, dialog, now)

    def _on_invite(self, transaction: AnyServer, dialog: Dialog, now: float) -> None:
        if isinstance(transaction, InviteServerTransaction):
            self.session.offers.on_reinvite(transaction, now)

    def _on_update(self, transaction: AnyServer, dialog: Dialog, now: float) -> None:
        self.session.offers.on_update(transaction, dialog, now)

    def _on_refer(self, transaction: AnyServer, dialog: Dialog, now: float) -> None:
        self.session.referrals.on_refer(transaction, now)

    def _on_notify(self, transaction: AnyServer, dialog: Dialog, now: float) -> None:
        self.session.referrals.on_notify(transaction, now)

    def _on_options(self, transaction: AnyServer, dialog: Dialog, now: float) -> None:
        session = self.session
        transaction.respond(session.core.capabilities(transaction.request, session.local_tag), now)

    def _on_bye(self, transaction: AnyServer, dialog: Dialog, now: float) -> None:
        session = self.session
        request = transaction.request
        session.reply(transaction, 200, now)
        if dialog is not session.dialog or (session.ours and session.phase is Phase.SETUP):
            # A fork hung up before we knew that it had answered; the INVITE goes on elsewhere.
            dialog.state = DialogState.TERMINATED
            return
        cause, text = q850(request)
        early = session.answering.hung_up(now)
        session.acks.stop()
        kind = EndKind.CANCELLED if early else EndKind.BYE
        ending = Ending(kind, By.REMOTE, answered=not early, cause=cause, reason_header=text)
        session.finish(ending, request, now)

    def _on_info(self, transaction: AnyServer, dialog: Dialog, now: float) -> None:
        session = self.session
        request = transaction.request
        if request.headers.get("Info-Package"):
            # RFC 6086 §7.2.1: we have told of no package.
            session.reply(transaction, 469, now, headers=(("Recv-Info", ""),))
            return
        if len(request.body) > MAX_INFO_BODY:
            session.reply(transaction, 413, now)
            return
        session.reply(transaction, 200, now)
        if not request.body:
            return
        digit = read_digit(request.content_type, request.body)
        if digit is not None:
            session.emit(DigitReceived(session.id, *digit))
        else:
            session.emit(InfoReceived(session.id, request.content_type, request.body, request))

    # -- ours ---------------------------------------------------------------------------------

    def ask(self, method: str, headers: Items, body: bytes, content_type: str, now: float) -> str:
        """INFO or OPTIONS in the dialog; ends in :class:`RequestAnswered`."""
        session = self.session
        if session.ended or session.dialog is None or not session.dialog.remote_tag:
            return ""
        if sum(not x.finished for x in session.exchanges) >= MAX_REQUESTS_PER_SESSION:
            return ""
        token = session.core.token()
        session.exchange(
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
        self._answered(exchange, response.status, response.reason, response, now)
        if response.status == 481:
            self.session.gone(481, response.reason, now, response)

    def _ask_failed(self, exchange: Exchange, unreachable: bool, now: float) -> None:
        status = 503 if unreachable else 408
        self._answered(exchange, status, reason_phrase(status), None, now)
        if not unreachable:
            # A lost connection counts as 503 (RFC 3261 §8.1.3.1), which ends no dialog.
            self.session.gone(status, reason_phrase(status), now)

    def _answered(
        self, exchange: Exchange, status: int, reason: str, response: Response | None, now: float
    ) -> None:
        self.session.emit(
            RequestAnswered(
                self.session.id,
                exchange.token,
                "" if exchange.request is None else exchange.request.method,
                status,
                reason,
                now - exchange.started_at,
                exchange.destination,
                response,
            )
        )


_HANDLERS: dict[str, Callable[[InDialog, AnyServer, Dialog, float], None]] = {
    "INVITE": InDialog._on_invite,
    "BYE": InDialog._on_bye,
    "UPDATE": InDialog._on_update,
    "INFO": InDialog._on_info,
    "OPTIONS": InDialog._on_options,
    "REFER": InDialog._on_refer,
    "NOTIFY": InDialog._on_notify,
}
