"""Business verifications."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.accounts.kyb import Kyb, KybForm, KybStatus
from telephony.store.database import Database
from telephony.store.tables import kyb_submissions

_COLUMNS = tuple(column.name for column in kyb_submissions.columns)


class KybSubmissions:
    """``KybStore`` over the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, organization: str) -> Kyb | None:
        query = sa.select(kyb_submissions).where(kyb_submissions.c.organization == organization)
        found = await self._read(query)
        return found[0] if found else None

    async def put(self, kyb: Kyb) -> None:
        row = {name: getattr(kyb, name) for name in _COLUMNS}
        row |= {"form": asdict(kyb.form), "status": kyb.status.value}
        statement = self._database.insert(kyb_submissions).values(row)
        statement = statement.on_conflict_do_update(index_elements=["organization"], set_=row)

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await self._database.write(work)

    async def find(self) -> list[Kyb]:
        order = (kyb_submissions.c.updated_at.desc(), kyb_submissions.c.organization)
        return await self._read(sa.select(kyb_submissions).order_by(*order))

    async def _read(self, query: sa.Select[Any]) -> list[Kyb]:
        async def work(connection: AsyncConnection) -> list[Kyb]:
            return [_kyb(row) for row in await connection.execute(query)]

        return await self._database.read(work)


def _kyb(row: sa.Row[Any]) -> Kyb:
    members = dict(row._mapping)
    members["status"] = KybStatus(members["status"])
    members["form"] = KybForm(**members["form"])
    return Kyb(**members)
