"""What a rate converter must keep, and what it must not let through."""

from __future__ import annotations

import numpy as np
import pytest

from telephony.audio.resample import resample

RATES = (11025, 16000, 22050, 24000, 32000, 44100, 48000)


def sine(frequency: float, rate: int, seconds: float = 1.0, peak: float = 12000) -> np.ndarray:
    t = np.arange(round(rate * seconds)) / rate
    return np.round(peak * np.sin(2 * np.pi * frequency * t)).astype(np.int16)


def level_db(samples: np.ndarray, peak: float = 12000) -> float:
    middle = samples[1000:-1000].astype(float)
    return float(20 * np.log10(max(np.sqrt(2 * np.mean(middle**2)), 1e-3) / peak))


@pytest.mark.parametrize("rate", RATES)
def test_flat_to_3400_hz(rate: int) -> None:
    for frequency in (60, 300, 1000, 2500, 3400):
        assert abs(level_db(resample(sine(frequency, rate), rate, 8000))) < 0.05


@pytest.mark.parametrize("rate", RATES)
def test_aliases_are_60_db_down(rate: int) -> None:
    for frequency in np.arange(4050, rate / 2 - 40, 370):
        assert level_db(resample(sine(float(frequency), rate), rate, 8000)) < -60


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("size", [0, 1, 7, 100, 12345])
def test_length_is_exact_to_rounding(rate: int, size: int) -> None:
    assert abs(resample(np.zeros(size, np.int16), rate, 8000).size - size * 8000 / rate) <= 0.5


@pytest.mark.parametrize("rate", [16000, 24000, 44100, 48000])
def test_up_and_the_wave_is_where_it_was(rate: int) -> None:
    up = resample(sine(1000, 8000), 8000, rate)
    assert np.abs(up.astype(int) - sine(1000, rate))[800:-800].max() <= 2


@pytest.mark.parametrize("rate", RATES)
def test_constant_stays_constant_and_nothing_wraps(rate: int) -> None:
    flat = resample(np.full(rate, 32767, np.int16), rate, 8000)
    assert flat[500:-500].min() >= 32766
    square = np.where(np.arange(rate) // 37 % 2, 32767, -32768).astype(np.int16)
    out = resample(square, rate, 8000).astype(int)
    # A wrapped overshoot would be a jump over nearly the whole range inside a flat top.
    assert np.abs(out).max() <= 32768
    assert level_db(out, 32768) < 3.02


def test_channels_are_converted_together() -> None:
    both = np.stack([sine(400, 22050), sine(900, 22050)])
    out = resample(both, 22050, 8000)
    assert out.shape == (2, 8000)
    assert np.array_equal(out[1], resample(both[1], 22050, 8000))


def test_same_rate_is_a_copy_and_absurd_rates_are_refused() -> None:
    samples = sine(400, 8000)
    same = resample(samples, 8000, 8000)
    assert np.array_equal(same, samples)
    assert same is not samples
    with pytest.raises(ValueError, match="sample rate 1 "):
        resample(samples, 1, 8000)
