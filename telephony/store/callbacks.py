"""Promised calls: a queue with leases, and its readers.

A row is claimed by one statement that also sets the lease; the lease's end is the fencing
token. Who comes back after it ran out finds that the token is no longer the row's, and is told.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.base.errors import Conflict
from telephony.calls.callback import Callback, CallbackStatus
from telephony.store.database import Database
from telephony.store.tables import callbacks

_COLUMNS = tuple(column.name for column in callbacks.columns)


class Callbacks:
    """``CallbackQueue``, ``CallbackReader`` and ``NextDue`` over the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- the queue -------------------------------------------------------------------------

    async def add(self, callback: Callback) -> None:
        """Adding the same callback again changes nothing."""
        statement = self._database.insert(callbacks).on_conflict_do_nothing(index_elements=["id"])

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement, [_row(callback)])

        await self._database.write(work)

    async def claim(self, now: datetime, lease_seconds: float) -> Callback | None:
        """Also takes a row whose holder died between claiming and the attempt: its lease ran
        out, and nothing was sent."""
        c = callbacks.c
        due = (
            sa.select(c.id)
            .where(
                sa.or_(
                    sa.and_(c.status == CallbackStatus.SCHEDULED.value, c.scheduled_at <= now),
                    sa.and_(
                        c.status == CallbackStatus.DISPATCHING.value,
                        c.attempted_at.is_(None),
                        c.lease_until <= now,
                    ),
                )
            )
            .order_by(c.scheduled_at, c.id)
            .limit(1)
        )
        if not self._database.sqlite:
            due = due.with_for_update(skip_locked=True)
        statement = (
            sa.update(callbacks)
            .where(c.id == due.scalar_subquery())
            .values(
                status=CallbackStatus.DISPATCHING.value,
                lease_until=now + timedelta(seconds=lease_seconds),
                attempted_at=None,
                updated_at=now,
            )
            .returning(*callbacks.columns)
        )

        async def work(connection: AsyncConnection) -> Callback | None:
            row = (await connection.execute(statement)).first()
            return None if row is None else _callback(row)

        return await self._database.write(work)

    async def attempt(self, callback: Callback, session: str, now: datetime) -> None:
        """Writing the same attempt again changes nothing.

        Raises:
            Conflict: the lease ran out, or the row is another's.
        """
        c = callbacks.c
        statement = (
            sa.update(callbacks)
            .where(
                *_held(callback),
                c.lease_until > now,
                sa.or_(c.attempted_at.is_(None), c.created_session == session),
            )
            .values(
                attempts=callback.attempts + 1,
                attempted_at=now,
                created_session=session,
                updated_at=now,
            )
        )
        await self._change(statement, callback)

    async def settle(
        self, callback: Callback, status: CallbackStatus, cause: str | None, now: datetime
    ) -> None:
        """From the status and lease that ``callback`` shows.

        Raises:
            Conflict: the row has moved on since ``callback`` was read.
        """
        values: dict[str, Any] = {
            "status": status.value,
            "failure_cause": cause,
            "lease_until": None,
            "updated_at": now,
        }
        if status is CallbackStatus.DISPATCHED:
            values["dispatched_at"] = now
        elif status is CallbackStatus.CANCELLED:
            values["cancelled_at"] = now
        elif status is CallbackStatus.SCHEDULED:
            # Put back: the attempt sent nothing, and the call it would have made is none.
            values |= {"attempted_at": None, "created_session": None}
        statement = sa.update(callbacks).where(*_held(callback)).values(**values)
        await self._change(statement, callback)

    async def cancel(
        self, organization: str, callback: str, reason: str | None, now: datetime
    ) -> Callback | None:
        c = callbacks.c
        mine = (c.id == callback, c.organization == organization)
        values: dict[str, Any] = {
            "status": CallbackStatus.CANCELLED.value,
            "lease_until": None,
            "cancelled_at": now,
            "updated_at": now,
        }
        # What decides is in the update itself: a claim or an attempt that comes between the two
        # statements must not be overwritten.
        statement = (
            sa.update(callbacks)
            .where(
                *mine,
                sa.or_(
                    c.status == CallbackStatus.SCHEDULED.value,
                    sa.and_(c.status == CallbackStatus.DISPATCHING.value, c.attempted_at.is_(None)),
                ),
            )
            .returning(*callbacks.columns)
        )

        async def work(connection: AsyncConnection) -> Callback | None:
            found = (await connection.execute(sa.select(callbacks).where(*mine))).first()
            if found is None:
                return None
            if reason is not None:
                values["metadata"] = {**found.metadata, "cancel_reason": reason}
            row = (await connection.execute(statement.values(**values))).first()
            if row is None:
                raise not_cancellable(_callback(found))
            return _callback(row)

        return await self._database.write(work)

    async def abandoned(self, now: datetime) -> list[Callback]:
        """Of leases that have run out: whoever still holds one may be dialing."""
        c = callbacks.c
        query = (
            sa.select(callbacks)
            .where(
                c.status == CallbackStatus.DISPATCHING.value,
                c.attempted_at.is_not(None),
                c.lease_until <= now,
            )
            .order_by(c.scheduled_at, c.id)
        )
        return await self._find(query)

    async def next_due(self) -> datetime | None:
        """The earliest of what is scheduled and of the leases that may run out."""
        c = callbacks.c
        query = sa.select(
            sa.select(sa.func.min(c.scheduled_at))
            .where(c.status == CallbackStatus.SCHEDULED.value)
            .scalar_subquery(),
            sa.select(sa.func.min(c.lease_until))
            .where(c.status == CallbackStatus.DISPATCHING.value)
            .scalar_subquery(),
        )

        async def work(connection: AsyncConnection) -> list[datetime]:
            row = (await connection.execute(query)).one()
            return [moment for moment in row if moment is not None]

        return min(await self._database.read(work), default=None)

    # --- readers ---------------------------------------------------------------------------

    async def get(self, organization: str, callback: str) -> Callback | None:
        c = callbacks.c
        found = await self._find(
            sa.select(callbacks).where(c.id == callback, c.organization == organization)
        )
        return found[0] if found else None

    async def find(
        self,
        organization: str,
        limit: int,
        status: CallbackStatus | None = None,
        source_session: str | None = None,
    ) -> list[Callback]:
        """Newest first."""
        c = callbacks.c
        query = (
            sa.select(callbacks)
            .where(c.organization == organization)
            .order_by(c.created_at.desc(), c.id.desc())
            .limit(limit)
        )
        if status is not None:
            query = query.where(c.status == status.value)
        if source_session is not None:
            query = query.where(c.source_session == source_session)
        return await self._find(query)

    async def _find(self, query: sa.Select[Any]) -> list[Callback]:
        async def work(connection: AsyncConnection) -> list[Callback]:
            return [_callback(row) for row in await connection.execute(query)]

        return await self._database.read(work)

    async def _change(self, statement: sa.Update, callback: Callback) -> None:
        async def work(connection: AsyncConnection) -> int:
            return (await connection.execute(statement)).rowcount

        if not await self._database.write(work):
            raise Conflict(f"callback {callback.id} is no longer {callback.status.value}")


def not_cancellable(callback: Callback) -> Conflict:
    """Too late: ``callback`` as it was found."""
    now = "being dialed" if callback.status is CallbackStatus.DISPATCHING else callback.status.value
    return Conflict(f"the callback cannot be cancelled: it is {now}")


def _held(callback: Callback) -> list[sa.ColumnElement[bool]]:
    c = callbacks.c
    return [
        c.id == callback.id,
        c.status == callback.status.value,
        c.lease_until.is_not_distinct_from(callback.lease_until),
    ]


def _row(callback: Callback) -> dict[str, Any]:
    row = {name: getattr(callback, name) for name in _COLUMNS}
    row["status"] = callback.status.value
    return row


def _callback(row: sa.Row[Any]) -> Callback:
    members = dict(row._mapping)
    members["status"] = CallbackStatus(members["status"])
    return Callback(**members)
