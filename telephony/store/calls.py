"""Calls, their events and their reports."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.base.clock import parse_iso
from telephony.base.errors import BadInput
from telephony.calls.call import Call
from telephony.calls.ports import Append, CallFilter
from telephony.calls.public import CallEvent
from telephony.calls.record import CallReport, Turn
from telephony.store import rows
from telephony.store.changes import LiveChanges
from telephony.store.database import Database
from telephony.store.tables import (
    aware,
    call_events,
    call_reports,
    calls,
    ledger_entries,
    moment_text,
    session_turns,
)

_FIXED = frozenset({"id", "organization", "created_at", "node"})
_KEPT = frozenset({"session", "organization", "created_at"})


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that stands on disk, as the clean-up sees it."""

    session: str
    path: Path
    ended_at: datetime


class Calls:
    """``CallStore``, ``CallReader`` and ``TurnStore`` over the database; ``changes`` tells of what
    was written. ``node`` is whose calls these are: what another node has taken over because this
    one was dead is not written any more."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node
        self.changes = LiveChanges(database)
        event = database.insert(call_events)
        self._add_events = database.prepare(
            event.on_conflict_do_nothing(index_elements=["session", "seq"]), rows.EVENT
        )
        call = database.insert(calls)
        self._put_calls = database.prepare(
            call.on_conflict_do_update(
                index_elements=["id"],
                set_={name: call.excluded[name] for name in rows.CALL if name not in _FIXED},
                where=calls.c.node == call.excluded.node,
            ),
            rows.CALL,
        )
        report = database.insert(call_reports)
        self._put_reports = database.prepare(
            report.on_conflict_do_update(
                index_elements=["session"],
                set_={name: report.excluded[name] for name in rows.REPORT if name not in _KEPT},
            ),
            rows.REPORT,
        )
        # What was charged once stays as it was, whoever writes the report again.
        self._add_charges = database.prepare(
            database.insert(ledger_entries).on_conflict_do_nothing(
                index_elements=["posting", "account"]
            ),
            rows.ENTRY,
        )
        self._moment = moment_text if database.sqlite else aware

    # --- writing ---------------------------------------------------------------------------

    async def append(self, batch: Sequence[Append]) -> None:
        """One transaction. A call's row is written once a batch, as its last event left it; what
        a report says the call costs is charged with it."""
        if not batch:
            return
        moment = self._moment
        latest = {item.call.id: item.call for item in batch}
        call_rows = [rows.call_row(call, self._node, moment) for call in latest.values()]
        event_rows = [rows.event_row(item.event, moment) for item in batch]
        found = [item.report for item in batch if item.report]
        reports = [rows.report_row(report, moment) for report in found]
        charged = [row for report in found for row in rows.charge_rows(report, moment)]

        await self._database.put(
            (
                (self._put_calls, call_rows),
                (self._add_events, event_rows),
                (self._put_reports, reports),
                (self._add_charges, charged),
            ),
            lambda connection: self.changes.announce(connection, list(latest)),
        )
        self.changes.wrote(latest)

    async def put_report(self, report: CallReport) -> None:
        """In the place of the one there is; what was charged stays as it was."""
        members = dict(zip(rows.REPORT, rows.report_row(report, self._moment), strict=True))
        values = {name: members[name] for name in ("outcome", "status")}
        values |= {"report": json.loads(members["report"]), "updated_at": report.updated_at}
        statement = (
            sa.update(call_reports)
            .where(
                call_reports.c.session == report.session,
                call_reports.c.organization == report.organization,
            )
            .values(**values)
        )

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await self._database.write(work)

    async def forget_recording(self, session: str) -> None:
        """The file is gone: the call says so, and the clean-up does not meet it again."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(
                sa.update(calls)
                .where(calls.c.id == session)
                .values(recording_path=None, recording_status=None, recording_ms=None)
            )

        await self._database.write(work)

    # --- the writer's own reading ----------------------------------------------------------

    async def unfinished(self) -> list[Call]:
        """Oldest first. Those of before there were nodes have no name on them."""
        return await self.adopt((self._node, ""))

    async def adopt(self, nodes: Collection[str]) -> list[Call]:
        """Oldest first. One statement, so that of two who ask each call is one's."""
        statement = (
            sa.update(calls)
            .where(calls.c.live, calls.c.node.in_(nodes))
            .values(node=self._node)
            .returning(calls)
        )

        async def work(connection: AsyncConnection) -> list[Call]:
            return [rows.call(row) for row in await connection.execute(statement)]

        return sorted(await self._database.write(work), key=lambda call: call.created_at)

    async def events(self, session: str) -> list[CallEvent]:
        query = (
            sa.select(call_events)
            .where(call_events.c.session == session)
            .order_by(call_events.c.seq)
        )
        return [rows.event(row) for row in await self._all(query)]

    async def recordings_before(self, moment: datetime, limit: int = 500) -> list[Recording]:
        """Recordings of calls that ended before ``moment``, oldest first (RECORDING_DAYS)."""
        query = (
            sa.select(calls.c.id, calls.c.recording_path, calls.c.ended_at)
            .where(calls.c.recording_path.is_not(None), calls.c.ended_at < moment)
            .order_by(calls.c.ended_at)
            .limit(limit)
        )
        return [
            Recording(row.id, Path(row.recording_path), row.ended_at)
            for row in await self._all(query)
        ]

    # --- reading ---------------------------------------------------------------------------

    async def get(self, organization: str, session: str) -> Call | None:
        row = await self._one(
            sa.select(calls).where(calls.c.id == session, calls.c.organization == organization)
        )
        return None if row is None else rows.call(row)

    async def page(
        self, organization: str, chosen: CallFilter, limit: int, cursor: str | None
    ) -> tuple[list[Call], str | None]:
        """Newest first by (created_at, id). Raises BadInput on a cursor that is none of ours."""
        query = (
            sa.select(calls)
            .where(calls.c.organization == organization, *_conditions(chosen))
            .order_by(calls.c.created_at.desc(), calls.c.id.desc())
            .limit(limit + 1)
        )
        if cursor is not None:
            query = query.where(_after(*read_cursor(cursor)))
        found = [rows.call(row) for row in await self._all(query)]
        if len(found) <= limit:
            return found, None
        found = found[:limit]
        return found, write_cursor(found[-1].created_at, found[-1].id)

    async def events_of(self, organization: str, session: str, after: int = 0) -> list[CallEvent]:
        query = (
            sa.select(call_events)
            .where(
                call_events.c.session == session,
                call_events.c.organization == organization,
                call_events.c.seq > after,
            )
            .order_by(call_events.c.seq)
        )
        return [rows.event(row) for row in await self._all(query)]

    async def report(self, organization: str, session: str) -> CallReport | None:
        row = await self._one(
            sa.select(call_reports.c.report).where(
                call_reports.c.session == session, call_reports.c.organization == organization
            )
        )
        return None if row is None else rows.report(row)

    # --- what an agent says was said -----------------------------------------------------------

    async def put_turns(self, organization: str, session: str, turns: Sequence[Turn]) -> bool:
        ours = sa.select(calls.c.id).where(
            calls.c.id == session, calls.c.organization == organization
        )
        insert = self._database.insert(session_turns)
        replacing = {
            column.name: insert.excluded[column.name]
            for column in session_turns.columns
            if not column.primary_key
        }
        statement = insert.on_conflict_do_update(
            index_elements=["session", "index"], set_=replacing
        )
        turn_rows = [
            {
                "session": session,
                "index": turn.index,
                "source": turn.source,
                "text": turn.text,
                "started_at": turn.started_at,
                "ended_at": turn.ended_at,
                "latency_status": turn.latency_status,
                "metadata": turn.metadata,
            }
            for turn in turns
        ]

        async def work(connection: AsyncConnection) -> bool:
            if (await connection.execute(ours)).first() is None:
                return False
            for row in turn_rows:
                await connection.execute(statement, row)
            await self.changes.announce(connection, [session])
            return True

        known = await self._database.write(work)
        if known:
            self.changes.wrote([session])
        return known

    async def turns_of(self, organization: str, session: str) -> list[Turn]:
        query = (
            sa.select(session_turns)
            .join(calls, calls.c.id == session_turns.c.session)
            .where(session_turns.c.session == session, calls.c.organization == organization)
            .order_by(session_turns.c.index)
        )
        return [
            Turn(
                id=f"turn_{session}_{row._mapping['index']}",
                index=row._mapping["index"],
                source=row.source,
                text=row.text,
                started_at=row.started_at,
                ended_at=row.ended_at,
                latency_status=row.latency_status,
                metadata=row.metadata,
            )
            for row in await self._all(query)
        ]

    async def _all(self, query: sa.Select[Any]) -> list[sa.Row[Any]]:
        async def work(connection: AsyncConnection) -> list[sa.Row[Any]]:
            return list(await connection.execute(query))

        return await self._database.read(work)

    async def _one(self, query: sa.Select[Any]) -> sa.Row[Any] | None:
        found = await self._all(query)
        return found[0] if found else None


# --- the cursor ----------------------------------------------------------------------------


def write_cursor(at: datetime, last: str) -> str:
    """Where the next page begins: after this row."""
    return base64.urlsafe_b64encode(f"{at.isoformat()} {last}".encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[datetime, str]:
    """What ``write_cursor`` wrote.

    Raises:
        BadInput: it did not write this.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        at, _, last = text.partition(" ")
        return parse_iso(at), last
    except (binascii.Error, ValueError, OverflowError) as error:
        raise BadInput("cursor: not one that a list gave out", field="cursor") from error


def _conditions(chosen: CallFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if chosen.status is not None:
        conditions.append(calls.c.status == chosen.status)
    if chosen.kind is not None:
        conditions.append(calls.c.kind == chosen.kind)
    if chosen.agent is not None:
        conditions.append(calls.c.agent == chosen.agent)
    if chosen.since is not None:
        conditions.append(calls.c.created_at >= chosen.since)
    if chosen.until is not None:
        conditions.append(calls.c.created_at < chosen.until)
    if chosen.after is not None:
        conditions.append(_after(*chosen.after))
    return conditions


def _after(at: datetime, last: str) -> sa.ColumnElement[bool]:
    """What comes after this row, newest first."""
    c = calls.c
    return sa.or_(c.created_at < at, sa.and_(c.created_at == at, c.id < last))
