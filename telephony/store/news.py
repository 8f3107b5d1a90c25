"""What another process changes of the directory is read again here, as it commits.

PostgreSQL tells. SQLite serves one process, which reads its own changes at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import structlog

from telephony.store.database import Database
from telephony.store.directory import CHANNEL, LiveDirectory
from telephony.store.tasks import finish, pause

CHECK_SECONDS = 1.0
RETRY_SECONDS = 1.0

log = structlog.get_logger("telephony.store.news")


class News:
    """``start`` when the service starts, ``close`` when it ends."""

    def __init__(self, database: Database, directory: LiveDirectory) -> None:
        self._database = database
        self._directory = directory
        self._said: set[str] = set()
        self._rung = asyncio.Event()
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Listen from now on."""
        if not self._database.sqlite:
            self._task = asyncio.create_task(self._run(), name="news")

    async def close(self) -> None:
        if self._task is not None:
            self._stop.set()
            self._rung.set()
            await finish(self._task)
            self._task = None

    async def _run(self) -> None:
        while not self._stop.is_set():
            try:
                await self._listen()
            except Exception as error:
                # Whatever the driver raises: the picture stays as it is, and this goes on.
                log.warning("the directory is not read again", error=str(error)[:300])
            await pause(self._stop, RETRY_SECONDS)

    async def _listen(self) -> None:
        async with self._database.listening() as connection:
            await connection.add_listener(CHANNEL, self._hear)
            try:
                # What was written while nobody listened.
                await self._directory.load()
                await self._directory.agents.load()
                while not connection.is_closed() and not self._stop.is_set():
                    await self._follow()
            finally:
                if not connection.is_closed():
                    await connection.remove_listener(CHANNEL, self._hear)

    async def _follow(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CHECK_SECONDS):
                await self._rung.wait()
        self._rung.clear()
        # Many changes at once are read once.
        said, self._said = self._said, set()
        await self._directory.again(said)

    def _hear(self, connection: Any, process: int, channel: str, said: str) -> None:
        self._said.add(said)
        self._rung.set()
