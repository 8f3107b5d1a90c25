"""The third step of an INVITE in both directions: ACKs we send, and ACKs we wait for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from telephony.sip.addresses import Destination
from telephony.sip.core import Core
from telephony.sip.dialog import Dialog
from telephony.sip.message import Request, Response
from telephony.sip.success import SuccessKeeper
from telephony.sip.transactions.invite_server import InviteServerTransaction

#: ACKs kept to be sent again: one an INVITE of the dialog, and those of forks.
MAX_ACKS = 16


class Acks:
    """The ACKs of one session, its re-INVITEs and its forks included.

    ``confirmed`` hears of the first ACK of each 2xx of ours, ``missed`` of one that never came.
    """

    def __init__(
        self,
        core: Core,
        confirmed: Callable[[SuccessKeeper, Request, float], None],
        missed: Callable[[SuccessKeeper, float], None],
    ) -> None:
        self._core = core
        self._confirmed = confirmed
        self._missed = missed
        self._sent: OrderedDict[tuple[str, int], tuple[bytes, Destination]] = OrderedDict()
        self._keepers: dict[int, SuccessKeeper] = {}

    # -- ours ---------------------------------------------------------------------------------

    @property
    def sent(self) -> int:
        """How many ACKs of ours are kept."""
        return len(self._sent)

    def send(
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
                self._core.dropped(at, "nowhere to send an ACK to")
                return
            destination = destinations[0]
            via = self._core.via(destination.transport, self._core.branch())
            request.headers.prepend("Via", str(via))
            data = bytes(request)
            self._sent[dialog.remote_tag, cseq] = (data, destination)
            if len(self._sent) > MAX_ACKS:
                self._sent.popitem(last=False)
            self._core.send(data, destination)

        dialog.locate(self._core, now, send)

    def again(self, remote_tag: str, cseq: int) -> bool:
        """Send the ACK of a repeated 2xx; whether there is one."""
        kept = self._sent.get((remote_tag, cseq))
        if kept is None:
            return False
        self._core.send(*kept)
        return True

    # -- theirs -------------------------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """Whether a 2xx of ours is still without its ACK."""
        return any(keeper.active for keeper in self._keepers.values())

    def keep(
        self, transaction: InviteServerTransaction, response: Response, offer: bool, now: float
    ) -> None:
        """Send a 2xx to an INVITE until its ACK; ``offer`` is whether the ACK brings an answer."""
        keeper = SuccessKeeper(self._core, transaction, response, offer, self._late)
        self._keepers[keeper.cseq] = keeper
        transaction.on_ack = self.receive
        keeper.start(now)

    def receive(self, request: Request, now: float) -> None:
        """An ACK of the peer."""
        keeper = self._keepers.get(request.cseq.number)
        if keeper is None or not keeper.active:
            return
        keeper.stop()
        del self._keepers[request.cseq.number]
        self._confirmed(keeper, request, now)

    def stop(self) -> None:
        """Wait for none of them any longer."""
        for keeper in self._keepers.values():
            keeper.stop()
        self._keepers.clear()

    def _late(self, keeper: SuccessKeeper, now: float) -> None:
        self._keepers.pop(keeper.cseq, None)
        self._missed(keeper, now)
