"""Comfort noise (RFC 3389): its packets, and noise of a level and spectrum for many lanes at once.

A lane's noise is a walk through one table of white noise, shaped by a filter of its own in the
frequency domain. Nothing is drawn in a tick: a lane sounds the same alone and among others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float32]
Shape = npt.NDArray[np.complex64]
Counts = npt.NDArray[np.int64]

MAX_LEVEL = 127
"""Softest level that a packet can say, in -dBov."""
MAX_ORDER = 12
"""Reflection coefficients that are used; senders have ten at most."""
BLOCK = 256
"""Samples at 8 kHz of a transform: a frame of 160 and what rings into it."""
BANDS = BLOCK // 2 + 1
TABLE = 1 << 15
FULL_SCALE = 32768.0


@dataclass(frozen=True, slots=True)
class Sid:
    """A silence descriptor: rms ``level`` in dBov, 0 to -127, and reflection coefficients."""

    level: float
    reflection: tuple[float, ...] = ()


def parse(payload: bytes) -> Sid | None:
    """The descriptor in a payload (RFC 3389 §3), or None where there is none; never raises."""
    if not payload:
        return None
    reflection = tuple((octet - 127) * 258 / 32768 for octet in payload[1 : 1 + MAX_ORDER])
    if any(abs(one) >= 1 for one in reflection):
        # 255 is reserved: the filter would not be stable.
        reflection = ()
    return Sid(-float(payload[0] & MAX_LEVEL), reflection)


def write(level: float) -> bytes:
    """A payload of white noise at ``level`` dBov, limited to 0 to -127."""
    return bytes([min(MAX_LEVEL, max(0, round(-level)))])


def shape(sid: Sid) -> Shape:
    """What white noise of unit power is multiplied by, complex64 (129,) from 0 to 4 kHz."""
    predictor = np.ones(1)
    for one in sid.reflection:
        # The step-up recursion: from reflection coefficients to the all-pole filter.
        longer = np.append(predictor, 0.0)
        predictor = longer + one * longer[::-1]
    response = 1 / np.fft.rfft(predictor, BLOCK)
    power = np.abs(response) ** 2
    mean = (power[0] + power[-1] + 2 * power[1:-1].sum()) / BLOCK
    rms = FULL_SCALE * 10 ** (sid.level / 20)
    return np.asarray(response * (rms / np.sqrt(mean)), np.complex64)


def table(generator: np.random.Generator) -> Reals:
    """White noise of unit power to walk through: float32, a whole number of steps and a block."""
    white = generator.standard_normal(TABLE, np.float32)
    return np.concatenate([white, white[: 2 * BLOCK]])


def frames(white: Reals, at: Counts, shapes: Shape, size: int, factor: int = 1) -> Reals:
    """Shaped noise: float32 (rows, size·factor).

    Args:
        white: of ``table``.
        at: int64 (rows,), where each row is in it; ``size`` further at the next frame.
        shapes: complex64 (rows, 129).
        size: samples of a frame at 8 kHz, at most 160.
        factor: 2 makes them at 16 kHz; there is nothing above 4 kHz then either.
    """
    block = BLOCK * factor
    place = (at * factor)[:, None] % TABLE + np.arange(block)
    spectrum = np.fft.rfft(white[place % TABLE], axis=1)
    # What lies in half the band only has half the power.
    spectrum[:, :BANDS] *= shapes * np.float32(np.sqrt(factor))
    spectrum[:, BANDS:] = 0
    made = np.fft.irfft(spectrum, block, axis=1)
    return np.asarray(made[:, block - size * factor :], np.float32)
