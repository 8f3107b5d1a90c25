"""Data packets and keys of a leg on their way into a room, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from livekit import rtc

log = structlog.get_logger("telephony.rooms")

MAX_PACKETS = 64
"""That wait, for the room to be entered or for the server; the oldest leave first."""
CODES = "0123456789*#ABCD"
"""RFC 4733 has the codes of keys in this order."""
SECONDS = 5.0


class Outbox:
    """Kept until ``open``, nothing after ``close``."""

    def __init__(self, room: rtc.Room, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._room = room
        self._spawn = spawn
        self._waiting: list[tuple[bytes, str] | str] = []
        self._inside = False
        self._sending = False

    def data(self, data: bytes, topic: str) -> None:
        self._add((data, topic))

    def digits(self, digits: str) -> None:
        for digit in digits:
            if digit in CODES:
                self._add(digit)

    def open(self) -> None:
        """The room is entered."""
        self._inside = True
        self._begin()

    def close(self) -> None:
        """What waits is not sent."""
        self._inside = False
        self._waiting.clear()

    def _add(self, what: tuple[bytes, str] | str) -> None:
        self._waiting = [*self._waiting, what][-MAX_PACKETS:]
        self._begin()

    def _begin(self) -> None:
        if self._inside and self._waiting and not self._sending:
            self._sending = True
            self._spawn(self._send())

    async def _send(self) -> None:
        try:
            while self._waiting and self._inside:
                what = self._waiting.pop(0)
                async with asyncio.timeout(SECONDS):
                    await self._publish(what)
        except Exception as error:
            log.warning("rooms.not_sent", error=f"{type(error).__name__}: {error}"[:200])
        finally:
            self._sending = False
            if self._waiting and self._inside:
                self._begin()

    async def _publish(self, what: tuple[bytes, str] | str) -> None:
        us = self._room.local_participant
        if isinstance(what, str):
            await us.publish_dtmf(code=CODES.index(what), digit=what)
        else:
            await us.publish_data(what[0], reliable=True, topic=what[1])
