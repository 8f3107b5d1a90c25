"""A call as a value: folded from its events; says which commands are permitted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.leg import Leg
from telephony.calls.outcome import Outcome, Status
from telephony.calls.state import Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Everything the row of a call holds. ``id`` is the session id.

    ``kind`` is ``ivr`` when a dialplan runs the call. ``updated_at`` is the time of the last
    event. ``recording_status`` is one of the contract's words or None.
    """

    id: str
    organization: str
    direction: Direction
    created_at: datetime
    updated_at: datetime
    status: Status
    from_number: str = ""
    to_number: str = ""
    provider: str = "sip"
    kind: str = "ivr"
    language: str = "en"
    agent: str | None = None
    dialplan: str | None = None
    trunk: str | None = None
    phone_number: str | None = None
    room: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    pipeline: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    legs: tuple[Leg, ...] = ()
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    recording_status: str | None = None
    recording_path: str | None = None
    recording_ms: int | None = None

    # --- reading ---------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        return not self.status.terminal

    @property
    def active(self) -> bool:
        return self.status is Status.ACTIVE

    @property
    def primary(self) -> Leg | None:
        """The first leg: the caller of an inbound call, the callee of an outbound one."""
        return self.legs[0] if self.legs else None

    @property
    def failure_cause(self) -> str | None:
        cause = self.outcome.cause if self.outcome else None
        return cause.value if cause else None

    @property
    def duration_seconds(self) -> float:
        """From the answer to the end; 0 when never active."""
        if self.answered_at is None or self.ended_at is None:
            return 0.0
        return max(0.0, (self.ended_at - self.answered_at).total_seconds())

    @property
    def our_number(self) -> str:
        """Our side: what was dialled of an inbound call, the caller id of an outbound one."""
        return self.to_number if self.direction is Direction.INBOUND else self.from_number

    def leg(self, leg_id: str) -> Leg | None:
        return next((leg for leg in self.legs if leg.id == leg_id), None)

    # --- events ----------------------------------------------------------------------------

    def apply(self, event: e.Event) -> Call:
        """The call after the event."""
        changes: dict[str, Any] = {"updated_at": event.at}
        if isinstance(event, e.LegEvent):
            legs = self._legs_after(event)
            primary = not legs or legs[0].id == event.leg
            changes["legs"] = legs
        else:
            primary = False
        match event:
            case e.LegRinging() if self.status is Status.DIALING and primary:
                changes["status"] = Status.RINGING
            case e.LegAnswered() if not self.status.terminal and primary:
                if self.answered_at is None:
                    changes.update(status=Status.ACTIVE, answered_at=event.at)
            case e.RoomJoined():
                changes["room"] = event.room
            case e.ConversationBegan() if self.status is Status.CONNECTING:
                # A browser's session has no leg that could be answered.
                changes.update(status=Status.ACTIVE, answered_at=event.at)
            case e.RecordingStarted(kind="call"):
                changes.update(recording_status="pending", recording_path=event.path)
            case e.RecordingReady(kind="call"):
                changes.update(recording_status="ready", recording_ms=event.duration_ms)
            case e.RecordingFailed(kind="call"):
                changes.update(recording_status="failed", recording_ms=event.duration_ms)
            case e.CallEnded() if self.outcome is None:
                changes.update(
                    status=event.outcome.status, outcome=event.outcome, ended_at=event.at
                )
        return replace(self, **changes)

    def _legs_after(self, event: e.LegEvent) -> tuple[Leg, ...]:
        leg = self.leg(event.leg)
        if leg is None:
            born = Leg.born(event)
            return self.legs if born is None else (*self.legs, born)
        after = leg.apply(event)
        if after is leg:
            return self.legs
        return tuple(after if x.id == leg.id else x for x in self.legs)

    # --- rules -----------------------------------------------------------------------------

    def permit(self, command: c.Command) -> str | None:
        """Why the command is not allowed now, or None where it is."""
        if isinstance(command, c.Note):
            return None
        if self.status.terminal:
            return "the call is over"
        if isinstance(command, c.Dial):
            return "there is such a leg already" if self.leg(command.leg) else None
        if not isinstance(command, c.LegCommand):
            return None
        leg = self.leg(command.leg)
        if leg is None:
            return f"no leg {command.leg}"
        if not leg.live:
            return "the leg has ended"
        return self._permit_on(command, leg)

    def _permit_on(self, command: c.LegCommand, leg: Leg) -> str | None:
        match command:
            case c.Answer():
                if leg.direction is Direction.OUTBOUND:
                    return "we called this leg"
                return "the leg is answered" if leg.answered else None
            case c.Ring():
                return "the leg is answered" if leg.answered else None
            case c.Stop() | c.EndLeg() | c.LeaveRoom() | c.StopRecord():
                return None
            case c.Bridge():
                other = self.leg(command.other)
                if other is None or not other.answered or not leg.answered:
                    return "both legs must be answered"
                return None
            case _:
                return None if leg.answered else "the leg is not answered"
