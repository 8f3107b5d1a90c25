"""What a lane plays in the pauses of a far end that sends descriptors of its noise (RFC 3389)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from telephony.audio import noise
from telephony.media.columns import Columns, Counts, Flags, Rows
from telephony.media.config import FRAME

SEED = 3389
"""Of the table: the same noise in every process, so that a lane's sound can be made again."""


class Comfort(Columns):
    """``on``: the far end has described its noise; ``at``: where the lane is in the table."""

    LAYOUT = {
        "on": (np.bool_, (), False),
        "at": (np.int64, (), 0),
        "shape": (np.complex64, (noise.BANDS,), 0),
    }
    on: Flags
    at: Counts
    shape: npt.NDArray[np.complex64]

    def __init__(self, capacity: int, generator: np.random.Generator) -> None:
        super().__init__(capacity)
        self._white = noise.table(generator)

    def describe(self, row: int, payload: bytes) -> None:
        """A descriptor came; one that cannot be read changes nothing."""
        sid = noise.parse(payload)
        if sid is not None:
            self.shape[row] = noise.shape(sid)
            self.on[row] = True

    def frames(self, rows: Rows, factor: int) -> noise.Reals:
        """The next 20 ms of these rows' noise: float32 (n, 160·factor), silence where none is."""
        found = np.zeros((rows.size, FRAME * factor), np.float32)
        on = self.on[rows]
        chosen = rows[on]
        at = self.at[chosen]
        found[on] = noise.frames(self._white, at, self.shape[chosen], FRAME, factor)
        self.at[chosen] = (at + FRAME) % noise.TABLE
        return found
