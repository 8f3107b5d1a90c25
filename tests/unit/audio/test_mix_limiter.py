"""The limiter and the gains that move."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from telephony.audio.mix import FULL, PARTS, blend, limit, ramped
from telephony.audio.tones import sine

Sums = npt.NDArray[np.int32]

sums = arrays.arrays(
    np.int32,
    st.tuples(st.integers(1, 4), st.sampled_from([160, 320])),
    elements=st.integers(-200_000, 200_000),
)
fitting = arrays.arrays(np.int32, (3, 160), elements=st.integers(-32768, 32767))


def ones(rows: int = 1) -> npt.NDArray[np.float32]:
    return np.ones(rows, np.float32)


def together(level: float, count: int, frames: int = 20, size: int = 160) -> Sums:
    """So many voices of one level, at different frequencies, as int32 (frames, size)."""
    rate = size * 50
    voices = [sine(311.0 + 97 * n, frames * 20, level, rate).astype(np.int32) for n in range(count)]
    return np.asarray(np.sum(voices, axis=0)).reshape(frames, size)


def run(total: Sums) -> npt.NDArray[np.int16]:
    gain = ones()
    return np.concatenate([limit(frame[None], gain)[0] for frame in total])


@given(sums, st.floats(0.0625, 1.0, width=32))
def test_never_over_full_scale_nor_turned_round(total: Sums, before: float) -> None:
    gain = ones(total.shape[0]) * np.float32(before)
    out = limit(total, gain).astype(np.int64)
    assert (np.abs(out) <= np.abs(total)).all()
    assert (out * total >= 0).all()
    assert (gain > 0).all()
    assert (gain <= 1).all()


@given(fitting)
def test_what_fits_passes_bit_for_bit(total: Sums) -> None:
    gain = ones(3)
    assert (limit(total, gain) == total).all()
    assert (gain == 1).all()


@given(sums, st.lists(st.floats(0.125, 1.0, width=32), min_size=4, max_size=4))
def test_a_batch_is_each_row_alone(total: Sums, before: list[float]) -> None:
    gains = np.array(before[: total.shape[0]], np.float32)
    alone = gains.copy()
    batch = limit(total, gains)
    for row in range(total.shape[0]):
        gain = alone[row : row + 1]
        assert (limit(total[row : row + 1], gain)[0] == batch[row]).all()
        assert gain[0] == gains[row]


def test_the_gain_never_steps() -> None:
    """A constant makes the gain visible: it may fall and rise by no more than its slopes."""
    loud, soft = np.full((1, 160), 60_000, np.int32), np.full((1, 160), 9_000, np.int32)
    soft_then_loud = np.concatenate([soft[:, :80], loud[:, :80]], axis=1)
    gain = ones()
    out = [limit(frame, gain)[0] for frame in (soft, soft_then_loud, loud, soft, soft, soft, soft)]
    quiet = np.concatenate([out[0], out[1][:80]]).astype(int)
    assert np.abs(np.diff(quiet)).max() <= 0.25 / 10 * 9_000 + 1
    held = np.concatenate([out[1][80:], out[2]])
    assert held.min() >= FULL - 600
    released = np.concatenate(out[3:]).astype(int)
    assert np.diff(released).min() >= 0
    assert np.diff(released).max() <= 9_000 / 64 / 10 + 1
    assert (out[-1] == 9_000).all(), "back at 1 within tens of milliseconds"
    assert gain[0] == 1


def test_a_peak_is_met_before_it_comes() -> None:
    total = np.full((1, 160), 20_000, np.int32)
    total[0, 100:110] = 65_000
    out = limit(total, ones())[0].astype(int)
    assert out[:60].min() == 20_000
    assert (np.diff(out[60:100]) <= 0).all()
    assert out[99] < 11_000
    assert 31_000 < out[100:110].max() <= FULL


def test_what_comes_too_early_for_a_ramp_is_clipped_for_one_part_only() -> None:
    total = np.full((1, 160), 65_000, np.int32)
    out = limit(total, ones())[0]
    assert (out == FULL).any()
    assert (out[160 // PARTS :] >= FULL - 3).all()
    assert out.max() == FULL


@pytest.mark.parametrize("size", [160, 320])
def test_loud_voices_are_cleaner_than_clipped(size: int) -> None:
    total = together(0.0, 4, size=size)
    assert np.abs(total).max() > 2 * FULL
    ours, clipped = run(total), np.clip(total, -FULL - 1, FULL).reshape(-1)

    def residue(out: npt.NDArray[np.generic]) -> float:
        """What is at none of the four frequencies, in dB under the whole."""
        half = out[out.size // 2 :].astype(float) * np.hanning(out.size - out.size // 2)
        spectrum = np.abs(np.fft.rfft(half)) ** 2
        near = np.zeros(spectrum.size, bool)
        for n in range(4):
            bin_ = round((311 + 97 * n) * half.size / (size * 50))
            near[bin_ - 12 : bin_ + 13] = True
        return float(10 * np.log10(spectrum[~near].sum() / spectrum.sum()))

    assert residue(ours) < residue(clipped) - 6


def test_nothing_is_no_error() -> None:
    assert limit(np.zeros((0, 160), np.int32), ones(0)).shape == (0, 160)


def test_a_ramp_ends_where_the_next_frame_begins() -> None:
    frames = np.full((2, 160), 10_000, np.int16)
    gains = np.array([1.0, 0.2], np.float32), np.array([0.2, 0.2], np.float32)
    out = ramped(frames, *gains).astype(int)
    assert out[0, -1] == 2_000
    assert (out[1] == 2_000).all()
    assert np.diff(out[0], prepend=10_000).min() >= -51
    assert (ramped(frames, gains[0] * 0 + 1, gains[0] * 0 + 1) == frames).all()


@given(sums)
def test_a_mix_that_did_not_change_is_not_blended(total: Sums) -> None:
    assert (blend(total, total) == total).all()
    assert (blend(total, total // 2)[:, -1] == (total // 2)[:, -1]).all()
