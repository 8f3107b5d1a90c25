"""How loud each lane is and whether somebody speaks on it, for all lanes at once."""

from __future__ import annotations

import numpy as np

from telephony.audio.level import DBM0_OF_DBOV, FLOOR
from telephony.media.columns import Columns, Counts, Flags, Floats
from telephony.media.config import FRAME, TICK_MS

LEAST_DBM0 = -45.0
"""Nothing softer is a voice, however quiet the line."""
OVER_NOISE_DB = 8.0
"""How far speech stands over the noise: noise itself varies by 1-3 dB from frame to frame."""
NOISE_DBM0 = (-65.0, -30.0)
"""Where the noise may lie. Over -30 dBm0 what never pauses is a tone or music, not a line."""
FIRST_NOISE_DBM0 = -45.0
"""What a new line is taken for: who says "hello" at once is heard, and line noise is not."""
NOTHING_DBM0 = -70.0
"""Below what any line or codec makes of silence: mu-law's smallest step is -64 dBm0."""
WINDOW = 50
"""Ticks of a look for the noise: speech pauses in any second, if only between syllables."""
ATTACK = 2
"""Loud frames in a row that are a voice; one alone is a click."""
HANGOVER_MS = 200
"""Pauses within words and between them are shorter."""
SMOOTHING = 0.25

_REFERENCE = FRAME * 32768.0**2
_TINY = 1e-14


class Activity(Columns):
    """A row a lane, brought up to date by ``hear`` each tick.

    ``voiced`` is without hangover (its edges are 20 ms sharp), ``active`` with it. Tones count as
    voices here: who cares asks the other detectors, too.
    """

    LAYOUT = {
        "level": (np.float64, (), FLOOR),
        "smooth": (np.float64, (), FLOOR),
        "noise": (np.float64, (), FIRST_NOISE_DBM0),
        "least_now": (np.float64, (), FIRST_NOISE_DBM0),
        "least_before": (np.float64, (), FIRST_NOISE_DBM0),
        "age": (np.int64, (), 0),
        "loud": (np.int64, (), 0),
        "voiced": (np.bool_, (), False),
        "active": (np.bool_, (), False),
        "voiced_ms": (np.int64, (), 0),
        "quiet_ms": (np.int64, (), 0),
        "first_voice_at": (np.float64, (), np.inf),
    }
    level: Floats
    """dBm0 of the last frame, -127 where there was nothing."""
    smooth: Floats
    """dBm0, over about 80 ms."""
    noise: Floats
    """dBm0 of what is there when nobody speaks: the least level of the last 1-2 s."""
    least_now: Floats
    least_before: Floats
    age: Counts
    loud: Counts
    """Loud frames in a row."""
    voiced: Flags
    """Somebody speaks in this frame."""
    active: Flags
    """Somebody speaks, or did within the hangover."""
    voiced_ms: Counts
    """Of all voiced frames so far."""
    quiet_ms: Counts
    """Since the last voiced frame (or the beginning): 0 while voiced."""
    first_voice_at: Floats
    """Monotonic seconds of the tick in which the first voice began, infinite before."""

    def hear(self, energy: Floats, now: float) -> None:
        """A tick: float64 (lanes,), sums of squares of every lane's 160 samples.

        A lane's voice is reported from its second loud frame on, and counted from its first.
        """
        count = energy.size
        level = self.level[:count]
        np.log10(np.maximum(energy / _REFERENCE, _TINY), out=level)
        level *= 10.0
        level += DBM0_OF_DBOV
        np.maximum(level, FLOOR, out=level)
        smooth = self.smooth[:count]
        # Up at once, down slowly: an edge upwards is a beginning, not an average.
        smooth += SMOOTHING * (level - smooth)
        np.maximum(smooth, level - 6.0, out=smooth)
        self._learn(count, level)
        loud = self.loud[:count]
        over = level > np.maximum(self.noise[:count] + OVER_NOISE_DB, LEAST_DBM0)
        loud += 1
        loud *= over
        voiced, quiet = self.voiced[:count], self.quiet_ms[:count]
        np.greater_equal(loud, ATTACK, out=voiced)
        began = loud == ATTACK
        self.voiced_ms[:count] += TICK_MS * voiced + (ATTACK - 1) * TICK_MS * began
        quiet += TICK_MS
        quiet *= ~voiced
        first = self.first_voice_at[:count]
        new = began & (first == np.inf)
        if new.any():
            first[new] = now - (ATTACK - 1) * TICK_MS / 1000
        np.logical_or(
            voiced, (quiet <= HANGOVER_MS) & (self.voiced_ms[:count] > 0), out=self.active[:count]
        )

    def _learn(self, count: int, level: Floats) -> None:
        """The noise is the least of this second and of the one before."""
        now, before, age = self.least_now[:count], self.least_before[:count], self.age[:count]
        age += 1
        # Before the first packet, and where a sender leaves pauses out, there is nothing at all:
        # it says nothing about the line.
        heard = np.where(level > NOTHING_DBM0, level, FIRST_NOISE_DBM0)
        np.minimum(now, np.maximum(heard, NOISE_DBM0[0]), out=now)
        np.minimum(np.minimum(now, before), NOISE_DBM0[1], out=self.noise[:count])
        over = np.flatnonzero(age >= WINDOW)
        if over.size:
            before[over], now[over], age[over] = now[over], NOISE_DBM0[1], 0
