"""A room worker: stays beside the SDK, told what to do over the pipe, ending with its starter."""

from __future__ import annotations

import asyncio
import os
import socket
from functools import partial
from typing import Any

import structlog

from telephony.media.workers.messages import Message
from telephony.media.workers.pipe import Pipe
from telephony.rooms.stay import Stay
from telephony.rooms.stays import Stays
from telephony.rooms.workers.messages import FACTS, ORDERS
from telephony.rooms.workers.rings import HEARD, SAID, Rings
from telephony.system import SystemClock

log = structlog.get_logger("telephony.rooms.worker")

BEAT = 1.0
"""Seconds between two words of what is counted; the service takes long silence for death."""
BEFORE = 0.005
"""Seconds before a tick when what the room says is laid ready for it: so a frame that comes waits
for no second tick."""


class Child:
    """``await run()`` until the service says stop or is no more."""

    def __init__(self, end: socket.socket, *, direct: bool | None = None) -> None:
        self._clock = SystemClock()
        self._stays = Stays(self._clock, direct=direct)
        self._held: dict[int, tuple[int, int, Stay]] = {}
        self._rings: Rings | None = None
        self._over = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._pipe = Pipe(end, ORDERS, self._take, self._over.set)

    async def run(self) -> None:
        """Serve; everybody has left when this returns."""
        await self._over.wait()
        if self._task is not None:
            self._task.cancel()
        await self._stays.stop()
        self._pipe.close()

    def _take(self, message: Message) -> None:
        name, values = message.row.name, message.values
        match name:
            case "tick":
                self._tick(values[0])
            case "begin":
                self._begin()
            case "open":
                self._open(*values)
            case "stop":
                self._over.set()
            case _:
                held = self._held.get(values[0])
                if held is None:
                    return
                stay = held[2]
                match name:
                    case "enter":
                        stay.enter(*values[1:])
                    case "send":
                        stay.send(message.tail, values[1])
                    case "digits":
                        stay.send_digits(values[1])
                    case "mute":
                        stay.mute(values[1])
                    case "close":
                        del self._held[values[0]]
                        stay.close()

    def _begin(self) -> None:
        for descriptor in self._pipe.descriptors():
            self._rings = Rings(descriptor)
            os.close(descriptor)
        self._task = self._loop.create_task(self._serve())

    async def _serve(self) -> None:
        try:
            await self._stays.start()
            self._tell("ready", self._stays.sdk.direct)
            while True:
                await asyncio.sleep(BEAT)
                self._tell("figures", self._stays.figures())
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("rooms.worker_failed")
            self._over.set()

    def _open(self, number: int, row: int, rate: int, alone: bool) -> None:
        tell = partial(self._told, number)
        self._held[number] = (row, rate // 50, self._stays.open(rate, tell, alone=alone))

    def _tick(self, due: float) -> None:
        """What legs said goes out at once; what rooms say is laid ready just before the next."""
        rings = self._rings
        if rings is None:
            return
        for row, samples, stay in self._held.values():
            while (frame := rings.read(row, HEARD, samples)) is not None:
                stay.hear(frame)
        self._loop.call_later(max(0.0, due - BEFORE - self._clock.monotonic()), self._say)

    def _say(self) -> None:
        rings = self._rings
        if rings is None:
            return
        now = self._clock.monotonic()
        for row, _, stay in list(self._held.values()):
            frame = stay.say()
            if frame is not None:
                rings.write(row, SAID, frame, now)

    def _told(self, number: int, fact: str, *values: Any) -> None:
        if number in self._held:
            self._tell("told", number, fact, list(values))

    def _tell(self, name: str, *values: Any) -> None:
        self._pipe.send(FACTS.encode(FACTS.row(name), *values))
