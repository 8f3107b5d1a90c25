"""The states of a leg and of a call, and which fact moves which."""

from __future__ import annotations

from enum import StrEnum


class Direction(StrEnum):
    """Whether the call came to us, went from us, or is a browser's and has no leg."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    WEB = "web"


class LegState(StrEnum):
    """A leg from offer to end. Why it ended is its outcome, not its state."""

    NEW = "new"
    RINGING = "ringing"
    EARLY = "early"
    ANSWERED = "answered"
    ENDED = "ended"


# (state, event class name) → state. A pair that is missing leaves the state as it is: a late
# 180 after the answer is a fact worth keeping and moves nothing.
LEG_TRANSITIONS: dict[tuple[LegState, str], LegState] = {
    (LegState.NEW, "LegRinging"): LegState.RINGING,
    (LegState.NEW, "LegEarlyMedia"): LegState.EARLY,
    (LegState.NEW, "LegAnswered"): LegState.ANSWERED,
    (LegState.NEW, "LegEnded"): LegState.ENDED,
    (LegState.RINGING, "LegEarlyMedia"): LegState.EARLY,
    (LegState.RINGING, "LegAnswered"): LegState.ANSWERED,
    (LegState.RINGING, "LegEnded"): LegState.ENDED,
    (LegState.EARLY, "LegAnswered"): LegState.ANSWERED,
    (LegState.EARLY, "LegEnded"): LegState.ENDED,
    (LegState.ANSWERED, "LegEnded"): LegState.ENDED,
}
