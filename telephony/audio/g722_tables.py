"""Tables of ITU-T G.722, and what follows from them: the scale factors as one walk over a table.

Names in capitals on the left of a comment are the Recommendation's (clause 6 and its tables).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]
Index = npt.NDArray[np.intp]
Real = npt.NDArray[np.float64]

LOW, HIGH = 0, 1
"""The two bands: 0 to 4 kHz with six bits a sample, 4 to 8 kHz with two."""

QMF: Int32 = np.array([3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11], dtype=np.int32)
"""H0, H2 … H22 of the 24 taps, which are symmetric (table 11)."""

# fmt: off
_Q6 = np.array([
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023,
    1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
], dtype=np.int32)
_Q2 = np.array([564], dtype=np.int32)
_QM6_MAGNITUDE = [
    24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576,
    6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728,
]
_QM4 = [
    0, -20456, -12896, -8968, -6288, -4240, -2584, -1200,
    20456, 12896, 8968, 6288, 4240, 2584, 1200, 0,
]
_QM2 = [-7408, -1616, 7408, 1616]
_WL = [-60, -30, 58, 172, 334, 538, 1198, 3042]
_RL42 = [0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0]
_WH = [798, -214, 798, -214]
_ILB = np.array([
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
], dtype=np.int32)
# fmt: on
_TOP = (18432, 22528)
"""The highest logarithmic scale factor of each band (NBL, NBH)."""

QM6: Int32 = np.array(
    [-136] * 4 + [-m for m in _QM6_MAGNITUDE] + _QM6_MAGNITUDE + [432, 136, -432, -136],
    dtype=np.int32,
)
"""Output of the six-bit inverse quantiser by code (table 17)."""

QM4: Int32 = np.repeat(np.array(_QM4, dtype=np.int32), 4)
"""What the predictor hears, by six-bit code."""
QM2: Int32 = np.array(_QM2, dtype=np.int32)
"""Output of the inverse quantiser of the high band by code."""

NB_BASE = (0, _TOP[LOW] + 1)
"""Where each band's logarithmic scale factor 0 lies in ``DET`` and as a lane's state."""


def _det(band: int) -> Int32:
    nb = np.arange(_TOP[band] + 1)
    down = (8, 10)[band] - (nb >> 11)
    mantissa = _ILB[(nb >> 6) & 31]
    scaled = np.where(down < 0, mantissa << np.maximum(-down, 0), mantissa >> np.maximum(down, 0))
    return np.asarray(scaled << 2, dtype=np.int32)


DET: Int32 = np.concatenate([_det(LOW), _det(HIGH)])
"""Linear scale factor (DETL, DETH) by logarithmic scale factor plus the band's base."""

# What the predictor hears of a code: four bits of the low band, both of the high.
_LOW_CODES, _HIGH_CODES = 16, 4


def _step(band: int, codes: int) -> tuple[Int32, Int32]:
    """(codes, nb): the next scale factor, and the quantised difference (DLT, DH)."""
    nb = np.arange(_TOP[band] + 1, dtype=np.int32)
    weight = [_WL[_RL42[c]] for c in range(16)] if band == LOW else _WH
    value = _QM4 if band == LOW else _QM2
    det = _det(band)
    after = [np.clip((nb * 127 >> 7) + weight[c], 0, _TOP[band]) for c in range(codes)]
    difference = [(det * value[c]) >> 15 for c in range(codes)]
    return np.stack(after) + NB_BASE[band], np.stack(difference)


_low, _high = _step(LOW, _LOW_CODES), _step(HIGH, _HIGH_CODES)
NEXT: Index = np.concatenate([_low[0].ravel(), _high[0].ravel()]).astype(np.intp)
"""A lane's next scale factor state, by state plus ``OFFSET`` of the code."""
DIFFERENCE: Int32 = np.concatenate([_low[1].ravel(), _high[1].ravel()]).astype(np.int32)
"""The quantised difference that the predictor hears, by the same index."""

_span_low, _span_high = _TOP[LOW] + 1, _TOP[HIGH] + 1
_HIGH_OFFSET = _LOW_CODES * _span_low - NB_BASE[HIGH]
OFFSET_LOW: Index = (np.arange(64, dtype=np.intp) >> 2) * _span_low
"""By six-bit code: what to add to a state for ``NEXT`` and ``DIFFERENCE``."""
OFFSET_HIGH: Index = np.arange(4, dtype=np.intp) * _span_high + _HIGH_OFFSET
"""The same by two-bit code of the high band."""

# The quantiser. A magnitude m passes threshold q where m >= q * DET >> 12, that is where
# (m + 1) * 4096 / DET > q: one division, and one table over the whole part of the quotient.
# The quotient is never nearer than 1/16384 to a whole number it does not equal, so a divisor
# larger by 1e-9 makes "greater than" of "not less than" and changes nothing else.
CENTRE = int(_Q6[-1]) + 1
"""Index of the quotient 0 in ``CODE_LOW`` and ``CODE_HIGH``; negative quotients lie below."""
DIVISOR: Real = DET / 4096.0 * (1.0 + 1e-9)
"""By scale factor state: what a difference, one further from zero, is divided by."""


def _codes(thresholds: Int32, positive: list[int], negative: list[int]) -> npt.NDArray[np.uint8]:
    level = np.searchsorted(thresholds, np.arange(CENTRE), side="right")
    upper = np.array(positive, dtype=np.uint8)[level]
    lower = np.array(negative, dtype=np.uint8)[level]
    return np.concatenate([lower[::-1], upper])


CODE_LOW = _codes(_Q6, [*range(61, 31, -1)], [63, 62, *range(31, 3, -1)])
"""Six-bit code (ILP, ILN) by quotient plus ``CENTRE``; what lies outside takes the edge's."""
CODE_HIGH = _codes(_Q2, [3, 2], [1, 0])
"""Two-bit code (IHP, IHN) by quotient plus ``CENTRE``."""
STEP_LOW: Index = OFFSET_LOW[CODE_LOW]
"""``OFFSET_LOW`` by quotient plus ``CENTRE``."""
STEP_HIGH: Index = OFFSET_HIGH[CODE_HIGH]
"""``OFFSET_HIGH`` by quotient plus ``CENTRE``."""
# Sign of the difference that the predictor hears, zero counted as positive; times 128.
SIGN_LOW: Int32 = np.where(np.asarray(_QM4)[CODE_LOW >> 2] < 0, -128, 128).astype(np.int32)
SIGN_HIGH: Int32 = np.where(np.asarray(_QM2)[CODE_HIGH] < 0, -128, 128).astype(np.int32)

for _name, _table in list(globals().items()):
    if isinstance(_table, np.ndarray):
        _table.flags.writeable = False
