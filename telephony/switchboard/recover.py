"""Calls that were alive when the process died are closed on the next start, with their report."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import structlog

from telephony.base.clock import Clock
from telephony.base.ids import Ids
from telephony.calls.call import Call
from telephony.calls.events import (
    CallEnded,
    Event,
    LegEnded,
    RecordingFailed,
    RecordingReady,
    RecordingStarted,
    RoomClosed,
    RoomOpened,
)
from telephony.calls.outcome import Outcome
from telephony.calls.ports import Append, CallStore, Recorded
from telephony.calls.public import CallEvent, publish
from telephony.reports.cost import Rates
from telephony.reports.fold import fold, known

log = structlog.get_logger("telephony.switchboard.recover")

Salvage = Callable[[Path], Recorded]
"""Makes what was written of a recording playable, and measures it."""


async def recover(
    store: CallStore, clock: Clock, ids: Ids, salvage: Salvage, rates: Rates | None = None
) -> list[Call]:
    """Close every call that this node left open when it died; returns them.

    Recordings that were open are made whole as far as they were written: what a caller said is
    not lost with the process.
    """
    calls = await store.unfinished()
    for call in calls:
        await close(store, call, clock, ids, salvage, rates)
    if calls:
        log.warning("calls were interrupted by the last stop", calls=len(calls))
    return calls


async def close(
    store: CallStore,
    call: Call,
    clock: Clock,
    ids: Ids,
    salvage: Salvage,
    rates: Rates | None = None,
) -> None:
    """Write the end of a call whose process is dead. Raises StoreUnavailable."""
    rows = await store.events(call.id)
    try:
        batch = _close(call, rows, clock, ids, salvage, rates)
    except Exception:
        # One call that nobody can close must not keep the service from starting.
        log.exception("a call could not be closed", call=call.id)
        return
    await store.append(batch)


def _close(
    call: Call,
    rows: list[CallEvent],
    clock: Clock,
    ids: Ids,
    salvage: Salvage,
    rates: Rates | None,
) -> list[Append]:
    events = known(rows)
    if rows and events and isinstance(events[-1], CallEnded):
        # Its node wrote the end after it was taken for dead: what is left to write is the row.
        call = call.apply(events[-1])
        return [Append(rows[-1], call, fold(call, events, rates))]
    batch: list[Append] = []
    seq = rows[-1].seq if rows else 0
    created = rows[-1].created_at if rows else call.created_at
    outcome = Outcome.interrupted(call.answered_at is not None)

    def add(event: Event) -> None:
        nonlocal call, seq, created
        seq += 1
        created = max(clock.now(), created + timedelta(milliseconds=1))
        call = call.apply(event)
        events.append(event)
        row = publish(event, call, seq=seq, event_id=ids.make("evt"), created_at=created)
        report = fold(call, events, rates) if isinstance(event, CallEnded) else None
        batch.append(Append(row, call, report))

    now = clock.now()
    for started in _open_recordings(events):
        add(_salvaged(started, salvage(Path(started.path)), clock))
    for leg in call.legs:
        if leg.live:
            add(LegEnded(at=now, leg=leg.id, outcome=Outcome.interrupted(leg.answered)))
    if (room := _open_room(events)) is not None:
        add(RoomClosed(at=now, room=room, reason="lost"))
    add(CallEnded(at=now, outcome=outcome))
    return batch


def _open_room(events: list[Event]) -> str | None:
    """The room that a browser's session has left open."""
    last = [e for e in events if isinstance(e, RoomOpened | RoomClosed)][-1:]
    return last[0].room if last and isinstance(last[0], RoomOpened) else None


def _open_recordings(events: list[Event]) -> list[RecordingStarted]:
    closed = {e.recording for e in events if isinstance(e, (RecordingReady, RecordingFailed))}
    return [e for e in events if isinstance(e, RecordingStarted) and e.recording not in closed]


def _salvaged(started: RecordingStarted, found: Recorded, clock: Clock) -> Event:
    if found.error:
        return RecordingFailed(
            at=clock.now(),
            leg=started.leg,
            recording=started.recording,
            kind=started.kind,
            path=started.path,
            error=found.error,
            duration_ms=found.duration_ms,
        )
    return RecordingReady(
        at=clock.now(),
        leg=started.leg,
        recording=started.recording,
        kind=started.kind,
        path=started.path,
        duration_ms=found.duration_ms,
        size=found.size,
        reason="interrupted",
    )
