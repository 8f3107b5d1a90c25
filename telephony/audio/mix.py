"""Sums of voices under a limiter, and gains that move without a step.

Everything here is row by row: a batch of lanes gives the same bits as each lane alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
Sums = npt.NDArray[np.int32]
Gains = npt.NDArray[np.float32]

FULL = 32767
PARTS = 16
"""Steps of the limiter's gain in a frame: 1.25 ms at 20 ms."""
ATTACK = np.float32(0.25)
"""Most that the gain falls in a step: from 1 to 0.5 within 2.5 ms, begun before the peak."""
RELEASE = np.float32(1 / 64)
"""What it rises in a step: from 0.5 to 1 in 40 ms, slower than the period of a voice."""


def limit(total: Sums, gain: Gains) -> Samples:
    """int32 sums (rows, samples) → int16 that stay within full scale.

    What fits passes through bit for bit. A row over full scale is turned down by one gain that
    moves in straight lines: it falls ahead of the peak (look-ahead within the frame, no delay
    added) and rises over tens of milliseconds. Only a peak in the first 1.25 ms of a frame comes
    too early for that: so much is clipped, because a step of the gain would be heard as a click.

    Args:
        total: |sums| below 2**24, so that float32 holds them; samples divisible by ``PARTS``.
        gain: (rows,), 1.0 in the beginning: each row's gain at the end of its last frame, which
            is read and written.
    """
    out = total.astype(np.int16)
    # Two reductions of the whole say in most ticks that nothing is to be done.
    if total.size and (total.max() > FULL or total.min() < -FULL - 1 or gain.min() < 1):
        peak = np.maximum(total.max(axis=1), -1 - total.min(axis=1))
        rows = np.flatnonzero((peak > FULL) | (gain < 1))
        out[rows], gain[rows] = _turned_down(total[rows], gain[rows])
    return out


def _turned_down(total: Sums, gain: Gains) -> tuple[Samples, Gains]:
    rows, size = total.shape
    blocks = total.astype(np.float32).reshape(rows, PARTS, size // PARTS)
    # Maxima over so short an axis are slow; over the first one they are not.
    peaks = np.abs(blocks).transpose(2, 0, 1).copy().max(axis=0)
    allowed = np.float32(FULL) / np.maximum(peaks, np.float32(FULL))
    # The gain at the borders of the parts: no more than either neighbour allows ...
    nodes = np.empty((rows, PARTS + 1), np.float32)
    nodes[:, 0] = gain
    nodes[:, 1:-1] = np.minimum(allowed[:, :-1], allowed[:, 1:])
    nodes[:, -1] = allowed[:, -1]
    # ... falling in time for what comes, and rising slowly after it.
    for k in range(PARTS - 1, 0, -1):
        np.minimum(nodes[:, k], nodes[:, k + 1] + ATTACK, out=nodes[:, k])
    for k in range(1, PARTS + 1):
        np.minimum(nodes[:, k], nodes[:, k - 1] + RELEASE, out=nodes[:, k])
    rise = np.arange(size // PARTS, dtype=np.float32) / np.float32(size // PARTS)
    slope = (nodes[:, 1:] - nodes[:, :-1])[:, :, None]
    gains = slope * rise
    gains += nodes[:, :-1, None]
    blocks *= gains
    turned = np.rint(blocks, out=blocks)
    np.clip(turned, -FULL - 1, FULL, out=turned)
    return turned.reshape(rows, size).astype(np.int16), nodes[:, -1]


def ramped(frames: Samples, before: Gains, after: Gains) -> Samples:
    """int16 (rows, samples) under gains that go from ``before`` to ``after`` (rows,) in a line.

    Gains are 0 to 1. The last sample has ``after``: the next frame begins with no step.
    """
    size = frames.shape[1]
    rise = np.arange(1, size + 1, dtype=np.float32) / np.float32(size)
    gains = before[:, None] + (after - before)[:, None] * rise
    return np.rint(frames * gains).astype(np.int16)


def blend(before: Sums, after: Sums) -> Sums:
    """int32 (rows, samples) from one mix to another within the frame; equal ones stay as they are.

    Raises nothing and rounds to nothing where both agree: a lane that did not change is not heard
    to change.
    """
    size = before.shape[1]
    rise = np.arange(1, size + 1, dtype=np.float32) / np.float32(size)
    return before + np.rint((after - before) * rise).astype(np.int32)
