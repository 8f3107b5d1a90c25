"""Tenants."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.accounts.model import Organization
from telephony.store.database import Database
from telephony.store.tables import organizations


class Organizations:
    """``OrganizationStore`` over the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, organization: str) -> Organization | None:
        found = await self._read(sa.select(organizations).where(organizations.c.id == organization))
        return found[0] if found else None

    async def find(self) -> list[Organization]:
        """Oldest first."""
        order = (organizations.c.created_at, organizations.c.id)
        return await self._read(sa.select(organizations).order_by(*order))

    async def put(self, organization: Organization) -> None:
        """Make one, or rename it; when it was made stays."""
        row = {c.name: getattr(organization, c.name) for c in organizations.columns}
        statement = self._database.insert(organizations).values(row)
        statement = statement.on_conflict_do_update(
            index_elements=["id"], set_={"name": statement.excluded.name}
        )

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await self._database.write(work)

    async def _read(self, query: sa.Select[Any]) -> list[Organization]:
        async def work(connection: AsyncConnection) -> list[Organization]:
            return [Organization(**row._mapping) for row in await connection.execute(query)]

        return await self._database.read(work)
