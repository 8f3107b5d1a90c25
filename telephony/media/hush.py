"""Silence described instead of sent (RFC 3389), where the far end agreed on it."""

from __future__ import annotations

import numpy as np

from telephony.audio import level, noise
from telephony.media.columns import Columns, Counts, Flags, Floats, Rows, Samples

SOFT = 60
"""Largest sample of what counts as nothing to say."""
AFTER = 10
"""Ticks of it before it is described instead of sent: 200 ms."""
AGAIN = 50
"""Ticks after which a description is repeated at the latest: a second."""
CHANGED_DB = 3.0


class Hush(Columns):
    """A row a lane; nothing is done for lanes that are not ``agreed``."""

    LAYOUT = {
        "agreed": (np.bool_, (), False),
        "quiet": (np.int64, (), 0),
        "told": (np.float64, (), 0.0),
        "told_at": (np.int64, (), -AGAIN),
    }
    agreed: Flags
    quiet: Counts
    """Ticks without anything to say."""
    told: Floats
    """Level that was described last, dBov."""
    told_at: Counts
    """``quiet`` at that time."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._rows: Rows = np.empty(0, np.int64)
        self._held: Rows = self._rows

    def agree(self, row: int, agreed: bool) -> None:
        """What was negotiated for a lane."""
        self.clear(row)
        self.agreed[row] = agreed
        self._rows = np.flatnonzero(self.agreed)

    def forget(self, row: int) -> None:
        """The lane is closed."""
        self.agree(row, False)

    def listen(self, heard: Samples, marker: Flags) -> tuple[Rows, list[tuple[int, bytes]]]:
        """Which lanes send no sound now, and which of them a description: (row, payload).

        ``heard``: what each lane is about to hear, int16 (lanes, samples). A lane that speaks again
        gets its ``marker`` set (RFC 3551 §4.1).
        """
        rows = self._rows
        if not rows.size:
            return rows, []
        rows = rows[rows < heard.shape[0]]
        sound = heard[rows]
        soft = level.peak(sound) <= SOFT
        before = self.quiet[rows]
        marker[rows[~soft & (before > AFTER)]] = True
        quiet = np.where(soft, before + 1, 0)
        self.quiet[rows] = quiet
        held = quiet > AFTER
        chosen = rows[held]
        now = level.dbov(sound[held])
        first = quiet[held] == AFTER + 1
        due = first | (quiet[held] - self.told_at[chosen] >= AGAIN)
        due |= np.abs(now - self.told[chosen]) >= CHANGED_DB
        telling, loud = chosen[due], now[due]
        self.told[telling] = loud
        self.told_at[telling] = self.quiet[telling]
        pairs = zip(telling.tolist(), loud.tolist(), strict=True)
        return chosen, [(row, noise.write(one)) for row, one in pairs]
