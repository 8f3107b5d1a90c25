"""What one node asks of another that has a call: on PostgreSQL by NOTIFY, to whoever has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.base.errors import StoreUnavailable
from telephony.store.database import Database

CHANNEL = "telephony_orders"
LOOK_SECONDS = 1.0


class Orders:
    """``CallElsewhere``. An SQLite file is one node's, so there is nobody to ask."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def end(self, call: str) -> bool:
        if self._database.sqlite:
            return False

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(_NOTIFY, {"channel": CHANNEL, "call": call})

        await self._database.write(work)
        return True

    async def listen(self, end: Callable[[str], None]) -> None:
        """Until it is cancelled: ``end`` is called with every call that a node is asked to end."""

        def heard(connection: Any, process: int, channel: str, call: str) -> None:
            end(call)

        while not self._database.sqlite:
            try:
                async with self._database.listening() as connection:
                    await connection.add_listener(CHANNEL, heard)
                    try:
                        while not connection.is_closed():
                            await asyncio.sleep(LOOK_SECONDS)
                    finally:
                        if not connection.is_closed():
                            await connection.remove_listener(CHANNEL, heard)
            except StoreUnavailable:
                await asyncio.sleep(LOOK_SECONDS)


_NOTIFY = sa.text("SELECT pg_notify(:channel, :call)").bindparams(
    sa.bindparam("channel", type_=sa.Text), sa.bindparam("call", type_=sa.Text)
)
