"""A media worker: one engine, told what to do over the pipe, ending with whoever started it."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import structlog

from telephony.base.errors import Busy, TelephonyError
from telephony.base.trace import Action, Trace
from telephony.calls.ports import Sound
from telephony.media.config import MediaConfig
from telephony.media.engine import Engine
from telephony.media.lane import Lane
from telephony.media.workers.messages import (
    DROPPABLE,
    FACTS,
    LANE_FACTS,
    ORDERS,
    Message,
    Ref,
    is_done,
)
from telephony.media.workers.pipe import Pipe
from telephony.system import SystemClock

log = structlog.get_logger("telephony.media.worker")

BEAT = 0.1
"""Seconds between two words about some of the lanes."""
ROUND = 10
"""Beats in which every lane's quality is told once."""
STATS_EVERY = 10
"""Beats between two words of how the engine keeps time; the service takes long silence for death.
"""
MAX_BEHIND = 4 * 1024 * 1024
"""Octets that wait for the service, over which only what must not be lost is added."""
LAST_WORDS = 5.0


class HandedPorts:
    """Implements ``media.ports.PortSource`` with sockets that the service bound."""

    def __init__(self) -> None:
        self._sockets: dict[int, socket.socket] = {}
        self._next = 0

    def put(self, descriptor: int) -> None:
        """A socket that came over the pipe."""
        made = socket.socket(fileno=descriptor)
        made.setblocking(False)
        self._sockets[int(made.getsockname()[1])] = made

    def choose(self, port: int) -> None:
        """The RTP port of the lane that is opened next."""
        self._next = port

    def take(self, host: str, now: float) -> tuple[socket.socket, socket.socket]:
        """The chosen pair. Raises Busy: a descriptor was lost because we have too many."""
        rtp = self._sockets.pop(self._next, None)
        rtcp = self._sockets.pop(self._next + 1, None)
        if rtp is None or rtcp is None:
            for one in (rtp, rtcp):
                if one is not None:
                    one.close()
            raise Busy("no file descriptor for another call's sound")
        return rtp, rtcp

    def give_back(self, port: int, now: float) -> None:
        """The service learns it from the lane's end."""


class FarTrace(Trace):
    """Entries go to the service's trace."""

    def __init__(self, tell: Callable[..., None]) -> None:
        super().__init__(1)
        self._tell = tell

    def add(self, at: float, action: Action, **facts: str | int | float) -> None:
        """See the base class; the service adds its own time."""
        self._tell("traced", action.value, facts)


class Child:
    """``await run()`` until the service says stop or is no more."""

    def __init__(self, end: socket.socket, ready: Callable[[], None] = lambda: None) -> None:
        """``ready``: called once, when the engine runs."""
        self._ready = ready
        self._clock = SystemClock()
        self._ports = HandedPorts()
        self._engine: Engine | None = None
        self._lanes: dict[int, Lane] = {}
        self._sounds: dict[int, Sound] = {}
        self._pieces: dict[int, list[bytes]] = {}
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pipe = Pipe(end, ORDERS, self._take, self._over.set)

    async def run(self) -> None:
        """Serve; every recording is whole when this returns."""
        await self._over.wait()
        for task in self._tasks:
            task.cancel()
        if self._engine is not None:
            await self._engine.stop()
        await self._pipe.drained(LAST_WORDS)
        self._pipe.close()

    # -- orders ---------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        name = message.row.name
        if message.row.of_lane:
            self._order(name.removeprefix("lane "), message)
            return
        match name:
            case "open":
                self._open(*message.values)
            case "sound":
                self._sound(message)
            case "forget":
                self._sounds.pop(message.values[0], None)
            case "begin":
                self._tasks.add(asyncio.ensure_future(self._begin(*message.values)))
            case "stop":
                self._over.set()

    async def _begin(self, config: MediaConfig) -> None:
        try:
            await self._serve(config)
        except Exception:
            # The service sees the end of the pipe, and not a worker that never is ready.
            log.exception("media.worker_failed")
            self._over.set()

    async def _serve(self, config: MediaConfig) -> None:
        trace = FarTrace(self._tell)
        rng = random.Random(random.SystemRandom().getrandbits(64))
        self._engine = Engine(config, self._clock, rng=rng, trace=trace, ports=self._ports)
        await self._engine.start()
        self._ready()
        self._tell("ready")
        beat = 0
        while True:
            await asyncio.sleep(BEAT)
            beat += 1
            self._tell_quality(beat % ROUND)
            if beat % STATS_EVERY == 0:
                self._tell("stats", len(self._lanes), self._engine.stats)

    def _open(self, number: int, host: str, port: int) -> None:
        assert self._engine is not None
        for descriptor in self._pipe.descriptors():
            self._ports.put(descriptor)
        self._ports.choose(port)
        try:
            lane = self._engine.open(host)
        except TelephonyError as error:
            log.warning("media.lane_failed", error=error.message)
            self._tell_of("on_lost", number)
            return
        self._lanes[number] = lane
        for name in LANE_FACTS:
            setattr(lane, name, partial(self._tell_of, name, number))

    def _sound(self, message: Message) -> None:
        number, rate, last = message.values
        pieces = self._pieces.setdefault(number, [])
        pieces.append(message.tail)
        if last:
            self._sounds[number] = Sound(b"".join(self._pieces.pop(number)), rate)

    # -- orders to lanes ------------------------------------------------------------------------

    def _order(self, name: str, message: Message) -> None:
        fields = message.row.fields
        given = dict(zip(fields, message.values, strict=True))
        tickets = [given[key] for key, kind in fields.items() if is_done(kind)]
        try:
            lane = self._lanes[message.lane]
            arguments = {key: self._argument(kind, given[key]) for key, kind in fields.items()}
            if name == "start":
                lane.start(**asdict(arguments["terms"]))
            else:
                getattr(lane, name)(**arguments)
        except (LookupError, TelephonyError) as error:
            # The lane could not be opened, or it cannot do this: the service settles it.
            log.warning("media.order_refused", order=name, error=str(error))
            for ticket in tickets:
                self._tell("refused", ticket)
            if name == "start" and (lost := self._lanes.pop(message.lane, None)) is not None:
                lost.close()
                self._tell_of("on_lost", message.lane)
        if name == "end":
            self._lanes.pop(message.lane, None)

    def _argument(self, kind: Any, value: Any) -> Any:
        match kind:
            case Ref.SOUND:
                return self._sounds[value]
            case Ref.LANE:
                return self._lanes[value]
            case Ref():
                return partial(self._tell, kind.value, value)
            case _:
                return value

    # -- facts ----------------------------------------------------------------------------------

    def _tell(self, name: str, *values: Any) -> None:
        if name in DROPPABLE and self._pipe.queued > MAX_BEHIND:
            return
        self._pipe.send(FACTS.encode(FACTS.row(name), *values))

    def _tell_of(self, name: str, lane: int, *values: Any) -> None:
        self._pipe.send(FACTS.encode(FACTS.row(name, of_lane=True), lane, *values))

    def _tell_quality(self, turn: int) -> None:
        for number, lane in self._lanes.items():
            if number % ROUND == turn:
                self._tell("quality", number, lane.quality())
