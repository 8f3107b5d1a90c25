"""The statements that run a thousand times a second: many rows each, on SQLite in one hop.

SQLite's driver lets go of the interpreter lock around every statement and crosses to its thread
for every call. A transaction of 64 events written row by row is 300 chances for the loop, which
also ticks, to wait; as a few statements of many rows, run in one call, it is ten.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.ext.asyncio import AsyncConnection

Row = tuple[Any, ...]

MOST_ROWS = 64
"""Rows a statement; times the columns of the widest table well under SQLite's 32,766 values."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An insert as text: what stands before the values, the values of a row, what comes after."""

    head: str
    values: str
    tail: str

    @property
    def text(self) -> str:
        """For one row."""
        return f"{self.head}{self.values}{self.tail}"

    def portions(self, rows: Sequence[Row]) -> Iterator[tuple[str, list[Any]]]:
        """Statements with their values. Their sizes are powers of two, so that the driver meets
        few different texts and has them all parsed."""
        at = 0
        while at < len(rows):
            size = min(MOST_ROWS, 1 << ((len(rows) - at).bit_length() - 1))
            text = f"{self.head}{', '.join([self.values] * size)}{self.tail}"
            yield text, [value for row in rows[at : at + size] for value in row]
            at += size


Puts = Sequence[tuple[Prepared, Sequence[Row]]]
"""Inserts in order, each with its rows."""


def prepare(statement: Insert, columns: Sequence[str], *, on_sqlite: bool) -> Prepared:
    """Compile once what SQLAlchemy would for each row: that costs four times what the database
    does. Rows are tuples of these columns."""
    dialect = sqlite.dialect() if on_sqlite else asyncpg.dialect()  # type: ignore[no-untyped-call]
    compiled = statement.compile(dialect=dialect)
    if list(compiled.positiontup or ()) != list(columns):
        raise ValueError(f"the statement takes {compiled.positiontup}, not {columns}")
    head, word, rest = str(compiled).partition(" VALUES ")
    values, bracket, tail = rest.partition(")")
    return Prepared(head + word, values + bracket, tail)


async def put_sqlite(connection: AsyncConnection, puts: Puts) -> None:
    """The transaction, begun and ended in one call to the driver's thread.

    Raises:
        sqlite3.Error: nothing was written.
    """
    raw = await connection.get_raw_connection()
    driver = cast(Any, raw.driver_connection)
    # Private, and the only door that takes more than one statement.
    await driver._execute(_transaction, driver._conn, puts)


def put_sync(connection: sa.Connection, puts: Puts) -> None:
    """The same on any other database, inside the transaction that is open."""
    for prepared, rows in puts:
        # Nothing to insert would be one execution without values.
        if rows:
            connection.exec_driver_sql(prepared.text, list(rows))


def _transaction(connection: sqlite3.Connection, puts: Puts) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for prepared, rows in puts:
            for text, values in prepared.portions(rows):
                connection.execute(text, values)
        connection.commit()
    except BaseException:
        # A full disk may have rolled it back already.
        if connection.in_transaction:
            connection.rollback()
        raise
