"""16-bit PCM and its neighbours: bytes, floats, channels, levels applied, clicks avoided."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float32]

FULL_SCALE = 32768.0


def from_bytes(data: bytes) -> Samples:
    """int16 (samples,) of little-endian PCM; an odd last octet is dropped. Not writable."""
    return np.frombuffer(data, "<i2", count=len(data) // 2).astype(np.int16, copy=False)


def to_bytes(samples: Samples) -> bytes:
    """Little-endian octets of int16 (samples,)."""
    return samples.astype("<i2", copy=False).tobytes()


def saturate(values: npt.ArrayLike) -> Samples:
    """Any real numbers on the int16 scale, rounded and limited, never wrapped."""
    return np.clip(np.rint(values), -32768, 32767).astype(np.int16)


def to_float(samples: Samples) -> Floats:
    """int16 → float32, full scale at 1.0."""
    return samples.astype(np.float32) / np.float32(FULL_SCALE)


def from_float(samples: npt.NDArray[np.floating]) -> Samples:
    """Float with full scale at 1.0 → int16; what is no number becomes silence."""
    return saturate(np.nan_to_num(samples.astype(np.float64)) * FULL_SCALE)


def mono(samples: Samples) -> Samples:
    """int16 (channels, samples) → (samples,): the mean of the channels."""
    if samples.shape[0] == 1:
        return np.asarray(samples[0])
    return saturate(np.mean(samples, axis=0, dtype=np.float64))


def silence(milliseconds: float, rate: int = 8000) -> Samples:
    """int16 zeros of a duration."""
    return np.zeros(round(milliseconds * rate / 1000), np.int16)


def gain(samples: Samples, decibels: float) -> Samples:
    """int16 of any shape, louder or softer by ``decibels``, limited at full scale."""
    return saturate(samples * 10.0 ** (decibels / 20))


def ramp(samples: Samples, start: float, end: float) -> Samples:
    """int16 (..., samples) under a linear gain from ``start`` to ``end`` (1.0 leaves as is)."""
    return saturate(samples * np.linspace(start, end, samples.shape[-1], endpoint=False))


def fade(samples: Samples, fade_in: int, fade_out: int) -> Samples:
    """int16 (..., samples) that begins and ends softly; both lengths in samples.

    A raised cosine: a step at a prompt's edge is a click, and a detector hears it as all keys.
    """
    size = samples.shape[-1]
    fade_in, fade_out = min(fade_in, size), min(fade_out, size)
    envelope = np.ones(size)
    envelope[:fade_in] *= _rise(fade_in)
    envelope[size - fade_out :] *= _rise(fade_out)[::-1]
    return saturate(samples * envelope)


def _rise(size: int) -> npt.NDArray[np.float64]:
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * (np.arange(size) + 0.5) / max(size, 1)))
