"""All stays of one process, beside the SDK: opened, looked after once for all, counted."""

from __future__ import annotations

import asyncio
import contextlib

from telephony.base.clock import Clock
from telephony.rooms.figures import Figures
from telephony.rooms.sdk import Sdk
from telephony.rooms.stay import Stay
from telephony.rooms.staying import Tell
from telephony.rooms.watch import LOOK_SECONDS


class Stays:
    """``await start()`` first, ``await stop()`` last. Nothing may fork in between or after."""

    def __init__(self, clock: Clock, *, direct: bool | None = None) -> None:
        """``direct`` False: the SDK's stock path."""
        self._clock = clock
        self._direct = direct
        self._sdk: Sdk | None = None
        self._stays: set[Stay] = set()
        self._past = Figures()
        self._watch: asyncio.Task[None] | None = None

    @property
    def sdk(self) -> Sdk:
        assert self._sdk is not None
        return self._sdk

    async def start(self) -> None:
        self._sdk = Sdk(direct=self._direct)
        self._watch = asyncio.get_running_loop().create_task(self._look())

    async def stop(self) -> None:
        for stay in list(self._stays):
            stay.close()
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        # What was closed says so to the server first.
        await asyncio.sleep(0.05)

    def open(self, rate: int, tell: Tell, *, alone: bool) -> Stay:
        stay = Stay(self.sdk, rate, self._clock.monotonic, tell, alone=alone, closed=self._closed)
        self._stays.add(stay)
        return stay

    def figures(self) -> Figures:
        """Of every stay that was and is."""
        found = Figures()
        found.add(self._past)
        for stay in self._stays:
            found.add(stay.figures())
        return found

    def _closed(self, stay: Stay) -> None:
        if stay in self._stays:
            self._stays.discard(stay)
            last = stay.figures()
            last.depth = 0
            self._past.add(last)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for stay in list(self._stays):
                stay.look()
