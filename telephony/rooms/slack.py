"""How deep a queue of frames need be: one that is always early may come later.

Frames come at their own time and go with the tick. Where one came a little too late once, all that
follow wait a tick longer than they need to, for ever. What waits behind the frame that is due says
by how much: where it was there in good time for a second on end, one frame is let go. By its time
and not by its being there: who let go what is only just on time would miss it at the next jitter,
and go on so, a click a second.
"""

from __future__ import annotations

MARGIN = 0.005
"""Seconds that a frame must have been there for one before it to be needless."""
PATIENCE = 50
"""Ticks in a row."""
FAR = 0.025
"""Seconds from which it is much too early: what a standstill left behind. Then it goes faster."""
HASTE = 5


class Slack:
    """Of one queue."""

    __slots__ = ("_count", "_margin")

    def __init__(self, margin: float = MARGIN) -> None:
        self._margin = margin
        self._count = 0

    def spare(self, age: float | None) -> bool:
        """Whether to let one go. ``age``: seconds for which the frame behind the one that is due
        has been there, None where there is none."""
        if age is None or age < self._margin:
            self._count = 0
            return False
        self._count += HASTE if age >= FAR else 1
        if self._count < PATIENCE:
            return False
        self._count = 0
        return True
