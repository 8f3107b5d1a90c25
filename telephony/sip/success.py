"""A 2xx to an INVITE, sent again until its ACK comes (RFC 3261 §13.3.1.4)."""

from __future__ import annotations

from collections.abc import Callable

from telephony.sip.core import Core
from telephony.sip.message import Response
from telephony.sip.transactions.invite_server import InviteServerTransaction


class SuccessKeeper:
    """Retransmits at T1, doubling up to T2, for 64*T1, on every transport.

    ``offer`` is whether the 2xx carries an offer, so that the ACK brings its answer.
    """

    def __init__(
        self,
        core: Core,
        transaction: InviteServerTransaction,
        response: Response,
        offer: bool,
        no_ack: Callable[[SuccessKeeper, float], None],
    ) -> None:
        self.offer = offer
        self.cseq = transaction.request.cseq.number
        self.active = False
        self._core = core
        self._data = bytes(response)
        self._transaction = transaction
        self._interval = core.timers.t1
        self._no_ack = no_ack

    def start(self, now: float) -> None:
        """The 2xx has been sent for the first time."""
        self.active = True
        self._core.alarm(self, "resend", now + self._interval)
        self._core.alarm(self, "no_ack", now + self._core.timers.timeout)

    def stop(self) -> None:
        """The ACK came, or the session is over otherwise."""
        self.active = False
        self._core.silence(self, "resend", "no_ack")

    def on_alarm(self, name: str, now: float) -> None:
        """Send again, or give up."""
        if name == "no_ack":
            self.stop()
            self._no_ack(self, now)
            return
        transaction = self._transaction
        self._core.send(self._data, transaction.reply_to, transaction.source.local)
        self._interval = min(2 * self._interval, self._core.timers.t2)
        self._core.alarm(self, "resend", now + self._interval)
