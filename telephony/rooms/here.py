"""Stays beside the calls, in this process: the SDK's threads are ours, and so is its memory."""

from __future__ import annotations

import asyncio
import contextlib
import weakref

from telephony.base.clock import Clock
from telephony.rooms.link import Link
from telephony.rooms.sdk import Sdk
from telephony.rooms.stay import Stay
from telephony.rooms.watch import LOOK_SECONDS


class Here:
    """Implements ``rooms.livekit.Host``. Nothing may fork after it was imported."""

    def __init__(self, clock: Clock, *, direct: bool | None = None) -> None:
        """``direct`` False: the SDK's stock path."""
        self._clock = clock
        self._direct = direct
        self._sdk: Sdk | None = None
        self._stays: weakref.WeakSet[Stay] = weakref.WeakSet()
        self._watch: asyncio.Task[None] | None = None

    @property
    def sdk(self) -> Sdk:
        assert self._sdk is not None
        return self._sdk

    async def start(self) -> None:
        self._sdk = Sdk(direct=self._direct)
        self._watch = asyncio.get_running_loop().create_task(self._look())

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch

    def ready(self) -> str | None:
        return None

    def open(self, link: Link) -> Stay:
        meeting = link.meeting
        stay = Stay(
            self.sdk,
            meeting.rate,
            self._clock.monotonic,
            link.told,
            alone=meeting.dispatch is None,
        )
        self._stays.add(stay)
        return stay

    def ticked(self) -> None:
        """The SDK has each frame already."""

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for stay in list(self._stays):
                stay.look()
