"""API keys, by their digests."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.accounts.model import Key, Scope
from telephony.base.errors import Conflict, StoreUnavailable
from telephony.store.database import Database
from telephony.store.tables import keys

TOUCH_EVERY = timedelta(minutes=1)
"""How exact ``last_used_at`` is: a write for each request would cost more than the request."""


class Keys:
    """``KeyStore`` over the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._touched: dict[str, datetime] = {}

    async def by_digest(self, digest: str) -> Key | None:
        found = await self._find(sa.select(keys).where(keys.c.digest == digest))
        return found[0] if found else None

    async def add(self, key: Key) -> None:
        """Raises ``Conflict`` where the id or the digest is there already."""
        row = {column.name: getattr(key, column.name) for column in keys.columns}
        row["scopes"] = " ".join(scope for scope in Scope if scope in key.scopes)

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(sa.insert(keys), [row])

        try:
            await self._database.write(work)
        except StoreUnavailable as error:
            if isinstance(error.__cause__, IntegrityError):
                raise Conflict("there is such a key already") from error
            raise

    async def find(self, organization: str | None = None) -> list[Key]:
        """Oldest first."""
        query = sa.select(keys).order_by(keys.c.created_at, keys.c.id)
        if organization is not None:
            query = query.where(keys.c.organization == organization)
        return await self._find(query)

    async def remove(self, key: str) -> bool:
        async def work(connection: AsyncConnection) -> int:
            return (await connection.execute(sa.delete(keys).where(keys.c.id == key))).rowcount

        self._touched.pop(key, None)
        return bool(await self._database.write(work))

    async def expire(self, key: str, at: datetime) -> bool:
        sooner = sa.or_(keys.c.expires_at.is_(None), keys.c.expires_at > at)
        statement = sa.update(keys).where(keys.c.id == key, sooner).values(expires_at=at)

        async def work(connection: AsyncConnection) -> bool:
            if (await connection.execute(statement)).rowcount:
                return True
            found = await connection.execute(sa.select(keys.c.id).where(keys.c.id == key))
            return found.first() is not None

        return await self._database.write(work)

    async def touch(self, key: str, now: datetime) -> None:
        """At most one write a minute and key."""
        last = self._touched.get(key)
        if last is not None and abs(now - last) < TOUCH_EVERY:
            return
        self._touched[key] = now
        statement = sa.update(keys).where(keys.c.id == key).values(last_used_at=now)

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await self._database.write(work)

    async def _find(self, query: sa.Select[Any]) -> list[Key]:
        async def work(connection: AsyncConnection) -> list[Key]:
            return [_key(row) for row in await connection.execute(query)]

        return await self._database.read(work)


def _key(row: sa.Row[Any]) -> Key:
    values = dict(row._mapping)
    return Key(**values | {"scopes": frozenset(map(Scope, values["scopes"].split()))})
