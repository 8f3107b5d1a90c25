"""One task a call, and the only place where the two columns' traffic crosses.

Always the same steps: take an event; append it to the journal; apply it to the call; let the
program answer with commands; keep those that the call permits; execute. What execution brings
comes back as events in the same queue, so there is no second path.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from telephony.base.number import mask
from telephony.calls.call import Call
from telephony.calls.commands import Command
from telephony.calls.events import (
    CallEnded,
    DigitPressed,
    Event,
    LegAnswered,
    LegEnded,
    LegHeld,
    LegOffered,
    LegUnheld,
    RecordingFailed,
    RecordsDelayed,
    RoomOpened,
    TransferCompleted,
)
from telephony.calls.outcome import Cause, EndedBy, Outcome
from telephony.calls.ports import Append, DialRequest, LegControl
from telephony.calls.public import INFORMATIONAL, publish
from telephony.calls.record import CallReport
from telephony.ivr.script import Script
from telephony.reports.fold import fold
from telephony.switchboard.execute import Executor
from telephony.switchboard.kit import Kit
from telephony.switchboard.messages import Messages
from telephony.switchboard.web_room import WebRoom

log = structlog.get_logger("telephony.switchboard.session")


_GOING = frozenset({"hangup", "leg_ended"})

# What is left out over a ceiling: also what a far end can make as often as it likes.
_SPARED = INFORMATIONAL | {DigitPressed, LegHeld, LegUnheld}


@dataclass(frozen=True, slots=True)
class EndOrder:
    """Somebody outside wants the call over."""

    outcome: Outcome | None
    by: EndedBy


@dataclass(frozen=True, slots=True)
class _Resume:
    """A REFER was not taken: the transfer goes on by dialling."""


class Session:
    """A live call: its value, its log, its legs and its program."""

    def __init__(
        self,
        kit: Kit,
        call: Call,
        program: Script | None,
        *,
        record: bool = False,
        max_seconds: float | None = None,
        first_dial: DialRequest | None = None,
    ) -> None:
        self.kit = kit
        self.call = call
        self.legs: dict[str, LegControl] = {}
        self.log: list[Event] = []
        self._program = program
        self._started = False
        self._record = record
        self.room: WebRoom | None = None
        self.messages: Messages | None = None
        self._max_seconds = min(max_seconds or 1e9, kit.config.max_call_seconds)
        self._first_dial = first_dial
        self._queue: deque[Event | EndOrder | _Resume] = deque()
        self._wake = asyncio.Event()
        self._seq = 0
        self._last_created: datetime | None = None
        self._deadline: float | None = None
        self._ending: Outcome | None = None
        self._ending_by = EndedBy.SERVICE
        self._handed_over = False
        self._engaged_at_end = False
        self._dropped = 0
        self.executor = Executor(self)

    # --- doors -----------------------------------------------------------------------------

    @property
    def seq(self) -> int:
        return self._seq

    def emit(self, event: Event) -> None:
        """Take a fact in. Over the ceiling only what ends nothing is dropped, and counted."""
        if len(self._queue) >= self.kit.config.queue_ceiling and type(event) in _SPARED:
            self._dropped += 1
            return
        self._queue.append(event)
        self._wake.set()

    @property
    def leaving(self) -> bool:
        """What ends the call waits in the queue already: nothing new is begun for it."""
        return any(
            isinstance(item, EndOrder)
            or (isinstance(item, LegEnded) and self._is_primary(item.leg))
            for item in self._queue
        )

    def end(self, by: EndedBy, outcome: Outcome | None = None) -> None:
        """Order the end of the call."""
        self._queue.append(EndOrder(outcome, by))
        self._wake.set()

    def wake(self) -> None:
        """Something that the end of the call waits for may have come."""
        self._wake.set()

    def poke(self) -> None:
        """Let the session's task look after a transfer that must go on another way."""
        self._queue.append(_Resume())
        self._wake.set()

    def delayed(self, seconds: float) -> None:
        """The store was away for this call's events."""
        dropped = self.kit.journal.dropped[self.call.id]
        now = self.kit.clock.now()
        self.emit(RecordsDelayed(at=now, seconds=round(seconds, 3), dropped=dropped))

    # --- the loop --------------------------------------------------------------------------

    async def run(self) -> None:
        """Live the call to its end; never raises for what happened in it."""
        try:
            if self._first_dial is not None:
                await self.executor.dial_leg(self._first_dial)
            while self._ending is None:
                item = await self._next()
                if isinstance(item, EndOrder):
                    self._ending = self._outcome_of(item)
                    self._ending_by = item.by
                elif item is None:
                    await self._expired()
                elif isinstance(item, _Resume):
                    await self.executor.transfers.resume()
                else:
                    await self._take(item)
        except Exception:
            # The call must not vanish without its end, whatever went wrong in here.
            log.exception("a session failed", call=self.call.id)
            self._ending = self._fault()
        await self._finish(self._ending or self._fault())

    async def _next(self) -> Event | EndOrder | _Resume | None:
        """The next thing in the queue, or None when a deadline has come first."""
        while not self._queue:
            self._wake.clear()
            deadline = self._next_deadline()
            if deadline is None:
                await self._wake.wait()
                continue
            delay = deadline - self.kit.clock.monotonic()
            if delay <= 0:
                return None
            try:
                async with asyncio.timeout(delay):
                    await self._wake.wait()
            except TimeoutError:
                return None
        return self._queue.popleft()

    def _next_deadline(self) -> float | None:
        program = self._program
        wanted = program.next_deadline() if program is not None and self._runs else None
        if self._deadline is None or (wanted is not None and wanted < self._deadline):
            return wanted
        return self._deadline

    @property
    def _runs(self) -> bool:
        return self._started and not self._handed_over and self._ending is None

    async def _expired(self) -> None:
        now = self.kit.clock.monotonic()
        if self._deadline is not None and now >= self._deadline:
            self._ending = Outcome.max_duration()
        elif self._program is not None and self._runs:
            await self._perform(self._program.expire(now))

    async def _take(self, event: Event) -> None:
        self.append(event)
        match event:
            case LegAnswered() if self._is_primary(event.leg):
                self._answered(event.leg)
            case TransferCompleted():
                # Handed over: by REFER the far end is gone in a moment, by bridge the two
                # parties talk until one of them leaves. Either way the program has no more say.
                self._handed_over = True
                if event.mode == "refer":
                    self._ending = Outcome.transferred()
                    return
                self._ending = self._after_short_talk()
            case LegEnded() if self._ends_call(event):
                self._engaged_at_end = self._program is not None and self._program.engaged
                self._ending = self._after_leg(event)
                return
        await self.executor.observe(event)
        await self._step(event)

    def _answered(self, leg: str) -> None:
        if self._record and leg in self.legs:
            self.executor.record_call(leg)

    async def _step(self, event: Event) -> None:
        program = self._program
        if program is None or self._handed_over or self._ending is not None:
            return
        # What ends only because its leg is going says nothing to the program: the leg's own end
        # follows, and a program that went on to its next node first would hang up on a dead line.
        if getattr(event, "reason", "") in _GOING:
            return
        now = self.kit.clock.monotonic()
        if self._started:
            await self._perform(program.step(event, now))
        elif isinstance(event, LegOffered | RoomOpened) or (
            isinstance(event, LegAnswered) and self._is_primary(event.leg)
        ):
            self._started = True
            await self._perform(program.start(event, now))

    async def _perform(self, commands: list[Command]) -> None:
        for command in commands:
            refusal = self.call.permit(command)
            if refusal is not None:
                log.info(
                    "a command was not permitted",
                    call=self.call.id,
                    command=type(command).__name__,
                    reason=refusal,
                )
                continue
            outcome = await self.executor.do(command)
            if outcome is not None:
                self._ending = outcome
                return

    # --- the log ---------------------------------------------------------------------------

    def append(self, event: Event) -> None:
        """Apply an event and hand it to the journal, with the report where it is the last."""
        if len(self.log) >= self.kit.config.log_ceiling and type(event) in _SPARED:
            self._dropped += 1
            return
        stored = self._masked(event)
        self._seq += 1
        before, self.call = self.call, self.call.apply(stored)
        if before.answered_at is None and self.call.answered_at is not None:
            self._deadline = self.kit.clock.monotonic() + self._max_seconds
        self.log.append(stored)
        created = self.kit.clock.now()
        # ``created_at`` is a stream's cursor in whole milliseconds, so it must rise in them.
        if self._last_created is not None:
            created = max(created, self._last_created + timedelta(milliseconds=1))
        self._last_created = created
        row = publish(
            stored,
            self.call,
            seq=self._seq,
            event_id=self.kit.ids.make("evt"),
            created_at=created,
        )
        report = self._report() if isinstance(stored, CallEnded) else None
        self.kit.journal.append(Append(row, self.call, report))

    def _report(self) -> CallReport | None:
        try:
            return fold(self.call, self.log, self.kit.rates)
        except Exception:
            # A call without its report is a pity; one that never ends in the store is worse.
            log.exception("a report could not be made", call=self.call.id)
            return None

    def _masked(self, event: Event) -> Event:
        """What is written of an event: a secret's digits are not, to the very end of the call."""
        program = self._program
        if isinstance(event, DigitPressed) and program is not None and program.masks(event):
            return replace(event, digit="*", secret=True)
        return event

    # --- endings ---------------------------------------------------------------------------

    def _is_primary(self, leg: str) -> bool:
        return self.call.primary is None or self.call.primary.id == leg

    def _ends_call(self, event: LegEnded) -> bool:
        if self._is_primary(event.leg):
            return True
        return self._handed_over

    def _after_short_talk(self) -> Outcome | None:
        """Handed over to somebody whose end came in before that: the call is over at once."""
        parties = [leg for leg in self.call.legs[1:] if leg.answered_at is not None]
        if not parties or any(leg.live for leg in parties):
            return None
        outcome = parties[-1].outcome
        return Outcome.transferred(outcome.ended_by if outcome else EndedBy.SERVICE)

    def _fault(self) -> Outcome:
        if self.call.answered_at is not None:
            return Outcome.dropped(Cause.INTERNAL)
        return Outcome.failed(Cause.INTERNAL)

    def _after_leg(self, event: LegEnded) -> Outcome:
        if self._handed_over:
            return Outcome.transferred(event.outcome.ended_by)
        if self._engaged_at_end and event.outcome.ended_by in (EndedBy.CALLER, EndedBy.CALLEE):
            return event.outcome.as_abandoned()
        return event.outcome

    def _outcome_of(self, order: EndOrder) -> Outcome:
        if order.outcome is not None:
            return order.outcome
        if self.call.answered_at is not None:
            return Outcome.completed(order.by)
        return Outcome.canceled(order.by)

    async def _finish(self, outcome: Outcome) -> None:
        """The one way out. Each step is here for a reason of its place."""
        self._started = False
        steps: tuple[tuple[str, Callable[[], object]], ...] = (
            # What plays and what is being made goes first: nothing new may reach a leg.
            ("playouts", self.executor.stop_playouts),
            # Recordings before the legs: a lane that closes has no more sound to write.
            ("recordings", self.executor.finish_recordings),
            # BYE before the rooms: a room that closes first is silence to the caller.
            ("legs", lambda: self.executor.end_legs(outcome)),
            ("rooms", self.executor.leave_rooms),
        )
        for name, step in steps:
            try:
                step()
            except Exception:
                log.exception("a step of the teardown failed", call=self.call.id, step=name)
        await self._settle()
        self.append(
            CallEnded(
                at=self.kit.clock.now(),
                outcome=outcome,
                events_dropped=self._dropped + self.kit.journal.dropped[self.call.id],
            )
        )
        self.executor.close()
        del self.executor
        log.info(
            "call ended",
            call=self.call.id,
            status=self.call.status.value,
            cause=self.call.failure_cause,
            by=outcome.ended_by.value,
            seconds=round(self.call.duration_seconds, 3),
            to=mask(self.call.to_number),
        )

    async def _settle(self) -> None:
        """Write down what the teardown brings: legs that end, recordings that become whole."""
        until = self.kit.clock.monotonic() + self.kit.config.teardown_seconds
        while self._unsettled() or self._queue:
            if not self._queue:
                self._wake.clear()
                delay = until - self.kit.clock.monotonic()
                if delay <= 0:
                    break
                try:
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
                except TimeoutError:
                    break
                continue
            item = self._queue.popleft()
            if isinstance(item, Event):
                self.append(item)
                await self.executor.observe(item)
        now = self.kit.clock.now()
        for begun in self.executor.open_recordings.values():
            log.warning("a recording did not end in time", call=self.call.id)
            self.append(
                RecordingFailed(
                    at=now,
                    leg=begun.leg,
                    recording=begun.recording,
                    kind=begun.kind,
                    path=begun.path,
                    error="it was not whole in time",
                )
            )
        for leg in self.call.legs:
            if leg.live:
                log.warning("a leg did not end in time", call=self.call.id, leg=leg.id)
                lost = Outcome.dropped(Cause.NETWORK) if leg.answered else Outcome.no_answer()
                self.append(LegEnded(at=now, leg=leg.id, outcome=lost))

    def _unsettled(self) -> bool:
        return any(leg.live for leg in self.call.legs) or self.executor.busy
