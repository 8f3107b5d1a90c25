"""Records in memory, behind the same ports as the database and held to the same tests.

``MemoryStore`` has the attributes of ``store.Store``. ``down`` makes every call raise
``StoreUnavailable``, as a database that went away does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Generic, TypeVar

from telephony.accounts.model import (
    DEFAULT_ORGANIZATION,
    Key,
    Organization,
    Phone,
    PhoneNumber,
    Trunk,
)
from telephony.accounts.ports import Answer
from telephony.base.errors import Busy, Conflict, NotFound, StoreUnavailable
from telephony.calls.call import Call
from telephony.calls.callback import Callback, CallbackStatus
from telephony.calls.money import charges
from telephony.calls.ports import Append, CallFilter
from telephony.calls.public import CallEvent
from telephony.calls.record import CallReport, Turn
from telephony.store import NO_FILE
from telephony.store.callbacks import not_cancellable
from telephony.store.calls import Recording, read_cursor, write_cursor
from telephony.store.directory import FileRows
from telephony.store.idempotency import CODE, KEPT
from telephony.testing.agents import MemoryAgents, MemoryTools
from telephony.testing.knowledge import MemoryKnowledge
from telephony.testing.kyb import MemoryKyb
from telephony.testing.ledger import MemoryLedger
from telephony.testing.webhooks import MemoryDeliveries, MemoryWebhooks

Item = TypeVar("Item", bound=Trunk | Phone | PhoneNumber)


class Switch:
    """Whether the store answers."""

    def __init__(self) -> None:
        self.down = False

    def check(self) -> None:
        if self.down:
            raise StoreUnavailable("the database does not answer: switched off")


class MemoryChanges:
    """``Changes``."""

    def __init__(self) -> None:
        self._watchers: dict[str, list[Callable[[], None]]] = {}

    def watch(self, session: str, changed: Callable[[], None]) -> Callable[[], None]:
        self._watchers.setdefault(session, []).append(changed)
        return lambda: self._watchers[session].remove(changed)

    def wrote(self, sessions: Sequence[str]) -> None:
        for session in sessions:
            for changed in list(self._watchers.get(session, ())):
                changed()


class MemoryCalls:
    """``CallStore``, ``CallReader``, ``TurnStore`` and ``ReportStore``."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self.calls: dict[str, Call] = {}
        self.rows: dict[str, dict[int, CallEvent]] = {}
        self.reports: dict[str, CallReport] = {}
        self.batches: list[int] = []
        self.turns: dict[str, dict[int, Turn]] = {}
        self.ledger = MemoryLedger(switch.check, self.reports.values)
        self.changes = MemoryChanges()

    async def append(self, batch: Sequence[Append]) -> None:
        self._switch.check()
        if batch:
            self.batches.append(len(batch))
        for item in batch:
            self.calls[item.call.id] = item.call
            self.rows.setdefault(item.event.session, {}).setdefault(item.event.seq, item.event)
            if item.report is not None:
                self._report(item.report)
        self.changes.wrote(list(dict.fromkeys(item.call.id for item in batch)))

    def _report(self, report: CallReport) -> None:
        self.reports[report.session] = report
        lines, at = report.cost_lines, report.created_at
        for posting in charges(report.organization, report.session, lines, at):
            self.ledger.charge(posting)

    async def put_report(self, report: CallReport) -> None:
        old = await self.report(report.organization, report.session)
        if old is not None:
            self.reports[report.session] = report

    async def forget_recording(self, session: str) -> None:
        self._switch.check()
        if (call := self.calls.get(session)) is not None:
            self.calls[session] = replace(
                call, recording_path=None, recording_status=None, recording_ms=None
            )

    async def unfinished(self) -> list[Call]:
        self._switch.check()
        return sorted((c for c in self.calls.values() if c.live), key=lambda c: c.created_at)

    async def adopt(self, nodes: Collection[str]) -> list[Call]:
        """Memory is one process's, so nobody else has left anything in it."""
        self._switch.check()
        return []

    async def events(self, session: str) -> list[CallEvent]:
        self._switch.check()
        rows = self.rows.get(session, {})
        return [rows[seq] for seq in sorted(rows)]

    async def recordings_before(self, moment: datetime, limit: int = 500) -> list[Recording]:
        self._switch.check()
        found = []
        for call in self.calls.values():
            path, ended = call.recording_path, call.ended_at
            if path is not None and ended is not None and ended < moment:
                found.append(Recording(call.id, Path(path), ended))
        return sorted(found, key=lambda r: r.ended_at)[:limit]

    async def get(self, organization: str, session: str) -> Call | None:
        self._switch.check()
        call = self.calls.get(session)
        return call if call is not None and call.organization == organization else None

    async def page(
        self, organization: str, chosen: CallFilter, limit: int, cursor: str | None
    ) -> tuple[list[Call], str | None]:
        self._switch.check()
        found = [c for c in self.calls.values() if c.organization == organization]
        found = [c for c in found if _chosen(c, chosen)]
        found.sort(key=lambda c: (c.created_at, c.id), reverse=True)
        if cursor is not None:
            after = read_cursor(cursor)
            found = [c for c in found if (c.created_at, c.id) < after]
        page = found[:limit]
        if len(found) <= limit:
            return page, None
        return page, write_cursor(page[-1].created_at, page[-1].id)

    async def events_of(self, organization: str, session: str, after: int = 0) -> list[CallEvent]:
        found = await self.events(session)
        return [e for e in found if e.organization == organization and e.seq > after]

    async def put_turns(self, organization: str, session: str, turns: Sequence[Turn]) -> bool:
        if await self.get(organization, session) is None:
            return False
        kept = self.turns.setdefault(session, {})
        kept |= {t.index: replace(t, id=f"turn_{session}_{t.index}") for t in turns}
        self.changes.wrote([session])
        return True

    async def turns_of(self, organization: str, session: str) -> list[Turn]:
        if await self.get(organization, session) is None:
            return []
        return [turn for _, turn in sorted(self.turns.get(session, {}).items())]

    async def report(self, organization: str, session: str) -> CallReport | None:
        self._switch.check()
        report = self.reports.get(session)
        return report if report is not None and report.organization == organization else None


class MemoryCallbacks:
    """``CallbackQueue``, ``CallbackReader`` and ``NextDue``."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self.rows: dict[str, Callback] = {}

    async def add(self, callback: Callback) -> None:
        self._switch.check()
        self.rows.setdefault(callback.id, callback)

    async def claim(self, now: datetime, lease_seconds: float) -> Callback | None:
        self._switch.check()
        due = [row for row in self.rows.values() if _claimable(row, now)]
        if not due:
            return None
        row = min(due, key=lambda r: (r.scheduled_at, r.id))
        return self._put(
            replace(
                row,
                status=CallbackStatus.DISPATCHING,
                lease_until=now + timedelta(seconds=lease_seconds),
                attempted_at=None,
                updated_at=now,
            )
        )

    async def attempt(self, callback: Callback, session: str, now: datetime) -> None:
        self._switch.check()
        row = self._held(callback)
        if row.lease_until is None or row.lease_until <= now:
            raise _moved(callback)
        if row.attempted_at is not None and row.created_session != session:
            raise _moved(callback)
        self._put(
            replace(
                row,
                attempts=callback.attempts + 1,
                attempted_at=now,
                created_session=session,
                updated_at=now,
            )
        )

    async def settle(
        self, callback: Callback, status: CallbackStatus, cause: str | None, now: datetime
    ) -> None:
        self._switch.check()
        row = self._held(callback)
        row = replace(row, status=status, failure_cause=cause, lease_until=None, updated_at=now)
        if status is CallbackStatus.DISPATCHED:
            row = replace(row, dispatched_at=now)
        elif status is CallbackStatus.CANCELLED:
            row = replace(row, cancelled_at=now)
        elif status is CallbackStatus.SCHEDULED:
            row = replace(row, attempted_at=None, created_session=None)
        self._put(row)

    async def cancel(
        self, organization: str, callback: str, reason: str | None, now: datetime
    ) -> Callback | None:
        row = await self.get(organization, callback)
        if row is None:
            return None
        claimed = row.status is CallbackStatus.DISPATCHING and row.attempted_at is None
        if not claimed and row.status is not CallbackStatus.SCHEDULED:
            raise not_cancellable(row)
        given = {} if reason is None else {"cancel_reason": reason}
        return self._put(
            replace(
                row,
                status=CallbackStatus.CANCELLED,
                metadata={**row.metadata, **given},
                lease_until=None,
                cancelled_at=now,
                updated_at=now,
            )
        )

    async def abandoned(self, now: datetime) -> list[Callback]:
        self._switch.check()
        return [
            row
            for row in self.rows.values()
            if row.status is CallbackStatus.DISPATCHING
            and row.attempted_at is not None
            and row.lease_until is not None
            and row.lease_until <= now
        ]

    async def next_due(self) -> datetime | None:
        self._switch.check()
        moments = [
            row.lease_until if row.status is CallbackStatus.DISPATCHING else row.scheduled_at
            for row in self.rows.values()
            if row.status in (CallbackStatus.SCHEDULED, CallbackStatus.DISPATCHING)
        ]
        return min((m for m in moments if m is not None), default=None)

    async def get(self, organization: str, callback: str) -> Callback | None:
        self._switch.check()
        row = self.rows.get(callback)
        return row if row is not None and row.organization == organization else None

    async def find(
        self,
        organization: str,
        limit: int,
        status: CallbackStatus | None = None,
        source_session: str | None = None,
    ) -> list[Callback]:
        self._switch.check()
        found = [
            row
            for row in self.rows.values()
            if row.organization == organization
            and status in (None, row.status)
            and source_session in (None, row.source_session)
        ]
        return sorted(found, key=lambda r: (r.created_at, r.id), reverse=True)[:limit]

    def _held(self, callback: Callback) -> Callback:
        row = self.rows.get(callback.id)
        if (
            row is None
            or row.status is not callback.status
            or row.lease_until != callback.lease_until
        ):
            raise _moved(callback)
        return row

    def _put(self, row: Callback) -> Callback:
        self.rows[row.id] = row
        return row


class MemoryKeys:
    """``KeyStore``."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self.rows: dict[str, Key] = {}

    async def by_digest(self, digest: str) -> Key | None:
        self._switch.check()
        return next((key for key in self.rows.values() if key.digest == digest), None)

    async def add(self, key: Key) -> None:
        if await self.by_digest(key.digest) is not None or key.id in self.rows:
            raise Conflict("there is such a key already")
        self.rows[key.id] = key

    async def find(self, organization: str | None = None) -> list[Key]:
        self._switch.check()
        found = [k for k in self.rows.values() if organization in (None, k.organization)]
        return sorted(found, key=lambda k: (k.created_at, k.id))

    async def remove(self, key: str) -> bool:
        self._switch.check()
        return self.rows.pop(key, None) is not None

    async def expire(self, key: str, at: datetime) -> bool:
        self._switch.check()
        row = self.rows.get(key)
        if row is not None and (row.expires_at is None or row.expires_at > at):
            self.rows[key] = replace(row, expires_at=at)
        return row is not None

    async def touch(self, key: str, now: datetime) -> None:
        self._switch.check()
        if key in self.rows:
            self.rows[key] = replace(self.rows[key], last_used_at=now)


class MemoryOrganizations:
    """``OrganizationStore``."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self.rows: dict[str, Organization] = {}

    async def get(self, organization: str) -> Organization | None:
        self._switch.check()
        return self.rows.get(organization)

    async def find(self) -> list[Organization]:
        self._switch.check()
        return sorted(self.rows.values(), key=lambda row: (row.created_at, row.id))

    async def put(self, organization: Organization) -> None:
        self._switch.check()
        old = self.rows.get(organization.id)
        made = organization.created_at if old is None else old.created_at
        self.rows[organization.id] = replace(organization, created_at=made)


@dataclass(frozen=True, slots=True)
class _Mark:
    body_hash: str
    created_at: datetime
    answer: Answer | None = None
    made: str | None = None
    prepared: Answer | None = None


class MemoryIdempotency:
    """``IdempotencyStore``. ``exists`` says whether a call or callback is on disk."""

    def __init__(self, switch: Switch, exists: Callable[[str], bool] = lambda made: False) -> None:
        self._switch = switch
        self._exists = exists
        self.rows: dict[tuple[str, str], _Mark] = {}

    async def recover(self) -> int:
        self._switch.check()
        open_marks = [name for name, mark in self.rows.items() if mark.answer is None]
        for name in open_marks:
            mark = self.rows.pop(name)
            if mark.made is not None and self._exists(mark.made):
                self.rows[name] = replace(mark, answer=mark.prepared)
        return len(open_marks)

    async def begin(
        self, organization: str, key: str, body_hash: str, now: datetime
    ) -> Answer | None:
        self._switch.check()
        mark = self.rows.get((organization, key))
        if mark is None or mark.created_at <= now - KEPT:
            self.rows[organization, key] = _Mark(body_hash, now)
            return None
        if mark.body_hash != body_hash:
            raise Conflict("this Idempotency-Key was used with another body", code=CODE)
        if mark.answer is None:
            raise Busy("the first request with this Idempotency-Key is not over", code=CODE)
        return mark.answer

    async def prepare(self, organization: str, key: str, made: str, answer: Answer) -> None:
        self._switch.check()
        if (mark := self.rows.get((organization, key))) is not None:
            self.rows[organization, key] = replace(mark, made=made, prepared=answer)

    async def finish(self, organization: str, key: str, answer: Answer) -> None:
        self._switch.check()
        if (mark := self.rows.get((organization, key))) is not None:
            self.rows[organization, key] = replace(mark, answer=answer)

    async def forget(self, organization: str, key: str) -> None:
        self._switch.check()
        mark = self.rows.get((organization, key))
        if mark is not None and mark.answer is None:
            del self.rows[organization, key]

    async def purge(self, before: datetime) -> int:
        self._switch.check()
        old = [name for name, mark in self.rows.items() if mark.created_at < before]
        for name in old:
            del self.rows[name]
        return len(old)


class MemoryAccounts(Generic[Item]):
    """``Repository`` of one noun; ``natural`` is what may exist only once."""

    def __init__(
        self,
        switch: Switch,
        natural: Callable[[Item], object],
        from_file: tuple[Item, ...],
        changed: Callable[[], None],
    ) -> None:
        self._switch = switch
        self._natural = natural
        self.from_file = from_file
        self._changed = changed
        self.rows: dict[str, Item] = {}

    def all(self) -> tuple[Item, ...]:
        rows = sorted(self.rows.values(), key=lambda row: (row.created_at, row.id))
        return (*self.from_file, *rows)

    async def find(self, organization: str) -> list[Item]:
        self._switch.check()
        return [item for item in self.all() if item.organization == organization]

    async def get(self, organization: str, item: str) -> Item | None:
        return next((row for row in await self.find(organization) if row.id == item), None)

    async def add(self, item: Item) -> None:
        self._switch.check()
        self._check_natural(item)
        if item.id in self.rows:
            raise Conflict(f"there is {item.id} already")
        self.rows[item.id] = item
        self._changed()

    async def replace(self, item: Item) -> None:
        self._switch.check()
        self._check_writable(item.organization, item.id)
        old = self.rows.get(item.id)
        if old is None or old.organization != item.organization:
            raise NotFound("not found")
        self._check_natural(item)
        self.rows[item.id] = item
        self._changed()

    async def remove(self, organization: str, item: str) -> bool:
        self._switch.check()
        self._check_writable(organization, item)
        old = self.rows.get(item)
        if old is None or old.organization != organization:
            return False
        del self.rows[item]
        self._changed()
        return True

    def _check_natural(self, item: Item) -> None:
        key = self._natural(item)
        if any(self._natural(row) == key and row.id != item.id for row in self.all()):
            raise Conflict(f"there is {key} already")

    def _check_writable(self, organization: str, item: str) -> None:
        if any(row.id == item and row.organization == organization for row in self.from_file):
            raise Conflict("this is made by the settings file: change it there")


class MemoryDirectory:
    """``Directory`` over what is kept."""

    def __init__(self, agents: MemoryAgents) -> None:
        self.agent = agents.agent
        self.tools = agents.tools
        self._watchers: list[Callable[[], None]] = []
        self.trunk_rows: Callable[[], tuple[Trunk, ...]] = tuple
        self.phone_rows: Callable[[], tuple[Phone, ...]] = tuple
        self.number_rows: Callable[[], tuple[PhoneNumber, ...]] = tuple

    def trunks(self, organization: str | None = None) -> tuple[Trunk, ...]:
        return tuple(t for t in self.trunk_rows() if organization in (None, t.organization))

    def phones(self, organization: str | None = None) -> tuple[Phone, ...]:
        return tuple(p for p in self.phone_rows() if organization in (None, p.organization))

    def numbers(self, organization: str | None = None) -> tuple[PhoneNumber, ...]:
        return tuple(n for n in self.number_rows() if organization in (None, n.organization))

    def number(self, e164: str) -> PhoneNumber | None:
        return next((n for n in self.number_rows() if n.e164 == e164), None)

    def watch(self, changed: Callable[[], None]) -> None:
        self._watchers.append(changed)

    def changed(self) -> None:
        for watcher in self._watchers:
            watcher()


class MemoryStore:
    """Everything of ``store.Store`` that is a port."""

    def __init__(self, files: FileRows = NO_FILE) -> None:
        self.switch = Switch()
        self.calls = MemoryCalls(self.switch)
        self.ledger = self.calls.ledger
        self.callbacks = MemoryCallbacks(self.switch)
        self.keys = MemoryKeys(self.switch)
        self.organizations = MemoryOrganizations(self.switch)
        self.kyb = MemoryKyb(self.switch.check)
        self.knowledge = MemoryKnowledge(self.switch.check)
        self.webhooks = MemoryWebhooks(self.switch.check)
        self.agents = MemoryAgents(self.switch.check, self.knowledge, self.webhooks)
        self.tools = MemoryTools(self.switch.check, self.agents)
        self.deliveries = MemoryDeliveries(self.switch.check, self.webhooks)
        self.idempotency = MemoryIdempotency(
            self.switch,
            lambda made: made in self.calls.rows or made in self.callbacks.rows,
        )
        self.directory = MemoryDirectory(self.agents)
        changed = self.directory.changed
        self.trunks: MemoryAccounts[Trunk] = MemoryAccounts(
            self.switch, lambda t: (t.organization, t.name), files.trunks, changed
        )
        self.phones: MemoryAccounts[Phone] = MemoryAccounts(
            self.switch, lambda p: p.user, files.phones, changed
        )
        self.numbers: MemoryAccounts[PhoneNumber] = MemoryAccounts(
            self.switch, lambda n: n.e164, files.numbers, changed
        )
        self.directory.trunk_rows = self.trunks.all
        self.directory.phone_rows = self.phones.all
        self.directory.number_rows = self.numbers.all

    @property
    def down(self) -> bool:
        return self.switch.down

    @down.setter
    def down(self, value: bool) -> None:
        self.switch.down = value

    async def start(self, now: datetime) -> None:
        await self.idempotency.recover()
        if DEFAULT_ORGANIZATION not in self.organizations.rows:
            await self.organizations.put(
                Organization(id=DEFAULT_ORGANIZATION, name="Default", created_at=now)
            )

    async def close(self) -> None:
        """Memory needs no closing."""


def _chosen(call: Call, chosen: CallFilter) -> bool:
    return (
        chosen.status in (None, call.status.value)
        and chosen.kind in (None, call.kind)
        and chosen.agent in (None, call.agent)
        and (chosen.since is None or call.created_at >= chosen.since)
        and (chosen.until is None or call.created_at < chosen.until)
        and (chosen.after is None or (call.created_at, call.id) < chosen.after)
    )


def _claimable(row: Callback, now: datetime) -> bool:
    if row.status is CallbackStatus.SCHEDULED:
        return row.scheduled_at <= now
    return (
        row.status is CallbackStatus.DISPATCHING
        and row.attempted_at is None
        and row.lease_until is not None
        and row.lease_until <= now
    )


def _moved(callback: Callback) -> Conflict:
    return Conflict(f"callback {callback.id} is no longer {callback.status.value}")
