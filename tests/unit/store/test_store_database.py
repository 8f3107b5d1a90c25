"""The connection: its errors, its turns, and what cancelling does."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.base.errors import ConfigError, StoreUnavailable
from telephony.store import DatabaseConfig
from telephony.store.database import Database, parse_url


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/deep/down/t.db"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("sqlite:///var/t.db", "sqlite+aiosqlite:///var/t.db"),
        ("sqlite+aiosqlite:////a/t.db", "sqlite+aiosqlite:////a/t.db"),
        ("postgresql://u:p@db/t", "postgresql+asyncpg://u:p@db/t"),
    ],
)
def test_the_driver_is_ours_to_choose(given: str, meant: str) -> None:
    assert parse_url(given).render_as_string(hide_password=False) == meant


@pytest.mark.parametrize("url", ["", "no url", "mysql://x/y", "sqlite://", "sqlite:///:memory:"])
def test_a_url_that_cannot_be_used_is_a_setting_that_cannot(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_url(url)
    assert caught.value.field == "database_url"


def test_a_word_that_sqlite_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigError):
        DatabaseConfig(url="sqlite:///t.db", synchronous="OFF; DROP")


async def test_the_file_is_opened_as_promised(url: str) -> None:
    database = Database(url)
    await database.connect()

    async def pragmas(connection: AsyncConnection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [(await connection.execute(sa.text(f"PRAGMA {n}"))).scalar() for n in names]

    assert await database.read(pragmas) == ["wal", 1, 1, 5000]
    assert await database.write(pragmas) == ["wal", 1, 1, 5000]
    await database.close()


async def test_a_closed_database_says_so(url: str) -> None:
    database = Database(url)

    async def one(connection: AsyncConnection) -> object:
        return (await connection.execute(sa.text("SELECT 1"))).scalar()

    for work in (database.read, database.write):
        with pytest.raises(StoreUnavailable):
            await work(one)
    await database.connect()
    assert await database.read(one) == 1
    await database.close()
    for work in (database.read, database.write):
        with pytest.raises(StoreUnavailable):
            await work(one)


async def test_a_folder_that_cannot_be_made_is_the_store_being_away(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable):
        await Database(f"sqlite:///{tmp_path}/file/t.db").connect()


async def test_a_file_that_is_no_database_is_the_store_being_away(tmp_path: Path) -> None:
    (tmp_path / "t.db").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(StoreUnavailable):
        await Database(f"sqlite:///{tmp_path}/t.db").connect()


async def test_what_a_driver_raises_is_mapped_and_the_next_write_works(url: str) -> None:
    database = Database(url)
    await database.connect()

    async def broken(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("INSERT INTO nowhere VALUES (1)"))

    async def fine(connection: AsyncConnection) -> object:
        return (await connection.execute(sa.text("SELECT 2"))).scalar()

    with pytest.raises(StoreUnavailable, match="no such table") as caught:
        await database.write(broken)
    assert isinstance(caught.value.__cause__, sa.exc.OperationalError)
    with pytest.raises(StoreUnavailable):
        await database.read(broken)
    assert await database.write(fine) == 2
    await database.close()


async def test_a_write_that_raises_leaves_nothing(url: str) -> None:
    database = Database(url)
    await database.connect()

    async def half(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("CREATE TABLE half (x)"))
        raise KeyError("half-way")

    with pytest.raises(KeyError):
        await database.write(half)
    names = await database.read(lambda c: c.run_sync(lambda s: sa.inspect(s).get_table_names()))
    assert "half" not in names
    await database.close()


async def test_a_write_that_began_is_finished_though_nobody_waits(url: str) -> None:
    database = Database(url)
    await database.connect()
    began, go_on = asyncio.Event(), asyncio.Event()

    async def slow(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("CREATE TABLE slow (x)"))
        began.set()
        await go_on.wait()

    async def never(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("CREATE TABLE never (x)"))

    first = asyncio.ensure_future(database.write(slow))
    await began.wait()
    second = asyncio.ensure_future(database.write(never))
    await asyncio.sleep(0)
    for task in (first, second):
        task.cancel()
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    go_on.set()
    await database.close()
    await database.connect()
    names = await database.read(lambda c: c.run_sync(lambda s: sa.inspect(s).get_table_names()))
    await database.close()
    assert "slow" in names
    assert "never" not in names


async def test_a_database_that_another_process_holds_is_away_and_comes_back(url: str) -> None:
    database = Database(DatabaseConfig(url=url, busy_seconds=0.05))
    await database.connect()

    async def touch(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("DELETE FROM keys"))

    assert database.path is not None
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            await database.write(touch)
        other.execute("ROLLBACK")
    await database.write(touch)
    await database.close()


async def test_a_full_disk_is_the_store_being_away(url: str) -> None:
    database = Database(url)
    await database.connect()

    async def full(connection: AsyncConnection) -> None:
        pages = (await connection.execute(sa.text("PRAGMA page_count"))).scalar()
        await connection.execute(sa.text(f"PRAGMA max_page_count = {pages}"))
        await connection.execute(sa.text("CREATE TABLE big (x)"))
        await connection.execute(sa.text("INSERT INTO big VALUES (zeroblob(10000000))"))

    async def one(connection: AsyncConnection) -> object:
        return (await connection.execute(sa.text("SELECT 1"))).scalar()

    with pytest.raises(StoreUnavailable, match="full"):
        await database.write(full)
    assert await database.write(one) == 1
    await database.close()
