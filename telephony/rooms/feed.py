"""What the caller says on its way into the room: kept until somebody listens, then in real time.

A call's first words are said before the agent has come. They wait here and go out whole, so the
agent hears them late; what it is behind is made up for in pauses, which nobody misses.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from telephony.audio.mix import Samples

FRAME_SECONDS = 0.02
HOLD = 500
"""Frames that are kept for an agent that has not come: 10 s; the oldest leave first."""
LEAD = 10
"""Frames of quiet that are kept before the first word."""
QUEUE = 0.2
"""Seconds that the SDK may hold: its own queue's size."""
FILL = 0.16
"""Seconds up to which it is filled: what came at once after we stood still."""
AT_EASE = 0.05
"""Seconds behind of which nothing is made up for: the jitter of the tick."""
HUSH = 60.0
"""RMS on the int16 scale below which any frame is quiet: -55 dBov."""
LOUDEST_HUSH = 400.0
"""And what no noise on the line is taken for: -38 dBov."""
RISE = 1.005
"""How fast the noise floor is forgotten, a frame: 10 s from -55 to -38 dBov."""
PAUSE = 5
"""Quiet frames in a row before one is left out, so that the ends of words stay."""


class Feed:
    """One caller's. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.lost = 0
        """Frames with sound that nobody came for in time."""
        self.skipped = 0
        """Frames of quiet that were left out."""
        self._waiting: deque[tuple[Samples, bool]] = deque()
        self._open = False
        self._heard = False
        self._floor = LOUDEST_HUSH
        self._pause = 0
        self._depth = 0.0
        self._at = 0.0

    @property
    def behind(self) -> float:
        """Seconds from a word to its way out, as of the last frame."""
        return len(self._waiting) * FRAME_SECONDS + self._depth

    def open(self) -> None:
        """Somebody listens."""
        self._open = True

    def close(self) -> None:
        """Nobody does; what is said is kept again."""
        self._open = False

    def push(self, frame: Samples) -> None:
        """20 ms of the caller."""
        quiet = self._is_quiet(frame)
        self._heard = self._heard or not quiet
        self._waiting.append((frame, quiet))
        most = HOLD if self._heard else LEAD
        if len(self._waiting) > most:
            self.lost += not self._waiting.popleft()[1]

    def due(self, now: float) -> list[Samples]:
        """What goes to the SDK now, at most what fits its queue."""
        self._depth = max(0.0, self._depth - (now - self._at))
        self._at = now
        if not self._open:
            return []
        out: list[Samples] = []
        while self._waiting and self._depth + FRAME_SECONDS <= self._room(bool(out)):
            frame, quiet = self._waiting.popleft()
            behind = self.behind
            self._pause = self._pause + 1 if quiet else 0
            if self._pause > PAUSE and behind > AT_EASE:
                self.skipped += 1
                continue
            out.append(frame)
            self._depth += FRAME_SECONDS
        return out

    def _room(self, sent: bool) -> float:
        """One frame a tick; more only while the SDK's queue would run dry."""
        return AT_EASE if sent else FILL

    def _is_quiet(self, frame: Samples) -> bool:
        wide = frame.astype(np.float32)
        level = float(np.sqrt(np.dot(wide, wide) / max(1, wide.size)))
        self._floor = min(LOUDEST_HUSH, max(HUSH / 2, min(self._floor * RISE, level)))
        return level < max(HUSH, min(2 * self._floor, LOUDEST_HUSH))
