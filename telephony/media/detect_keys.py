"""Keys in the sound, followed from half frame to half frame: when one has begun, and ended.

``audio.dtmf`` looks at all lanes that listen; only those where it sees a pair of tones, or where a
key is being followed, cost more.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from telephony.audio import dtmf
from telephony.media.columns import Columns, Flags, Floats, Rows

LEAST_MS = 29.0
"""Shortest key: 40 ms must be taken, of which up to 7 lie in a half frame of before; 23 refused."""
MOST_GAP_MS = 30.0
"""Longest interruption of a key: 20 ms must be bridged, 40 ms must not (Q.24)."""
MOST_EARLY_GAP_MS = 15.0
"""The same before a key is recognized: two short bursts are no key."""
MOST_OFFSET = 0.025
"""Largest error of a frequency: 1.5 % must be taken, 3.5 % refused."""
LEAST_SHARE = 0.85
"""Part of the energy of a key's whole half frames that its two tones have: 8 dB over all else."""

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
        "explained": (np.float64, (), 0.0),
        "whole": (np.bool_, (), False),
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
    """Of its whole half frames, and what of it the pair explains."""
    explained: Floats
    whole: Flags
    """The half frame before was one of the key's."""
    low: Complexes
    high: Complexes
    """Amplitudes in the half frame before."""
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
        if wanted.size < rows.size:
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
        strength = np.sqrt(low.real**2 + low.imag**2 + high.real**2 + high.imag**2)
        self._count(rows, strength, hit)
        self._compare(rows, key, low, high, hit)
        self.energy[rows] += hit * energy
        self.explained[rows] += hit * (dtmf.HALF / 2) * strength * strength
        self.whole[rows] = hit
        self.low[rows], self.high[rows] = low, high
        told = self.told[rows]
        self._release(rows, told)
        due = np.flatnonzero(hit & ~told)
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

    def _compare(self, rows: Rows, key: Rows, low: Complexes, high: Complexes, hit: Flags) -> None:
        """How far the phases turned since the half frame before, where both are the key's."""
        both = hit & self.whole[rows]
        turn_low, turn_high = dtmf.turns(key)
        self.low_turn[rows] += both * (low * np.conj(self.low[rows]) * turn_low)
        self.high_turn[rows] += both * (high * np.conj(self.high[rows]) * turn_high)

    def _release(self, rows: Rows, told: Flags) -> None:
        over = self.gap[rows] >= np.where(told, MOST_GAP_MS, MOST_EARLY_GAP_MS)
        self.key[rows[over]] = dtmf.NO_KEY

    def _recognized(self, rows: Rows, key: Rows) -> list[tuple[int, str]]:
        lasted = dtmf.HALF_MS * self.sum[rows] >= LEAST_MS * self.peak[rows]
        steady = dtmf.offsets(key, self.low_turn[rows], self.high_turn[rows]) <= MOST_OFFSET
        alone = self.explained[rows] >= LEAST_SHARE * self.energy[rows]
        sure = lasted & steady & alone
        self.told[rows[sure]] = True
        return [
            (row, dtmf.KEYS[index])
            for row, index in zip(rows[sure].tolist(), key[sure].tolist(), strict=True)
        ]
