"""Several carriers as one: a call takes the one that its trunk is of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from telephony.accounts.agents import Agent, Tool
from telephony.accounts.model import Phone, PhoneNumber, Trunk, TrunkKind
from telephony.accounts.ports import Directory
from telephony.accounts.routing import find_trunk
from telephony.base.clock import Clock
from telephony.base.errors import Busy
from telephony.calls.events import LegEnded
from telephony.calls.outcome import Cause, Outcome
from telephony.calls.ports import Carrier, DialRequest, Emit, LegControl, Offer, OfferedLeg
from telephony.carriers.dead_leg import DeadLeg


class Carriers:
    """See :class:`telephony.calls.ports.Carrier`. Phones are called by our own SIP."""

    def __init__(
        self, directory: Directory, clock: Clock, carriers: Mapping[TrunkKind, Carrier]
    ) -> None:
        """``carriers`` holds one for ``TrunkKind.SIP``, and those that are configured."""
        self._directory = directory
        self._clock = clock
        self._carriers = dict(carriers)

    async def start(self, take: Callable[[Offer, OfferedLeg], None]) -> None:
        """All of them, one after another; where one cannot, those before are stopped again."""
        begun: list[Carrier] = []
        try:
            for carrier in self._carriers.values():
                await carrier.start(take)
                begun.append(carrier)
        except BaseException:
            await _stop(begun)
            raise

    async def stop(self) -> None:
        """All of them, at once."""
        await _stop(list(self._carriers.values()))

    def dial(self, request: DialRequest, emit: Emit) -> LegControl:
        """Over the carrier of the trunk; none for it: ``LegEnded`` with ``no_route``."""
        carrier = self._carriers.get(self._kind(request))
        if carrier is None:
            outcome = Outcome.failed(Cause.NO_ROUTE)
            emit(LegEnded(at=self._clock.now(), leg=request.leg, outcome=outcome))
            return DeadLeg(request.leg)
        return carrier.dial(request, emit)

    def ready(self) -> str | None:
        """The first reason there is."""
        reasons = (carrier.ready() for carrier in self._carriers.values())
        return next((reason for reason in reasons if reason is not None), None)

    def admits(self, trunk: str) -> Busy | None:
        """As the trunk's own carrier says."""
        found = find_trunk(self._directory.trunks(), trunk)
        carrier = None if found is None else self._carriers.get(found.kind)
        return None if carrier is None else carrier.admits(trunk)

    def _kind(self, request: DialRequest) -> TrunkKind:
        if request.phone:
            return TrunkKind.SIP
        trunk = find_trunk(self._directory.trunks(), request.trunk or "default")
        return TrunkKind.SIP if trunk is None else trunk.kind


class TrunksOf:
    """A directory in which there are trunks of one kind only: what one carrier sees of it."""

    def __init__(self, directory: Directory, kind: TrunkKind) -> None:
        self._directory = directory
        self._kind = kind

    def trunks(self, organization: str | None = None) -> tuple[Trunk, ...]:
        found = self._directory.trunks(organization)
        # Signalling asks for every request, and most services have one kind: nothing is copied.
        if all(trunk.kind is self._kind for trunk in found):
            return found
        return tuple(trunk for trunk in found if trunk.kind is self._kind)

    def phones(self, organization: str | None = None) -> tuple[Phone, ...]:
        return self._directory.phones(organization)

    def numbers(self, organization: str | None = None) -> tuple[PhoneNumber, ...]:
        return self._directory.numbers(organization)

    def number(self, e164: str) -> PhoneNumber | None:
        return self._directory.number(e164)

    def agent(self, organization: str, agent: str) -> Agent | None:
        return self._directory.agent(organization, agent)

    def tools(self, organization: str, agent: str) -> tuple[Tool, ...]:
        return self._directory.tools(organization, agent)

    def watch(self, changed: Callable[[], None]) -> None:
        self._directory.watch(changed)


async def _stop(carriers: Sequence[Carrier]) -> None:
    await asyncio.gather(*(carrier.stop() for carrier in carriers))
