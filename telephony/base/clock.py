"""Time as a value: the protocol everything is given, and a manual clock for tests.

The system's clock is made by what starts a process; nothing else reads one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Two readings: a wall time to store and a monotonic time to measure with."""

    def now(self) -> datetime:
        """Aware UTC wall time."""
        ...

    def monotonic(self) -> float:
        """Seconds, never going backwards; only differences mean anything."""
        ...


class ManualClock:
    """A clock that moves when it is told to."""

    def __init__(self, start: datetime | None = None) -> None:
        self._wall = start or datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
        self._mono = 1000.0

    def now(self) -> datetime:
        return self._wall

    def monotonic(self) -> float:
        return self._mono

    def advance(self, seconds: float) -> None:
        """Move both readings forward by ``seconds`` (never negative)."""
        if seconds < 0:
            raise ValueError("a clock does not go backwards; use step_wall for a wall step")
        self._wall += timedelta(seconds=seconds)
        self._mono += seconds

    def step_wall(self, seconds: float) -> None:
        """Step the wall time only, as an administrator or NTP would."""
        self._wall += timedelta(seconds=seconds)


def iso(moment: datetime) -> str:
    """``YYYY-MM-DDTHH:MM:SS.mmmZ`` of an aware time, the form of every reply and record."""
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no place on the wire")
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="milliseconds") + "Z"


def parse_iso(text: str) -> datetime:
    """The aware UTC time of an ISO-8601 text with a zone.

    Raises:
        ValueError: not ISO-8601, or without a zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)
