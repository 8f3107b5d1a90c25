"""Transfers in a session: REFER out and in, each followed to its end (RFC 3515)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telephony.sip.core import Items
from telephony.sip.events import ReferEnded, ReferProgress, ReferReceived
from telephony.sip.exchange import Callbacks, Exchange
from telephony.sip.limits import MAX_REFERS_PER_SESSION
from telephony.sip.message import Request, Response
from telephony.sip.status import reason_phrase
from telephony.sip.transactions.hosts import AnyServer
from telephony.sip.transactions.server import ServerTransaction
from telephony.sip.transfer import (
    FIRST_NOTIFY_SECONDS,
    LAST_NOTIFY_SECONDS,
    IncomingRefer,
    OutgoingRefer,
    notify_headers,
    notify_id,
    read_refer,
    read_sipfrag,
    sipfrag,
    subscription_over,
    without_subscription,
)

if TYPE_CHECKING:
    from telephony.sip.invite_session import InviteSession


class Referrals:
    """The part of a session that transfers it."""

    def __init__(self, session: InviteSession) -> None:
        self.session = session
        self._out: dict[str, OutgoingRefer] = {}
        self._in: dict[str, IncomingRefer] = {}
        self._heard = False

    def close(self, now: float) -> None:
        """The session ends: each transfer of ours has its end before it."""
        for refer in list(self._out.values()):
            self._end(refer, refer.status or 487, refer.reason or "Session ended")
        for received in self._in.values():
            if received.transaction.open:
                self.session.reply(received.transaction, 487, now)
        self._in.clear()

    def on_alarm(self, name: str, now: float) -> None:
        """The NOTIFYs of the REFER ``name`` stayed out."""
        refer = self._out.get(name)
        if refer is not None:
            self._end(refer, 408, reason_phrase(408))

    # -- ours ---------------------------------------------------------------------------------

    def refer(self, refer_to: str, referred_by: str, headers: Items, now: float) -> str:
        """Send a REFER; its token, or "" when it cannot be."""
        session = self.session
        if session.ended or session.dialog is None or not session.established:
            return ""
        if len(self._out) >= MAX_REFERS_PER_SESSION:
            return ""
        refer = OutgoingRefer(session.core.token())
        self._out[refer.token] = refer
        rows = [("Refer-To", refer_to)]
        if referred_by:
            rows.append(("Referred-By", referred_by))

        def number(request: Request) -> None:
            refer.cseq = request.cseq.number

        session.exchange(
            "REFER",
            Callbacks(self._refer_done, self._refer_failed),
            now,
            headers=(*rows, *headers),
            prepare=number,
            token=refer.token,
        )
        return refer.token

    def _refer_done(self, exchange: Exchange, response: Response, now: float) -> None:
        refer = self._out.get(exchange.token)
        if refer is not None and response.status < 300:
            refer.accepted = True
            self._tell(refer, response.status, response.reason)
            if without_subscription(response):
                self._end(refer, response.status, response.reason)
            else:
                wait = FIRST_NOTIFY_SECONDS if refer.status < 300 else LAST_NOTIFY_SECONDS
                self._wait(refer, wait, now)
        elif refer is not None:
            self._end(refer, response.status, response.reason)
        if response.status == 481:
            self.session.gone(481, response.reason, now, response)

    def _refer_failed(self, exchange: Exchange, unreachable: bool, now: float) -> None:
        status = 503 if unreachable else 408
        refer = self._out.get(exchange.token)
        if refer is not None and not refer.status:
            self._end(refer, status, reason_phrase(status))
            if not unreachable:
                self.session.gone(status, reason_phrase(status), now)

    def on_notify(self, transaction: AnyServer, now: float) -> None:
        """News of a REFER of ours (RFC 3515 §2.4.4)."""
        request = transaction.request
        package, number = notify_id(request)
        refer = self._subscription(number) if package == "refer" else None
        if package != "refer":
            # RFC 6665 §8.2.1: no subscription of ours is of that package.
            self.session.reply(transaction, 489, now, headers=(("Allow-Events", "refer"),))
            return
        if refer is None:
            self.session.reply(transaction, 481, now)
            return
        self.session.reply(transaction, 200, now)
        told = read_sipfrag(request.body)
        if told is not None:
            self._tell(refer, *told)
        if told is not None and told[0] >= 200:
            self._end(refer, *told)
        elif subscription_over(request):
            self._end(refer, 202, refer.reason)
        else:
            self._wait(refer, LAST_NOTIFY_SECONDS, now)

    def _subscription(self, number: str) -> OutgoingRefer | None:
        for refer in self._out.values():
            if not number or number == str(refer.cseq):
                return refer
        return None

    def _wait(self, refer: OutgoingRefer, seconds: float, now: float) -> None:
        if not refer.ended:
            self.session.core.alarm(self, refer.token, now + seconds)

    def _tell(self, refer: OutgoingRefer, status: int, reason: str) -> None:
        # A NOTIFY may overtake the 202, which then is no news.
        if refer.status and status < 300 and status in (200, 202) and refer.status >= 200:
            return
        refer.status, refer.reason = status, reason
        self.session.emit(ReferProgress(self.session.id, refer.token, status, reason))

    def _end(self, refer: OutgoingRefer, status: int, reason: str) -> None:
        if refer.ended:
            return
        refer.ended = True
        self.session.core.silence(self, refer.token)
        self._out.pop(refer.token, None)
        self.session.emit(ReferEnded(self.session.id, refer.token, status, reason))

    # -- theirs -------------------------------------------------------------------------------

    def on_refer(self, transaction: AnyServer, now: float) -> None:
        """The peer wants to transfer us: a matter of policy."""
        session = self.session
        referral = read_refer(transaction.request)
        if referral is None or not isinstance(transaction, ServerTransaction):
            session.reply(transaction, 400, now, reason="Malformed Refer-To")
            return
        self._in = {t: r for t, r in self._in.items() if not r.ended and not r.transaction.done}
        if len(self._in) >= MAX_REFERS_PER_SESSION:
            session.reply(transaction, 503, now, headers=(("Retry-After", "5"),))
            return
        token = session.core.token()
        event = "refer"
        if self._heard:
            # RFC 3515 §2.4.6: from the second REFER on the subscription is named.
            event = f"refer;id={transaction.request.cseq.number}"
        self._heard = True
        self._in[token] = IncomingRefer(
            token, transaction, event, silent=referral.wants_no_subscription
        )
        session.emit(
            ReferReceived(
                session.id,
                token,
                referral.uri,
                referral.referred_by,
                referral.replaces,
                transaction.request,
            )
        )

    def accept(self, token: str, now: float) -> bool:
        """202 and the first NOTIFY."""
        refer = self._in.get(token)
        if refer is None or refer.accepted or not refer.transaction.open:
            return False
        refer.accepted = True
        headers = (("Refer-Sub", "false"),) if refer.silent else ()
        self.session.reply(refer.transaction, 202, now, headers=headers)
        self._notify(refer, 100, reason_phrase(100), now)
        return True

    def reject(self, token: str, status: int, reason: str, now: float) -> bool:
        """Refuse a REFER."""
        refer = self._in.pop(token, None)
        if refer is None or not refer.transaction.open:
            return False
        self.session.reply(refer.transaction, status, now, reason=reason)
        return True

    def notify(self, token: str, status: int, reason: str, now: float) -> bool:
        """Tell the peer how its transfer goes."""
        refer = self._in.get(token)
        if refer is None or not refer.accepted or refer.ended:
            return False
        refer.ended = status >= 200
        self._notify(refer, status, reason, now)
        return True

    def _notify(self, refer: IncomingRefer, status: int, reason: str, now: float) -> None:
        if refer.silent:
            return
        refer.queue.append((status, reason))
        if not refer.notifying:
            self._next_notify(refer, now)

    def _next_notify(self, refer: IncomingRefer, now: float) -> None:
        refer.notifying = bool(refer.queue)
        if not refer.queue:
            return
        status, reason = refer.queue.pop(0)
        headers = notify_headers(refer, status >= 200).items()
        sink = Callbacks(
            lambda exchange, response, at: self._next_notify(refer, at),
            lambda exchange, unreachable, at: refer.queue.clear(),
        )
        body = sipfrag(status, reason)
        self.session.exchange(
            "NOTIFY",
            sink,
            now,
            headers=headers,
            body=body,
            content_type="message/sipfrag;version=2.0",
        )
