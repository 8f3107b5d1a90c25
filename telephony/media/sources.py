"""Who sends and what of it arrived: RFC 3550 A.1, A.3 and A.8 as columns, a row a lane."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from telephony.media.columns import Columns, Counts, Flags, Floats, Rows, Shorts, Words
from telephony.rtp.sequence import MAX_DROPOUT, MAX_MISORDER, add16, diff16_array, extend16

QUIET_SECONDS = 0.05
"""How long the present source must have been silent before another SSRC takes its place: two
streams at once, as after some re-INVITEs, must not take turns."""

NEIGHBOURS = 16
"""Ticks within which two packets' delays are compared; after a pause clocks have drifted."""
MEMORY = 64
"""Sequence numbers behind the highest of which is known whether they came."""


class Sources(Columns):
    """One source a lane. ``highest`` and ``base`` are extended sequence numbers."""

    LAYOUT = {
        "known": (np.bool_, (), False),
        "ssrc": (np.uint32, (), 0),
        "highest": (np.int64, (), 0),
        "base": (np.int64, (), 0),
        "received": (np.int64, (), 0),
        "duplicated": (np.int64, (), 0),
        "expected_before": (np.int64, (), 0),
        "prior_expected": (np.int64, (), 0),
        "prior_received": (np.int64, (), 0),
        "heard_at": (np.float64, (), 0.0),
        "jitter": (np.float64, (), 0.0),
        "transit": (np.float64, (), 0.0),
        "measured": (np.int64, (), -NEIGHBOURS),
        "seen": (np.uint64, (), 0),
    }
    known: Flags
    ssrc: Words
    highest: Counts
    base: Counts
    received: Counts
    duplicated: Counts
    expected_before: Counts
    prior_expected: Counts
    prior_received: Counts
    heard_at: Floats
    jitter: Floats
    """In timestamp units."""
    transit: Floats
    measured: Counts
    seen: npt.NDArray[np.uint64]
    """Which of the 64 sequence numbers up to the highest were taken, the highest in bit 0."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._candidates: dict[int, tuple[int, int]] = {}

    def clear(self, row: int) -> None:
        super().clear(row)
        self._candidates.pop(row, None)

    def steps(self, rows: Rows, sequence: Shorts) -> Counts:
        """How far each sequence number (uint16) lies after the highest of its lane, int64."""
        near = self.highest[rows].astype(np.uint16)
        return diff16_array(sequence, near).astype(np.int64)

    def regular(self, rows: Rows, ssrc: Words, step: Counts) -> Flags:
        """Which packets go on with the lane's source, in the sense of RFC 3550 A.1."""
        same: Flags = self.known[rows] & (ssrc == self.ssrc[rows])
        return same & (step <= MAX_DROPOUT) & (step >= -MAX_MISORDER)

    def count(self, rows: Rows, step: Counts, now: float) -> Flags:
        """Take packets that are regular, of distinct rows; which of them had come before."""
        highest = self.highest[rows]
        self.base[rows] = np.minimum(self.base[rows], highest + step)
        self.highest[rows] = highest + np.maximum(step, 0)
        self.received[rows] += 1
        self.heard_at[rows] = now
        return self._recall(rows, step)

    def _recall(self, rows: Rows, step: Counts) -> Flags:
        seen = self.seen[rows]
        if (step == 1).all():
            self.seen[rows] = (seen << _ONE) | _ONE
            return np.zeros(rows.size, np.bool_)
        # Shifts of 64 and more mean nothing in hardware: what is so far back is no duplicate.
        ahead = np.clip(step, 0, MEMORY - 1).astype(np.uint64)
        moved = np.where(step >= MEMORY, np.uint64(0), seen << ahead)
        known = (step <= 0) & (step > -MEMORY)
        bit = np.where(known | (step > 0), _ONE, np.uint64(0))
        bit <<= np.clip(-step, 0, MEMORY - 1).astype(np.uint64)
        again = np.asarray(known & (moved & bit != 0))
        self.seen[rows] = moved | bit
        self.duplicated[rows] += again
        return again

    def admit(self, row: int, ssrc: int, sequence: int, now: float) -> bool:
        """A packet that does not go on with the lane's source: whether it begins another numbering.

        The first source of a lane is taken at once, because the latch has vouched for it; a jump
        and another SSRC need two packets in order, and the other SSRC that the present one is gone.
        """
        if not self.known[row]:
            self._begin(row, ssrc, sequence)
            return True
        if int(self.ssrc[row]) != ssrc and now - self.heard_at[row] < QUIET_SECONDS:
            return False
        if self._candidates.get(row) != (ssrc, sequence):
            self._candidates[row] = (ssrc, add16(sequence, 1))
            return False
        self.suspend(row)
        self._begin(row, ssrc, sequence)
        return True

    def suspend(self, row: int) -> None:
        """What comes next begins another numbering, whoever sends it; the counts stay."""
        self.expected_before[row] = self.expected(row)
        self.known[row] = False
        self._candidates.pop(row, None)

    def measure(self, rows: Rows, timestamp: Words, arrival: Floats, tick: int) -> None:
        """Jitter from packets of lanes that were measured shortly before as well.

        RFC 3550 A.8 over pairs: a share of all packets gives the same mean.
        ``arrival`` is in seconds, NaN where unknown.
        """
        transit = np.mod(arrival * 8000.0 - timestamp, 4294967296.0)
        paired = (tick - self.measured[rows] < NEIGHBOURS) & ~np.isnan(transit)
        moved = np.abs(
            np.mod(transit - self.transit[rows] + 2147483648.0, 4294967296.0) - 2147483648.0
        )
        chosen = rows[paired]
        self.jitter[chosen] += (moved[paired] - self.jitter[chosen]) / 16
        self.transit[rows] = transit
        self.measured[rows] = tick

    def expected(self, row: int) -> int:
        """Packets that were sent as far as the numbers tell."""
        if not self.known[row]:
            return int(self.expected_before[row])
        return int(self.expected_before[row] + self.highest[row] - self.base[row] + 1)

    def lost(self, row: int) -> int:
        """Packets that never came."""
        return max(0, self.expected(row) - int(self.received[row] - self.duplicated[row]))

    def fraction_lost(self, row: int) -> int:
        """Loss since the last call, in 256ths (RFC 3550 A.3)."""
        expected, received = self.expected(row), int(self.received[row])
        wanted = expected - int(self.prior_expected[row])
        got = received - int(self.prior_received[row])
        self.prior_expected[row], self.prior_received[row] = expected, received
        if wanted <= 0 or got >= wanted:
            return 0
        return min(255, ((wanted - got) << 8) // wanted)

    def _begin(self, row: int, ssrc: int, sequence: int) -> None:
        # One below: the packet itself is counted as a step of one.
        start = extend16(sequence, 1 << 16)
        self.known[row], self.ssrc[row] = True, ssrc
        self.base[row], self.highest[row] = start, start - 1
        self.measured[row] = -NEIGHBOURS
        self.seen[row] = 0
        self._candidates.pop(row, None)


_ONE = np.uint64(1)
