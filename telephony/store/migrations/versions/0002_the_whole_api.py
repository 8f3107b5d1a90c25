"""What the rest of the API keeps, a function a noun.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Written out and not imported: a migration stays what it was when the tables move on.
MOMENT = sa.String(32).with_variant(sa.DateTime(timezone=True), "postgresql")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    _organizations_up()
    _turns_up()
    _ledger_up()


def downgrade() -> None:
    op.drop_table("ledger_entries")
    op.drop_table("session_turns")
    _organizations_down()


def _organizations_up() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_organizations"),
    )
    with op.batch_alter_table("keys") as keys:
        keys.add_column(
            sa.Column(
                "scopes",
                sa.String(length=64),
                nullable=False,
                server_default="read dial admin",
            )
        )
        keys.add_column(sa.Column("requests_per_second", sa.Float(), nullable=True))


def _organizations_down() -> None:
    with op.batch_alter_table("keys") as keys:
        keys.drop_column("requests_per_second")
        keys.drop_column("scopes")
    op.drop_table("organizations")


def _turns_up() -> None:
    op.create_table(
        "session_turns",
        sa.Column("session", sa.String(length=64), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("latency_status", sa.String(length=16), nullable=True),
        sa.Column("metadata", JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["session"],
            ["calls.id"],
            name="fk_session_turns_session_calls",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session", "index", name="pk_session_turns"),
    )


def _ledger_up() -> None:
    op.create_table(
        "ledger_entries",
        sa.Column("posting", sa.String(length=96), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("metric", sa.String(length=64), nullable=True),
        sa.Column("provider", sa.String(length=32), nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("session", sa.String(length=64), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("posting", "account", name="pk_ledger_entries"),
    )
    op.create_index(
        "ix_ledger_entries_organization_account_created_at_posting",
        "ledger_entries",
        ["organization", "account", "created_at", "posting"],
    )
