"""Bring the tables to this version's form, or say why not.

Alembic is imported only where there is something to do: a start with tables of today reads
one row.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.base.errors import ConfigError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0002"
"""The newest migration; a test compares it with the scripts."""

_LOCK = 0x7E1E9409
"""Of PostgreSQL's advisory locks, until the transaction ends."""

KNOWN = frozenset({"0001", HEAD})


async def version(connection: AsyncConnection) -> str | None:
    """The migration that the tables are at; None for an empty database."""
    return await connection.run_sync(_version)


async def upgrade(connection: AsyncConnection, target: str = "head") -> None:
    """Run what is missing, inside the connection's transaction.

    Raises:
        ConfigError: the tables are of a newer version of this program.
    """
    at = await version(connection)
    if at == HEAD:
        return
    if connection.dialect.name == "postgresql":
        # Nodes that start at once on an empty database: one makes the tables, the rest wait.
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        at = await version(connection)
        if at == HEAD:
            return
    if at is not None and at not in KNOWN:
        raise ConfigError(
            f"the database is at migration {at}, which this version (newest {HEAD}) does not "
            "know: it was used by a newer one. Install that version, or restore a copy made "
            "before its first start",
            field="database_url",
        )
    await connection.run_sync(_upgrade, target)


async def downgrade(connection: AsyncConnection, target: str) -> None:
    """Undo migrations down to ``target`` (``base`` for all). Their rows are gone."""
    await connection.run_sync(_downgrade, target)


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    row = connection.execute(sa.text("SELECT version_num FROM alembic_version")).first()
    return None if row is None else str(row[0])


def alembic_config(connection: sa.Connection | None = None) -> Config:
    """Alembic's configuration for our scripts, on a connection where one is given."""
    from alembic.config import Config

    config = Config()
    folder = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: sa.Connection, target: str) -> None:
    from alembic import command

    command.upgrade(alembic_config(connection), target)


def _downgrade(connection: sa.Connection, target: str) -> None:
    from alembic import command

    command.downgrade(alembic_config(connection), target)
