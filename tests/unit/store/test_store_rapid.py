"""Statements of many rows: which, and all or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from telephony.base.errors import StoreUnavailable
from telephony.store.database import Database
from telephony.store.rapid import MOST_ROWS, Prepared

STATEMENT = Prepared("INSERT INTO t (a, b) VALUES ", "(?, ?)", " ON CONFLICT DO NOTHING")


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [(0, []), (1, [1]), (7, [4, 2, 1]), (64, [64]), (150, [64, 64, 16, 4, 2])],
)
def test_rows_go_in_powers_of_two(rows: int, sizes: list[int]) -> None:
    given = [(n, f"{n}") for n in range(rows)]
    portions = list(STATEMENT.portions(given))
    assert [text.count("(?, ?)") for text, _ in portions] == sizes
    assert all(size <= MOST_ROWS for size in sizes)
    assert [value for _, values in portions for value in values] == [v for r in given for v in r]


@pytest.fixture
async def database(tmp_path: Path):  # type: ignore[no-untyped-def]
    one = Database(f"sqlite:///{tmp_path}/t.db")
    await one.connect()
    await one.write(lambda c: c.execute(sa.text("CREATE TABLE t (a INTEGER NOT NULL, b TEXT)")))
    yield one
    await one.close()


async def count(database: Database) -> int:
    result = await database.read(lambda c: c.execute(sa.text("SELECT COUNT(*) FROM t")))
    found: int = result.scalar_one()
    return found


async def test_all_rows_or_none_and_the_connection_lives_on(database: Database) -> None:
    await database.put([(STATEMENT, [(n, "x") for n in range(100)]), (STATEMENT, [])])
    assert await count(database) == 100

    with pytest.raises(StoreUnavailable):
        await database.put([(STATEMENT, [(1, "y")]), (STATEMENT, [(None, "z")])])
    assert await count(database) == 100

    await database.put([(STATEMENT, [(1, "y")])])
    await database.write(lambda c: c.execute(sa.text("DELETE FROM t WHERE b = 'x'")))
    assert await count(database) == 1


async def test_a_closed_database_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await Database(f"sqlite:///{tmp_path}/t.db").put([])
