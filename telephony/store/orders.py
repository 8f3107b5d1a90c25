"""What one node asks of another that has a call: on PostgreSQL by NOTIFY, to whoever has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.store.database import Database
from telephony.store.tasks import finish, pause

log = structlog.get_logger("telephony.store.orders")

CHANNEL = "telephony_orders"
LOOK_SECONDS = 1.0


class Orders:
    """``CallElsewhere``. An SQLite file is one node's, so there is nobody to ask."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def end(self, call: str) -> bool:
        if self._database.sqlite:
            return False

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(_NOTIFY, {"channel": CHANNEL, "call": call})

        await self._database.write(work)
        return True

    def listen(self, end: Callable[[str], None]) -> None:
        """Until ``close``: ``end`` is called with every call that a node is asked to end."""
        if not self._database.sqlite:
            self._task = asyncio.create_task(self._run(end), name="orders")

    async def close(self) -> None:
        """Hear nothing more."""
        if self._task is not None:
            self._stop.set()
            await finish(self._task)
            self._task = None

    async def _run(self, end: Callable[[str], None]) -> None:
        def heard(connection: Any, process: int, channel: str, call: str) -> None:
            end(call)

        while not self._stop.is_set():
            try:
                async with self._database.listening() as connection:
                    await connection.add_listener(CHANNEL, heard)
                    while not connection.is_closed() and not self._stop.is_set():
                        await pause(self._stop, LOOK_SECONDS)
                    if not connection.is_closed():
                        await connection.remove_listener(CHANNEL, heard)
            except Exception as error:
                # Whatever the driver raises: calls are ended by their own node, and this goes on.
                log.warning("orders of other nodes are not heard", error=str(error)[:300])
            await pause(self._stop, LOOK_SECONDS)


_NOTIFY = sa.text("SELECT pg_notify(:channel, :call)").bindparams(
    sa.bindparam("channel", type_=sa.Text), sa.bindparam("call", type_=sa.Text)
)
