"""Rates changed as sound arrives: what passes, what does not, when, and for each lane alone."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telephony.audio import g711
from telephony.audio import stream as module
from telephony.audio.stream import RATES, LaneResampler, Resampler

PAIRS = list(permutations(RATES, 2))
NARROW = [(low, high) for low, high in PAIRS if low == 8000]
FRAMES = 50
TICK = 0.02


def tones(frequencies: np.ndarray, rate: int, peak: float = 10000.0) -> np.ndarray:
    """int16 (frequencies, samples): one second of a sine a lane, each on a line of ``spectrum``."""
    t = np.arange(rate) / rate
    frequencies = np.rint(frequencies / 5) * 5
    return np.rint(peak * np.sin(2 * np.pi * frequencies[:, None] * t)).astype(np.int16)


def stream(converter: Resampler, sound: np.ndarray) -> np.ndarray:
    """(lanes, samples) through the converter frame by frame."""
    frames = sound.reshape(len(sound), -1, converter.samples)
    return np.concatenate([converter.process(frames[:, k]) for k in range(frames.shape[1])], axis=1)


def spectrum(sound: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Amplitude of each sine from 0.2 to 0.8 s in, where no edge is; (lanes, bins), frequencies."""
    middle = sound[:, rate // 5 : rate * 4 // 5].astype(float)
    window = np.blackman(middle.shape[1])
    found = np.abs(np.fft.rfft(middle * window)) / window.sum() * 2
    return found, np.fft.rfftfreq(middle.shape[1], 1 / rate)


def strongest_db(found: np.ndarray, peak: float = 10000.0) -> np.ndarray:
    return 20 * np.log10(np.maximum(found.max(axis=1), 1e-3) / peak)


@pytest.mark.parametrize(("rate", "new_rate"), PAIRS)
def test_the_pass_band_is_flat(rate: int, new_rate: int) -> None:
    top = 0.85 * min(rate, new_rate) / 2
    frequencies = np.concatenate([np.linspace(300, top, 25), [20.0, 3400.0]])
    sound = stream(Resampler(rate, new_rate, 27), tones(frequencies, rate))
    found, bins = spectrum(sound, new_rate)
    assert np.abs(strongest_db(found)).max() < 0.5
    assert np.abs(bins[found.argmax(axis=1)] - frequencies).max() < 3


@pytest.mark.parametrize(("rate", "new_rate"), [p for p in PAIRS if p[0] < p[1]])
def test_images_are_60_db_down(rate: int, new_rate: int) -> None:
    frequencies = np.linspace(100, rate / 2 - 100, 40)
    found, bins = spectrum(
        stream(Resampler(rate, new_rate, 40), tones(frequencies, rate)), new_rate
    )
    assert strongest_db(found[:, bins >= rate / 2 + 20]).max() < -60


@pytest.mark.parametrize(("rate", "new_rate"), [p for p in PAIRS if p[0] > p[1]])
def test_aliases_are_60_db_down(rate: int, new_rate: int) -> None:
    frequencies = np.linspace(new_rate / 2 + 10, rate / 2 - 100, 60)
    found, _ = spectrum(stream(Resampler(rate, new_rate, 60), tones(frequencies, rate)), new_rate)
    assert strongest_db(found).max() < -60


@pytest.mark.parametrize(("rate", "new_rate"), PAIRS)
def test_the_delay_is_the_one_stated(rate: int, new_rate: int) -> None:
    converter = Resampler(rate, new_rate, 1)
    assert 0 < converter.delay_ms <= 3
    t = np.arange(rate // 5) / rate
    bell = np.exp(-(((t - 0.09) / 0.001) ** 2))
    out = stream(converter, np.rint(20000 * bell).astype(np.int16)[None])[0].astype(float)
    centre = (out * np.arange(out.size)).sum() / out.sum() / new_rate
    assert abs((centre - 0.09) * 1000 - converter.delay_ms) < 0.01


@pytest.mark.parametrize(("rate", "new_rate"), PAIRS)
def test_every_frame_brings_one_from_the_first_on(rate: int, new_rate: int) -> None:
    converter = Resampler(rate, new_rate, 3)
    frame = np.full((3, rate // 50), 5000, np.int16)
    first = converter.process(frame)
    assert first.shape == (3, new_rate // 50)
    assert abs(int(first[0, -1]) - 5000) <= 1
    assert np.abs(converter.process(frame).astype(int) - 5000).max() <= 1


@pytest.mark.parametrize(("rate", "new_rate"), PAIRS)
def test_full_scale_is_limited_and_never_wraps(rate: int, new_rate: int) -> None:
    t = np.arange(rate // 2) / rate
    square = np.where(np.floor(t * 100) % 2, 32767, -32768).astype(np.int16)
    converter = Resampler(rate, new_rate, 1)
    out = stream(converter, square[None])[0].astype(int)
    assert out.max() == 32767
    assert out.min() == -32768
    # A millisecond from the edges the wave rings over full scale, and may change sign nowhere.
    half_waves = np.arange(out.size) / new_rate * 100 - converter.delay_ms / 10
    inside = (half_waves > 0) & (np.abs(half_waves - np.rint(half_waves)) > 0.1)
    assert np.array_equal(out[inside] > 0, np.floor(half_waves[inside]) % 2 == 1)


@pytest.mark.parametrize(("rate", "new_rate"), PAIRS)
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    lanes=st.integers(1, 300),
    ticks=st.integers(1, 4),
    data=st.data(),
)
def test_alone_and_in_company_are_the_same_bit_for_bit(
    rate: int, new_rate: int, seed: int, lanes: int, ticks: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    sound = rng.integers(-32768, 32768, (ticks, lanes, rate // 50)).astype(np.int16)
    lane = data.draw(st.integers(0, lanes - 1))
    many, one = Resampler(rate, new_rate, lanes), Resampler(rate, new_rate, 1)
    by_frame = LaneResampler(rate, new_rate)
    for tick in sound:
        rows = rng.permutation(lanes)
        together = many.process(tick[rows], rows)[rows == lane][0]
        assert np.array_equal(together, one.process(tick[lane : lane + 1])[0])
        assert np.array_equal(together, by_frame.process(tick[lane]))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), ticks=st.integers(2, 12))
def test_lanes_join_pause_and_leave_at_any_tick_and_nobody_else_hears(
    seed: int, ticks: int
) -> None:
    rng = np.random.default_rng(seed)
    many, steady = Resampler(8000, 16000, 4), Resampler(8000, 16000, 1)
    alone: dict[int, Resampler] = {}
    capacity = 4
    for _ in range(ticks):
        sound = rng.integers(-20000, 20000, (capacity, 160)).astype(np.int16)
        here = np.flatnonzero(rng.random(capacity) < 0.7)
        here = here[here != 1]
        for row in here:
            if row not in alone or rng.random() < 0.2:
                many.clear(row)
                alone[row] = Resampler(8000, 16000, 1)
        rows = np.append(here, 1)
        out = many.process(sound[rows], rows)
        assert np.array_equal(out[-1], steady.process(sound[1:2])[0])
        for row, frame in zip(here, out, strict=False):
            assert np.array_equal(frame, alone[row].process(sound[row : row + 1])[0])
        if rng.random() < 0.2:
            capacity *= 2
            many.grow(capacity)
            assert many.capacity == capacity


def test_a_blas_whose_rows_are_not_alike_gets_sums_that_are_exact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound = np.random.default_rng(6).integers(-32768, 32768, (300, 320)).astype(np.int16)
    usual = stream(Resampler(8000, 16000, 300), sound).astype(int)
    monkeypatch.setattr(module, "_rows_alike", lambda taps, blocks: False)
    module._shared.cache_clear()
    try:
        exact = stream(Resampler(8000, 16000, 300), sound)
        for lane in (0, 5, 299):
            alone = stream(Resampler(8000, 16000, 1), sound[lane : lane + 1])[0]
            assert np.array_equal(alone, exact[lane])
    finally:
        module._shared.cache_clear()
    # Only what lies within a float32's last bit of a half is rounded otherwise.
    assert np.abs(exact - usual).max() <= 1
    assert np.count_nonzero(exact != usual) < exact.size * 0.01


@pytest.mark.parametrize("samples", [80, 240, 480])
def test_other_frame_lengths_sound_the_same(samples: int) -> None:
    sound = np.random.default_rng(3).integers(-9000, 9000, (2, 480 * 5)).astype(np.int16)
    usual = stream(Resampler(8000, 24000, 2), sound)
    assert np.array_equal(stream(Resampler(8000, 24000, 2, samples=samples), sound), usual)


@pytest.mark.parametrize("law", [g711.ULAW, g711.ALAW])
def test_g711_goes_in_and_comes_out(law: int) -> None:
    rng = np.random.default_rng(4)
    up, down = Resampler(8000, 24000, 300), Resampler(24000, 8000, 300)
    plain_up, plain_down = Resampler(8000, 24000, 300), Resampler(24000, 8000, 300)
    one_up, one_down = LaneResampler(8000, 24000), LaneResampler(24000, 8000)
    for _ in range(2):
        codes = rng.integers(0, 256, (300, 160)).astype(np.uint8)
        wide = up.decode(law, codes)
        assert np.array_equal(wide, plain_up.process(g711.decode(law, codes)))
        assert np.array_equal(one_up.decode(law, codes[7]), wide[7])
        back = down.encode(law, wide)
        assert np.array_equal(back, g711.encode(law, plain_down.process(wide)))
        assert np.array_equal(one_down.encode(law, wide[7]), back[7])
    codes_out, wide_out = np.empty((300, 160), np.uint8), np.empty((300, 480), np.int16)
    assert up.decode(law, codes, out=wide_out) is wide_out
    assert down.encode(law, wide, out=codes_out) is codes_out


def test_a_single_lane_begins_anew_when_cleared() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.integers(-9000, 9000, (2, 160)).astype(np.int16)
    used, fresh = LaneResampler(8000, 16000), LaneResampler(8000, 16000)
    used.process(first)
    used.clear()
    assert np.array_equal(used.process(second), fresh.process(second))


@pytest.mark.parametrize("converter", [Resampler(8000, 16000, 4), LaneResampler(8000, 16000)])
def test_it_says_what_it_is(converter: Resampler | LaneResampler) -> None:
    assert (converter.rate, converter.new_rate) == (8000, 16000)
    assert (converter.samples, converter.new_samples) == (160, 320)
    assert converter.delay_ms == 2.0


@pytest.mark.parametrize(
    ("rate", "new_rate", "samples"),
    [
        (8000, 8000, None),
        (8000, 11025, None),
        (44100, 8000, None),
        (8000, 16000, 16),
        (8000, 16000, 164),
    ],
)
def test_what_it_cannot_convert_it_refuses(rate: int, new_rate: int, samples: int | None) -> None:
    with pytest.raises(ValueError, match=str(rate)):
        Resampler(rate, new_rate, 1, samples=samples)
    with pytest.raises(ValueError, match=str(rate)):
        LaneResampler(rate, new_rate, samples=samples)
