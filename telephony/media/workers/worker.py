"""One worker as the service sees it: its process, its lanes, and what it owes answers to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Coroutine
from typing import Any, Protocol

import structlog

from telephony.base.clock import Clock
from telephony.base.errors import Busy
from telephony.base.trace import Action, Trace
from telephony.calls.ports import Sound
from telephony.calls.role import Role
from telephony.media.config import MediaConfig
from telephony.media.stats import TickStats
from telephony.media.workers.lane import RemoteLane
from telephony.media.workers.meetings import TRUNK_HOST, Meetings
from telephony.media.workers.messages import (
    FACTS,
    ORDERS,
    PIECE,
    Message,
    Ref,
    is_done,
)
from telephony.media.workers.pipe import CEILING, Pipe
from telephony.media.workers.sounds import Sounds
from telephony.media.workers.tickets import Tickets, guarded

log = structlog.get_logger("telephony.media.worker")

START_SECONDS = 30.0
STOP_SECONDS = 15.0
"""For the worker's last recordings."""
QUIET_SECONDS = 3.0
"""A worker that has said nothing for so long gets no new call while another one has."""
DEAF_SECONDS = 10.0
"""Without a word for so long, a worker is stuck: its calls are dead already."""
WATCH_SECONDS = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0
"""Seconds before a dead worker is followed by another; doubled while none lives for a minute."""
SETTLED_SECONDS = 60.0
MAX_SOUNDS_QUEUED = CEILING // 2
"""Octets on the way to a worker, over which a sound that it does not know is not played."""


class House(Protocol):
    """What a worker needs of the engine it is part of."""

    worker_config: MediaConfig
    clock: Clock
    trace: Trace
    sounds: Sounds
    meetings: Meetings
    log_level: str
    log_form: str

    def lane(self, worker: Worker, host: str, meetings: Meetings | None) -> RemoteLane:
        """A lane in this worker. Raises Busy, MediaFailed."""
        ...

    def freed(self, lane: RemoteLane) -> None:
        """A lane's ports are closed."""
        ...


class Worker:
    """Started once, restarted after each death until it is stopped."""

    def __init__(self, name: str, house: House) -> None:
        self.name = name
        self.alive = False
        self.restarts = 0
        self.lanes: dict[int, RemoteLane] = {}
        self.stats = TickStats()
        """Of the process that lives now."""
        self.past = TickStats()
        """Of those before it."""
        self._house = house
        self._pipe: Pipe | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: asyncio.Future[None] | None = None
        self._known: set[int] = set()
        self._tickets = Tickets(self._ended, self._spawn)
        self._heard = 0.0
        self._suspect = False
        self._born = 0.0
        self._pause = FIRST_PAUSE
        self._stopping = False
        self._quit = asyncio.Event()
        self._launched = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that lives now."""
        return None if self._process is None else self._process.pid

    @property
    def quiet(self) -> bool:
        """Whether its last word is long ago."""
        return self._house.clock.monotonic() - self._heard > QUIET_SECONDS

    # -- life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Raises OSError or TimeoutError: it did not come up."""
        await self._launch()
        self._keep_watch()

    async def stop(self) -> None:
        """Let it close every lane and finish every recording; kill it where it does not."""
        self._stopping = True
        self._quit.set()
        if self._watch is not None:
            self._watch.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        pipe, process = self._pipe, self._process
        if process is None or pipe is None:
            return
        pipe.send(ORDERS.encode(ORDERS.row("stop")))
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, STOP_SECONDS)
        process.kill()
        while self._pipe is not None:
            # Its last words lie in the pipe; then comes its end.
            await asyncio.sleep(0.005)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _launch(self) -> None:
        self._launched = False
        ours, theirs = socket.socketpair()
        house = self._house
        words = [sys.executable, "-m", "telephony.media.workers", str(theirs.fileno())]
        words += [house.log_level, house.log_form]
        # Settings and secrets are none of its business: what it needs comes over the pipe.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TELEPHONY_")}

        def begin() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=environment,
            )

        try:
            # A fork of a large process stops whoever asks for it.
            process = self._process = await asyncio.to_thread(begin)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._known.clear()
        self._heard = self._born = self._house.clock.monotonic()
        self._suspect = False
        self._launched = True
        self._ready = asyncio.get_running_loop().create_future()
        self._pipe = Pipe(ours, FACTS, self._take, self._gone)
        self._send("begin", house.worker_config)
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._ready
        except BaseException:
            process.kill()
            raise
        self.alive = True
        log.info("media.worker_ready", worker=self.name, pid=self.pid)

    def _gone(self) -> None:
        """The pipe has ended, and with it every call of the worker."""
        self.alive = False
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()
        process, self._process = self._process, None
        if process is not None:
            self._spawn(self._bury(process), "bury")
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(OSError("the media worker ended while it started"))
        self.past.merge(self.stats)
        self.stats = TickStats()
        lanes = list(self.lanes.values())
        self.lanes.clear()
        if not self._stopping:
            log.error("media.worker_died", worker=self.name, lanes=len(lanes))
        for lane in lanes:
            self._house.freed(lane)
        self._house.meetings.lost(self)
        self._tickets.settle_all()
        for lane in lanes:
            if not lane.closed:
                guarded(lane.on_lost)
        if not self._stopping:
            self._spawn(self._restart(), "restart")

    async def _bury(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        await asyncio.to_thread(process.wait)

    async def _restart(self) -> None:
        if self._house.clock.monotonic() - self._born > SETTLED_SECONDS:
            self._pause = FIRST_PAUSE
        while True:
            pause, self._pause = self._pause, min(LONGEST_PAUSE, 2 * self._pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._quit.wait(), pause)
            if self._stopping:
                return
            self.restarts += 1
            try:
                await self._launch()
            except (OSError, TimeoutError) as error:
                log.error("media.worker_not_started", worker=self.name, error=str(error))
                if not self._launched:
                    continue
                # It was killed, or is dead: its end begins the next attempt.
            return

    def _keep_watch(self) -> None:
        """A worker that says nothing is stuck. Twice: it may be we who were."""
        loop = asyncio.get_running_loop()
        self._watch = loop.call_later(WATCH_SECONDS, self._keep_watch)
        if not self.alive:
            return
        silent = self._house.clock.monotonic() - self._heard > DEAF_SECONDS
        if silent and self._suspect and self._process is not None:
            log.error("media.worker_stuck", worker=self.name)
            self._process.kill()
        self._suspect = silent

    # -- orders ---------------------------------------------------------------------------------

    def open(
        self, number: int, rtp: socket.socket, rtcp: socket.socket, meetings: Meetings | None
    ) -> RemoteLane:
        """Hand over two bound sockets. Raises Busy: the worker is not there."""
        pipe = self._pipe
        if pipe is None:
            rtp.close()
            rtcp.close()
            raise Busy("the media worker is not running", retry_after=1)
        host, port = rtp.getsockname()[:2]
        lane = RemoteLane(self, number, (str(host), int(port)), meetings)
        self.lanes[number] = lane
        message = ORDERS.encode(ORDERS.row("open"), number, host, port)
        pipe.send(message, (rtp.detach(), rtcp.detach()))
        return lane

    def order(self, lane: RemoteLane, name: str, given: dict[str, Any]) -> None:
        """Send an order of ``LANE_ORDERS``; its callback is called once, whatever happens."""
        row = ORDERS.row(name, of_lane=True)
        if self._pipe is None or lane.number not in self.lanes:
            self.refuse(lane, name, given)
            return
        values = []
        for key, kind in row.fields.items():
            value = given[key]
            if kind is Ref.SOUND:
                value = self._teach(value)
                if value is None:
                    self.refuse(lane, name, given)
                    return
            elif kind is Ref.LANE:
                value = value.number
            elif is_done(kind):
                value = self._tickets.take(lane, kind, value, given)
            values.append(value)
        self._pipe.send(ORDERS.encode(row, lane.number, *values))

    def refuse(self, lane: RemoteLane, name: str, given: dict[str, Any]) -> None:
        """Nobody takes the order: what waits for its result has it now."""
        self._tickets.settle_unsent(lane, name, given)

    def forget(self, number: int) -> None:
        """A sound is wanted no more."""
        if number in self._known:
            self._known.discard(number)
            self._send("forget", number)

    # -- what meetings need: see meetings.Site --------------------------------------------------

    def trunk(self) -> RemoteLane:
        return self._house.lane(self, TRUNK_HOST, None)

    def enter(self, lane: RemoteLane, group: str, role: Role = Role.SPEAKER) -> None:
        self.order(lane, "enter", {"group": group, "role": role})

    def relay(self, lane: RemoteLane, group: str) -> None:
        self.order(lane, "relay", {"group": group})

    def leave(self, lane: RemoteLane, group: str) -> None:
        self.order(lane, "leave_group", {"group": group})

    def pair(self, one: RemoteLane, two: RemoteLane) -> None:
        self.order(one, "bridge", {"other": two})

    # -- facts ----------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        self._heard = self._house.clock.monotonic()
        name, values = message.row.name, message.values
        if message.row.of_lane:
            self._tell(name.removeprefix("lane "), message.lane, values)
            return
        match name:
            case "played" | "recorded" | "counted" | "answer" | "greeting":
                self._tickets.answer(*values)
            case "refused":
                self._tickets.refuse(*values)
            case "quality":
                if (lane := self.lanes.get(values[0])) is not None:
                    lane.told = values[1]
            case "stats":
                self.stats = values[1]
            case "traced":
                now = self._house.clock.monotonic()
                self._house.trace.add(now, Action(values[0]), **values[1])
            case "ready":
                if self._ready is not None and not self._ready.done():
                    self._ready.set_result(None)

    def _tell(self, name: str, number: int, values: tuple[Any, ...]) -> None:
        lane = self.lanes.get(number)
        if lane is None or lane.closed:
            return
        if name == "on_lost":
            del self.lanes[number]
            self._house.freed(lane)
        guarded(getattr(lane, name), *values)

    def _ended(self, lane: RemoteLane) -> None:
        if self.lanes.pop(lane.number, None) is not None:
            self._house.freed(lane)

    # -- inside ---------------------------------------------------------------------------------

    def _teach(self, sound: Sound) -> int | None:
        """The sound's number, sent before it is first used; None where it cannot be."""
        number = self._house.sounds.number(sound)
        if number is None or number in self._known:
            return number
        assert self._pipe is not None
        if self._pipe.queued + len(sound.pcm) > MAX_SOUNDS_QUEUED:
            return None
        self._known.add(number)
        view, row = memoryview(sound.pcm), ORDERS.row("sound")
        for at in range(0, max(1, len(view)), PIECE):
            piece = view[at : at + PIECE]
            last = at + PIECE >= len(view)
            self._pipe.send(ORDERS.encode(row, number, sound.rate, last, tail=piece))
        return number

    def _send(self, name: str, *values: Any) -> None:
        if self._pipe is not None:
            self._pipe.send(ORDERS.encode(ORDERS.row(name), *values))

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
