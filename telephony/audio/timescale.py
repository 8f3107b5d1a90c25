"""A pitch period more or less, unheard: how play-out grows and shrinks in the middle of sound.

Overlap-add of neighbouring periods over (rows, samples), a lag a row (WSOLA with the offset taken
from the pitch). What comes out follows on what was said before and is followed by what comes after
without a step.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Samples = npt.NDArray[np.int16]


def shortened(sound: Samples, lag: Counts, length: int) -> Samples:
    """``sound`` without one period: int16 (rows, ≥ length + lag) → (rows, length)."""
    at = np.arange(length)
    rows = np.arange(sound.shape[0])[:, None]
    span = np.minimum(lag, length)[:, None]
    share = np.clip((at + 1) / (span + 1), 0, 1)
    return _mixed(sound[:, :length], sound[rows, at + lag[:, None]], share)


def lengthened(past: Samples, sound: Samples, lag: Counts, length: int) -> Samples:
    """``sound`` with the period before it said once more.

    Args:
        past: int16 (rows, ≥ lag), what was said before.
        sound: int16 (rows, ≥ length - lag).
        lag: int64 (rows,), at most ``length``.

    Returns int16 (rows, length).
    """
    at = np.arange(length)
    rows = np.arange(sound.shape[0])[:, None]
    line = np.concatenate([past, sound], axis=1)
    begin = past.shape[1]
    back = line[rows, begin + at - lag[:, None]]
    span = np.minimum(lag, length - lag)[:, None]
    share = np.clip((at + 1) / (span + 1), 0, 1)
    ahead = line[rows, np.minimum(begin + at, line.shape[1] - 1)]
    return _mixed(ahead, back, share)


def _mixed(first: Samples, second: Samples, share: npt.NDArray[np.float64]) -> Samples:
    one = first.astype(np.float32)
    mixed = one + share.astype(np.float32) * (second.astype(np.float32) - one)
    return np.rint(mixed).astype(np.int16)
