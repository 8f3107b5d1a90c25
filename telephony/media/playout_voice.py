"""From codes to sound, a stage a sample rate: what was said lately, holes mended, tempo changed.

``Voice`` is made for one rate (``factor`` samples an octet of the RTP clock: 1 at 8 kHz, 2 at
16 kHz) and works on the rows that ``Playout`` tells it, with a decoder given to it. It keeps the
last frames of each row, from which the pitch and what is made up come.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from telephony.audio import conceal, g711, timescale
from telephony.audio.conceal import Reals
from telephony.media.columns import Codes, Columns, Counts, Flags, Floats, Rows, Samples
from telephony.media.config import FRAME
from telephony.media.streams import Streams

KEPT = 4
"""Frames kept: the one being made and three before, more than ``conceal.HISTORY``."""
LONG_GONE = 1 << 20
"""``gap`` of a row that has nothing to repeat."""
MAX_RUNS = 6
"""Changes between sound and hole in one frame that are followed; who sends more sends rubbish."""
QUIET_PEAK = 250
"""Largest sample of sound that may be left out or said twice anywhere."""
QUIET_LAG = 80
"""Octets by which quiet sound is shortened or lengthened at a time: 10 ms."""

SHORTEST = 20
"""Octets of the shortest period that is left out or said twice: high voices have it."""


class Decoder(Protocol):
    """``codes`` uint8 (n, m) of lanes ``rows`` → int16 (n, m·factor), into ``out`` if given.

    Each code of a lane is given once and in order. ``rows`` are ascending lane numbers or, for all
    lanes of the matrix, a slice. ``lengths`` (n,): so many codes of each row are given, and what
    lies behind means nothing; only said to a decoder with a memory.
    """

    def __call__(
        self,
        rows: Rows | slice,
        codes: Codes,
        out: Samples | None = None,
        lengths: Counts | None = None,
    ) -> Samples: ...


def g711_decoder(streams: Streams) -> Decoder:
    """The decoder of the 8 kHz lanes, each by its law."""

    def decode(
        rows: Rows | slice,
        codes: Codes,
        out: Samples | None = None,
        lengths: Counts | None = None,
    ) -> Samples:
        found = g711.decode(g711.ULAW, codes, out)
        other = np.flatnonzero(streams.law[rows])
        if other.size:
            found[other] = g711.decode(g711.ALAW, codes[other])
        return found

    return decode


class Voice(Columns):
    """``gap``: samples made up since the last real one; ``lag``: the period that is repeated."""

    LAYOUT = {
        "gap": (np.int64, (), LONG_GONE),
        "lag": (np.int64, (), conceal.MIN_LAG),
        "sure": (np.float32, (), 0),
    }
    gap: Counts
    lag: Counts
    sure: Reals

    def __init__(
        self, capacity: int, decode: Decoder, *, factor: int = 1, stateless: bool = True
    ) -> None:
        """``stateless``: a code's sample does not depend on the codes before (G.711)."""
        super().__init__(capacity)
        self.factor = factor
        self.size = FRAME * factor
        """Samples a frame."""
        self._decode = decode
        self._stateless = stateless
        self._frames: Samples = np.zeros((KEPT, capacity, self.size), np.int16)
        self._base: Reals = np.zeros((capacity, conceal.HISTORY * factor), np.float32)
        self._now = 0

    def grow(self, capacity: int) -> None:
        super().grow(capacity)
        larger: Samples = np.zeros((KEPT, capacity, self.size), np.int16)
        larger[:, : self._frames.shape[1]] = self._frames
        self._frames = larger
        base: Reals = np.zeros((capacity, self._base.shape[1]), np.float32)
        base[: self._base.shape[0]] = self._base
        self._base = base

    def clear(self, row: int) -> None:
        super().clear(row)
        self._frames[:, row] = 0
        self._base[row] = 0

    @property
    def frame(self) -> Samples:
        """The frame being made, int16 (capacity, size); it stays as it is for three ticks."""
        return np.asarray(self._frames[self._now])

    def turn(self) -> Samples:
        """Begin the next frame; what is returned holds rubbish until it is written."""
        self._now = (self._now + 1) % KEPT
        return self.frame

    def past(self, rows: Rows, frames: int = KEPT - 1) -> Samples:
        """What these rows said before the frame being made: int16 (n, frames·size)."""
        order = [(self._now - back) % KEPT for back in range(frames, 0, -1)]
        return np.concatenate([self._frames[k, rows] for k in order], axis=1)

    # -- sound that is there --------------------------------------------------------------------

    def say(self, rows: Rows | slice, codes: Codes) -> None:
        """A whole frame for these rows: ``codes`` uint8 (n, 160)."""
        frame = self.frame
        if isinstance(rows, slice):
            self._decode(rows, codes, frame[rows])
        elif rows.size:
            frame[rows] = self._decode(rows, codes)

    def hush(self, rows: Rows) -> None:
        """Silence for these rows."""
        self.frame[rows] = 0
        self.gap[rows] = np.minimum(self.gap[rows] + self.size, LONG_GONE)

    # -- holes ----------------------------------------------------------------------------------

    def mend(
        self, rows: Rows, codes: Codes, there: Flags, splice: Flags, noise: Reals | None = None
    ) -> None:
        """A frame with holes, or the first after one.

        Args:
            codes: uint8 (n, 160); what is not ``there`` (bool (n, 160)) holds rubbish.
            splice: rows (bool (n,)) whose sound does not go on where it was: led over.
            noise: float32 (n, size) that sounds where what was repeated has faded, or None.
        """
        before = (KEPT - 1) * self.size
        line = np.empty((rows.size, before + self.size), np.float32)
        line[:, :before] = self.past(rows)
        line[:, before:] = self._decoded(rows, codes, there)
        there = np.repeat(there, self.factor, axis=1) if self.factor > 1 else there
        gap = self.gap[rows]
        cut = splice & (gap == 0)
        if cut.any():
            self._begin_hole(rows[cut], line[cut, :before])
            gap[cut] = 1
        self._walk(rows, line, before, there, gap, noise)
        self.gap[rows] = gap
        made = line[:, before:]
        self.frame[rows] = np.clip(np.rint(made), -32768, 32767).astype(np.int16)

    def _decoded(self, rows: Rows, codes: Codes, there: Flags) -> Samples:
        if self._stateless:
            return self._decode(rows, codes)
        # A decoder with a memory is not told of frames of which nothing came.
        some = there.any(axis=1)
        sound: Samples = np.zeros((rows.size, self.size), np.int16)
        if some.any():
            sound[some] = self._decode(rows[some], codes[some])
        return sound

    def _walk(
        self, rows: Rows, line: Reals, before: int, there: Flags, gap: Counts, noise: Reals | None
    ) -> None:
        """Run by run through the frame, all rows at once; ``gap`` is brought up to date."""
        size = self.size
        ends = _ends_of_runs(there)
        at = np.zeros(rows.size, np.int64)
        lines = np.arange(rows.size)
        for turn in range(MAX_RUNS):
            open_ = at < size
            if not open_.any():
                return
            kind = there[lines, np.minimum(at, size - 1)]
            end = np.where(turn == MAX_RUNS - 1, size, ends[lines, np.minimum(at, size - 1)])
            kind &= end == ends[lines, np.minimum(at, size - 1)]
            holes = np.flatnonzero(open_ & ~kind)
            if holes.size:
                new = holes[gap[holes] == 0]
                if new.size:
                    width = before
                    span = at[new][:, None] + np.arange(width)
                    self._begin_hole(rows[new], line[new[:, None], span])
                self._make_up(rows, line, before, holes, at, end, gap, noise)
            back = np.flatnonzero(open_ & kind & (gap > 0))
            if back.size:
                self._lead_back(rows, line, before, back, at, end, gap, noise)
            at = np.where(open_, end, at)

    def _begin_hole(self, rows: Rows, past: Reals) -> None:
        keep = conceal.HISTORY * self.factor
        self._base[rows] = past[:, -keep:]
        lag, alike = conceal.pitch(np.rint(past).astype(np.int16), self.factor)
        self.lag[rows] = lag
        self.sure[rows] = conceal.confidence(alike)

    def _make_up(
        self,
        rows: Rows,
        line: Reals,
        before: int,
        chosen: Rows,
        at: Counts,
        end: Counts,
        gap: Counts,
        noise: Reals | None,
    ) -> None:
        length = int((end - at)[chosen].max())
        made = self._made(rows[chosen], gap[chosen], length)
        span = np.arange(length)
        place = at[chosen][:, None] + span
        inside = place < end[chosen][:, None]
        if noise is not None:
            faded = 1 - conceal.level(gap[chosen][:, None] + span, self.factor)
            made += faded * noise[chosen[:, None], np.minimum(place, self.size - 1)]
        target = np.broadcast_to(chosen[:, None], place.shape)
        line[target[inside], before + place[inside]] = made[inside]
        gap[chosen] = np.minimum(gap[chosen] + (end - at)[chosen], LONG_GONE)

    def _lead_back(
        self,
        rows: Rows,
        line: Reals,
        before: int,
        chosen: Rows,
        at: Counts,
        end: Counts,
        gap: Counts,
        noise: Reals | None,
    ) -> None:
        blend = conceal.blend(gap[chosen], self.lag[rows[chosen]], self.factor)
        # Where nothing ever was, nothing is to be led over.
        blend[gap[chosen] >= LONG_GONE] = 0
        width = np.minimum(blend, (end - at)[chosen])
        length = int(width.max())
        made = self._made(rows[chosen], gap[chosen], length)
        span = np.arange(length)
        place = at[chosen][:, None] + span
        inside = span < width[:, None]
        if noise is not None:
            faded = 1 - conceal.level(gap[chosen][:, None] + span, self.factor)
            made += faded * noise[chosen[:, None], np.minimum(place, self.size - 1)]
        share = ((span + 1) / (width[:, None] + 1)).astype(np.float32)
        where = before + np.minimum(place, self.size - 1)
        real = line[chosen[:, None], where]
        mixed = made + share * (real - made)
        target = np.broadcast_to(chosen[:, None], place.shape)
        line[target[inside], where[inside]] = mixed[inside]
        gap[chosen] = 0

    def _made(self, rows: Rows, start: Counts, length: int) -> Reals:
        base, lag, sure = self._base[rows], self.lag[rows], self.sure[rows]
        return conceal.continued(base, lag, start, length, self.factor, sure)

    # -- tempo ----------------------------------------------------------------------------------

    def find_lag(self, rows: Rows, wanted: Flags) -> tuple[Counts, Flags, Floats]:
        """By how many octets the coming frame of each row is best changed: lag, whether it is quiet
        (then any lag up to this one is good), and how alike neighbouring periods are, 0 where it
        is loud and not ``wanted``."""
        recent = self.past(rows, 1)
        quiet = np.abs(recent.astype(np.int32)).max(axis=1) < QUIET_PEAK
        octets = np.full(rows.size, QUIET_LAG)
        score = np.zeros(rows.size)
        loud = np.flatnonzero(~quiet & wanted)
        if loud.size:
            lag, score[loud] = conceal.pitch(self.past(rows[loud]), self.factor, SHORTEST)
            octets[loud] = lag // self.factor
        return octets, quiet, score

    def say_shortened(self, rows: Rows, codes: Codes, lag: Counts) -> None:
        """A frame made of 160 + ``lag`` octets: ``codes`` uint8 (n, ≥ 160 + lag)."""
        sound = self._decoded_to(rows, codes, FRAME + lag)
        self.frame[rows] = timescale.shortened(sound, lag * self.factor, self.size)

    def say_lengthened(self, rows: Rows, codes: Codes, lag: Counts) -> None:
        """A frame made of 160 - ``lag`` octets: ``codes`` uint8 (n, ≥ 160 - lag)."""
        sound = self._decoded_to(rows, codes, FRAME - lag)
        past = self.past(rows, 1)
        self.frame[rows] = timescale.lengthened(past, sound, lag * self.factor, self.size)

    def _decoded_to(self, rows: Rows, codes: Codes, length: Counts) -> Samples:
        """Decoded codes, of each row ``length`` of them; what lies behind means nothing."""
        if self._stateless:
            return self._decode(rows, codes)
        return self._decode(rows, codes, lengths=length)


def _ends_of_runs(flags: Flags) -> Counts:
    """For each place of bool (n, size), where its run of equal values ends: int64 (n, size)."""
    size = flags.shape[1]
    last = np.ones(flags.shape, np.bool_)
    last[:, :-1] = flags[:, 1:] != flags[:, :-1]
    ends = np.where(last, np.arange(1, size + 1), size)
    return np.asarray(np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1])
