"""The one filter shape of all rate converters here: a sinc under a Kaiser window."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.floating[Any]]


def sinc_taps(offset: Reals, half: float, cutoff: float, beta: float) -> Reals:
    """Taps (taps, outputs) with a gain of 1 at 0 Hz for every output.

    Args:
        offset: distance of each input sample from each output, in input samples.
        half: half the window's width, in input samples; beyond it a tap is 0.
        cutoff: the −6 dB point in cycles an input sample.
        beta: Kaiser's shape: more is more attenuation over a wider transition.
    """
    inside = np.sqrt(np.maximum(1 - (offset / half) ** 2, 0))
    window = np.where(np.abs(offset) <= half, np.i0(beta * inside) / np.i0(beta), 0)
    taps = np.sinc(2 * cutoff * offset) * window
    return np.asarray(taps / taps.sum(axis=0))
