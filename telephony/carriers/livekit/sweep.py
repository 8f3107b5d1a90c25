"""Rooms that no webhook told of: callers who wait there, and calls that everybody has left.

A webhook may be late, doubled or lost, and the process that held a call may be gone. So the rooms
whose names are ours are listed every few seconds and looked into.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from telephony.base.errors import Unavailable
from telephony.carriers.livekit.desk import Desk
from telephony.carriers.livekit.leg import PEER
from telephony.carriers.livekit.wire import Party, party

log = structlog.get_logger("telephony.livekit")

MAX_LOOKS = 64
"""Rooms looked into at once."""


class Sweep:
    """``found(room, party)`` for each caller who is nobody's, once a look."""

    def __init__(
        self,
        desk: Desk,
        is_ours: Callable[[str, Party], bool],
        found: Callable[[str, Party], None],
        wanted: Callable[[], bool],
    ) -> None:
        """``is_ours``: whether this process has the caller. ``wanted``: whether to list at all."""
        self._desk = desk
        self._is_ours = is_ours
        self._found = found
        self._wanted = wanted
        self._alone: dict[str, float] = {}
        self._looking: set[str] = set()
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Until ``stop``."""
        away = False
        while not self._stopped.is_set():
            if self._wanted():
                try:
                    await self._once()
                    away = False
                except Unavailable as error:
                    if not away:
                        log.warning("livekit.away", error=error.message)
                    away = True
            try:
                async with asyncio.timeout(self._desk.config.sweep):
                    await self._stopped.wait()
            except TimeoutError:
                pass

    def stop(self) -> None:
        """List no more."""
        self._stopped.set()

    def look_at(self, room: str) -> None:
        """Look into one room now, whatever its name is."""
        if not self._stopped.is_set() and len(self._looking) < MAX_LOOKS:
            self._desk.spawn(self._look(room), f"look at {room}")

    async def _once(self) -> None:
        prefix = self._desk.config.prefix
        names = [name for name in await self._desk.service.rooms() if name.startswith(prefix)]
        self._alone = {room: since for room, since in self._alone.items() if room in set(names)}
        # In turn: of a thousand rooms of live calls none must keep a new caller waiting for long.
        for name in names:
            if self._stopped.is_set():
                return
            await self._look(name)

    async def _look(self, room: str) -> None:
        if room in self._looking:
            return
        self._looking.add(room)
        try:
            infos = await self._desk.service.parties(room)
        except Unavailable as error:
            log.info("livekit.room_unseen", error=error.message)
            return
        finally:
            self._looking.discard(room)
        callers = [one for one in map(party, infos) if one is not None]
        # Whoever of us is in the room, on whatever node, has its caller.
        if any(info.identity.startswith(PEER) for info in infos):
            self._alone.pop(room, None)
            return
        for one in callers:
            if not self._stopped.is_set() and not self._is_ours(room, one):
                self._found(room, one)
        if room.startswith(self._desk.config.prefix):
            await self._clear(room, callers)

    async def _clear(self, room: str, callers: list[Party]) -> None:
        """A caller in a room of ours where nobody has been for long hears silence, and pays."""
        if not callers or any(self._is_live(room, one) for one in callers):
            self._alone.pop(room, None)
            return
        since = self._alone.setdefault(room, self._desk.now)
        if self._desk.now - since < self._desk.config.orphan:
            return
        log.warning("livekit.orphan", callers=len(callers))
        del self._alone[room]
        await self._desk.service.delete(room)

    def _is_live(self, room: str, one: Party) -> bool:
        return self._is_ours(room, one)
