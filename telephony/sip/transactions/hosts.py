"""What a transaction needs of the layer under it and of the user above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from telephony.sip.addresses import Destination
from telephony.sip.message import Response
from telephony.sip.timers import Owner, Timers

if TYPE_CHECKING:
    from telephony.sip.transactions.client import ClientTransaction
    from telephony.sip.transactions.invite_client import InviteClientTransaction
    from telephony.sip.transactions.invite_server import InviteServerTransaction
    from telephony.sip.transactions.server import ServerTransaction

AnyClient: TypeAlias = "InviteClientTransaction | ClientTransaction"
AnyServer: TypeAlias = "InviteServerTransaction | ServerTransaction"
AnyTransaction: TypeAlias = (
    "InviteClientTransaction | ClientTransaction | InviteServerTransaction | ServerTransaction"
)


class Host(Protocol):
    """The layer: transport, alarms and the table of transactions."""

    timers: Timers

    def transmit(self, owner: AnyTransaction, data: bytes, destination: Destination) -> None:
        """Put a message on the wire; a failure comes back by ``transport_failed``."""

    def alarm(self, owner: Owner, name: str, at: float) -> None:
        """Set a timer."""

    def silence(self, owner: Owner, *names: str) -> None:
        """Stop timers."""

    def forget(self, owner: AnyTransaction) -> None:
        """The transaction is in its last state."""


class ClientUser(Protocol):
    """The TU of a client transaction."""

    def on_response(self, transaction: AnyClient, response: Response, now: float) -> None:
        """A response the machine passes on."""

    def on_no_response(self, transaction: AnyClient, unreachable: bool, now: float) -> None:
        """Timer B or F ran out, or (``unreachable``) the transport failed."""
