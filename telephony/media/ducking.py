"""Prompts go down while somebody speaks to the lane that hears them.

Only in company: a lane that hears nobody but its prompt hears it bit for bit.
"""

from __future__ import annotations

import numpy as np

from telephony.audio.mix import Gains, ramped
from telephony.media.columns import Columns, Counts, Flags, Rows, Samples
from telephony.media.desk import NOBODY

UNDER_SPEECH = np.float32(10 ** (-14 / 20))
"""14 dB down: words are understood over it, and it is still heard that something plays."""
ATTACK = np.float32(0.5)
RELEASE = np.float32(0.1)
"""Shares of the way that a gain goes in a tick: down in about 60 ms, up in about 400."""
HANGOVER = 15
"""Ticks after the last voice before it rises: not between two words of a sentence."""
_NEAR = np.float32(0.002)


def approach(gain: Gains, target: Gains) -> Gains:
    """A tick's step of each gain towards its target, reached in the end to the bit."""
    away = target - gain
    step = np.where(away < 0, ATTACK, RELEASE) * away
    return np.where(np.abs(away) < _NEAR, target, gain + step).astype(np.float32)


class Ducking(Columns):
    """``gain`` of each lane's prompt at the end of the last tick; ``patience`` in ticks."""

    LAYOUT = {
        "gain": (np.float32, (), 1.0),
        "patience": (np.int64, (), 0),
    }
    gain: Gains
    patience: Counts

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._low = NOBODY

    @property
    def idle(self) -> bool:
        """Whether nobody's prompt is down."""
        return not self._low.size

    def apply(self, rows: Rows, frames: Samples, spoken: Flags) -> Samples:
        """Prompts of ``rows`` as they are heard now.

        ``frames`` int16 (rows, samples); ``spoken`` (rows,): somebody whom the lane hears speaks.
        """
        # What is down when its prompt ends is up for the next one.
        over = np.setdiff1d(self._low, rows)
        self.gain[over], self.patience[over] = 1, 0
        patience = np.where(spoken, HANGOVER, np.maximum(self.patience[rows] - 1, 0))
        before = self.gain[rows]
        target = np.where(patience > 0, UNDER_SPEECH, np.float32(1)).astype(np.float32)
        after = approach(before, target)
        self.gain[rows], self.patience[rows] = after, patience
        moved = np.flatnonzero((before < 1) | (after < 1))
        if moved.size:
            frames[moved] = ramped(frames[moved], before[moved], after[moved])
        self._low = rows[after < 1]
        return frames
