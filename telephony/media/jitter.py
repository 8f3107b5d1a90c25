"""Jitter rings: G.711 codes by their place in time, a row a lane, taken 20 ms at a time.

The unit is the half frame of 10 ms (80 samples), so that packets of 10, 20, 30, 40 and 60 ms all
fit. A half's number comes from the RTP timestamp; ring place and duplicate test follow from it.
Timestamps that lie between halves are moved to the nearest, at most 5 ms, and all alike.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from telephony.media.columns import Codes, Columns, Counts, Flags, Rows, Samples, Words
from telephony.media.config import FRAME
from telephony.rtp.sequence import extend32_array

HALF = FRAME // 2
SLOTS = 64
"""Halves a lane holds: 640 ms, more than the deepest play-out delay and a burst on top."""
HALVES = 2
"""Halves a tick."""
START = 1 << 20
"""Number of a stream's first half."""
NOWHERE = -(1 << 62)
"""Tag of an empty place: before every number, and numbers of a stream that jumped back are
negative."""
FAR_AHEAD = SLOTS - 8
FAR_BEHIND = 30
"""Halves that an in-order packet may come behind its play-out before the clock is set anew."""
FADED = 6
"""Halves of concealment after which there is silence."""
DECAY = 0.6
LONG_GONE = 1 << 20
"""``gap`` of a lane that has nothing to repeat."""
QUIET_PEAK = 250
"""Largest sample of a frame that may be dropped or said twice without anybody noticing."""
WINDOW = 250
"""Ticks over which a lane's depth is watched before it shrinks: 5 s."""


class JitterRings(Columns):
    """``cursor`` is the next half to play, ``top`` one past the newest."""

    LAYOUT = {
        "codes": (np.uint8, (SLOTS, HALF), 0),
        "tags": (np.int64, (SLOTS,), NOWHERE),
        "origin": (np.uint32, (), 0),
        "near": (np.int64, (), 0),
        "cursor": (np.int64, (), 0),
        "top": (np.int64, (), 0),
        "playing": (np.bool_, (), False),
        "gap": (np.int64, (), LONG_GONE),
        "pending": (np.int64, (), 0),
        "resumes": (np.int64, (), 0),
        "slack": (np.int64, (), SLOTS),
        "stretch": (np.bool_, (), False),
        "shrink": (np.bool_, (), False),
        "late": (np.int64, (), 0),
        "concealed_halves": (np.int64, (), 0),
        "dropped_halves": (np.int64, (), 0),
        "last": (np.int16, (HALF,), 0),
    }
    codes: Codes
    tags: Counts
    origin: Words
    near: Counts
    cursor: Counts
    top: Counts
    playing: Flags
    gap: Counts
    pending: Counts
    """Halves concealed of which nobody knows yet whether they were ever sent."""
    resumes: Counts
    """Half at which the far end went on after a pause of its own: nothing is missing before."""
    slack: Counts
    stretch: Flags
    shrink: Flags
    late: Counts
    concealed_halves: Counts
    dropped_halves: Counts
    last: Samples

    def __init__(self, capacity: int, depth: int, max_depth: int) -> None:
        """Depths in ms, multiples of 20."""
        super().__init__(capacity)
        self._lead = (depth - 20) // 10
        self._max = max_depth // 10

    def forget(self, row: int) -> None:
        """The next packet begins a new clock (another SSRC or numbering)."""
        self.playing[row] = False

    # -- in -------------------------------------------------------------------------------------

    def put(self, rows: Rows, timestamp: Words, step: Counts, payload: Codes) -> Flags:
        """Payloads of one length (uint8 (n, length)) of distinct lanes; which were duplicates.

        ``step`` is how far the sequence number went on. What is no multiple of 80 octets is cut.
        """
        halves = payload.shape[1] // HALF
        if halves == 0 or halves >= FAR_AHEAD:
            return np.zeros(rows.size, np.bool_)
        fresh = ~self.playing[rows]
        if fresh.any():
            self.origin[rows[fresh]] = timestamp[fresh]
            self.near[rows[fresh]] = 0
        relative = np.subtract(timestamp, self.origin[rows], dtype=np.uint32)
        place = extend32_array(relative, self.near[rows])
        number = START + (place + HALF // 2) // HALF
        forward = step > 0
        ahead = number - self.cursor[rows]
        anew = fresh | (forward & ((ahead >= FAR_AHEAD) | (ahead < -FAR_BEHIND)))
        if anew.any():
            self._set_clock(rows[anew], number[anew])
            ahead = number - self.cursor[rows]
        self.near[rows] = np.where(forward | anew, place, self.near[rows])
        self._settle_pending(rows, number, step)
        slot = number % SLOTS
        tag = self.tags[rows, slot]
        duplicate: Flags = tag == number
        stored: Flags = ~duplicate & (tag < number) & (ahead < FAR_AHEAD) & (ahead > -SLOTS)
        self._find_late(rows, ahead, halves, forward, duplicate)
        self._write(rows[stored], number[stored], payload[stored], halves)
        top = self.top[rows]
        self.top[rows] = np.where(stored, np.maximum(top, number + halves), top)
        return duplicate

    def _set_clock(self, rows: Rows, number: Counts) -> None:
        self.tags[rows] = NOWHERE
        self.cursor[rows] = number - self._lead
        self.top[rows] = number
        self.resumes[rows] = number
        self.gap[rows] = LONG_GONE
        self.pending[rows] = 0
        self.slack[rows] = SLOTS
        self.playing[rows] = True

    def _settle_pending(self, rows: Rows, number: Counts, step: Counts) -> None:
        """What was concealed was lost or late, unless the far end had paused (RFC 3551 §4.1): then
        sequence numbers go on and the timestamp has jumped."""
        pending = self.pending[rows]
        waiting = pending > 0
        if not waiting.any():
            return
        paused = (step == 1) & (number > self.top[rows])
        self.concealed_halves[rows] += np.where(paused, 0, pending)
        self.resumes[rows[paused]] = number[paused]
        self.pending[rows] = np.where(waiting, 0, pending)

    def _find_late(
        self, rows: Rows, ahead: Counts, halves: int, forward: Flags, duplicate: Flags
    ) -> None:
        late = (ahead + halves <= 0) & ~duplicate
        if not late.any():
            return
        chosen, behind = rows[late], ahead[late]
        self.late[chosen] += 1
        # In order, so nothing that follows it was played: wait for it, and stay that much deeper.
        depth = self.top[chosen] - (self.cursor[chosen] + behind)
        back = forward[late] & (depth <= self._max)
        self.cursor[chosen[back]] += behind[back]
        self.stretch[chosen[~back]] = True

    def _write(self, rows: Rows, number: Counts, payload: Codes, halves: int) -> None:
        for index in range(halves):
            slot = (number + index) % SLOTS
            self.tags[rows, slot] = number + index
            self.codes[rows, slot] = payload[:, index * HALF : (index + 1) * HALF]

    # -- out ------------------------------------------------------------------------------------

    def take(self, count: int, law: npt.NDArray[np.uint8], tables: Samples, out: Samples) -> None:
        """The next 20 ms of the first ``count`` lanes as int16 into ``out`` (count, 160).

        ``law`` is each lane's row of ``tables``. What is missing repeats what was, fading.
        """
        cursor = self.cursor[:count]
        playing = self.playing[:count]
        places = np.arange(count, dtype=np.int64)[:, None] * SLOTS
        wanted = cursor[:, None] + _PAIR
        places = places + wanted % SLOTS
        present = (self.tags[:count].ravel()[places] == wanted) & playing[:, None]
        codes = self.codes[:count].reshape(-1, HALF)[places].reshape(count, FRAME)
        _decode(codes, law, tables, out)
        whole = present[:, 0] & present[:, 1]
        broken = np.flatnonzero(~whole)
        if broken.size:
            self._conceal(broken, present[broken], out)
        self.gap[:count][whole] = 0
        self.last[:count] = out[:, HALF:]
        cursor += HALVES * playing

    def _conceal(self, rows: Rows, present: Flags, out: Samples) -> None:
        before = self.last[rows]
        gap = self.gap[rows]
        live = self.playing[rows]
        for index in range(HALVES):
            part = out[rows, index * HALF : (index + 1) * HALF]
            there = present[:, index]
            gap = np.where(there, 0, gap + 1)
            gain = np.where(gap <= FADED, np.float32(DECAY), np.float32(0))
            faded = (before * gain[:, None]).astype(np.int16)
            part = np.where(there[:, None], part, faded)
            out[rows, index * HALF : (index + 1) * HALF] = part
            # Before a stream's first packet nothing is missing.
            missing = ~there & live & (gap < LONG_GONE)
            self.pending[rows] += missing & (self.cursor[rows] + index >= self.resumes[rows])
            before = part
        self.gap[rows] = gap

    # -- depth ----------------------------------------------------------------------------------

    def watch(self, count: int) -> None:
        """Note how much lies ready; to be called between receiving and ``take``."""
        slack = self.top[:count] - self.cursor[:count]
        np.minimum(self.slack[:count], slack, out=self.slack[:count])
        over = np.flatnonzero((slack > self._max) & self.playing[:count])
        if over.size:
            excess = (slack[over] - self._lead - HALVES) // HALVES * HALVES
            self.cursor[over] += excess
            self.dropped_halves[over] += excess

    def adapt(
        self,
        count: int,
        tick: int,
        voice: Samples,
        law: npt.NDArray[np.uint8],
        tables: Samples,
    ) -> None:
        """One frame deeper or shallower where it is quiet; ``voice`` is what was just taken."""
        if tick % WINDOW == 0:
            # A frame more than the lead and the tick itself need lay ready all the time.
            self.shrink[:count] = self.slack[:count] >= self._lead + 2 * HALVES
            self.slack[:count] = SLOTS
        rows = np.flatnonzero(self.shrink[:count] & self.playing[:count])
        if rows.size:
            self._shrink_quiet(rows, law, tables)
        rows = np.flatnonzero(self.stretch[:count])
        if rows.size:
            self._stretch_quiet(rows, voice)

    def _shrink_quiet(self, rows: Rows, law: npt.NDArray[np.uint8], tables: Samples) -> None:
        """Leave out the frame that comes next, where it is quiet."""
        wanted = self.cursor[rows][:, None] + _PAIR
        there = (self.tags[rows[:, None], wanted % SLOTS] == wanted).all(axis=1)
        codes = self.codes[rows[:, None], wanted % SLOTS].reshape(-1, FRAME)
        sound = np.empty(codes.shape, np.int16)
        _decode(codes, law[rows], tables, sound)
        chosen = rows[there & _is_quiet(sound)]
        self.cursor[chosen] += HALVES
        self.dropped_halves[chosen] += HALVES
        self.shrink[chosen] = False

    def _stretch_quiet(self, rows: Rows, voice: Samples) -> None:
        """Say the frame that was just taken once more, where it is quiet or missing."""
        room = self.top[rows] - self.cursor[rows] + HALVES <= self._max - HALVES
        give = room & (_is_quiet(voice[rows]) | (self.gap[rows] > 0))
        self.cursor[rows[give]] -= HALVES
        self.stretch[rows[give | ~room]] = False


def _is_quiet(frames: Samples) -> Flags:
    return np.asarray(np.abs(frames.astype(np.int32)).max(axis=1) < QUIET_PEAK)


_PAIR = np.arange(HALVES, dtype=np.int64)


def _decode(codes: Codes, law: npt.NDArray[np.uint8], tables: Samples, out: Samples) -> None:
    np.take(tables[0], codes, out=out, mode="clip")
    other = np.flatnonzero(law)
    if other.size:
        out[other] = tables[1][codes[other]]
