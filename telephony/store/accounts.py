"""The repository that trunks, phones and numbers share."""

from __future__ import annotations

from typing import Generic

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.base.errors import Conflict, NotFound, StoreUnavailable
from telephony.store.database import Database
from telephony.store.directory import Item, LiveDirectory, Noun
from telephony.store.secrets import Cipher


class Accounts(Generic[Item]):
    """``accounts.ports.Repository`` of one noun.

    The directory has read the change before the call that made it returns.
    """

    def __init__(
        self,
        database: Database,
        directory: LiveDirectory,
        cipher: Cipher,
        noun: Noun[Item],
        from_file: tuple[Item, ...],
    ) -> None:
        self._database = database
        self._directory = directory
        self._cipher = cipher
        self._noun = noun
        self._from_file = from_file
        self._taken = {noun.natural_key(item) for item in from_file}

    async def find(self, organization: str) -> list[Item]:
        """The file's first, then by creation."""
        table = self._noun.table
        rows = await self._rows(self._noun.query().where(table.c.organization == organization))
        mine = [item for item in self._from_file if item.organization == organization]
        return mine + [row for row in rows if self._noun.natural_key(row) not in self._taken]

    async def get(self, organization: str, item: str) -> Item | None:
        ours = self._of_file(item)
        if ours is not None:
            return ours if ours.organization == organization else None
        table = self._noun.table
        rows = await self._rows(
            sa.select(table).where(table.c.id == item, table.c.organization == organization)
        )
        return rows[0] if rows else None

    async def add(self, item: Item) -> None:
        if self._noun.natural_key(item) in self._taken:
            raise self._conflict(item)
        statement = sa.insert(self._noun.table).values(self._noun.row(item, self._cipher))
        await self._change(statement, item)

    async def replace(self, item: Item) -> None:
        """Raises ``NotFound`` where there is none to replace."""
        if self._of_file(item.id) is not None:
            raise self._read_only()
        if self._noun.natural_key(item) in self._taken:
            raise self._conflict(item)
        table = self._noun.table
        row = self._noun.row(item, self._cipher)
        statement = (
            sa.update(table)
            .where(table.c.id == item.id, table.c.organization == item.organization)
            .values({k: v for k, v in row.items() if k not in {"id", "organization"}})
        )
        if not await self._change(statement, item):
            raise NotFound("not found")

    async def remove(self, organization: str, item: str) -> bool:
        ours = self._of_file(item)
        if ours is not None:
            if ours.organization != organization:
                return False
            raise self._read_only()
        table = self._noun.table
        return await self._change(
            sa.delete(table).where(table.c.id == item, table.c.organization == organization)
        )

    async def _change(
        self, statement: sa.Insert | sa.Update | sa.Delete, item: Item | None = None
    ) -> bool:
        async def work(connection: AsyncConnection) -> int:
            changed = (await connection.execute(statement)).rowcount
            await self._directory.announce(connection)
            return changed

        try:
            changed = await self._database.write(work)
        except StoreUnavailable as error:
            if item is not None and isinstance(error.__cause__, IntegrityError):
                raise self._conflict(item) from error
            raise
        await self._directory.load()
        return bool(changed)

    async def _rows(self, query: sa.Select[tuple[object, ...]]) -> list[Item]:
        async def work(connection: AsyncConnection) -> list[Item]:
            found = await connection.execute(query)
            return [self._noun.item(row, self._cipher) for row in found]

        return await self._database.read(work)

    def _of_file(self, item: str) -> Item | None:
        return next((ours for ours in self._from_file if ours.id == item), None)

    def _conflict(self, item: Item) -> Conflict:
        noun = self._noun
        return Conflict(f"{noun.natural}: there is a {noun.word} {noun.natural_key(item)[-1]}")

    def _read_only(self) -> Conflict:
        return Conflict(f"this {self._noun.word} is made by the settings file: change it there")
