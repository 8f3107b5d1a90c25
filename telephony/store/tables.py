"""Every table, as SQLAlchemy Core knows it. The migrations make exactly these (a test compares).

Times are aware UTC: ``timestamptz`` where there is such a type, ISO-8601 text of fixed width on
SQLite, which therefore sorts and compares as time does. Text from the wire is made storable
on its way in: SIP bytes that are no UTF-8 arrive as lone surrogates, which no database takes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from pydantic_core import PydanticSerializationError, to_json
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine


def aware(value: datetime) -> datetime:
    """The time in UTC. A naive one is refused."""
    if value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        raise ValueError("a naive datetime has no place in the store")
    return value.astimezone(UTC)


def moment_text(value: datetime) -> str:
    """The time as SQLite keeps it."""
    return aware(value).isoformat(timespec="microseconds")


class Moment(TypeDecorator[datetime]):
    """An aware time, microseconds kept. A naive one is refused."""

    impl = sa.String(32)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.String(32))
        return dialect.type_descriptor(sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return moment_text(value) if dialect.name == "sqlite" else aware(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        assert isinstance(moment, datetime)
        return moment.astimezone(UTC)


def storable(text: str) -> str:
    """Text without lone surrogates and NUL, which PostgreSQL refuses and UTF-8 cannot hold."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\x00", "\ufffd") if "\x00" in text else text


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(str(k)): _storable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(v) for v in value]
    return value


def dump_json(value: Any) -> str:
    """JSON as it is stored: infinities and NaN, which JSON does not know, become null."""
    try:
        text = to_json(value, inf_nan_mode="null").decode()
    except (PydanticSerializationError, UnicodeEncodeError):
        text = to_json(_storable(value), inf_nan_mode="null").decode()
    if "\\u0000" in text:
        return to_json(_storable(value), inf_nan_mode="null").decode()
    return text


class Text(TypeDecorator[str]):
    """Text from anywhere, made storable."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value if value is None else storable(value)


JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

calls = sa.Table(
    "calls",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization", sa.String(64), nullable=False),
    sa.Column("direction", sa.String(16), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("live", sa.Boolean, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("provider", sa.String(32), nullable=False),
    sa.Column("from_number", Text, nullable=False),
    sa.Column("to_number", Text, nullable=False),
    sa.Column("language", Text, nullable=False),
    sa.Column("agent", Text),
    sa.Column("dialplan", Text),
    sa.Column("trunk", Text),
    sa.Column("phone_number", Text),
    sa.Column("room", Text),
    sa.Column("metadata", JSON, nullable=False),
    sa.Column("pipeline", JSON, nullable=False),
    sa.Column("tags", JSON, nullable=False),
    sa.Column("legs", JSON, nullable=False),
    sa.Column("outcome", JSON),
    sa.Column("recording_status", sa.String(16)),
    sa.Column("recording_path", Text),
    sa.Column("recording_ms", sa.BigInteger),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.Column("answered_at", Moment),
    sa.Column("ended_at", Moment),
    # Which process has it, and closes it at its next start.
    sa.Column("node", sa.String(64), nullable=False, server_default=""),
    sa.Index(None, "organization", "created_at", "id"),
    # Partial: only what lives now is in it, so that recovery and the list of live calls cost
    # what they find, however many calls there were.
    sa.Index(
        "ix_calls_live",
        "created_at",
        sqlite_where=sa.text("live = 1"),
        postgresql_where=sa.text("live"),
    ),
    sa.Index(
        "ix_calls_recorded",
        "ended_at",
        sqlite_where=sa.text("recording_path IS NOT NULL"),
        postgresql_where=sa.text("recording_path IS NOT NULL"),
    ),
)

call_events = sa.Table(
    "call_events",
    metadata,
    sa.Column("session", sa.String(64), sa.ForeignKey("calls.id", ondelete="CASCADE")),
    sa.Column("seq", sa.Integer),
    sa.Column("id", sa.String(64), nullable=False),
    sa.Column("organization", sa.String(64), nullable=False),
    sa.Column("provider", sa.String(32), nullable=False),
    sa.Column("event_type", sa.String(64), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("failure_cause", sa.String(64)),
    sa.Column("sip_status_code", sa.Integer),
    sa.Column("sip_status", Text),
    sa.Column("occurred_at", Moment, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("payload", JSON, nullable=False),
    sa.Column("data", JSON, nullable=False),
    sa.PrimaryKeyConstraint("session", "seq"),
)

call_reports = sa.Table(
    "call_reports",
    metadata,
    sa.Column(
        "session", sa.String(64), sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("organization", sa.String(64), nullable=False),
    sa.Column("outcome", sa.String(32), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.Column("report", JSON, nullable=False),
    sa.Index(None, "organization", "created_at"),
)

session_turns = sa.Table(
    "session_turns",
    metadata,
    sa.Column("session", sa.String(64), sa.ForeignKey("calls.id", ondelete="CASCADE")),
    sa.Column("index", sa.Integer),
    sa.Column("source", sa.String(16), nullable=False),
    sa.Column("text", Text, nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("ended_at", Moment),
    sa.Column("latency_status", sa.String(16)),
    sa.Column("metadata", JSON, nullable=False),
    sa.PrimaryKeyConstraint("session", "index"),
)

callbacks = sa.Table(
    "callbacks",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization", sa.String(64), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("to_number", Text, nullable=False),
    sa.Column("from_number", Text),
    sa.Column("source_session", sa.String(64)),
    sa.Column("created_session", sa.String(64)),
    sa.Column("agent", Text),
    sa.Column("phone_number", Text),
    sa.Column("dialplan", Text),
    sa.Column("reason", Text),
    sa.Column("instructions", Text),
    sa.Column("summary", Text),
    sa.Column("pipeline", JSON, nullable=False),
    sa.Column("metadata", JSON, nullable=False),
    sa.Column("failure_cause", sa.String(64)),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("scheduled_at", Moment, nullable=False),
    sa.Column("lease_until", Moment),
    sa.Column("attempted_at", Moment),
    sa.Column("dispatched_at", Moment),
    sa.Column("cancelled_at", Moment),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.Index(None, "organization", "created_at", "id"),
    sa.Index(None, "source_session"),
    sa.Index(
        "ix_callbacks_due",
        "status",
        "scheduled_at",
        sqlite_where=sa.text("status IN ('scheduled', 'dispatching')"),
        postgresql_where=sa.text("status IN ('scheduled', 'dispatching')"),
    ),
)

trunks = sa.Table(
    "trunks",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization", sa.String(64), nullable=False),
    sa.Column("name", Text, nullable=False),
    sa.Column("gateways", JSON, nullable=False),
    sa.Column("transport", sa.String(8), nullable=False),
    sa.Column("username", Text, nullable=False),
    sa.Column("password", Text, nullable=False),
    sa.Column("register", sa.Boolean, nullable=False),
    sa.Column("allowed_sources", JSON, nullable=False),
    sa.Column("caller_ids", JSON, nullable=False),
    sa.Column("country", Text, nullable=False),
    sa.Column("strip", Text, nullable=False),
    sa.Column("prefix", Text, nullable=False),
    sa.Column("calls_per_second", sa.Float),
    sa.Column("max_calls", sa.Integer),
    sa.Column("headers", JSON, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.Column("kind", sa.String(8), nullable=False, server_default="sip"),
    sa.Column("livekit_trunk", Text, nullable=False, server_default=""),
    sa.Column("media_encryption", sa.String(8), nullable=False, server_default="disable"),
    sa.UniqueConstraint("organization", "name"),
)

phones = sa.Table(
    "phones",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization", sa.String(64), nullable=False),
    sa.Column("user", Text, nullable=False),
    sa.Column("password", Text, nullable=False),
    sa.Column("name", Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    # One registrar, one realm: a user is one phone whatever its organization.
    sa.UniqueConstraint("user"),
    sa.Index(None, "organization"),
)

phone_numbers = sa.Table(
    "phone_numbers",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization", sa.String(64), nullable=False),
    sa.Column("e164", sa.String(16), nullable=False),
    sa.Column("direction", sa.String(16), nullable=False),
    sa.Column("trunk", Text),
    sa.Column("provider_name", Text),
    sa.Column("label", Text),
    sa.Column("agent", Text),
    sa.Column("dialplan", Text),
    sa.Column("record", sa.Boolean, nullable=False),
    sa.Column("dispatch_template", JSON),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.Column("source", sa.String(16), nullable=False, server_default="sip_trunk"),
    sa.Column("sms_automation", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("upfront_micro_usd", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("monthly_micro_usd", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("next_charge_at", Moment),
    sa.Column("last_charged_at", Moment),
    sa.UniqueConstraint("e164"),
    sa.Index(None, "organization"),
)

# Both sides of every posting. What was charged stays when the call it was charged for is deleted.
ledger_entries = sa.Table(
    "ledger_entries",
    metadata,
    sa.Column("posting", sa.String(96)),
    sa.Column("account", sa.String(64)),
    sa.Column("organization", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("metric", sa.String(64)),
    sa.Column("provider", sa.String(32)),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.Column("session", sa.String(64)),
    sa.Column("note", Text, nullable=False),
    sa.PrimaryKeyConstraint("posting", "account"),
    # With the amount, so that a balance is read from the index alone.
    sa.Index(
        "ix_ledger_entries_credits", "organization", "account", "created_at", "posting", "amount"
    ),
)

kyb_submissions = sa.Table(
    "kyb_submissions",
    metadata,
    sa.Column("organization", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(64), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("form", JSON, nullable=False),
    sa.Column("attestation_version", Text),
    sa.Column("attestation_text", Text),
    sa.Column("terms_version", Text),
    sa.Column("attested_at", Moment),
    sa.Column("access", sa.Boolean, nullable=False),
    sa.Column("hold_at", Moment),
    sa.Column("hold_reason", sa.String(16)),
    sa.Column("submitted_by", sa.String(64)),
    sa.Column("submitted_at", Moment),
    sa.Column("reviewer", Text),
    sa.Column("reviewed_at", Moment),
    sa.Column("rejection_reason", Text),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
)

# A deleted endpoint stays as a name for its deliveries.
webhook_endpoints = sa.Table(
    "webhook_endpoints",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization", sa.String(64), nullable=False),
    sa.Column("name", Text, nullable=False),
    sa.Column("url", Text, nullable=False),
    sa.Column("events", JSON, nullable=False),
    sa.Column("all_agents", sa.Boolean, nullable=False),
    sa.Column("agents", JSON, nullable=False),
    sa.Column("filter_tags", JSON, nullable=False),
    sa.Column("headers", JSON, nullable=False),
    sa.Column("auth_headers", JSON, nullable=False),
    sa.Column("timeout_ms", sa.Integer, nullable=False),
    sa.Column("secret_source", sa.String(16), nullable=False),
    sa.Column("signing_secret", Text, nullable=False),
    sa.Column("extraction_fields", JSON, nullable=False),
    sa.Column("content_mode", sa.String(16), nullable=False),
    sa.Column("legacy_managed", sa.Boolean, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.Column("deleted_at", Moment),
    sa.Index(None, "organization", "created_at", "id"),
)

webhook_secrets = sa.Table(
    "webhook_secrets",
    metadata,
    sa.Column("organization", sa.String(64), primary_key=True),
    sa.Column("secret", Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization", sa.String(64), nullable=False),
    sa.Column("event_id", sa.String(128), nullable=False),
    sa.Column("endpoint", sa.String(64), sa.ForeignKey("webhook_endpoints.id"), nullable=False),
    sa.Column("event", sa.String(64), nullable=False),
    sa.Column("session", sa.String(64)),
    sa.Column("agent", Text),
    sa.Column("tags", JSON, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("attempt_count", sa.Integer, nullable=False),
    sa.Column("http_status", sa.Integer),
    sa.Column("error", Text),
    sa.Column("payload", JSON, nullable=False),
    sa.Column("occurred_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("delivered_at", Moment),
    sa.Column("created_at", Moment, nullable=False),
    sa.Index(None, "organization", "created_at", "id"),
    sa.Index(None, "endpoint", "created_at"),
    sa.Index(None, "session"),
)

webhook_attempts = sa.Table(
    "webhook_attempts",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column(
        "delivery",
        sa.String(64),
        sa.ForeignKey("webhook_deliveries.id", ondelete="CASCADE"),
        nullable=False,
    ),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("trigger", sa.String(16), nullable=False),
    sa.Column("request_url", Text, nullable=False),
    sa.Column("request_headers", JSON, nullable=False),
    sa.Column("request_body", JSON, nullable=False),
    sa.Column("response_status", sa.Integer),
    sa.Column("response_body", Text),
    sa.Column("response_truncated", sa.Boolean, nullable=False),
    sa.Column("duration_ms", sa.Float, nullable=False),
    sa.Column("error", Text),
    sa.Column("created_at", Moment, nullable=False),
    sa.Index(None, "delivery", "number"),
)

agents = sa.Table(
    "agents",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization", sa.String(64), nullable=False),
    sa.Column("name", Text, nullable=False),
    sa.Column("system_prompt", Text, nullable=False),
    sa.Column("language", Text, nullable=False),
    sa.Column("optimize_for", sa.String(16)),
    sa.Column("voice", Text),
    sa.Column("dialplan", Text),
    sa.Column("run_mode", sa.String(16)),
    sa.Column("timezone", Text),
    sa.Column("first_message", Text),
    sa.Column("inbound_first_message", Text),
    sa.Column("outbound_first_message", Text),
    sa.Column("prompt_variables", JSON, nullable=False),
    sa.Column("extraction_fields", JSON, nullable=False),
    sa.Column("options", JSON, nullable=False),
    # With their secrets sealed.
    sa.Column("hooks", JSON, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.Index(None, "organization", "created_at", "id"),
)

agent_tools = sa.Table(
    "agent_tools",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization", sa.String(64), nullable=False),
    sa.Column(
        "agent", sa.String(64), sa.ForeignKey("agents.id", ondelete="CASCADE"), nullable=False
    ),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("description", Text, nullable=False),
    sa.Column("parameters", JSON, nullable=False),
    # Of any kind; the secrets of a webhook are sealed.
    sa.Column("source", JSON, nullable=False),
    sa.Column("pre_speech", sa.String(8), nullable=False),
    sa.Column("sound", JSON),
    sa.Column("simulation", JSON),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.UniqueConstraint("agent", "name"),
)

knowledge_bases = sa.Table(
    "knowledge_bases",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization", sa.String(64), nullable=False),
    sa.Column("agent", Text, nullable=False),
    sa.Column("name", Text, nullable=False),
    sa.Column("description", Text),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.Index(None, "organization", "agent"),
)

knowledge_documents = sa.Table(
    "knowledge_documents",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization", sa.String(64), nullable=False),
    sa.Column(
        "base",
        sa.String(64),
        sa.ForeignKey("knowledge_bases.id", ondelete="CASCADE"),
        nullable=False,
    ),
    sa.Column("filename", Text, nullable=False),
    sa.Column("content_type", Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("error", Text),
    sa.Column("chunks", sa.Integer, nullable=False),
    sa.Column("metadata", JSON),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.Column("ingested_at", Moment),
    sa.Index(None, "base"),
    sa.Index(None, "status"),
)

knowledge_chunks = sa.Table(
    "knowledge_chunks",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column(
        "document",
        sa.String(64),
        sa.ForeignKey("knowledge_documents.id", ondelete="CASCADE"),
        nullable=False,
    ),
    sa.Column("heading", Text, nullable=False),
    sa.Column("text", Text, nullable=False),
    sa.Index(None, "document"),
)

KNOWLEDGE_VECTOR = "to_tsvector('simple'::regconfig, heading || ' ' || text)"
"""The words of a piece on PostgreSQL: as they are, for documents are in any language."""

# What SQLAlchemy has no word for: the index of words, which triggers keep in step on SQLite.
for _dialect, _statement in (
    (
        "postgresql",
        "CREATE INDEX ix_knowledge_chunks_words ON knowledge_chunks "
        f"USING gin ({KNOWLEDGE_VECTOR})",
    ),
    (
        "sqlite",
        "CREATE VIRTUAL TABLE knowledge_words USING fts5(heading, text, "
        "content='knowledge_chunks', content_rowid='id', "
        "tokenize='unicode61 remove_diacritics 0')",
    ),
    (
        "sqlite",
        "CREATE TRIGGER knowledge_chunks_added AFTER INSERT ON knowledge_chunks BEGIN "
        "INSERT INTO knowledge_words(rowid, heading, text) "
        "VALUES (new.id, new.heading, new.text); END",
    ),
    (
        "sqlite",
        "CREATE TRIGGER knowledge_chunks_removed AFTER DELETE ON knowledge_chunks BEGIN "
        "INSERT INTO knowledge_words(knowledge_words, rowid, heading, text) "
        "VALUES ('delete', old.id, old.heading, old.text); END",
    ),
):
    _ddl = sa.DDL(_statement)  # type: ignore[no-untyped-call]
    sa.event.listen(knowledge_chunks, "after_create", _ddl.execute_if(dialect=_dialect))

organizations = sa.Table(
    "organizations",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("name", Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization", sa.String(64), nullable=False),
    sa.Column("name", Text, nullable=False),
    sa.Column("digest", sa.String(128), nullable=False),
    sa.Column("hint", sa.String(16), nullable=False),
    sa.Column("live", sa.Boolean, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("last_used_at", Moment),
    sa.Column("expires_at", Moment),
    # Words with a blank between; keys of before there were scopes may do everything.
    sa.Column("scopes", sa.String(64), nullable=False, server_default="read dial admin"),
    sa.Column("requests_per_second", sa.Float),
    sa.UniqueConstraint("digest"),
    sa.Index(None, "organization"),
)

nodes = sa.Table(
    "nodes",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("holder", sa.String(64), nullable=False),
    sa.Column("beats", sa.BigInteger, nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("beat_at", Moment, nullable=False),
)

idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("organization", sa.String(64)),
    sa.Column("key", Text),
    sa.Column("body_hash", sa.String(128), nullable=False),
    # The process that handles the request; ``status`` is null until it has answered.
    sa.Column("holder", sa.String(64), nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("body", sa.LargeBinary),
    # What the request makes, and the status of the answer in ``body`` once that exists.
    sa.Column("made", sa.String(64)),
    sa.Column("made_status", sa.Integer),
    sa.Column("created_at", Moment, nullable=False),
    sa.PrimaryKeyConstraint("organization", "key"),
    sa.Index(None, "created_at"),
)
