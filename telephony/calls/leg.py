"""A leg as a value: folded from its events, never changed in place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from telephony.calls.events import (
    LegAnswered,
    LegDialing,
    LegEnded,
    LegEvent,
    LegHeld,
    LegOffered,
    LegUnheld,
)
from telephony.calls.outcome import Outcome
from telephony.calls.state import LEG_TRANSITIONS, Direction, LegState


@dataclass(frozen=True, slots=True)
class Leg:
    """One party's connection. ``direction`` is a field, not a class: both ways are one thing."""

    id: str
    direction: Direction
    provider: str
    state: LegState = LegState.NEW
    held: bool = False
    answered_at: datetime | None = None
    outcome: Outcome | None = None

    @classmethod
    def born(cls, event: LegEvent) -> Leg | None:
        """The leg that an event begins, if it begins one."""
        match event:
            case LegOffered():
                return cls(event.leg, Direction.INBOUND, event.provider)
            case LegDialing():
                return cls(event.leg, Direction.OUTBOUND, event.provider)
            case _:
                return None

    @property
    def live(self) -> bool:
        return self.state is not LegState.ENDED

    @property
    def answered(self) -> bool:
        return self.state is LegState.ANSWERED

    def apply(self, event: LegEvent) -> Leg:
        """The leg after the event."""
        state = LEG_TRANSITIONS.get((self.state, type(event).__name__), self.state)
        leg = self if state is self.state else replace(self, state=state)
        match event:
            case LegAnswered() if leg.answered_at is None and leg.answered:
                return replace(leg, answered_at=event.at)
            case LegHeld():
                return replace(leg, held=True)
            case LegUnheld():
                return replace(leg, held=False)
            case LegEnded() if leg.outcome is None:
                return replace(leg, outcome=event.outcome)
            case _:
                return leg
