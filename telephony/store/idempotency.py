"""Answers by idempotency key: 24 hours, through restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.accounts.ports import Answer
from telephony.base.errors import Busy, Conflict, StoreUnavailable
from telephony.store.database import Database
from telephony.store.tables import callbacks, calls, idempotency

KEPT = timedelta(hours=24)
CODE = "IDEMPOTENCY_CONFLICT"


class Idempotency:
    """``IdempotencyStore`` over the database. ``holder`` names this process among its peers
    and is the same after a restart: what it had begun and not answered is then free again."""

    def __init__(self, database: Database, holder: str) -> None:
        self._database = database
        self._holder = holder
        self._freeing: set[asyncio.Task[None]] = set()

    async def recover(self, dead: Collection[str] = ()) -> int:
        """Settle the keys whose requests died with the last life of this process, or of the others
        that are named.

        Where what the request was to make is on disk, the key answers what was prepared; else
        nothing was sent, and it is free again. Returns how many there were.
        """
        holders = dead or (self._holder,)
        unanswered = (idempotency.c.status.is_(None), idempotency.c.holder.in_(holders))
        exists = sa.or_(
            idempotency.c.made.in_(sa.select(calls.c.id)),
            idempotency.c.made.in_(sa.select(callbacks.c.id)),
        )
        answered = (
            sa.update(idempotency)
            .where(*unanswered, exists)
            .values(status=idempotency.c.made_status)
        )
        freed = sa.delete(idempotency).where(*unanswered)

        async def work(connection: AsyncConnection) -> int:
            settled = (await connection.execute(answered)).rowcount
            return settled + (await connection.execute(freed)).rowcount

        return await self._database.write(work)

    async def begin(
        self, organization: str, key: str, body_hash: str, now: datetime
    ) -> Answer | None:
        """Two requests with one key never both get None."""
        work = asyncio.ensure_future(self._begin(organization, key, body_hash, now))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # Whoever asked is gone, and the key may just have become his.
            work.add_done_callback(lambda done: self._unwanted(done, organization, key))
            raise

    async def prepare(self, organization: str, key: str, made: str, answer: Answer) -> None:
        statement = (
            sa.update(idempotency)
            .where(*_is(organization, key))
            .values(made=made, made_status=answer.status, body=answer.body)
        )

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await self._database.write(work)

    async def finish(self, organization: str, key: str, answer: Answer) -> None:
        statement = (
            sa.update(idempotency)
            .where(*_is(organization, key))
            .values(status=answer.status, body=answer.body)
        )

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await self._database.write(work)

    async def forget(self, organization: str, key: str) -> None:
        await self._delete(*_is(organization, key), idempotency.c.status.is_(None))

    async def purge(self, before: datetime) -> int:
        """Rows begun before. Returns how many there were."""
        return await self._delete(idempotency.c.created_at < before)

    async def _begin(
        self, organization: str, key: str, body_hash: str, now: datetime
    ) -> Answer | None:
        mark = (
            self._database.insert(idempotency)
            .values(
                organization=organization,
                key=key,
                body_hash=body_hash,
                holder=self._holder,
                created_at=now,
            )
            .on_conflict_do_nothing(index_elements=["organization", "key"])
        )
        expired = sa.delete(idempotency).where(
            *_is(organization, key), idempotency.c.created_at <= now - KEPT
        )
        query = sa.select(idempotency).where(*_is(organization, key))

        async def work(connection: AsyncConnection) -> sa.Row[tuple[object, ...]] | None:
            await connection.execute(expired)
            if (await connection.execute(mark)).rowcount == 1:
                return None
            return (await connection.execute(query)).one()

        row = await self._database.write(work)
        if row is None:
            return None
        if row.body_hash != body_hash:
            raise Conflict("this Idempotency-Key was used with another body", code=CODE)
        if row.status is None:
            raise Busy("the first request with this Idempotency-Key is not over", code=CODE)
        return Answer(row.status, bytes(row.body))

    def _unwanted(self, done: asyncio.Task[Answer | None], organization: str, key: str) -> None:
        if not done.cancelled() and done.exception() is None and done.result() is None:
            task = asyncio.ensure_future(self._free(organization, key))
            self._freeing.add(task)
            task.add_done_callback(self._freeing.discard)

    async def _free(self, organization: str, key: str) -> None:
        try:
            await self.forget(organization, key)
        except StoreUnavailable:
            # The key is then free at the next start or after its 24 hours.
            return

    async def _delete(self, *conditions: sa.ColumnElement[bool]) -> int:
        async def work(connection: AsyncConnection) -> int:
            return (await connection.execute(sa.delete(idempotency).where(*conditions))).rowcount

        return await self._database.write(work)


def _is(organization: str, key: str) -> list[sa.ColumnElement[bool]]:
    return [idempotency.c.organization == organization, idempotency.c.key == key]
