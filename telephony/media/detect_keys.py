"""Keys in the sound, followed from half frame to half frame: when one has begun, and ended.

``audio.dtmf`` looks at all lanes that listen; only those where it sees a pair of tones, or where a
key is being followed, cost more.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from telephony.audio import dtmf
from telephony.media.columns import Columns, Flags, Floats, Rows

LEAST_MS = 27.0
"""Shortest key: 40 ms must be taken, of which up to 7 lie in a half frame of before; 23 refused."""
MOST_GAP_MS = 30.0
"""Longest interruption of a key: 20 ms must be bridged, 40 ms must not (Q.24)."""
MOST_EARLY_GAP_MS = 15.0
"""The same before a key is recognized: two short bursts are no key."""
MOST_OFFSET = 0.025
"""Largest error of a frequency: 1.5 % must be taken, 3.5 % refused."""
TWIST = (10**-1.0, 10**0.6)
"""High over low tone, power: -8 to +4 dB must be taken, and 2 dB are for the estimate."""
STEADY = 0.9
"""Softer of two neighbours over the louder where both lie within the key: the half frames in which
it begins and ends mislead about everything but its length."""
LEAST_SHARE = 0.85
"""Part of the energy of a key's whole half frames that its two tones have: 8 dB over all else."""
DENSE = 0.75

Marks = npt.NDArray[np.int8]
Complexes = npt.NDArray[np.complex128]


class KeyTones(Columns):
    """A row a lane."""

    LAYOUT = {
        "key": (np.int8, (), dtmf.NO_KEY),
        "told": (np.bool_, (), False),
        "sum": (np.float64, (), 0.0),
        "peak": (np.float64, (), 0.0),
        "gap": (np.float64, (), 0.0),
        "energy": (np.float64, (), 0.0),
        "low_part": (np.float64, (), 0.0),
        "high_part": (np.float64, (), 0.0),
        "before": (np.float64, (), 0.0),
        "low": (np.complex128, (), 0.0),
        "high": (np.complex128, (), 0.0),
        "low_turn": (np.complex128, (), 0.0),
        "high_turn": (np.complex128, (), 0.0),
    }
    key: Marks
    """Index into ``dtmf.KEYS`` of the one that is being followed."""
    told: Flags
    """It was recognized."""
    sum: Floats
    """Amplitudes of its half frames together; over ``peak`` that is its length."""
    peak: Floats
    gap: Floats
    """Milliseconds since it was heard last."""
    energy: Floats
    """Of its whole half frames together, and what of it the two tones seem to have."""
    low_part: Floats
    high_part: Floats
    before: Floats
    """Amplitude of the half frame before where it was one of the key's, else 0."""
    low: Complexes
    high: Complexes
    low_turn: Complexes
    high_turn: Complexes

    def hear(
        self, rows: Rows, halves: Floats, energy: Floats, loud: Flags
    ) -> list[tuple[int, str]]:
        """A tick of the lanes that listen: keys that were recognized, as (row, key).

        ``halves``: float64 (2 · rows, 80) of int16 values, the two halves of a frame one after
        the other; ``energy``: their sums of squares; ``loud``: bool (rows,), the others are silent.
        """
        found: list[tuple[int, str]] = []
        followed = self.key[rows] != dtmf.NO_KEY
        wanted = np.flatnonzero(loud | followed)
        if not wanted.size:
            return found
        # Copying many costs more than looking at the silent ones.
        if wanted.size < rows.size * DENSE:
            rows, followed = rows[wanted], followed[wanted]
            halves = halves.reshape(-1, 2 * dtmf.HALF)[wanted].reshape(-1, dtmf.HALF)
            energy = energy.reshape(-1, 2)[wanted].reshape(-1)
        seen = dtmf.measure(halves, energy)
        for half in (0, 1):
            hit = seen.hit[half::2]
            at = np.flatnonzero(hit | followed)
            if at.size:
                places = 2 * at + half
                found += self._follow(
                    rows[at], seen.products[:, places], energy[places], hit[at], seen.key[places]
                )
                followed[at] = self.key[rows[at]] != dtmf.NO_KEY
        return found

    def _follow(
        self, rows: Rows, products: Floats, energy: Floats, hit: Flags, seen: Rows
    ) -> list[tuple[int, str]]:
        """One half frame of lanes that hear a pair or are within a key."""
        fresh = np.flatnonzero(hit & (seen != self.key[rows]))
        if fresh.size:
            self._begin(rows[fresh], seen[fresh])
        key = self.key[rows].astype(np.int64)
        low, high = dtmf.amplitudes(products, key)
        low_power, high_power = low.real**2 + low.imag**2, high.real**2 + high.imag**2
        strength = np.sqrt(low_power + high_power)
        self._count(rows, strength, hit)
        before = self.before[rows]
        whole = hit & (np.minimum(strength, before) > STEADY * np.maximum(strength, before))
        self.before[rows] = hit * strength
        self._compare(rows, key, low, high, whole)
        self.energy[rows] += whole * energy
        self.low_part[rows] += whole * (dtmf.HALF / 2) * low_power
        self.high_part[rows] += whole * (dtmf.HALF / 2) * high_power
        told = self.told[rows]
        self._release(rows, told)
        due = np.flatnonzero(~told)
        return self._recognized(rows[due], key[due]) if due.size else []

    def _begin(self, rows: Rows, keys: Rows) -> None:
        for name, (_, _, fill) in self.LAYOUT.items():
            getattr(self, name)[rows] = fill
        self.key[rows] = keys

    def _count(self, rows: Rows, strength: Floats, hit: Flags) -> None:
        peak = np.maximum(self.peak[rows], np.where(hit, strength, 0.0))
        self.peak[rows] = peak
        part = np.minimum(strength / np.maximum(peak, 1e-9), 1.0)
        self.sum[rows] += np.minimum(strength, peak)
        self.gap[rows] = np.where(hit, 0.0, self.gap[rows] + (1.0 - part) * dtmf.HALF_MS)

    def _compare(
        self, rows: Rows, key: Rows, low: Complexes, high: Complexes, whole: Flags
    ) -> None:
        """How far the phases turned since the half frame before, where both are the key's."""
        turn_low, turn_high = dtmf.turns(key)
        self.low_turn[rows] += whole * (low * np.conj(self.low[rows]) * turn_low)
        self.high_turn[rows] += whole * (high * np.conj(self.high[rows]) * turn_high)
        self.low[rows], self.high[rows] = low, high

    def _release(self, rows: Rows, told: Flags) -> None:
        over = self.gap[rows] >= np.where(told, MOST_GAP_MS, MOST_EARLY_GAP_MS)
        self.key[rows[over]] = dtmf.NO_KEY

    def _recognized(self, rows: Rows, key: Rows) -> list[tuple[int, str]]:
        lasted = dtmf.HALF_MS * self.sum[rows] >= LEAST_MS * self.peak[rows]
        low_error, high_error = dtmf.errors(self.low_turn[rows], self.high_turn[rows])
        steady = dtmf.offsets(key, low_error, high_error) <= MOST_OFFSET
        low = self.low_part[rows] / dtmf.seen(low_error)
        high = self.high_part[rows] / dtmf.seen(high_error)
        alone = low + high >= LEAST_SHARE * self.energy[rows]
        level = (high > TWIST[0] * low) & (high < TWIST[1] * low)
        sure = lasted & steady & alone & level
        self.told[rows[sure]] = True
        return [
            (row, dtmf.KEYS[index])
            for row, index in zip(rows[sure].tolist(), key[sure].tolist(), strict=True)
        ]
