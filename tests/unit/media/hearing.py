"""Sounds that the tests of the detectors share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from telephony.audio import level

VECTORS = Path(__file__).parents[2] / "vectors" / "rtp"
KEYS = VECTORS / "dtmf-inband"
SPEECH = VECTORS / "speech-16k" / "austen-0880.wav"


def noise(samples: int, dbm0: float, seed: int) -> npt.NDArray[np.float64]:
    """White noise of this level, float64 (samples,)."""
    rms = level.amplitude(dbm0) / np.sqrt(2)
    return np.random.default_rng(seed).normal(0, rms, samples)


def whole(lanes: npt.NDArray[np.generic]) -> npt.NDArray[np.int16]:
    """Any real (lanes, samples) as int16, with silence up to a whole frame."""
    padded = np.pad(lanes, ((0, 0), (0, -lanes.shape[1] % 160)))
    return np.clip(np.rint(padded), -32768, 32767).astype(np.int16)
