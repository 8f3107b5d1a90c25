"""Where an outbound leg goes: waves of targets, tried one wave after another.

A trunk's gateways are waves of one, in order, each resolved by RFC 3263; the phones where a user
is registered are one wave that rings together. A place that was silent lately is tried last.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from telephony.accounts.model import Transport, Trunk
from telephony.carriers.trunk.gateways import Gateway, gateways
from telephony.carriers.trunk.registrar import Binding
from telephony.sip.addresses import Destination

MAX_WAVES = 8
"""Gateways tried for one call: each may cost some seconds of silence."""
MAX_SILENT = 1024
SILENT_SECONDS = 60.0
"""How long a place that did not answer is tried after all others."""


@dataclass(frozen=True, slots=True)
class Target:
    """One INVITE to send: the Request-URI and where it goes."""

    uri: str
    destination: Destination


Wave = tuple[Target, ...]
Resolve = Callable[[str], Awaitable[Sequence[Destination]]]


class Silences:
    """Places that did not answer, for a while. ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self._until: OrderedDict[tuple[tuple[str, int], str], float] = OrderedDict()

    def note(self, destination: Destination, now: float) -> None:
        """It did not answer."""
        self._until[destination.address, destination.transport] = now + SILENT_SECONDS
        if len(self._until) > MAX_SILENT:
            self._until.popitem(last=False)

    def forget(self, destination: Destination) -> None:
        """It answered."""
        self._until.pop((destination.address, destination.transport), None)

    def is_silent(self, destination: Destination, now: float) -> bool:
        """Whether it was silent lately."""
        return self._until.get((destination.address, destination.transport), 0.0) > now


async def waves_of_trunk(
    trunk: Trunk, user: str, resolve: Resolve, silences: Silences, now: float
) -> list[Wave]:
    """One wave for each address of each gateway, in the order of the trunk."""
    targets: list[Target] = []
    for gateway in gateways(trunk):
        for destination in await resolve(gateway.uri()):
            targets.append(Target(gateway.uri(user), over(destination, gateway)))
    # sorted() is stable: among the silent and among the others the order stays.
    targets.sort(key=lambda t: silences.is_silent(t.destination, now))
    return [(target,) for target in targets[:MAX_WAVES]]


def waves_of_phone(bindings: Sequence[Binding], max_forks: int) -> list[Wave]:
    """All phones of a user at once; none where nobody is registered."""
    wave = tuple(Target(str(b.contact.uri), b.destination) for b in bindings[:max_forks])
    return [wave] if wave else []


def over(destination: Destination, gateway: Gateway) -> Destination:
    """The destination over the gateway's transport, where the trunk asks for TCP."""
    if gateway.transport is Transport.TCP and destination.transport == "UDP":
        return Destination(destination.address, "TCP")
    return destination
