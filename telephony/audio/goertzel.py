"""Single frequencies measured in many blocks at once: Goertzel's filters as one matrix product."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt


@lru_cache(maxsize=64)
def bank(frequencies: tuple[float, ...], size: int, rate: int) -> npt.NDArray[np.float32]:
    """float32 (size, 2 · frequencies): cosines then sines, scaled to give peak amplitudes."""
    phase = 2 * np.pi * np.outer(np.arange(size), frequencies) / rate
    table = np.concatenate([np.cos(phase), np.sin(phase)], axis=1) * (2 / max(size, 1))
    return table.astype(np.float32)


def amplitudes(
    samples: npt.NDArray[np.int16] | npt.NDArray[np.float32],
    frequencies: tuple[float, ...],
    rate: int = 8000,
) -> npt.NDArray[np.float32]:
    """Peak amplitudes in int16 or float32 (..., samples) → float32 (..., frequencies).

    On the int16 scale: a sine that fills the block measures its own peak. Blocks of ``n`` samples
    tell frequencies apart that differ by more than about ``rate / n``.
    """
    parts = samples.astype(np.float32) @ bank(frequencies, samples.shape[-1], rate)
    count = len(frequencies)
    return np.asarray(np.hypot(parts[..., :count], parts[..., count:]))
