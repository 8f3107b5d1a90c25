"""One room worker as the service sees it: its process, its rows, and the stays in them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import structlog

from telephony.audio.mix import Samples
from telephony.base.clock import Clock
from telephony.base.errors import Busy
from telephony.media.workers.messages import Message
from telephony.media.workers.pipe import Pipe
from telephony.rooms.figures import Figures
from telephony.rooms.link import Link
from telephony.rooms.slack import Slack
from telephony.rooms.workers.messages import FACTS, ORDERS
from telephony.rooms.workers.rings import HEARD, ROWS, SAID, Rings

log = structlog.get_logger("telephony.rooms.worker")

START_SECONDS = 30.0
STOP_SECONDS = 5.0
DEAF_SECONDS = 6.0
"""Without a word for so long, a worker is stuck: it says one a second."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 30.0
"""Seconds before a dead worker is followed by another; doubled while none lives for a minute."""
SETTLED_SECONDS = 60.0
RING_MARGIN = 0.002
"""A frame is laid ready 5 ms before its tick (``child.BEFORE``): that is early enough."""


class RemoteStay:
    """Implements ``rooms.staying.Staying``; the SDK's side is in the worker."""

    def __init__(self, worker: RoomWorker, number: int, row: int, link: Link) -> None:
        self.link = link
        self._worker = worker
        self._number = number
        self._row = row
        self._samples = link.meeting.rate // 50
        self._slack = Slack(RING_MARGIN)
        self._open = True

    def enter(self, url: str, token: str) -> None:
        self._order("enter", url, token)

    def send(self, data: bytes, topic: str) -> None:
        self._order("send", topic, tail=data)

    def send_digits(self, digits: str) -> None:
        self._order("digits", digits)

    def mute(self, on: bool) -> None:
        self._order("mute", on)

    def say(self) -> Samples | None:
        rings = self._worker.rings
        if rings is None or not self._open:
            return None
        if self._slack.spare(rings.age(self._row, SAID, self._worker.now())):
            rings.skip(self._row, SAID)
        return rings.read(self._row, SAID, self._samples)

    def hear(self, frame: Samples) -> None:
        rings = self._worker.rings
        if rings is not None and self._open:
            rings.write(self._row, HEARD, frame)

    def close(self) -> None:
        if self._open:
            self._order("close")
            self._open = False
            self._worker.closed(self._number, self._row)

    def forget(self) -> None:
        """The worker is gone: its rows are somebody else's."""
        self._open = False

    def _order(self, name: str, *values: Any, tail: bytes = b"") -> None:
        if self._open:
            self._worker.order(name, self._number, *values, tail=tail)


class RoomWorker:
    """Started once, restarted after each death until it is stopped."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        lost: Callable[[RoomWorker, list[Link]], None],
        *,
        log_level: str,
        log_form: str,
    ) -> None:
        """``lost``: it died with these links in it; called again, with none, when another lives."""
        self.name = name
        self.alive = False
        self.restarts = 0
        self.rings: Rings | None = None
        self.figures = Figures()
        """Of the process that lives now."""
        self.past = Figures()
        """Of those before it."""
        self._clock = clock
        self._lost = lost
        self._log = (log_level, log_form)
        self._stays: dict[int, RemoteStay] = {}
        self._free: list[int] = []
        self._last = 0
        self._pipe: Pipe | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: asyncio.Future[None] | None = None
        self._heard = self._born = 0.0
        self._pause = FIRST_PAUSE
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()

    def now(self) -> float:
        """Monotonic seconds."""
        return self._clock.monotonic()

    @property
    def load(self) -> int:
        """Stays in it."""
        return len(self._stays)

    @property
    def pid(self) -> int | None:
        """Of the process that lives now."""
        return None if self._process is None else self._process.pid

    # -- life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Raises OSError or TimeoutError: it did not come up."""
        ours, theirs = socket.socketpair()
        words = [sys.executable, "-m", "telephony.rooms.workers", str(theirs.fileno()), *self._log]
        # The key of the conference server is none of its business: tokens come with each order.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TELEPHONY_")}

        def begin() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                words, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),), env=environment
            )

        try:
            process = self._process = await asyncio.to_thread(begin)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        descriptor = Rings.make()
        self.rings = Rings(descriptor)
        self._free = list(range(ROWS - 1, -1, -1))
        self._heard = self._born = self._clock.monotonic()
        self._ready = asyncio.get_running_loop().create_future()
        self._pipe = Pipe(ours, FACTS, self._take, self._gone)
        self._pipe.send(ORDERS.encode(ORDERS.row("begin")), (descriptor,))
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._ready
        except BaseException:
            process.kill()
            raise
        self.alive = True
        log.info("rooms.worker_ready", worker=self.name, pid=self.pid)

    async def stop(self) -> None:
        """Everybody leaves; it is killed where it does not end."""
        self._stopping = True
        process = self._process
        if process is not None and self._pipe is not None:
            self.order("stop")
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, STOP_SECONDS)
            process.kill()
            await asyncio.to_thread(process.wait)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._pipe is not None:
            self._pipe.close()

    def look(self) -> None:
        """A worker that says nothing is stuck: its rooms are dead already."""
        if self.alive and self._clock.monotonic() - self._heard > DEAF_SECONDS:
            log.error("rooms.worker_stuck", worker=self.name)
            if self._process is not None:
                self._process.kill()

    def _gone(self) -> None:
        """The pipe has ended, and with it every room of the worker."""
        self.alive = False
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()
        process, self._process = self._process, None
        if process is not None:
            self._spawn(self._bury(process))
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(OSError("the room worker ended while it started"))
        self.figures.depth = 0
        self.past.add(self.figures)
        self.figures = Figures()
        self.rings = None
        links = [stay.link for stay in self._stays.values()]
        for stay in self._stays.values():
            stay.forget()
        self._stays.clear()
        if self._stopping:
            return
        log.error("rooms.worker_died", worker=self.name, rooms=len(links))
        self._spawn(self._restart())
        self._lost(self, links)

    async def _bury(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        await asyncio.to_thread(process.wait)

    async def _restart(self) -> None:
        if self._clock.monotonic() - self._born > SETTLED_SECONDS:
            self._pause = FIRST_PAUSE
        pause, self._pause = self._pause, min(LONGEST_PAUSE, 2 * self._pause)
        await asyncio.sleep(pause)
        if self._stopping:
            return
        self.restarts += 1
        try:
            await self.start()
        except (OSError, TimeoutError) as error:
            # Its end begins the next attempt.
            log.error("rooms.worker_not_started", worker=self.name, error=str(error))
            if self._pipe is None and not self._stopping:
                self._spawn(self._restart())
            return
        self._lost(self, [])

    # -- stays ----------------------------------------------------------------------------------

    def open(self, link: Link) -> RemoteStay:
        """Raises Busy: it is full, or not there."""
        if self.rings is None or not self._free:
            raise Busy("every room worker is full")
        row = self._free.pop()
        self.rings.clear(row)
        self._last += 1
        stay = self._stays[self._last] = RemoteStay(self, self._last, row, link)
        meeting = link.meeting
        self.order("open", self._last, row, meeting.rate, meeting.dispatch is None)
        return stay

    def order(self, name: str, *values: Any, tail: bytes = b"") -> None:
        if self._pipe is not None:
            self._pipe.send(ORDERS.encode(ORDERS.row(name), *values, tail=tail))

    def tick(self, message: bytes) -> None:
        """What legs said lies in the rings."""
        if self._pipe is not None:
            self._pipe.send(message)

    def closed(self, number: int, row: int) -> None:
        """A stay is over; its row is free."""
        if self._stays.pop(number, None) is not None:
            self._free.append(row)

    def _take(self, message: Message) -> None:
        self._heard = self._clock.monotonic()
        match message.row.name:
            case "told":
                number, fact, values = message.values
                stay = self._stays.get(number)
                if stay is not None:
                    stay.link.told(fact, *values)
            case "figures":
                self.figures = message.values[0]
            case "ready":
                if self._ready is not None and not self._ready.done():
                    self._ready.set_result(None)

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
