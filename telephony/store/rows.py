"""Calls, events and reports as the tuples their tables take, and back.

Written by hand, since they are what a busy process spends its time on: all the rest of the
store leaves it to SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from telephony.calls.call import Call
from telephony.calls.leg import Leg
from telephony.calls.money import Entry, charges
from telephony.calls.outcome import Outcome, Status
from telephony.calls.public import CallEvent
from telephony.calls.record import CallReport
from telephony.calls.state import Direction
from telephony.store.tables import (
    call_events,
    call_reports,
    calls,
    dump_json,
    ledger_entries,
    storable,
)

CALL = tuple(column.name for column in calls.columns)
EVENT = tuple(column.name for column in call_events.columns)
REPORT = tuple(column.name for column in call_reports.columns)
ENTRY = tuple(column.name for column in ledger_entries.columns)

Moment = Callable[[datetime], Any]
"""A time as the driver takes it."""

_LEGS = TypeAdapter(tuple[Leg, ...])
_OUTCOME = TypeAdapter(Outcome | None)
_REPORT = TypeAdapter(CallReport)


def call_row(call: Call, node: str, moment: Moment) -> tuple[Any, ...]:
    """In the order of ``CALL``."""
    return (
        call.id,
        call.organization,
        call.direction.value,
        call.status.value,
        call.live,
        call.kind,
        call.provider,
        storable(call.from_number),
        storable(call.to_number),
        storable(call.language),
        _text(call.agent),
        _text(call.dialplan),
        _text(call.trunk),
        _text(call.phone_number),
        _text(call.room),
        _object(call.metadata),
        _object(call.pipeline),
        _object(call.tags),
        _dump(_LEGS, call.legs),
        None if call.outcome is None else _dump(_OUTCOME, call.outcome),
        call.recording_status,
        _text(call.recording_path),
        call.recording_ms,
        moment(call.created_at),
        moment(call.updated_at),
        None if call.answered_at is None else moment(call.answered_at),
        None if call.ended_at is None else moment(call.ended_at),
        node,
    )


def event_row(event: CallEvent, moment: Moment) -> tuple[Any, ...]:
    """In the order of ``EVENT``."""
    return (
        event.session,
        event.seq,
        event.id,
        event.organization,
        event.provider,
        event.event_type,
        event.status,
        event.failure_cause,
        event.sip_status_code,
        _text(event.sip_status),
        moment(event.occurred_at),
        moment(event.created_at),
        event.kind,
        dump_json(event.payload),
        dump_json(event.data),
    )


def report_row(report: CallReport, moment: Moment) -> tuple[Any, ...]:
    """In the order of ``REPORT``."""
    return (
        report.session,
        report.organization,
        report.outcome,
        report.status,
        moment(report.created_at),
        moment(report.updated_at),
        _dump(_REPORT, report),
    )


def charge_rows(report: CallReport, moment: Moment) -> list[tuple[Any, ...]]:
    """Both sides of every line of the report's bill."""
    postings = charges(report.organization, report.session, report.cost_lines, report.created_at)
    return [entry_row(entry, moment) for posting in postings for entry in posting.entries]


def entry_row(entry: Entry, moment: Moment) -> tuple[Any, ...]:
    """In the order of ``ENTRY``."""
    return (
        entry.posting,
        entry.account,
        entry.organization,
        entry.kind.value,
        entry.amount,
        moment(entry.created_at),
        entry.metric,
        entry.provider,
        entry.quantity,
        entry.session,
        storable(entry.note),
    )


def call(row: sa.Row[Any]) -> Call:
    """The call of a row."""
    members = dict(row._mapping)
    del members["live"], members["node"]
    members["direction"] = Direction(members["direction"])
    members["status"] = Status(members["status"])
    members["legs"] = _LEGS.validate_python(members["legs"])
    members["outcome"] = _OUTCOME.validate_python(members["outcome"])
    return Call(**members)


def event(row: sa.Row[Any]) -> CallEvent:
    """The event of a row."""
    return CallEvent(**row._mapping)


def report(row: sa.Row[Any]) -> CallReport:
    """The report of a row."""
    return _REPORT.validate_python(row.report)


def _text(value: str | None) -> str | None:
    return None if value is None else storable(value)


def _object(value: dict[str, Any]) -> str:
    return dump_json(value) if value else "{}"


def _dump(adapter: TypeAdapter[Any], value: Any) -> str:
    try:
        text = adapter.dump_json(value).decode()
    except (PydanticSerializationError, UnicodeEncodeError):
        return dump_json(adapter.dump_python(value, mode="json"))
    return dump_json(adapter.dump_python(value, mode="json")) if "\\u0000" in text else text
