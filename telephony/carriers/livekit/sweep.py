"""Rooms that no webhook told of: callers who wait there, and calls that everybody has left.

A webhook may be late, doubled or lost, and the process that held a call may be gone. So the rooms
whose names are ours are listed every few seconds and looked into.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from telephony.base.errors import Unavailable
from telephony.base.number import mask
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
        holds: Callable[[str], bool],
        has_seen: Callable[[str, Party], bool],
        found: Callable[[str, Party], None],
        wanted: Callable[[], bool],
    ) -> None:
        """``holds``: whether a leg of this process is in a room, which is one caller's: who comes
        in beside him talks with him, and is nobody's call. ``has_seen``: whether a caller was
        dealt with before. ``wanted``: whether to list at all."""
        self._desk = desk
        self._holds = holds
        self._has_seen = has_seen
        self._found = found
        self._wanted = wanted
        self._alone: dict[str, float] = {}
        self._elsewhere: dict[str, float] = {}
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
                except Exception:
                    # A fault of ours in one sweep must not keep every later caller waiting.
                    log.exception("livekit.sweep_failed")
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
            self._desk.spawn(self._look(room), f"look at {mask(room)}")

    async def _once(self) -> None:
        prefix = self._desk.config.prefix
        names = {name for name in await self._desk.service.rooms() if name.startswith(prefix)}
        for kept in (self._alone, self._elsewhere):
            for room in kept.keys() - names:
                del kept[room]
        for name in names:
            if self._stopped.is_set():
                return
            # What another node holds is asked after seldom: only its death is of interest.
            if not self._holds(name) and self._elsewhere.get(name, 0.0) <= self._desk.now:
                await self._look(name)

    async def _look(self, room: str) -> None:
        if room in self._looking or self._holds(room):
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
            self._elsewhere[room] = self._desk.now + self._desk.config.orphan / 2
            return
        for one in callers:
            if self._stopped.is_set() or self._holds(room):
                return
            if not self._has_seen(room, one):
                self._found(room, one)
        if room.startswith(self._desk.config.prefix):
            await self._clear(room, callers)

    async def _clear(self, room: str, callers: list[Party]) -> None:
        """A caller in a room of ours where nobody has been for long hears silence, and pays."""
        if not callers or self._holds(room):
            self._alone.pop(room, None)
            return
        since = self._alone.setdefault(room, self._desk.now)
        if self._desk.now - since < self._desk.config.orphan:
            return
        log.warning("livekit.orphan", callers=len(callers))
        del self._alone[room]
        await self._desk.service.delete(room)
