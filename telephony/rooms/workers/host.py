"""Rooms over worker processes: where a room goes, and where to when its worker dies."""

from __future__ import annotations

import asyncio

import structlog

from telephony.base.clock import Clock
from telephony.base.errors import Busy, ConfigError
from telephony.rooms.figures import Figures
from telephony.rooms.link import Link
from telephony.rooms.workers.messages import ORDERS
from telephony.rooms.workers.worker import RemoteStay, RoomWorker

log = structlog.get_logger("telephony.rooms")

LOOK_SECONDS = 1.0


class WorkerHost:
    """Implements ``rooms.livekit.Host`` over ``count`` processes."""

    def __init__(
        self, clock: Clock, *, count: int, log_level: str = "INFO", log_form: str = "console"
    ) -> None:
        """``log_level`` and ``log_form``: as ``system.configure_logging`` takes them."""
        self.all = [
            RoomWorker(str(number), clock, self._lost, log_level=log_level, log_form=log_form)
            for number in range(1, count + 1)
        ]
        self._homeless: list[Link] = []
        self._watch: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Every worker is ready when this returns.

        Raises:
            ConfigError: one did not come up.
        """
        self._loop = asyncio.get_running_loop()
        begun = await asyncio.gather(
            *(worker.start() for worker in self.all), return_exceptions=True
        )
        for fault in begun:
            if fault is not None:
                await self.stop()
                raise ConfigError(
                    f"room_workers: a room worker did not start: {fault}", field="room_workers"
                ) from fault
        self._look()

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        await asyncio.gather(*(worker.stop() for worker in self.all))

    def ready(self) -> str | None:
        return None if any(one.alive for one in self.all) else "no room worker is running"

    def open(self, link: Link) -> RemoteStay:
        """In the least loaded worker. Raises Busy."""
        alive = [worker for worker in self.all if worker.alive]
        if not alive:
            raise Busy("no room worker is running", retry_after=1)
        return min(alive, key=lambda worker: worker.load).open(link)

    def ticked(self, due: float) -> None:
        """Wake every worker: its frames are there."""
        message = ORDERS.encode(ORDERS.row("tick"), due)
        for worker in self.all:
            if worker.alive and worker.load:
                worker.tick(message)

    def figures(self) -> Figures:
        found = Figures()
        for worker in self.all:
            found.add(worker.past)
            found.add(worker.figures)
        return found

    def workers(self) -> list[tuple[str, bool, int, int]]:
        """Name, whether it lives, its rooms, how often it was restarted."""
        return [(one.name, one.alive, one.load, one.restarts) for one in self.all]

    def _lost(self, worker: RoomWorker, links: list[Link]) -> None:
        """Its rooms go to others; where there is none, to the one that follows it."""
        homeless, self._homeless = [*self._homeless, *links], []
        for link in homeless:
            if link.over:
                continue
            try:
                stay = self.open(link)
            except Busy as error:
                log.warning("rooms.homeless", call=link.meeting.call, reason=error.message)
                link.interrupted()
                self._homeless.append(link)
                continue
            link.moved(stay)

    def _look(self) -> None:
        assert self._loop is not None
        self._watch = self._loop.call_later(LOOK_SECONDS, self._look)
        for worker in self.all:
            worker.look()
