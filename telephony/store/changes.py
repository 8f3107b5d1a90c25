"""Who waits for news of a call learns of every write, in this process or another.

Writes of this process are told at once. Those of others: PostgreSQL is asked to notify; of SQLite
it is asked, a few times a second and only while somebody waits, whether its file has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.base.errors import StoreUnavailable
from telephony.store.database import Database
from telephony.store.tasks import finish, pause

CHANNEL = "telephony_calls"
POLL_SECONDS = 0.25
RETRY_SECONDS = 1.0

Told = Callable[[], None]


class LiveChanges:
    """``Changes`` over the database. ``close`` ends what it began."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watchers: dict[str, set[Told]] = {}
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    def watch(self, session: str, changed: Told) -> Callable[[], None]:
        self._watchers.setdefault(session, set()).add(changed)
        if self._task is None or self._task.done():
            work = self._poll() if self._database.sqlite else self._listen()
            self._task = asyncio.create_task(work, name="changes")

        def stop() -> None:
            watchers = self._watchers.get(session, set())
            watchers.discard(changed)
            if not watchers:
                self._watchers.pop(session, None)

        return stop

    def wrote(self, sessions: Iterable[str]) -> None:
        """This process has committed something of these calls."""
        for session in sessions:
            self._tell(session)

    async def announce(self, connection: AsyncConnection, sessions: Sequence[str]) -> None:
        """Part of the transaction that writes: other processes hear of it when it commits."""
        if not self._database.sqlite:
            values = {"channel": CHANNEL, "sessions": list(sessions)}
            await connection.execute(_NOTIFY, values)

    async def close(self) -> None:
        if self._task is not None:
            self._stop.set()
            await finish(self._task)
            self._task = None
            self._stop.clear()

    # -- inside ---------------------------------------------------------------------------------

    @property
    def _wanted(self) -> bool:
        return bool(self._watchers) and not self._stop.is_set()

    def _tell(self, session: str) -> None:
        for changed in list(self._watchers.get(session, ())):
            changed()

    def _tell_all(self) -> None:
        for session in list(self._watchers):
            self._tell(session)

    async def _poll(self) -> None:
        seen: int | None = None
        while self._wanted:
            try:
                # Of the connection that writes: its own commits leave this number alone.
                version = await self._database.write(_version)
            except StoreUnavailable:
                await pause(self._stop, RETRY_SECONDS)
                continue
            if version != seen:
                seen = version
                self._tell_all()
            await pause(self._stop, POLL_SECONDS)

    async def _listen(self) -> None:
        while self._wanted:
            try:
                async with self._database.listening() as connection:
                    await connection.add_listener(CHANNEL, self._heard)
                    # What was written while nobody listened.
                    self._tell_all()
                    while self._wanted and not connection.is_closed():
                        await pause(self._stop, POLL_SECONDS)
                    if not connection.is_closed():
                        await connection.remove_listener(CHANNEL, self._heard)
            except StoreUnavailable:
                await pause(self._stop, RETRY_SECONDS)

    def _heard(self, connection: Any, process: int, channel: str, session: str) -> None:
        self._tell(session)


_NOTIFY = sa.text(
    "SELECT pg_notify(:channel, session) FROM unnest(:sessions) AS session"
).bindparams(
    sa.bindparam("sessions", type_=sa.ARRAY(sa.Text)),
    sa.bindparam("channel", type_=sa.Text),
)


async def _version(connection: AsyncConnection) -> int:
    return int((await connection.exec_driver_sql("PRAGMA data_version")).scalar_one())
