"""The callee's set-up: 100, provisional responses, the one final response (RFC 3261 §13.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from telephony.sip import session_timer
from telephony.sip.addresses import Destination, Source
from telephony.sip.auth import Credentials, DigestClient
from telephony.sip.core import Items
from telephony.sip.dialog import Dialog, DialogState
from telephony.sip.events import By, Ending, EndKind, InviteReceived
from telephony.sip.message import Request, Response
from telephony.sip.phase import Phase
from telephony.sip.reasons import contacts_of, q850
from telephony.sip.transactions.invite_server import InviteServerTransaction

if TYPE_CHECKING:
    from telephony.sip.invite_session import InviteSession

#: A provisional response is repeated this often, so that no proxy cancels (RFC 3261 §13.3.1.1).
REPEAT_PROVISIONAL_SECONDS = 60.0


class Answering:
    """The part of a session that is called; it lies idle where we call."""

    def __init__(self, session: InviteSession) -> None:
        self.session = session
        self._server: InviteServerTransaction | None = None
        self._has_offer = False
        self._last_provisional: Response | None = None

    def close(self) -> None:
        """The session ends."""
        self.session.core.silence(self, "unanswered", "again")

    def on_alarm(self, name: str, now: float) -> None:
        """One of our timers is due."""
        if name == "unanswered":
            self.reject(480, now)
        elif name == "again" and self._server is not None and self._last_provisional is not None:
            self._server.respond(self._last_provisional, now)
            self.session.core.alarm(self, "again", now + REPEAT_PROVISIONAL_SECONDS)

    # -- what comes in ------------------------------------------------------------------------

    def start(self, transaction: InviteServerTransaction, source: Source, now: float) -> None:
        """A new INVITE: 100, and the event (RFC 3261 §13.3)."""
        session = self.session
        request = transaction.request
        self._server = transaction
        user = request.request_uri.user or "" if request.request_uri.is_sip else ""
        peer = Destination(source.address, source.transport, source.flow)
        contact = session.core.contact(user, source.transport)
        session.dialog = Dialog.of_server(request, source, session.local_tag, contact, peer)
        session.learn_allow(request)
        self._has_offer = bool(request.body)
        session.offers.remote_body = request.body
        transaction.on_cancel = session.cancelled
        session.reply(transaction, 100, now)
        wait = session.core.config.unanswered
        if request.expires:
            # RFC 3261 §13.3.1: the caller says how long his invitation stands.
            wait = min(wait, float(request.expires))
        session.core.alarm(self, "unanswered", now + wait)
        session.emit(InviteReceived(session.id, request, source, request.body or None))

    def is_for(self, cancel: Request) -> bool:
        """Whether a CANCEL means the INVITE that opened the session."""
        server = self._server
        return server is not None and cancel.cseq.number == server.request.cseq.number

    def cancelled(self, cancel: Request, now: float) -> None:
        """The caller gave up (RFC 3261 §9.2)."""
        if self._server is None or self.session.phase is not Phase.SETUP:
            return
        response = self.session.reply(self._server, 487, now)
        cause, text = q850(cancel)
        ending = Ending(
            EndKind.CANCELLED,
            By.REMOTE,
            487,
            response.reason,
            cause=cause,
            reason_header=text,
        )
        self.session.finish(ending, cancel, now)

    def hung_up(self, now: float) -> bool:
        """The caller's BYE; whether it came before the answer, which it then makes a 487.

        RFC 3261 §15.1.2: a caller may end an early dialog by BYE as well.
        """
        if self._server is None or self.session.phase is not Phase.SETUP:
            return False
        self.session.reply(self._server, 487, now)
        return True

    # -- orders -------------------------------------------------------------------------------

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
        session = self.session
        if self._server is None or session.phase is not Phase.SETUP or not 100 < status < 200:
            return False
        if body:
            session.offers.local_body = (content_type, body)
            session.offers.early_answered = self._has_offer
        self._last_provisional = session.reply(
            self._server,
            status,
            now,
            reason=reason,
            headers=headers,
            body=body,
            content_type=content_type,
        )
        session.core.alarm(self, "again", now + REPEAT_PROVISIONAL_SECONDS)
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
        session = self.session
        transaction = self._server
        if transaction is None or session.phase is not Phase.SETUP or session.dialog is None:
            return False
        session.guard = guard
        session.digest = DigestClient(credentials, session.core.rng)
        response = session.response(transaction.request, 200, "", headers, body, content_type)
        agreement = session_timer.agree(
            transaction.request,
            response.headers,
            session.core.config.session_expires,
            session.core.config.min_se,
        )
        if body:
            session.offers.local_body = (content_type, body)
        session.core.silence(self, "unanswered", "again")
        session.phase = Phase.ANSWERED
        session.established = True
        session.dialog.state = DialogState.CONFIRMED
        transaction.respond(response, now)
        session.acks.keep(transaction, response, not self._has_offer, now)
        session.offers.agree(agreement, now)
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
        session = self.session
        if self._server is None or session.phase is not Phase.SETUP or not 300 <= status < 700:
            return False
        response = session.reply(
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
        contacts = contacts_of(response)
        kind = EndKind.REDIRECTED if contacts else EndKind.REJECTED
        ending = Ending(kind, By.LOCAL, status, response.reason, contacts=contacts)
        session.finish(ending, response, now)
        return True
