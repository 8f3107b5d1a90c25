"""Which processes serve from this database: each has a row, and beats in it while it lives."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.store.database import Database
from telephony.store.tables import calls, nodes


class Nodes:
    """``NodeStore``. ``node`` names this process, and is the same after a restart."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node
        # Of this life of it: two processes of one name must not take each other for themselves.
        self._holder = secrets.token_hex(8)

    async def begin(self, now: datetime) -> None:
        row = self._database.insert(nodes).values(
            id=self._node, holder=self._holder, beats=0, started_at=now, beat_at=now
        )
        # On from where it was, so that whoever counts sees it move.
        ours = row.on_conflict_do_update(
            index_elements=["id"],
            set_={
                "holder": row.excluded.holder,
                "beats": nodes.c.beats + 1,
                "started_at": row.excluded.started_at,
                "beat_at": row.excluded.beat_at,
            },
        )

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(ours)

        await self._database.write(work)

    async def beat(self, now: datetime) -> bool:
        statement = (
            sa.update(nodes)
            .where(nodes.c.id == self._node, nodes.c.holder == self._holder)
            .values(beats=nodes.c.beats + 1, beat_at=now)
        )

        async def work(connection: AsyncConnection) -> bool:
            return (await connection.execute(statement)).rowcount == 1

        return await self._database.write(work)

    async def others(self) -> dict[str, int | None]:
        alive = sa.select(nodes.c.id, nodes.c.beats).where(nodes.c.id != self._node)
        # A name without a row: it stopped in good order and could not end a call, or was taken
        # for dead by somebody who died in turn.
        left = (
            sa.select(calls.c.node)
            .where(calls.c.live, calls.c.node.not_in(sa.select(nodes.c.id)))
            .distinct()
        )

        async def work(connection: AsyncConnection) -> dict[str, int | None]:
            found: dict[str, int | None] = {
                row.node: None for row in await connection.execute(left)
            }
            found |= {row.id: row.beats for row in await connection.execute(alive)}
            return found

        return await self._database.read(work)

    async def bury(self, dead: Collection[str]) -> None:
        gone = sa.delete(nodes).where(nodes.c.id.in_(dead))

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(gone)

        await self._database.write(work)

    async def end(self) -> None:
        statement = sa.delete(nodes).where(nodes.c.id == self._node, nodes.c.holder == self._holder)

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await self._database.write(work)
