"""Sound in tests: make a tone, find it again, cut a recording into sound and silence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from telephony.audio import goertzel, level, tones

Samples = npt.NDArray[np.int16]

BLOCK_MS = 20
DIGIT_BLOCK = 205
"""Samples a key is measured over at 8 kHz: 25.6 ms, the classic size that separates the rows."""


def tone(
    frequency: float, milliseconds: float, level_dbm0: float = -10.0, rate: int = 8000
) -> Samples:
    """int16 (samples,): a sine without clicks."""
    return tones.sine(frequency, milliseconds, level_dbm0, rate)


@dataclass(frozen=True, slots=True)
class Heard:
    """A frequency in a sound. Truth is whether it is there."""

    dbm0: float
    """Level of the frequency over the whole sound."""
    share: float
    """Its part of the power, 0 to 1."""
    present_ms: int
    """How long it was there, in blocks of 20 ms."""

    def __bool__(self) -> bool:
        return self.present_ms >= 2 * BLOCK_MS


def heard(
    samples: Samples, frequency: float, rate: int = 8000, threshold_dbm0: float = -40.0
) -> Heard:
    """Whether ``frequency`` is in int16 (samples,), how loud and how long.

    A block counts where the frequency reaches ``threshold_dbm0`` and carries a fifth of the
    block's power, so that speech and noise do not pass for a tone.
    """
    blocks = _blocks(samples, rate * BLOCK_MS // 1000)
    if blocks.shape[0] == 0:
        return Heard(level.FLOOR, 0.0, 0)
    power = goertzel.amplitudes(blocks, (frequency,), rate)[:, 0].astype(np.float64) ** 2 / 2
    total = level.rms(blocks) ** 2
    floor = (level.amplitude(threshold_dbm0) ** 2) / 2
    there = (power >= floor) & (power >= 0.2 * total)
    share = float(power.sum() / max(total.sum(), 1e-9))
    mean = 10 * np.log10(max(power.mean(), 1e-9) / 32768.0**2) + level.DBM0_OF_DBOV
    return Heard(
        float(max(mean, level.FLOOR)), min(1.0, share), int(np.count_nonzero(there)) * BLOCK_MS
    )


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of sound or silence, in ms from the beginning."""

    start_ms: int
    end_ms: int
    sound: bool

    @property
    def length_ms(self) -> int:
        return self.end_ms - self.start_ms


def segments(
    samples: Samples,
    rate: int = 8000,
    threshold_dbm0: float = -45.0,
    min_silence_ms: int = 100,
) -> list[Segment]:
    """int16 (samples,) as alternating sound and silence, to 20 ms.

    Silences shorter than ``min_silence_ms`` belong to the sound around them.
    """
    loud = level.dbm0(_blocks(samples, rate * BLOCK_MS // 1000)) >= threshold_dbm0
    runs: list[Segment] = []
    for index, flag in enumerate(loud.tolist()):
        start, end = index * BLOCK_MS, (index + 1) * BLOCK_MS
        if runs and runs[-1].sound == flag:
            runs[-1] = Segment(runs[-1].start_ms, end, flag)
        else:
            runs.append(Segment(start, end, flag))
    merged: list[Segment] = []
    for position, run in enumerate(runs):
        inner = 0 < position < len(runs) - 1
        sound = run.sound or (inner and run.length_ms < min_silence_ms)
        if merged and merged[-1].sound == sound:
            merged[-1] = Segment(merged[-1].start_ms, run.end_ms, sound)
        else:
            merged.append(Segment(run.start_ms, run.end_ms, sound))
    return merged


def find_dtmf(samples: Samples, threshold_dbm0: float = -35.0) -> str:
    """The keys in int16 (samples,) at 8 kHz, heard as tones; two blocks of a key make one.

    For recordings of tests: it asks for both tones well over everything else, which speech and
    music seldom give, and is not the engine's detector.
    """
    hop = DIGIT_BLOCK // 2
    if samples.size < DIGIT_BLOCK:
        return ""
    windows = np.lib.stride_tricks.sliding_window_view(samples, DIGIT_BLOCK)[::hop]
    window = np.hanning(DIGIT_BLOCK).astype(np.float32) * 2
    shaped = windows * window
    found = goertzel.amplitudes(shaped, (*tones.LOW, *tones.HIGH))
    power = found.astype(np.float64) ** 2 / 2
    floor = level.amplitude(threshold_dbm0) ** 2 / 2
    total = level.rms(windows) ** 2
    keys = [_key(row, floor, float(t)) for row, t in zip(power, total, strict=True)]
    digits, last, count = "", None, 0
    for key in [*keys, None]:
        count = count + 1 if key == last else 1
        if key is not None and count == 2:
            digits += key
        last = key
    return digits


def _key(power: npt.NDArray[np.float64], floor: float, total: float) -> str | None:
    low, high = int(power[:4].argmax()), int(power[4:].argmax())
    pair = power[low] + power[4 + high]
    if min(power[low], power[4 + high]) < floor or pair < 0.6 * total:
        return None
    others = np.delete(power, [low, 4 + high])
    if others.max() > 0.15 * min(power[low], power[4 + high]):
        return None
    return tones.KEYPAD[low][high]


def _blocks(samples: Samples, size: int) -> Samples:
    return np.asarray(samples[: samples.size // size * size].reshape(-1, size))
