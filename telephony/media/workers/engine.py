"""The engine over several processes: where a lane goes, and what all of them count together."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from telephony.base.clock import Clock
from telephony.base.errors import Busy, ConfigError, MediaFailed
from telephony.base.trace import Trace
from telephony.calls.role import Role
from telephony.media.config import RATE, MediaConfig
from telephony.media.contract import Attendant, Part
from telephony.media.engine import Engine
from telephony.media.lane import Lane
from telephony.media.ports import PortPairs
from telephony.media.seats import Seat
from telephony.media.stats import TickStats
from telephony.media.workers.lane import RemoteLane
from telephony.media.workers.meetings import TRUNK_HOST, Meetings
from telephony.media.workers.sounds import Sounds
from telephony.media.workers.worker import Worker


class Home:
    """This process as a ``meetings.Site``: seats are here, with the programs that sit on them."""

    alive = True

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def trunk(self) -> Lane:
        return self._engine.open(TRUNK_HOST)

    def enter(self, lane: Lane, group: str, role: Role = Role.SPEAKER) -> None:
        lane.enter(group, role)

    def relay(self, lane: Lane, group: str) -> None:
        lane.relay(group)

    def leave(self, lane: Lane, group: str) -> None:
        lane.leave_group(group)

    def pair(self, one: Lane, two: Lane) -> None:
        one.bridge(two)


class WorkerEngine:
    """Implements ``media.contract.MediaEngine`` over ``count`` worker processes.

    Ports are bound here, so that an answer can name them at once, and handed to the worker: any
    worker has any port of the range, and one that dies gives them back.
    """

    def __init__(
        self,
        config: MediaConfig,
        clock: Clock,
        *,
        rng: random.Random,
        count: int,
        trace: Trace | None = None,
        log_level: str = "INFO",
        log_form: str = "console",
    ) -> None:
        """``log_level`` and ``log_form``: as ``system.configure_logging`` takes them."""
        self.config = config
        # What is refused is refused here. Ways between workers come on top of the calls' lanes.
        self.worker_config = replace(config, max_lanes=2 * config.max_lanes)
        self.clock = clock
        self.trace = trace or Trace()
        self.log_level = log_level
        self.log_form = log_form
        self.meetings = Meetings()
        self.sounds = Sounds(config.prompt_bytes, self._forget)
        self._pairs = PortPairs(config.ports, config.drain_seconds, rng)
        # It has few lanes or none: a ring of its own would be memory for nothing.
        here = replace(self.worker_config, io="epoll")
        self._engine = Engine(here, clock, rng=rng, trace=self.trace, ports=self._pairs)
        self._home = Home(self._engine)
        self._workers = [Worker(str(number), self) for number in range(1, count + 1)]
        self._last = 0
        self._count = 0
        self._calls: dict[str, tuple[Worker, set[int]]] = {}
        self._call_of: dict[int, str] = {}
        self._seats: dict[int, Seat] = {}
        self._running = False

    # -- media.contract.MediaEngine -------------------------------------------------------------

    @property
    def lanes(self) -> int:
        """Lanes of calls; those that join workers are not counted."""
        return self._count

    @property
    def workers(self) -> list[Worker]:
        """Whether they live or not."""
        return self._workers

    @property
    def stats(self) -> TickStats:
        whole = TickStats()
        for part in self.parts():
            whole.merge(part.stats)
        return whole

    def parts(self) -> list[Part]:
        """This process, which ticks for seats only, and the workers."""
        found = [Part("0", True, self._engine.lanes, self._engine.stats)]
        for worker in self._workers:
            stats = TickStats()
            stats.merge(worker.past)
            stats.merge(worker.stats)
            found.append(Part(worker.name, worker.alive, len(worker.lanes), stats, worker.restarts))
        return found

    def ready(self) -> str | None:
        if not self._running:
            return "the media engine is not running"
        if not any(worker.alive for worker in self._workers):
            return "no media worker is running"
        if self._count >= self.config.max_lanes:
            return "every media lane is taken"
        return None

    def open(self, host: str | None = None, *, call: str = "") -> RemoteLane:
        """A lane in the worker where the call is already, else in the least loaded one.

        Raises:
            Busy: every lane, port pair or file descriptor is taken; no worker is alive.
            MediaFailed: ``host`` is not an address of this machine.
        """
        if self._count >= self.config.max_lanes:
            raise Busy(f"all {self.config.max_lanes} lanes are taken")
        worker, numbers = self._calls.get(call, (None, set()))
        if worker is None or not worker.alive:
            worker, numbers = self._least_loaded(), set()
        lane = self.lane(worker, host or self.config.host, self.meetings)
        self._count += 1
        if call:
            numbers.add(lane.number)
            self._calls[call] = (worker, numbers)
            self._call_of[lane.number] = call
        return lane

    def sit(self, group: str, rate: int = RATE) -> Seat:
        """A seat in this process. Raises Busy: no way to the others of the group."""
        seat = self._engine.sit(group, rate)
        try:
            self.meetings.join(self._home, seat, group)
        except (Busy, MediaFailed):
            self._engine.rise(seat)
            raise
        return seat

    def rise(self, seat: Seat) -> None:
        self.meetings.part(seat)
        self._engine.rise(seat)

    def attend(self, attendant: Attendant) -> None:
        """Seats are here, and so is their tick."""
        self._engine.attend(attendant)

    async def start(self) -> None:
        """Every worker is ready when this returns.

        Raises:
            ConfigError: one did not come up.
        """
        await self._engine.start()
        self._running = True
        begun = await asyncio.gather(
            *(worker.start() for worker in self._workers), return_exceptions=True
        )
        for fault in begun:
            if fault is None:
                continue
            await self.stop()
            raise ConfigError(
                f"media_workers: a media worker did not start: {fault}", field="media_workers"
            ) from fault

    async def stop(self) -> None:
        if not self._running:
            return
        self._running = False
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        await self._engine.stop()

    # -- workers.worker.House -------------------------------------------------------------------

    def lane(self, worker: Worker, host: str, meetings: Meetings | None) -> RemoteLane:
        """A lane in this worker. Raises Busy, MediaFailed."""
        now = self.clock.monotonic()
        rtp, rtcp = self._pairs.take(host, now)
        self._last += 1
        return worker.open(self._last, rtp, rtcp, meetings)

    def freed(self, lane: RemoteLane) -> None:
        """A lane's ports are closed."""
        self._pairs.give_back(lane.local_address[1], self.clock.monotonic())
        if lane.is_trunk:
            return
        self._count -= 1
        call = self._call_of.pop(lane.number, None)
        if call is None:
            return
        _, numbers = self._calls.get(call, (None, set()))
        numbers.discard(lane.number)
        if not numbers:
            self._calls.pop(call, None)

    # -- inside ---------------------------------------------------------------------------------

    def _least_loaded(self) -> Worker:
        alive = [worker for worker in self._workers if worker.alive]
        if not alive:
            raise Busy("no media worker is running", retry_after=1)
        return min(alive, key=lambda worker: (worker.quiet, len(worker.lanes)))

    def _forget(self, number: int) -> None:
        for worker in self._workers:
            worker.forget(number)
