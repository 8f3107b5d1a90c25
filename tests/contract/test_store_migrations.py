"""Migrations make the tables, undo them, and refuse what they do not know."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.base.errors import ConfigError
from telephony.store import migrate
from telephony.store.database import Database
from telephony.store.tables import metadata


def schema(connection: sa.Connection) -> list[str]:
    """What there is: every statement that SQLite remembers, white space aside, or PostgreSQL's
    tables."""
    if connection.dialect.name != "sqlite":
        return sorted(set(sa.inspect(connection).get_table_names()) - {"alembic_version"})
    rows = connection.execute(
        sa.text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name != :own"),
        {"own": "alembic_version"},
    )
    return sorted(" ".join(row.sql.replace('"', "").split()) for row in rows)


async def test_the_migrations_make_exactly_the_tables(url: str) -> None:
    database = Database(url)
    await database.connect()

    def compare(connection: sa.Connection) -> tuple[list[Any], list[str]]:
        # SQLAlchemy knows nothing of the indexes of words, and one is several tables on SQLite.
        opts: dict[str, Any] = {
            "compare_type": True,
            "include_name": lambda name, *_: (
                not str(name).startswith(("knowledge_words", "ix_knowledge_chunks_words"))
            ),
        }
        context = MigrationContext.configure(connection, opts=opts)
        return compare_metadata(context, metadata), schema(connection)

    differences, made = await database.read(lambda c: c.run_sync(compare))
    await database.close()
    assert differences == []
    if not database.sqlite:
        assert made == sorted(metadata.tables)
        return
    # What Alembic does not compare: defaults, partial indexes, constraints' names.
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        assert made == schema(connection)
    engine.dispose()


async def test_down_leaves_nothing_and_up_again_works(url: str) -> None:
    database = Database(url)
    await database.connect()
    await database.write(lambda c: migrate.downgrade(c, "base"))
    assert await database.read(lambda c: c.run_sync(schema)) == []
    assert await database.read(migrate.version) is None
    await database.write(migrate.upgrade)
    assert await database.read(migrate.version) == migrate.HEAD
    await database.close()


async def test_a_second_start_changes_nothing(url: str) -> None:
    for _ in range(2):
        database = Database(url)
        await database.connect()
        assert await database.read(migrate.version) == migrate.HEAD
        await database.close()


async def test_a_newer_database_is_refused_with_the_reason(url: str) -> None:
    database = Database(url)
    await database.connect()

    async def age(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    await database.write(age)
    await database.close()
    with pytest.raises(ConfigError, match=r"9999.*newer"):
        await Database(url).connect()


def test_the_head_is_the_newest_script() -> None:
    scripts = ScriptDirectory.from_config(migrate.alembic_config())
    assert scripts.get_heads() == [migrate.HEAD]
    assert {s.revision for s in scripts.walk_revisions()} == migrate.KNOWN
