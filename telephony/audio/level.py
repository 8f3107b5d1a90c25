"""How loud: dBov (RFC 6464: a full-scale square is 0) and dBm0 (ITU-T G.711's own scale)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FLOOR = -127.0
"""What silence measures, as in RFC 6464 §3."""
DBM0_OF_DBOV = 6.15
"""dBm0 = dBov + 6.15: a full-scale sine is -3.01 dBov and, in A-law, +3.14 dBm0 (G.711 table 5)."""
SPEECH_DBM0 = -20.0
"""Where active speech is wanted: -26 dBov, the nominal level of ITU-T P.56 tests."""


def rms(samples: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Root mean square over the last axis, on the int16 scale."""
    values = samples.astype(np.float64)
    if values.shape[-1] == 0:
        return np.zeros(values.shape[:-1])
    return np.asarray(np.sqrt(np.mean(values * values, axis=-1)))


def dbov(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """Level of int16 (..., samples) → (...), -127 to 0 dBov."""
    ratio = rms(samples) / 32768.0
    return np.asarray(np.maximum(20 * np.log10(np.maximum(ratio, 1e-9)), FLOOR))


def dbm0(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """Level of int16 (..., samples) → (...), in dBm0."""
    return dbov(samples) + DBM0_OF_DBOV


def peak(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.int32]:
    """Largest magnitude over the last axis, 0 to 32768."""
    return np.asarray(np.abs(samples.astype(np.int32)).max(axis=-1, initial=0))


def amplitude(dbm0_level: float) -> float:
    """Peak, on the int16 scale, of a sine of this level in dBm0."""
    return float(32768.0 * np.sqrt(2.0) * 10.0 ** ((dbm0_level - DBM0_OF_DBOV) / 20))


def active_dbm0(samples: npt.NDArray[np.int16], rate: int = 8000) -> float:
    """Level of the loud parts of int16 (samples,): 20 ms frames within 15.9 dB of the mean power.

    A two-pass stand-in for ITU-T P.56's active speech level: pauses do not count.
    """
    frame = rate // 50
    whole = samples[: samples.size // frame * frame]
    if whole.size == 0:
        return float(dbm0(samples))
    power = rms(whole.reshape(-1, frame)) ** 2
    threshold = power.mean() * 10**-1.59
    active = power[power >= threshold].mean()
    return float(max(10 * np.log10(max(active, 1e-9) / 32768.0**2), FLOOR) + DBM0_OF_DBOV)
