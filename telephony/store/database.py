"""The connection: opened once, migrated, its errors mapped at the border.

One connection writes and stays open; on SQLite that is also the only shape in which a second
writer never waits for the first inside a transaction. Reads take theirs from a pool.

A write that was begun is finished, whatever becomes of the task that asked for it: a driver
call that is cancelled half-way leaves a transaction whose fate nobody knows.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    InvalidRequestError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from telephony.base.errors import ConfigError, StoreUnavailable
from telephony.store import migrate
from telephony.store.rapid import Prepared, Puts, prepare, put_sqlite, put_sync
from telephony.store.tables import dump_json

T = TypeVar("T")

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
_WRITES = "telephony_writes"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseConfig:
    """``url``: ``sqlite:///<path>`` or ``postgresql://…``; the driver's name may be left out.

    ``synchronous`` is SQLite's. With a write-ahead log ``NORMAL`` keeps every committed row when
    the process is killed (the pages are with the kernel by then) and may lose the last
    few when the power goes; ``FULL`` waits for the disk at each commit.
    ``busy_seconds``: how long SQLite waits for another process's write. ``readers``: the pool.
    """

    url: str
    synchronous: str = "NORMAL"
    busy_seconds: float = 5.0
    readers: int = 4

    def __post_init__(self) -> None:
        if self.synchronous not in {"NORMAL", "FULL"}:
            raise ConfigError("synchronous must be NORMAL or FULL", field="synchronous")


def parse_url(text: str) -> URL:
    """The URL with its asynchronous driver.

    Raises:
        ConfigError: not a URL, or of a database that is not supported.
    """
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise ConfigError("database_url is not a database URL", field="database_url") from error
    backend = url.get_backend_name()
    if backend not in _DRIVERS:
        raise ConfigError(
            f"database_url: {backend} is not supported; use sqlite or postgresql",
            field="database_url",
        )
    if backend == "sqlite" and url.database in (None, "", ":memory:"):
        raise ConfigError("database_url: SQLite needs a file", field="database_url")
    return url.set(drivername=_DRIVERS[backend])


@contextmanager
def wrap() -> Iterator[None]:
    """Map what drivers raise to ``StoreUnavailable``; the cause is kept."""
    try:
        yield
    except (DBAPIError, PoolTimeout, InvalidRequestError, OSError, sqlite3.Error) as error:
        origin = getattr(error, "orig", None) or error
        raise StoreUnavailable(f"the database does not answer: {origin}") from error


class Database:
    """``connect`` first, ``close`` last; ``read`` and ``write`` in between."""

    def __init__(self, config: DatabaseConfig | str) -> None:
        self.config = DatabaseConfig(url=config) if isinstance(config, str) else config
        self.url = parse_url(self.config.url)
        self._engine: AsyncEngine | None = None
        self._writer: AsyncConnection | None = None
        self._turn = asyncio.Lock()
        self._writes: set[asyncio.Task[Any]] = set()
        self._closing = False

    @property
    def sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    def insert(self, table: sa.Table) -> Insert:
        """An insert of the dialect, which knows ON CONFLICT."""
        return cast(Insert, (sqlite if self.sqlite else postgresql).insert(table))

    def prepare(self, statement: Insert, columns: Sequence[str]) -> Prepared:
        """A statement for ``put``, taking tuples of these columns."""
        return prepare(statement, columns, on_sqlite=self.sqlite)

    @property
    def path(self) -> Path | None:
        """The file of an SQLite database."""
        return Path(str(self.url.database)) if self.sqlite else None

    # --- life ------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Open, and bring the tables to this version's form.

        Raises:
            StoreUnavailable: no answer, or the file cannot be opened.
            ConfigError: the database belongs to a newer version of this program.
        """
        if self.path is not None:
            with wrap():
                self.path.parent.mkdir(parents=True, exist_ok=True)
        self._closing = False
        self._engine = _engine(self.url, self.config)
        try:
            await self.write(migrate.upgrade)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish the writes that were begun and close every connection."""
        self._closing = True
        while self._writes:
            await asyncio.wait(set(self._writes))
        async with self._turn:
            await self._drop_writer()
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None

    # --- work ------------------------------------------------------------------------------

    async def read(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run statements that change nothing, each in a transaction of its own."""
        engine = self._engine
        if engine is None or self._closing:
            raise StoreUnavailable("the database is closed")
        with wrap():
            async with engine.connect() as connection:
                if not self.sqlite:
                    # SQLite's connections begin nothing by themselves (_tune_sqlite).
                    await connection.execution_options(isolation_level="AUTOCOMMIT")
                return await work(connection)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Any]:
        """asyncpg's own connection, one more than the pool's, for LISTEN. PostgreSQL only.

        Raises:
            StoreUnavailable: no answer.
        """
        if self._engine is None or self._closing:
            raise StoreUnavailable("the database is closed")
        with wrap():
            async with self._engine.connect() as connection:
                raw = await connection.get_raw_connection()
                yield raw.driver_connection

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run one transaction, after those that were asked for before it.

        Cancelling the caller does not undo it once it has begun.

        Raises:
            StoreUnavailable: the database does not take it. Where a constraint refused it, the
                cause is ``sqlalchemy.exc.IntegrityError``.
            Exception: what ``work`` raised, after everything was rolled back.
        """
        return await self._in_turn(lambda: self._transaction(work))

    async def put(
        self, puts: Puts, then: Callable[[AsyncConnection], Awaitable[None]] | None = None
    ) -> None:
        """Insert rows, all of them or none. As ``write``, and several times as fast on SQLite.

        ``then`` is the transaction's last work, on PostgreSQL only.

        Raises:
            StoreUnavailable: the database does not take them.
        """
        if self.sqlite:
            await self._in_turn(lambda: self._put(puts))
        else:
            await self.write(lambda connection: _put_all(connection, puts, then))

    async def _in_turn(self, begin: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._engine is None or self._closing:
            raise StoreUnavailable("the database is closed")
        # Whoever gives up while he waits for his turn has changed nothing.
        await self._turn.acquire()
        task = asyncio.ensure_future(begin())
        self._writes.add(task)
        task.add_done_callback(self._written)
        return await asyncio.shield(task)

    def _written(self, task: asyncio.Task[Any]) -> None:
        self._turn.release()
        self._writes.discard(task)
        # Looked at here, because nobody else does where the caller was cancelled.
        if not task.cancelled():
            task.exception()

    async def _transaction(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        with wrap():
            try:
                connection = await self._open_writer()
                async with connection.begin():
                    return await work(connection)
            except IntegrityError:
                raise
            except (DBAPIError, InvalidRequestError, OSError):
                await self._drop_writer()
                raise

    async def _put(self, puts: Puts) -> None:
        with wrap():
            try:
                await put_sqlite(await self._open_writer(), puts)
            except ValueError as error:
                # What the driver says of a connection that is no longer open.
                await self._drop_writer()
                raise StoreUnavailable(f"the database does not answer: {error}") from error
            except (sqlite3.Error, DBAPIError, InvalidRequestError, OSError):
                await self._drop_writer()
                raise

    async def _open_writer(self) -> AsyncConnection:
        if self._writer is None:
            if self._engine is None or self._closing:
                raise StoreUnavailable("the database is closed")
            connection = self._engine.connect()
            await connection.start()
            self._writer = await connection.execution_options(**{_WRITES: True})
        return self._writer

    async def _drop_writer(self) -> None:
        connection, self._writer = self._writer, None
        if connection is None:
            return
        try:
            await connection.close()
        except (SQLAlchemyError, OSError):
            # It is given up because it is broken; what matters is that the next one is new.
            await connection.invalidate()


async def _put_all(
    connection: AsyncConnection,
    puts: Puts,
    then: Callable[[AsyncConnection], Awaitable[None]] | None,
) -> None:
    await connection.run_sync(put_sync, puts)
    if then is not None:
        await then(connection)


def _engine(url: URL, config: DatabaseConfig) -> AsyncEngine:
    # Beside the readers the one that writes, and the three that listen.
    options: dict[str, Any] = {"json_serializer": dump_json, "pool_size": config.readers + 4}
    if url.get_backend_name() == "sqlite":
        options["connect_args"] = {"timeout": config.busy_seconds}
    else:
        options["pool_pre_ping"] = True
    engine = create_async_engine(url, **options)
    if url.get_backend_name() == "sqlite":
        _tune_sqlite(engine, config)
    return engine


def _tune_sqlite(engine: AsyncEngine, config: DatabaseConfig) -> None:
    pragmas = (
        "journal_mode = WAL",
        f"synchronous = {config.synchronous}",
        f"busy_timeout = {int(config.busy_seconds * 1000)}",
        "foreign_keys = ON",
        "temp_store = MEMORY",
        "cache_size = -16000",
    )

    @sa.event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, record: object) -> None:
        # The driver's own idea of transactions is switched off: it begins one only before the
        # first change, so that a read before it would make the write fail with SQLITE_BUSY.
        connection.isolation_level = None
        try:
            cursor = connection.cursor()
            for pragma in pragmas:
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()
        except BaseException:
            # The pool has not seen it yet, and nobody else would end its thread.
            connection.close()
            raise

    @sa.event.listens_for(engine.sync_engine, "begin")
    def began(connection: sa.Connection) -> None:
        if connection.get_execution_options().get(_WRITES):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
