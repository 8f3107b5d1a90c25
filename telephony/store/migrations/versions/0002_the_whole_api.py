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
    _nodes_up()
    _organizations_up()
    _turns_up()
    _ledger_up()
    _webhooks_up()
    _numbers_up()
    _agents_up()
    _knowledge_up()
    _trunks_up()


def downgrade() -> None:
    _trunks_down()
    _knowledge_down()
    _agents_down()
    _numbers_down()
    for table in ("attempts", "deliveries", "secrets", "endpoints"):
        op.drop_table(f"webhook_{table}")
    op.drop_table("ledger_entries")
    op.drop_table("session_turns")
    _organizations_down()
    _nodes_down()


def _nodes_up() -> None:
    op.create_table(
        "nodes",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("beats", sa.BigInteger(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("beat_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_nodes"),
    )
    op.add_column(
        "calls", sa.Column("node", sa.String(length=64), nullable=False, server_default="")
    )


def _nodes_down() -> None:
    op.drop_column("calls", "node")
    op.drop_table("nodes")


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
        "ix_ledger_entries_credits",
        "ledger_entries",
        ["organization", "account", "created_at", "posting", "amount"],
    )


def _webhooks_up() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", JSON, nullable=False),
        sa.Column("all_agents", sa.Boolean(), nullable=False),
        sa.Column("agents", JSON, nullable=False),
        sa.Column("filter_tags", JSON, nullable=False),
        sa.Column("headers", JSON, nullable=False),
        sa.Column("auth_headers", JSON, nullable=False),
        sa.Column("timeout_ms", sa.Integer(), nullable=False),
        sa.Column("secret_source", sa.String(length=16), nullable=False),
        sa.Column("signing_secret", sa.Text(), nullable=False),
        sa.Column("extraction_fields", JSON, nullable=False),
        sa.Column("content_mode", sa.String(length=16), nullable=False),
        sa.Column("legacy_managed", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("deleted_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_endpoints"),
    )
    op.create_index(
        "ix_webhook_endpoints_organization_created_at_id",
        "webhook_endpoints",
        ["organization", "created_at", "id"],
    )
    op.create_table(
        "webhook_secrets",
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("organization", name="pk_webhook_secrets"),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("event_id", sa.String(length=128), nullable=False),
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("session", sa.String(length=64), nullable=True),
        sa.Column("agent", sa.Text(), nullable=True),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("attempt_count", sa.Integer(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("delivered_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint"],
            ["webhook_endpoints.id"],
            name="fk_webhook_deliveries_endpoint_webhook_endpoints",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
    )
    for columns in (["organization", "created_at", "id"], ["endpoint", "created_at"], ["session"]):
        op.create_index(f"ix_webhook_deliveries_{'_'.join(columns)}", "webhook_deliveries", columns)
    op.create_table(
        "webhook_attempts",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("delivery", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("trigger", sa.String(length=16), nullable=False),
        sa.Column("request_url", sa.Text(), nullable=False),
        sa.Column("request_headers", JSON, nullable=False),
        sa.Column("request_body", JSON, nullable=False),
        sa.Column("response_status", sa.Integer(), nullable=True),
        sa.Column("response_body", sa.Text(), nullable=True),
        sa.Column("response_truncated", sa.Boolean(), nullable=False),
        sa.Column("duration_ms", sa.Float(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery"],
            ["webhook_deliveries.id"],
            name="fk_webhook_attempts_delivery_webhook_deliveries",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_attempts"),
    )
    op.create_index(
        "ix_webhook_attempts_delivery_number", "webhook_attempts", ["delivery", "number"]
    )


def _numbers_up() -> None:
    with op.batch_alter_table("phone_numbers") as numbers:
        numbers.add_column(
            sa.Column("source", sa.String(length=16), nullable=False, server_default="sip_trunk")
        )
        numbers.add_column(
            sa.Column("sms_automation", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        for name in ("upfront_micro_usd", "monthly_micro_usd"):
            numbers.add_column(sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
        for name in ("next_charge_at", "last_charged_at"):
            numbers.add_column(sa.Column(name, MOMENT, nullable=True))
    op.create_table(
        "kyb_submissions",
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("form", JSON, nullable=False),
        sa.Column("attestation_version", sa.Text(), nullable=True),
        sa.Column("attestation_text", sa.Text(), nullable=True),
        sa.Column("terms_version", sa.Text(), nullable=True),
        sa.Column("attested_at", MOMENT, nullable=True),
        sa.Column("access", sa.Boolean(), nullable=False),
        sa.Column("hold_at", MOMENT, nullable=True),
        sa.Column("hold_reason", sa.String(length=16), nullable=True),
        sa.Column("submitted_by", sa.String(length=64), nullable=True),
        sa.Column("submitted_at", MOMENT, nullable=True),
        sa.Column("reviewer", sa.Text(), nullable=True),
        sa.Column("reviewed_at", MOMENT, nullable=True),
        sa.Column("rejection_reason", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("organization", name="pk_kyb_submissions"),
    )


def _numbers_down() -> None:
    op.drop_table("kyb_submissions")
    with op.batch_alter_table("phone_numbers") as numbers:
        for name in ("source", "sms_automation", "upfront_micro_usd", "monthly_micro_usd"):
            numbers.drop_column(name)
        for name in ("next_charge_at", "last_charged_at"):
            numbers.drop_column(name)


def _trunks_up() -> None:
    with op.batch_alter_table("trunks") as trunks:
        for name, kind, usual in (
            ("kind", sa.String(length=8), "sip"),
            ("livekit_trunk", sa.Text(), ""),
            ("media_encryption", sa.String(length=8), "disable"),
        ):
            trunks.add_column(sa.Column(name, kind, nullable=False, server_default=usual))


def _trunks_down() -> None:
    with op.batch_alter_table("trunks") as trunks:
        for name in ("kind", "livekit_trunk", "media_encryption"):
            trunks.drop_column(name)


def _agents_up() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("system_prompt", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("optimize_for", sa.String(length=16), nullable=True),
        sa.Column("voice", sa.Text(), nullable=True),
        sa.Column("dialplan", sa.Text(), nullable=True),
        sa.Column("run_mode", sa.String(length=16), nullable=True),
        sa.Column("timezone", sa.Text(), nullable=True),
        sa.Column("first_message", sa.Text(), nullable=True),
        sa.Column("inbound_first_message", sa.Text(), nullable=True),
        sa.Column("outbound_first_message", sa.Text(), nullable=True),
        sa.Column("prompt_variables", JSON, nullable=False),
        sa.Column("extraction_fields", JSON, nullable=False),
        sa.Column("options", JSON, nullable=False),
        sa.Column("hooks", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agents"),
    )
    op.create_index(
        "ix_agents_organization_created_at_id", "agents", ["organization", "created_at", "id"]
    )
    op.create_table(
        "agent_tools",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("agent", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("parameters", JSON, nullable=False),
        sa.Column("source", JSON, nullable=False),
        sa.Column("pre_speech", sa.String(length=8), nullable=False),
        sa.Column("sound", JSON, nullable=True),
        sa.Column("simulation", JSON, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.UniqueConstraint("agent", "name", name="uq_agent_tools_agent_name"),
        sa.ForeignKeyConstraint(
            ["agent"], ["agents.id"], name="fk_agent_tools_agent_agents", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_agent_tools"),
    )


def _agents_down() -> None:
    op.drop_table("agent_tools")
    op.drop_table("agents")


def _knowledge_up() -> None:
    op.create_table(
        "knowledge_bases",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_knowledge_bases"),
    )
    op.create_index(
        "ix_knowledge_bases_organization_agent", "knowledge_bases", ["organization", "agent"]
    )
    op.create_table(
        "knowledge_documents",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=64), nullable=False),
        sa.Column("base", sa.String(length=64), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("metadata", JSON, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("ingested_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["base"],
            ["knowledge_bases.id"],
            name="fk_knowledge_documents_base_knowledge_bases",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_knowledge_documents"),
    )
    for column in ("base", "status"):
        op.create_index(f"ix_knowledge_documents_{column}", "knowledge_documents", [column])
    op.create_table(
        "knowledge_chunks",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("document", sa.String(length=64), nullable=False),
        sa.Column("heading", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document"],
            ["knowledge_documents.id"],
            name="fk_knowledge_chunks_document_knowledge_documents",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_knowledge_chunks"),
    )
    op.create_index("ix_knowledge_chunks_document", "knowledge_chunks", ["document"])
    if op.get_bind().dialect.name != "sqlite":
        op.create_index(
            "ix_knowledge_chunks_words",
            "knowledge_chunks",
            [sa.text("to_tsvector('simple'::regconfig, heading || ' ' || text)")],
            postgresql_using="gin",
        )
        return
    op.execute(
        "CREATE VIRTUAL TABLE knowledge_words USING fts5(heading, text, "
        "content='knowledge_chunks', content_rowid='id', "
        "tokenize='unicode61 remove_diacritics 0')"
    )
    op.execute(
        "CREATE TRIGGER knowledge_chunks_added AFTER INSERT ON knowledge_chunks BEGIN "
        "INSERT INTO knowledge_words(rowid, heading, text) "
        "VALUES (new.id, new.heading, new.text); END"
    )
    op.execute(
        "CREATE TRIGGER knowledge_chunks_removed AFTER DELETE ON knowledge_chunks BEGIN "
        "INSERT INTO knowledge_words(knowledge_words, rowid, heading, text) "
        "VALUES ('delete', old.id, old.heading, old.text); END"
    )


def _knowledge_down() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE knowledge_words")
        # Nothing is left that they could keep in step.
        op.execute("DROP TRIGGER knowledge_chunks_added")
        op.execute("DROP TRIGGER knowledge_chunks_removed")
    for table in ("chunks", "documents", "bases"):
        op.drop_table(f"knowledge_{table}")
