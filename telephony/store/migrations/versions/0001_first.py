"""Calls, events, reports, callbacks, trunks, phones, numbers, keys, idempotency.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out and not imported: a migration stays what it was when the tables move on.
MOMENT = sa.String(32).with_variant(sa.DateTime(timezone=True), "postgresql")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "callbacks",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("to_number", sa.Text(), nullable=False),
        sa.Column("from_number", sa.Text(), nullable=True),
        sa.Column("source_session", sa.String(length=64), nullable=True),
        sa.Column("created_session", sa.String(length=64), nullable=True),
        sa.Column("agent", sa.Text(), nullable=True),
        sa.Column("phone_number", sa.Text(), nullable=True),
        sa.Column("dialplan", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("instructions", sa.Text(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("pipeline", JSON, nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("failure_cause", sa.String(length=64), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("scheduled_at", MOMENT, nullable=False),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("attempted_at", MOMENT, nullable=True),
        sa.Column("dispatched_at", MOMENT, nullable=True),
        sa.Column("cancelled_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_callbacks"),
    )
    op.create_index(
        "ix_callbacks_due",
        "callbacks",
        ["status", "scheduled_at"],
        unique=False,
        sqlite_where=sa.text("status IN ('scheduled', 'dispatching')"),
        postgresql_where=sa.text("status IN ('scheduled', 'dispatching')"),
    )
    op.create_index(
        "ix_callbacks_organization_created_at_id",
        "callbacks",
        ["organization", "created_at", "id"],
        unique=False,
    )
    op.create_index("ix_callbacks_source_session", "callbacks", ["source_session"], unique=False)
    op.create_table(
        "calls",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("direction", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("from_number", sa.Text(), nullable=False),
        sa.Column("to_number", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=True),
        sa.Column("dialplan", sa.Text(), nullable=True),
        sa.Column("trunk", sa.Text(), nullable=True),
        sa.Column("phone_number", sa.Text(), nullable=True),
        sa.Column("room", sa.Text(), nullable=True),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("pipeline", JSON, nullable=False),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("legs", JSON, nullable=False),
        sa.Column("outcome", JSON, nullable=True),
        sa.Column("recording_status", sa.String(length=16), nullable=True),
        sa.Column("recording_path", sa.Text(), nullable=True),
        sa.Column("recording_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("answered_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
    )
    op.create_index(
        "ix_calls_live",
        "calls",
        ["created_at"],
        unique=False,
        sqlite_where=sa.text("live = 1"),
        postgresql_where=sa.text("live"),
    )
    op.create_index(
        "ix_calls_organization_created_at_id",
        "calls",
        ["organization", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        "ix_calls_recorded",
        "calls",
        ["ended_at"],
        unique=False,
        sqlite_where=sa.text("recording_path IS NOT NULL"),
        postgresql_where=sa.text("recording_path IS NOT NULL"),
    )
    op.create_table(
        "idempotency",
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.String(length=128), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("made", sa.String(length=64), nullable=True),
        sa.Column("made_status", sa.Integer(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("organization", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"], unique=False)
    op.create_table(
        "keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=128), nullable=False),
        sa.Column("hint", sa.String(length=16), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("digest", name="uq_keys_digest"),
    )
    op.create_index("ix_keys_organization", "keys", ["organization"], unique=False)
    op.create_table(
        "phone_numbers",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("e164", sa.String(length=16), nullable=False),
        sa.Column("direction", sa.String(length=16), nullable=False),
        sa.Column("trunk", sa.Text(), nullable=True),
        sa.Column("provider_name", sa.Text(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("agent", sa.Text(), nullable=True),
        sa.Column("dialplan", sa.Text(), nullable=True),
        sa.Column("record", sa.Boolean(), nullable=False),
        sa.Column("dispatch_template", JSON, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_phone_numbers"),
        sa.UniqueConstraint("e164", name="uq_phone_numbers_e164"),
    )
    op.create_index(
        "ix_phone_numbers_organization", "phone_numbers", ["organization"], unique=False
    )
    op.create_table(
        "phones",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_phones"),
        sa.UniqueConstraint("user", name="uq_phones_user"),
    )
    op.create_index("ix_phones_organization", "phones", ["organization"], unique=False)
    op.create_table(
        "trunks",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("gateways", JSON, nullable=False),
        sa.Column("transport", sa.String(length=8), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("register", sa.Boolean(), nullable=False),
        sa.Column("allowed_sources", JSON, nullable=False),
        sa.Column("caller_ids", JSON, nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("strip", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("calls_per_second", sa.Float(), nullable=True),
        sa.Column("max_calls", sa.Integer(), nullable=True),
        sa.Column("headers", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_trunks"),
        sa.UniqueConstraint("organization", "name", name="uq_trunks_organization_name"),
    )
    op.create_table(
        "call_events",
        sa.Column("session", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("event_type", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("failure_cause", sa.String(length=64), nullable=True),
        sa.Column("sip_status_code", sa.Integer(), nullable=True),
        sa.Column("sip_status", sa.Text(), nullable=True),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["session"], ["calls.id"], name="fk_call_events_session_calls", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("session", "seq", name="pk_call_events"),
    )
    op.create_table(
        "call_reports",
        sa.Column("session", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("report", JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["session"], ["calls.id"], name="fk_call_reports_session_calls", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("session", name="pk_call_reports"),
    )
    op.create_index(
        "ix_call_reports_organization_created_at",
        "call_reports",
        ["organization", "created_at"],
        unique=False,
    )


def downgrade() -> None:

    op.drop_index("ix_call_reports_organization_created_at", table_name="call_reports")
    op.drop_table("call_reports")
    op.drop_table("call_events")
    op.drop_table("trunks")
    op.drop_index("ix_phones_organization", table_name="phones")
    op.drop_table("phones")
    op.drop_index("ix_phone_numbers_organization", table_name="phone_numbers")
    op.drop_table("phone_numbers")
    op.drop_index("ix_keys_organization", table_name="keys")
    op.drop_table("keys")
    op.drop_index("ix_idempotency_created_at", table_name="idempotency")
    op.drop_table("idempotency")
    op.drop_index(
        "ix_calls_recorded",
        table_name="calls",
        sqlite_where=sa.text("recording_path IS NOT NULL"),
        postgresql_where=sa.text("recording_path IS NOT NULL"),
    )
    op.drop_index("ix_calls_organization_created_at_id", table_name="calls")
    op.drop_index(
        "ix_calls_live",
        table_name="calls",
        sqlite_where=sa.text("live = 1"),
        postgresql_where=sa.text("live"),
    )
    op.drop_table("calls")
    op.drop_index("ix_callbacks_source_session", table_name="callbacks")
    op.drop_index("ix_callbacks_organization_created_at_id", table_name="callbacks")
    op.drop_index(
        "ix_callbacks_due",
        table_name="callbacks",
        sqlite_where=sa.text("status IN ('scheduled', 'dispatching')"),
        postgresql_where=sa.text("status IN ('scheduled', 'dispatching')"),
    )
    op.drop_table("callbacks")
