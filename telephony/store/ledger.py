"""Entries of the ledger. Charges are written with their report, in ``calls.py``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.base.clock import iso, parse_iso
from telephony.base.errors import BadInput
from telephony.calls.money import CREDITS, Entry, Kind, Posting
from telephony.calls.ports import Balance, Used
from telephony.store.database import Database
from telephony.store.tables import call_reports, ledger_entries

_AFTER = "~"


class Ledger:
    """``LedgerStore`` over the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def post(self, posting: Posting) -> None:
        statement = self._database.insert(ledger_entries).on_conflict_do_nothing(
            index_elements=["posting", "account"]
        )
        rows = [_row(entry) for entry in posting.entries]

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement, rows)

        await self._database.write(work)

    async def balance(self, organization: str) -> Balance:
        c = ledger_entries.c
        query = sa.select(sa.func.sum(c.amount), sa.func.max(c.created_at)).where(
            c.organization == organization, c.account == CREDITS
        )
        (row,) = await self._read(query)
        return Balance(int(row[0] or 0), row[1])

    async def page(
        self, organization: str, kind: Kind | None, limit: int, cursor: str | None
    ) -> tuple[list[Entry], str | None]:
        c = ledger_entries.c
        query = (
            sa.select(ledger_entries)
            .where(c.organization == organization, c.account == CREDITS, c.amount != 0)
            .order_by(c.created_at.desc(), c.posting.desc())
            .limit(limit + 1)
        )
        if kind is not None:
            query = query.where(c.kind == kind.value)
        if cursor is not None:
            at, last = read_cursor(cursor)
            query = query.where(
                sa.or_(c.created_at < at, sa.and_(c.created_at == at, c.posting < last))
            )
        return cut([_entry(row) for row in await self._read(query)], limit)

    async def used(self, organization: str, since: datetime, until: datetime) -> list[Used]:
        c = ledger_entries.c
        query = (
            sa.select(c.provider, c.metric, sa.func.sum(c.quantity), -sa.func.sum(c.amount))
            .where(
                c.organization == organization,
                c.account == CREDITS,
                c.kind == Kind.DEBIT.value,
                c.created_at >= since,
                c.created_at < until,
            )
            .group_by(c.provider, c.metric)
            .order_by(c.provider, c.metric)
        )
        return [
            Used(
                provider=provider or "",
                metric=metric or "",
                quantity=int(quantity),
                cost_micro_usd=int(cost),
            )
            for provider, metric, quantity, cost in await self._read(query)
        ]

    async def talked(self, organization: str, since: datetime, until: datetime) -> tuple[int, int]:
        c = call_reports.c
        length = c.report["timings"]["duration_ms"].as_integer()
        query = sa.select(sa.func.count(), sa.func.sum(length)).where(
            c.organization == organization, c.created_at >= since, c.created_at < until
        )
        (row,) = await self._read(query)
        return int(row[0]), int(row[1] or 0)

    async def _read(self, query: sa.Select[Any]) -> list[Any]:
        async def work(connection: AsyncConnection) -> list[Any]:
            return list(await connection.execute(query))

        return await self._database.read(work)


# --- pages -----------------------------------------------------------------------------------


def cut(found: list[Entry], limit: int) -> tuple[list[Entry], str | None]:
    """A page of at most ``limit`` of one entry more than that, newest first, and its cursor.

    The cursor is the last row's time, so the page ends where a millisecond ends; only where one
    alone fills the page does the cursor say as well which entry of it was the last.
    """
    if len(found) <= limit:
        return found, None
    following, page = found[limit].created_at, found[:limit]
    whole = [entry for entry in page if entry.created_at != following]
    if whole:
        return whole, iso(whole[-1].created_at)
    return page, f"{iso(following)}{_AFTER}{page[-1].posting}"


def read_cursor(cursor: str) -> tuple[datetime, str]:
    """Where the next page begins: before this time, or in it before this posting.

    Raises:
        BadInput: it is no time.
    """
    text, _, posting = cursor.partition(_AFTER)
    try:
        return parse_iso(text.replace(" ", "+")), posting
    except (ValueError, OverflowError) as error:
        raise BadInput("cursor: must be the createdAt of a row", field="cursor") from error


def _row(entry: Entry) -> dict[str, Any]:
    return {c.name: getattr(entry, c.name) for c in ledger_entries.columns} | {
        "kind": entry.kind.value
    }


def _entry(row: sa.Row[Any]) -> Entry:
    members = dict(row._mapping)
    members["kind"] = Kind(members["kind"])
    return Entry(**members)
