"""G.722 one sample at a time, every sum clipped as the Recommendation writes it (clause 6.2).

Slow and plain: what the batch is held to where signals overload the predictors, where other
codecs leave clips out. Mode 1 only.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

QMF = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11]
# fmt: off
Q6 = [0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940,
      1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919, 3200]
OQ6 = [0, 17, 54, 91, 130, 170, 211, 254, 300, 347, 396, 447, 501, 558, 618, 682, 750, 822, 899,
       982, 1072, 1170, 1279, 1399, 1535, 1689, 1873, 2088, 2376, 2738, 3101]
OQ4 = [0, 150, 323, 530, 786, 1121, 1612, 2557]
ILB = [2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774,
       2834, 2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838,
       3922, 4008]
# fmt: on
RIL4 = [0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0]
RIL6 = [1, 1, 1, 1, *range(30, 2, -1), *range(30, 2, -1), 2, 1, 2, 1]
WL = [-60, -30, 58, 172, 334, 538, 1198, 3042]
WH, OQ2 = [798, -214], [926, 202]


def sat(value: int) -> int:
    return max(-32768, min(32767, value))


def limit(value: int) -> int:
    return max(-16384, min(16383, value))


def mult(a: int, b: int) -> int:
    return sat((a * b) >> 15)


class Band:
    """The predictor and scale factor of one band; histories are lists with the newest at 1."""

    def __init__(self, low: bool) -> None:
        self.low = low
        self.nb = self.s = self.sz = 0
        self.det = 32 if low else 8
        self.a, self.b = [0] * 3, [0] * 7
        self.d, self.p, self.r = [0] * 7, [0] * 3, [0] * 3

    def heard(self, code: int) -> int:
        """The difference of a whole code."""
        if not self.low:
            return mult(self.det, OQ2[code & 1] * (8 if code >= 2 else -8))
        negative = code < 32 or code >= 62
        return mult(self.det, OQ6[RIL6[code]] * (-8 if negative else 8))

    def adapt(self, code: int) -> int:
        """Moves by one code; the reconstructed signal."""
        if self.low:
            code >>= 2
            d = mult(self.det, OQ4[RIL4[code]] * (-8 if code < 8 else 8))
            weight, top, down = WL[RIL4[code]], 18432, 8
        else:
            d = self.heard(code)
            weight, top, down = WH[code & 1], 22528, 10
        self.nb = max(0, min(top, mult(self.nb, 32512) + weight))
        down -= self.nb >> 11
        mantissa = ILB[(self.nb >> 6) & 31]
        self.det = (mantissa << -down if down < 0 else mantissa >> down) << 2
        p, r = sat(d + self.sz), sat(self.s + d)
        for i in range(1, 7):
            up = 0 if d == 0 else 128 if (d < 0) == (self.d[i] < 0) else -128
            self.b[i] = sat(mult(self.b[i], 32640) + up)
        same1, same2 = ((p < 0) == (self.p[i] < 0) for i in (1, 2))
        x = sat(4 * self.a[1])
        a2 = (sat(-x) if same1 else x) >> 7
        a2 = sat(a2 + (128 if same2 else -128) + mult(self.a[2], 32512))
        a2 = max(-12288, min(12288, a2))
        a1 = sat((192 if same1 else -192) + mult(self.a[1], 32640))
        a1 = max(a2 - 15360, min(15360 - a2, a1))
        self.a = [0, a1, a2]
        self.p, self.r = [0, p, self.p[1]], [0, r, self.r[1]]
        self.d = [0, d, *self.d[1:6]]
        self.sz = 0
        for i in range(6, 0, -1):
            self.sz = sat(self.sz + mult(sat(2 * self.d[i]), self.b[i]))
        poles = sat(mult(a1, sat(2 * self.r[1])) + mult(a2, sat(2 * self.r[2])))
        self.s = sat(poles + self.sz)
        return r


def decode(codes: Iterable[int]) -> np.ndarray:
    low, high, line, out = Band(True), Band(False), [0] * 24, []
    for code in (int(c) for c in codes):
        rl = limit(sat(low.s + low.heard(code & 63)))
        low.adapt(code & 63)
        rh = limit(high.adapt(code >> 6))
        line = [*line[2:], rl + rh, rl - rh]
        out.append(sat(sum(x * h for x, h in zip(line[1::2], QMF[::-1], strict=True)) >> 11))
        out.append(sat(sum(x * h for x, h in zip(line[::2], QMF, strict=True)) >> 11))
    return np.array(out, dtype=np.int16)


def encode(samples: np.ndarray) -> np.ndarray:
    low, high, line, out = Band(True), Band(False), [0] * 24, []
    for pair in samples.reshape(-1, 2).tolist():
        line = [*line[2:], *pair]
        even = sum(x * h for x, h in zip(line[::2], QMF, strict=True))
        odd = sum(x * h for x, h in zip(line[1::2], QMF[::-1], strict=True))
        e = sat(limit((odd + even) >> 14) - low.s)
        size = e if e >= 0 else -e - 1
        level = next((i for i in range(30) if (Q6[i] * 8 * low.det) >> 15 > size), 30)
        code = 62 - level if e >= 0 else 64 - level if level < 3 else 34 - level
        e = sat(limit((odd - even) >> 14) - high.s)
        size = e if e >= 0 else -e - 1
        large = size >= mult(564 * 8, high.det)
        code_high = (2 if large else 3) if e >= 0 else (0 if large else 1)
        low.adapt(code)
        high.adapt(code_high)
        out.append(code | code_high << 6)
    return np.array(out, dtype=np.uint8)
