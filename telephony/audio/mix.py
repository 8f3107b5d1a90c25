"""Sums of voices, limited and never wrapped."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]


def limit(total: npt.NDArray[np.int32], out: Samples | None = None) -> Samples:
    """int32 sums → int16 by limiting; ``out`` int16 of the same shape is written in place."""
    if out is None:
        out = np.empty(total.shape, np.int16)
    return np.clip(total, -32768, 32767, out=out, casting="unsafe")


def mix(voices: Samples) -> Samples:
    """int16 (voices, ..., samples) → (..., samples): everybody together."""
    return limit(voices.sum(axis=0, dtype=np.int32))


def mix_minus(voices: Samples) -> Samples:
    """int16 (voices, ..., samples) → the same shape: each hears all the others, not itself."""
    wide = voices.astype(np.int32)
    return limit(wide.sum(axis=0) - wide)
