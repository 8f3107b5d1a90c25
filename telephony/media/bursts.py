"""Where losses lie: in bursts or alone, for the E-model and for RTCP XR (RFC 3611 §4.7.2, A.2)."""

from __future__ import annotations

import numpy as np

from telephony.media.columns import Columns, Counts, Rows
from telephony.media.config import FRAME, TICK_MS
from telephony.rtp.xr import GMIN, Bursts


class Losses(Columns):
    """A row a lane: transitions as in RFC 3611 A.2, in frames of 20 ms.

    A frame is lost where it was concealed and the numbers said later that it had been sent: lost on
    the way or too late, which is all one to the listener.
    """

    LAYOUT = {
        "c11": (np.int64, (), 0),
        "c13": (np.int64, (), 0),
        "c14": (np.int64, (), 0),
        "c22": (np.int64, (), 0),
        "c23": (np.int64, (), 0),
        "c33": (np.int64, (), 0),
        "row_lost": (np.int64, (), 0),
        "runs": (np.int64, (), 0),
        "concealed": (np.int64, (), 0),
        "received": (np.int64, (), 0),
        "rose": (np.int64, (), -2),
    }
    c11: Counts
    c13: Counts
    c14: Counts
    c22: Counts
    c23: Counts
    c33: Counts
    row_lost: Counts
    """``lost`` of A.2: frames lost in the present burst."""
    runs: Counts
    """Runs of lost frames without a received one between."""
    concealed: Counts
    received: Counts
    """The counters at the end of the last loss."""
    rose: Counts
    """The tick in which a loss was seen last."""

    def follow(self, concealed: Counts, received: Counts, tick: int) -> None:
        """A tick: both counters of all lanes (lanes,), octets concealed and packets received."""
        rows = np.flatnonzero(concealed != self.concealed[: concealed.size])
        if rows.size:
            lost = (concealed[rows] - self.concealed[rows] + FRAME // 2) // FRAME
            self.concealed[rows] = concealed[rows]
            # Less than half a frame is the wait for a packet that was a little late.
            rows, lost = rows[lost > 0], lost[lost > 0]
            # Of a hole longer than what lay ready the rest is told a tick later.
            on = self.rose[rows] == tick - 1
            self.rose[rows] = tick
            self._go_on(rows[on], lost[on])
            self._lose(rows[~on], lost[~on], received[rows[~on]])

    def _go_on(self, rows: Rows, lost: Counts) -> None:
        self.c33[rows] += lost
        self.row_lost[rows] += lost

    def _lose(self, rows: Rows, lost: Counts, received: Counts) -> None:
        # The packet that said so came after the hole.
        before = received - 1
        packets = np.maximum(0, before - self.received[rows])
        new = packets >= GMIN
        alone = self.row_lost[rows] == 1
        self.c14[rows] += new & alone
        self.c13[rows] += new & ~alone
        self.c11[rows] += np.where(new, packets, 0)
        self.c23[rows] += ~new & (packets > 0)
        self.c22[rows] += np.where(~new & (packets > 0), packets - 1, 0)
        # The frames after the first of a run follow a lost one.
        self.c33[rows] += lost - 1 + (~new & (packets == 0))
        self.row_lost[rows] = np.where(new, 0, self.row_lost[rows]) + lost
        self.runs[rows] += 1
        self.received[rows] = before

    def bursts(self, row: int, received: int) -> Bursts:
        """Of one lane, which has received so many packets by now."""
        return Bursts.of(
            int(self.c11[row]) + max(0, received - int(self.received[row])),
            int(self.c13[row]),
            int(self.c14[row]),
            int(self.c22[row]),
            int(self.c23[row]),
            int(self.c33[row]),
            TICK_MS,
        )
