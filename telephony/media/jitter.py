"""Jitter rings: codes by their place in time, a row a lane, octet by octet of the RTP clock.

G.711 and G.722 have one octet and one step of the RTP clock 8,000 times a second (RFC 3551 §4.5.2),
so a ring knows no codec. Positions are int64 octets on the lane's own line; a packet's position
follows from its timestamp. What came in order is known by one number, ``filled``; only lanes with
a hole mark octets one by one. Packets of one size are copied as items of that size: the whole tick
is one gather and one scatter, whatever the play-out position is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from telephony.media.columns import Codes, Columns, Counts, Flags, Rows, Words
from telephony.media.config import FRAME
from telephony.rtp.sequence import extend32_array

SIZE = 4800
"""Octets a lane holds: 600 ms, more than the deepest play-out delay and a burst on top. A multiple
of every usual packet, so that those of an even stream never lie across the end."""
START = SIZE << 20
"""Position of a stream's first octet; those of a stream that jumps back stay positive."""
LONGEST = 640
"""Octets of the longest packet that is taken."""
FAR_AHEAD = SIZE - LONGEST - 2 * FRAME
FAR_BEHIND = 2400
"""Octets (300 ms) that an in-order packet may come behind its play-out before the clock is set
anew."""


class JitterRings(Columns):
    """``cursor`` is the next octet to play, ``filled`` where the first hole after it begins,
    ``top`` one past the newest."""

    LAYOUT = {
        "codes": (np.uint8, (SIZE,), 0),
        "marks": (np.bool_, (SIZE,), False),
        "ragged": (np.bool_, (), False),
        "origin": (np.uint32, (), 0),
        "near": (np.int64, (), 0),
        "cursor": (np.int64, (), 0),
        "filled": (np.int64, (), 0),
        "top": (np.int64, (), 0),
        "erased": (np.int64, (), 0),
        "playing": (np.bool_, (), False),
    }
    codes: Codes
    marks: Flags
    """Which octets behind ``filled`` are there; all False where the lane is not ``ragged``."""
    ragged: Flags
    origin: Words
    near: Counts
    cursor: Counts
    filled: Counts
    top: Counts
    erased: Counts
    """Where the hole that is being played began; nothing behind it was played."""
    playing: Flags

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._views: dict[int, npt.NDArray[Any]] = {}

    def grow(self, capacity: int) -> None:
        super().grow(capacity)
        self._views.clear()

    def forget(self, row: int) -> None:
        """The next packet begins a new clock (another SSRC or numbering)."""
        self.playing[row] = False

    # -- in -------------------------------------------------------------------------------------

    def place(self, rows: Rows, timestamp: Words, forward: Flags) -> tuple[Counts, Flags, Flags]:
        """Position of each packet, which lanes must ``begin`` anew there, and which packets are too
        far from the play-out to be kept."""
        fresh = ~self.playing[rows]
        if fresh.any():
            self.origin[rows[fresh]] = timestamp[fresh]
            self.near[rows[fresh]] = 0
        relative = np.subtract(timestamp, self.origin[rows], dtype=np.uint32)
        near = self.near[rows]
        place = extend32_array(relative, near)
        position = place + START
        ahead = position - self.cursor[rows]
        far = (ahead >= FAR_AHEAD) | (ahead < -FAR_BEHIND)
        anew = fresh | (forward & far)
        self.near[rows] = np.where(forward | anew, place, near)
        return position, anew, far & ~anew

    def begin(self, rows: Rows, position: Counts) -> None:
        """A new clock: nothing lies before ``position``, which is played next."""
        if self.ragged[rows].any():
            self.marks[rows] = False
            self.ragged[rows] = False
        self.cursor[rows] = self.filled[rows] = self.top[rows] = position
        self.erased[rows] = position
        self.playing[rows] = True

    def store(self, rows: Rows, position: Counts, payload: Codes) -> None:
        """Keep payloads (uint8 (n, length ≤ 640)) of distinct lanes. Too early or late: dropped."""
        filled = self.filled[rows]
        end = position + payload.shape[1]
        even = (position == filled) & ~self.ragged[rows]
        if even.all():
            self._write(rows, position, payload)
            self.filled[rows] = self.top[rows] = end
            return
        self._write(rows[even], position[even], payload[even])
        self.filled[rows[even]] = self.top[rows[even]] = end[even]
        cursor = self.cursor[rows]
        fits = ~even & (end > cursor) & (position >= cursor - LONGEST)
        fits &= position - cursor < FAR_AHEAD
        self._store_odd(rows[fits], position[fits], payload[fits])

    def _store_odd(self, rows: Rows, position: Counts, payload: Codes) -> None:
        """Payloads behind a hole, into one, or twice there."""
        if not rows.size:
            return
        self._write(rows, position, payload)
        length = payload.shape[1]
        end = position + length
        low = np.maximum(self.filled[rows], self.cursor[rows])
        self.top[rows] = np.maximum(self.top[rows], end)
        # What a whole company sends late after a stall says nothing new: it must cost no more.
        new = end > low
        whole = new & (position >= low)
        self._mark(rows[whole], position[whole], length)
        partly = new & ~whole
        if partly.any():
            at = position[partly][:, None] + np.arange(length)
            late = at >= low[partly][:, None]
            line = np.broadcast_to(rows[partly][:, None], at.shape)
            self.marks[line[late], at[late] % SIZE] = True
        self.ragged[rows[new]] = True
        # One more octet behind the hole leaves it a hole.
        self.absorb(rows[new & (position <= self.filled[rows])])

    def absorb(self, rows: Rows) -> None:
        """Where what is marked begins at ``filled``, it is no island any more."""
        rows = rows[self.ragged[rows]]
        if not rows.size:
            return
        filled = self.filled[rows]
        # Nothing is marked from ``top`` on, and none but octets from ``filled`` on: as a rule
        # two or three packets are looked at, not the whole ring.
        span = min(SIZE, max(0, int((self.top[rows] - filled).max())))
        at = (filled[:, None] + np.arange(span)) % SIZE
        at += rows[:, None] * SIZE
        marks = self.marks.reshape(-1)
        marked = marks[at]
        gaps = ~marked
        run = np.where(gaps.any(axis=1), gaps.argmax(axis=1), span) if span else 0
        marks[at] = marked & (np.arange(span) >= np.reshape(run, (-1, 1)))
        self.filled[rows] = filled + run
        self.ragged[rows] = self.top[rows] > filled + run

    def _mark(self, rows: Rows, position: Counts, length: int) -> None:
        """These octets are there, behind a hole."""
        marks = self.marks.reshape(-1)
        at = (position[:, None] + np.arange(length)) % SIZE
        marks[at + rows[:, None] * SIZE] = True

    def _write(self, rows: Rows, position: Counts, payload: Codes) -> None:
        length = payload.shape[1]
        place = position % SIZE
        across = place > SIZE - length
        if across.any():
            at = (place[across][:, None] + np.arange(length)) % SIZE
            self.codes[rows[across][:, None], at] = payload[across]
            rows, place, payload = rows[~across], place[~across], payload[~across]
        item = np.ascontiguousarray(payload).view(f"V{length}")
        self._windows(length)[rows * SIZE + place] = item[:, 0]

    # -- out ------------------------------------------------------------------------------------

    def frames(self, count: int) -> Codes:
        """The next 160 octets of the first ``count`` lanes as they lie: uint8 (count, 160)."""
        place = self.cursor[:count] % SIZE
        across = place > SIZE - FRAME
        odd = np.flatnonzero(across)
        if odd.size:
            place[odd] = 0
        place += np.arange(0, count * SIZE, SIZE)
        found = self._windows(FRAME)[place].view(np.uint8).reshape(count, FRAME)
        if odd.size:
            found[odd] = self.read(odd, FRAME)
        return found

    def read(self, rows: Rows, length: int) -> Codes:
        """The next ``length`` octets of some lanes as they lie there: uint8 (n, length)."""
        at = (self.cursor[rows][:, None] + np.arange(length)) % SIZE
        return np.asarray(self.codes[rows[:, None], at])

    def there(self, rows: Rows) -> Flags:
        """Which of the next 160 octets of some lanes are there: (n, 160)."""
        at = self.cursor[rows][:, None] + np.arange(FRAME)
        return np.asarray((at < self.filled[rows][:, None]) | self.marks[rows[:, None], at % SIZE])

    def pass_holes(self, rows: Rows) -> None:
        """The cursor of these lanes moved on; what it passed will not be played any more."""
        cursor, filled = self.cursor[rows], self.filled[rows]
        behind = cursor > filled
        if not behind.any():
            return
        rows, cursor, filled = rows[behind], cursor[behind], filled[behind]
        ragged = self.ragged[rows]
        if ragged.any():
            passed_to = np.minimum(cursor[ragged], self.top[rows[ragged]])
            far = np.minimum(passed_to - filled[ragged], SIZE)
            span = np.arange(int(far.max()))
            at = filled[ragged][:, None] + span
            line = np.broadcast_to(rows[ragged][:, None], at.shape)
            passed = span < far[:, None]
            self.marks[line[passed], at[passed] % SIZE] = False
        self.filled[rows] = cursor
        self.absorb(rows)

    def _windows(self, length: int) -> npt.NDArray[Any]:
        """Every run of ``length`` octets of ``codes`` as one item."""
        found = self._views.get(length)
        if found is None:
            flat = self.codes.reshape(-1)
            kind = np.dtype(f"V{length}")
            found = np.ndarray((flat.size - length + 1,), kind, flat.data, 0, (1,))
            self._views[length] = found
        return found
