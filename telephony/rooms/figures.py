"""What is counted of rooms' sound."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Figures:
    """Frames of 20 ms, counted up; ``depth`` is the deepest queue now."""

    heard_lost: int = 0
    """Of the caller, for which no agent came in time."""
    heard_skipped: int = 0
    """Of the caller's silence, left out to be in time again."""
    heard_failed: int = 0
    """Of the caller, that the SDK did not take."""
    said_dropped: int = 0
    """Of the room, that waited for too long."""
    said_late: int = 0
    """Ticks for which a voice of the room had no frame."""
    depth: int = 0

    def add(self, other: Figures) -> None:
        self.heard_lost += other.heard_lost
        self.heard_skipped += other.heard_skipped
        self.heard_failed += other.heard_failed
        self.said_dropped += other.said_dropped
        self.said_late += other.said_late
        self.depth = max(self.depth, other.depth)
