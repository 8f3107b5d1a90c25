"""Keys as tones in the sound (ITU-T Q.23, Q.24), measured in half frames of many lanes at once.

Goertzel's eight filters are one matrix product over all half frames of 10 ms. The tables are whole
numbers and the product is done in float64, where every sum of int16 samples is exact: what a lane
measures is the same to the bit whoever its neighbours are, and in whatever order BLAS adds.

A half frame tells a key from everything else, not from its neighbour on the keypad: main lobes of
10 ms are 100 Hz wide. What separates tones that are 1.5 % off (taken) from those that are 3.5 %
off (refused) is how far their phases turn from one half frame to the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from telephony.audio.level import amplitude
from telephony.audio.tones import HIGH, KEYPAD, LOW

Floats = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex128]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

RATE = 8000
HALF = 80
"""Samples of a half frame, 10 ms."""
HALF_MS = 10.0
KEYS = "".join(KEYPAD)
"""Key of each index: 4 · low group + high group."""
NO_KEY = -1

LEAST_DBM0 = -39.0
"""Softest tone of a pair: -25 dBm0 less 8 dB of twist, and what a window may miss of it."""
TWIST_DB = (-13.0, 9.0)
"""High over low group in half frames that may be a key's: what leaks from one tone to the other
changes it by up to 5 dB. Whole keys are judged by narrower limits."""
SHARE = 0.6
"""Part of a half frame's energy that a pair has at least: more would lose tones 1.5 % off."""
AT_ONCE = 200
"""Half frames a product takes: OpenBLAS gives larger ones to threads of its own, and a tick that
waits for those to get a core takes many times its time."""

_SCALE = 1 << 14


def _table() -> Floats:
    """float64 (16, HALF) of whole numbers: eight cosines, then eight sines."""
    phase = 2 * np.pi * np.outer((*LOW, *HIGH), np.arange(HALF)) / RATE
    return np.asarray(np.rint(np.concatenate((np.cos(phase), np.sin(phase))) * _SCALE))


def _inverse() -> Floats:
    """float64 (16 keys, 4, 4): from products with a key's four rows to its amplitudes.

    Over 10 ms the tones of a pair are not quite orthogonal: 941 Hz puts a tenth of itself on
    1,209 Hz, which a strong twist would make the weaker tone's phase.
    """
    found = np.empty((16, 4, 4))
    for key in range(16):
        rows = _TABLE[_ROWS[key]]
        found[key] = np.linalg.inv(rows @ rows.T) * _SCALE
    return found


_ROWS: Indices = np.array(
    [(low, 8 + low, 4 + high, 12 + high) for low in range(4) for high in range(4)]
)
"""Rows of the table that belong to a key: cosine and sine of the low tone, then of the high."""
_TABLE = _table()
_INVERSE = _inverse()
_TURN: Complexes = np.exp(-2j * np.pi * np.array((*LOW, *HIGH)) * HALF / RATE)
"""Takes back what each frequency's own phase turns in a half frame."""
_FREQUENCY: Floats = np.array((*LOW, *HIGH))
_POWER = float(_SCALE * _SCALE) * HALF / 2
"""What to divide a squared product by to have the energy of its tone in a half frame."""
_LEAST = HALF * amplitude(LEAST_DBM0) ** 2 / 2
_LEAST_TWIST, _MOST_TWIST = (10 ** (db / 10) for db in TWIST_DB)


@dataclass(frozen=True, slots=True)
class Halves:
    """What a batch of half frames measured.

    products: float64 (16, halves), exact: cosines of the eight tones, then sines.
    energy: float64 (halves,), sum of squares, exact.
    hit: bool (halves,), whether one pair has nearly all of the energy.
    key: int64 (halves,), index into ``KEYS`` of the strongest pair, hit or not.
    """

    products: Floats
    energy: Floats
    hit: Flags
    key: Indices


def measure(halves: Floats, energy: Floats) -> Halves:
    """float64 (n, HALF) of int16 values, with their sums of squares (n,)."""
    products = np.empty((_TABLE.shape[0], halves.shape[0]))
    for first in range(0, halves.shape[0], AT_ONCE):
        some = slice(first, first + AT_ONCE)
        np.matmul(_TABLE, halves[some].T, out=products[:, some])
    squares = products * products
    power = (squares[:8] + squares[8:]) / _POWER
    low, high = power[:4].max(axis=0), power[4:].max(axis=0)
    hit = low + high > SHARE * energy
    hit &= np.minimum(low, high) > _LEAST
    hit &= (high > _LEAST_TWIST * low) & (high < _MOST_TWIST * low)
    key = np.zeros(energy.size, np.int64)
    at = np.flatnonzero(hit)
    if at.size:
        key[at] = 4 * power[:4, at].argmax(axis=0) + power[4:, at].argmax(axis=0)
    return Halves(products, energy, hit, key)


def amplitudes(products: Floats, key: Indices) -> tuple[Complexes, Complexes]:
    """Complex amplitudes (n,) of the low and the high tone of each ``key``, on the int16 scale.

    ``products`` is float64 (16, n) as in ``Halves``. The pair is fitted by least squares.
    """
    taken = [products[_ROWS[key, part], np.arange(key.size)] for part in range(4)]
    inverse = _INVERSE[key]
    fit = [
        taken[0] * inverse[:, 0, row]
        + taken[1] * inverse[:, 1, row]
        + taken[2] * inverse[:, 2, row]
        + taken[3] * inverse[:, 3, row]
        for row in range(4)
    ]
    return fit[0] - 1j * fit[1], fit[2] - 1j * fit[3]


def turns(key: Indices) -> tuple[Complexes, Complexes]:
    """What to multiply ``now · conj(before)`` by, so that its angle is the frequency's error."""
    return _TURN[key // 4], _TURN[4 + key % 4]


def errors(low: Complexes, high: Complexes) -> tuple[Floats, Floats]:
    """How many Hz the tones are off, from sums (n,) of ``now · conj(before) · turn``.

    Errors over 50 Hz come back as others; the window has lost those tones by then.
    """
    hertz = RATE / HALF / (2 * np.pi)
    return np.angle(low) * hertz, np.angle(high) * hertz


def offsets(key: Indices, low: Floats, high: Floats) -> Floats:
    """The larger of two errors in Hz, each as a part of its key's frequency."""
    wrong_low, wrong_high = (
        np.abs(low) / _FREQUENCY[key // 4],
        np.abs(high) / _FREQUENCY[4 + key % 4],
    )
    return np.asarray(np.maximum(wrong_low, wrong_high))


def seen(hertz: Floats) -> Floats:
    """Part of a tone's power that a half frame sees where it is off by so much."""
    return np.asarray(np.sinc(hertz * HALF / RATE) ** 2)
