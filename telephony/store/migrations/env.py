"""Alembic's environment: runs on the connection that store/migrate.py hands over."""

from __future__ import annotations

from alembic import context

from telephony.store.tables import metadata


def run() -> None:
    connection = context.config.attributes["connection"]
    if connection is None:
        # Only ``alembic revision`` by hand comes here; it needs the scripts and no database.
        context.configure(url="sqlite://", target_metadata=metadata, literal_binds=True)
        context.run_migrations()
        return
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    context.run_migrations()


run()
