"""How deep play-out has to be: the delay of each lane's packets, and what follows from it.

A packet's *delay* is when it came on our clock minus its timestamp, both in octets (1/8 ms); only
differences mean anything. Play-out has a *shift*: the octet that the tick at clock ``g`` plays
first is ``g + shift``. A packet at ``s`` is in time when it is there at the tick that plays its
first octet, so with a tick of 160 octets and packets that begin at every ``grid`` of them, a shift
is safe for delays up to ``-(shift + f)``, where ``f`` is how far into the tick a packet begins at
the most. That is why the shift moves in steps of the grid: one in between costs delay and is no
safer.

Delays are known to the microsecond where the kernel stamped the packet; how late our own tick is
does not count then. Where it did not, a packet came when the tick was due that took it: up to a
tick too late, and never too early.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from telephony.media.columns import Columns, Counts, Flags, Rows
from telephony.media.config import FRAME

BIN = 8
"""Octets: 1 ms."""
BINS = 224
EVERY = 25
"""Packets between two judgements: half a second at 20 ms."""
WINDOW = 250
"""Packets over which the shortest delay is looked for: five to ten seconds."""
HALF_LIFE = 125
"""Packets after which what was counted counts half."""
SHARE = 0.99
"""Of all packets that are to be in time."""
CALM = 2
"""Bins that a line with less than a millisecond of jitter stays within."""
MARGIN = 40
"""Octets (5 ms) that a packet is to be there before it is needed: the shallowest target."""
SLACK = 24
"""Octets by which a line must be better than wanted before play-out shrinks, against to and fro."""
NEVER = -(1 << 60)
FORGET_STAMPS = 50 * FRAME
FAR = 1 << 60


class Delays(Columns):
    """Statistics a lane: ``low`` the shortest delay of late, ``spread`` how far above it nearly all
    are, ``target`` the depth that follows (octets, 40 to the ceiling)."""

    LAYOUT = {
        "bins": (np.float32, (BINS,), 0),
        "base": (np.int64, (), FAR),
        "low": (np.int64, (), FAR),
        "low_before": (np.int64, (), FAR),
        "age": (np.int64, (), 0),
        "stamped_at": (np.int64, (), NEVER),
        "target": (np.int64, (), FRAME),
        "anchor": (np.int64, (), 0),
        "grid": (np.int64, (), FRAME),
    }
    bins: npt.NDArray[np.float32]
    base: Counts
    """Delay, in bins, of the first of ``bins``."""
    low: Counts
    low_before: Counts
    age: Counts
    stamped_at: Counts
    target: Counts
    anchor: Counts
    grid: Counts
    """Packets begin at ``anchor`` and every so many octets."""

    def __init__(self, capacity: int, ceiling: int) -> None:
        """``ceiling``: octets that no target exceeds."""
        super().__init__(capacity)
        self._ceiling = ceiling

    def begin(self, rows: Rows, position: Counts) -> None:
        """Other packets than before: nothing is known of them."""
        for name, (_, _, fill) in self.LAYOUT.items():
            getattr(self, name)[rows] = fill
        self.anchor[rows] = position

    def learn_grid(self, rows: Rows, position: Counts, length: int) -> None:
        """Where packets begin; rows are distinct."""
        off = (position - self.anchor[rows]) % self.grid[rows]
        if length % FRAME == 0 and not off.any():
            return
        step = np.gcd(np.gcd(off, length), FRAME)
        self.grid[rows] = np.gcd(self.grid[rows], step)

    def note(self, rows: Rows, delay: Counts, clock: Counts, stamped: Flags) -> Rows:
        """Take a packet of each of these distinct lanes; which lanes are due to be judged.

        ``delay`` in octets; ``clock``: of the lane, at this tick; ``stamped``: the delay is exact.
        """
        if stamped.all():
            before = self.stamped_at[rows] == NEVER
        else:
            # Exact ones now and then tell more than vague ones always.
            known = clock - self.stamped_at[rows] < FORGET_STAMPS
            useful = stamped | ~known
            rows, delay, clock, stamped = (
                rows[useful],
                delay[useful],
                clock[useful],
                stamped[useful],
            )
            before = stamped & (self.stamped_at[rows] == NEVER)
        if before.any():
            # What was counted before the first exact one is worth nothing beside it.
            first = rows[before]
            self.bins[first] = 0
            self.base[first] = self.low[first] = self.low_before[first] = FAR
        self.stamped_at[rows] = np.where(stamped, clock, self.stamped_at[rows])
        self.low[rows] = np.minimum(self.low[rows], delay)
        age = self.age[rows] + 1
        self.age[rows] = age
        place = delay // BIN - self.base[rows]
        if place.min(initial=0) < 0:
            self._rebase(rows[place < 0], (delay // BIN)[place < 0])
            place = delay // BIN - self.base[rows]
        self.bins[rows, np.minimum(place, BINS - 1)] += 1
        older = age % HALF_LIFE == 0
        if older.any():
            self.bins[rows[older]] *= np.float32(0.5)
            self._turn(rows[older & (age % WINDOW == 0)])
        return np.asarray(rows[age % EVERY == 0])

    def _rebase(self, rows: Rows, base: Counts) -> None:
        """Move what was counted to another first bin."""
        moved = np.clip(self.base[rows] - base, -BINS, BINS)[:, None]
        held = self.bins[rows]
        at = np.arange(BINS) - moved
        inside = (at >= 0) & (at < BINS)
        lines = np.arange(rows.size)[:, None]
        shifted = np.where(inside, held[lines, np.clip(at, 0, BINS - 1)], 0)
        # What falls off either end was there all the same.
        shifted[:, 0] += np.where(np.arange(BINS) + moved < 0, held, 0).sum(axis=1)
        shifted[:, -1] += np.where(np.arange(BINS) + moved >= BINS, held, 0).sum(axis=1)
        self.bins[rows] = shifted
        self.base[rows] = base

    def _turn(self, rows: Rows) -> None:
        lowest = self.low[rows]
        moved = self.base[rows] != lowest // BIN
        if moved.any():
            self._rebase(rows[moved], lowest[moved] // BIN)
        self.low_before[rows] = lowest
        self.low[rows] = FAR

    def safe_limit(self, rows: Rows) -> Counts:
        """The largest ``shift + f`` that is safe for these lanes; sets ``target``."""
        low = np.minimum(self.low[rows], self.low_before[rows])
        total = np.cumsum(self.bins[rows], axis=1, dtype=np.float64)
        within = np.argmax(total >= SHARE * total[:, -1:], axis=1)
        spread = (self.base[rows] + within + 1) * BIN - low
        target = np.where(spread <= CALM * BIN, MARGIN, MARGIN + spread)
        target = np.minimum(target, self._ceiling)
        self.target[rows] = target
        return np.asarray(-(low + target))

    def place(self, rows: Rows, limit: Counts) -> Counts:
        """The largest shift whose packets begin within the tick so that ``limit`` is kept."""
        grid = self.grid[rows]
        highest = limit - (FRAME - grid)
        # ``anchor`` and shifts are positions on the same line: both count from the lane's clock.
        return np.asarray(highest - (highest - self.anchor[rows]) % grid)
