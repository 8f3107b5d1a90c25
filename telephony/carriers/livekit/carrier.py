"""LiveKit's SIP service as a carrier: calls out by its API, calls in by its dispatch rules.

A caller is a participant of kind SIP in a LiveKit room; ``leg`` says what becomes of one, ``sweep``
finds those that nobody told us of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from telephony.accounts.model import Trunk
from telephony.accounts.ports import Directory
from telephony.accounts.routing import find_trunk
from telephony.base.clock import Clock
from telephony.base.errors import Busy
from telephony.calls.events import LegEnded, LegOffered
from telephony.calls.outcome import Cause, Outcome
from telephony.calls.ports import AgentRooms, DialRequest, Emit, LegControl, Offer, OfferedLeg
from telephony.carriers.caps import TrunkCaps
from telephony.carriers.dead_leg import DeadLeg
from telephony.carriers.hook import Hook
from telephony.carriers.livekit.config import LiveKitConfig
from telephony.carriers.livekit.desk import Desk
from telephony.carriers.livekit.hooks import Webhook
from telephony.carriers.livekit.leg import LiveKitLeg
from telephony.carriers.livekit.reception import Reception
from telephony.carriers.livekit.service import LiveKitService
from telephony.carriers.livekit.sweep import Sweep
from telephony.carriers.livekit.wire import Notice, Party
from telephony.media.contract import MediaEngine

log = structlog.get_logger("telephony.livekit")

Take = Callable[[Offer, OfferedLeg], None]


class LiveKitCarrier:
    """See :class:`telephony.calls.ports.Carrier`. ``directory`` holds trunks of LiveKit only."""

    def __init__(
        self,
        config: LiveKitConfig,
        directory: Directory,
        engine: MediaEngine,
        rooms: AgentRooms,
        clock: Clock,
        *,
        heard: Iterable[Callable[[str], None]] = (),
    ) -> None:
        """``heard`` are told of each room that a webhook names: others wait for it too."""
        self._directory = directory
        self._service = LiveKitService(config)
        self._desk = Desk(
            config=config, clock=clock, service=self._service, engine=engine, rooms=rooms
        )
        self._caps = TrunkCaps()
        self._legs: dict[str, LiveKitLeg] = {}
        self._heard = tuple(heard)
        self._take: Take | None = None
        self._webhook = Webhook(config, self.noticed)
        self._reception = Reception(config, directory)
        self._sweep = Sweep(
            self._desk, self._holds, self._reception.has_seen, self._found, self._wanted
        )

    # -- life -------------------------------------------------------------------------------------

    async def start(self, take: Take) -> None:
        """Offers go to ``take`` from now on. LiveKit may be away: it is asked when it is needed."""
        await self._service.open()
        self._take = take
        self._desk.spawn(self._sweep.run(), "livekit sweep")
        self._directory.watch(self._changed)

    async def stop(self) -> None:
        """End what is left, let the hanging up out, close."""
        if self._take is None:
            return
        self._take = None
        self._sweep.stop()
        for leg in list(self._legs.values()):
            leg.end(Outcome.failed(Cause.INTERRUPTED))
        tasks = set(self._desk.tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._desk.config.drain)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._service.close()

    def ready(self) -> str | None:
        """Whether LiveKit answers is no matter of ours: calls on other carriers go on without."""
        return "the LiveKit carrier is not running" if self._take is None else None

    # -- for the API and app.py -------------------------------------------------------------------

    def routes(self) -> list[Hook]:
        """The webhook."""
        return self._webhook.routes()

    @property
    def legs(self) -> int:
        """Legs that live."""
        return len(self._legs)

    def admits(self, trunk_id: str) -> Busy | None:
        """Why no further call may leave over this trunk now, or None. Counts nothing."""
        trunk = find_trunk(self._directory.trunks(), trunk_id)
        return None if trunk is None else self._caps.refusal(trunk, self._desk.now)

    # -- going out --------------------------------------------------------------------------------

    def dial(self, request: DialRequest, emit: Emit) -> LegControl:
        """Have the call made. Whatever keeps it from being made is a ``LegEnded``."""
        trunk = find_trunk(self._directory.trunks(), request.trunk or "default")
        refusal = self._refusal(trunk)
        if refusal is not None or trunk is None:
            at, outcome = self._desk.clock.now(), refusal or Outcome.failed(Cause.NO_ROUTE)
            emit(LegEnded(at=at, leg=request.leg, outcome=outcome))
            return DeadLeg(request.leg)
        room = self._desk.config.room_of(request.leg)
        leg = LiveKitLeg(self._desk, trunk, room, request=request, emit=emit, ended=self._over)
        self._begin(leg, outbound=True)
        leg.dial()
        return leg

    def _refusal(self, trunk: Trunk | None) -> Outcome | None:
        if self._take is None:
            return Outcome.failed(Cause.UNREACHABLE)
        busy = None if trunk is None else self._caps.refusal(trunk, self._desk.now)
        if busy is not None:
            return Outcome.failed(Cause.RATE_LIMITED, retry_after=busy.retry_after)
        return None

    # -- coming in --------------------------------------------------------------------------------

    def noticed(self, notice: Notice) -> None:
        """A webhook, proved to be LiveKit's."""
        for tell in self._heard:
            tell(notice.room)
        leg = self._legs.get(notice.room)
        if leg is not None:
            leg.hint(notice)
        ours = notice.room.startswith(self._desk.config.inbound_prefix)
        if ours and notice.is_sip and notice.event == "participant_joined":
            self._sweep.look_at(notice.room)

    def _holds(self, room: str) -> bool:
        return room in self._legs

    def _wanted(self) -> bool:
        return bool(self._legs) or bool(self._directory.trunks())

    def _found(self, room: str, party: Party) -> None:
        """A caller whom nobody has taken: offered, or left alone where he is none of ours."""
        take = self._take
        trunk = self._reception.trunk_of(room, party)
        if take is None or trunk is None:
            return
        self._reception.see(room, party)
        leg = LiveKitLeg(self._desk, trunk, room, party=party, ended=self._over)
        self._begin(leg, outbound=False)
        if self._reception.is_full(self._caps, trunk, self._desk.now):
            leg.end(Outcome.failed(Cause.CAPACITY))
            return
        take(Offer(self._offered(trunk, party), trunk.organization, False), leg)

    def _offered(self, trunk: Trunk, party: Party) -> LegOffered:
        return self._reception.offered(trunk, party, self._desk.clock.now())

    # -- inside -----------------------------------------------------------------------------------

    def _begin(self, leg: LiveKitLeg, *, outbound: bool) -> None:
        self._legs[leg.room] = leg
        self._caps.begin(leg.trunk.id, self._desk.now, outbound=outbound)

    def _over(self, leg: LiveKitLeg) -> None:
        if self._legs.get(leg.room) is leg:
            del self._legs[leg.room]
            self._caps.end(leg.trunk.id)

    def _changed(self) -> None:
        self._caps.keep(frozenset(trunk.id for trunk in self._directory.trunks()))
