"""Concealment and tempo: the period is found, repeated and led over; lanes are their own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from telephony.audio import conceal, timescale


def voiced(hertz: float, size: int, rate: int = 8000) -> npt.NDArray[np.int16]:
    at = np.arange(size) / rate
    wave = np.sum([np.sin(2 * np.pi * hertz * n * at + n * n) / n for n in range(1, 5)], axis=0)
    return np.asarray(wave * 4000, np.int16)


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("hertz", [70, 100, 133, 160, 190])
def test_the_period_of_a_voice_is_found(hertz: int, factor: int) -> None:
    past = voiced(hertz, 480 * factor, 8000 * factor)[None]
    lag, alike = conceal.pitch(past, factor)
    periods = lag[0] * hertz / (8000 * factor)
    assert periods == pytest.approx(round(periods), abs=0.03)
    assert 40 * factor <= lag[0] <= 120 * factor
    assert alike[0] > 0.97


@pytest.mark.parametrize("factor", [1, 2])
def test_what_is_made_up_goes_on_where_the_sound_stopped(factor: int) -> None:
    whole = voiced(125, 960 * factor, 8000 * factor)
    past = whole[: 480 * factor]
    lag, _ = conceal.pitch(past[None], factor)
    base = past[None, -conceal.HISTORY * factor :].astype(np.float32)
    made = conceal.continued(base, lag, np.array([0]), 80 * factor, factor)[0]
    wanted = whole[480 * factor : 560 * factor]
    assert np.abs(made - wanted).max() < 0.1 * np.abs(whole).max()


def test_the_level_falls_a_fifth_in_ten_milliseconds_and_ends_after_sixty() -> None:
    at = np.array([0, 79, 80, 160, 240, 479, 480, 10_000])
    expected = [1, 1, 1, 0.8, 0.6, 0.0025, 0, 0]
    assert conceal.level(at) == pytest.approx(expected, abs=1e-4)


def test_a_piece_made_at_once_is_the_same_as_in_parts() -> None:
    past = voiced(110, 480)[None]
    lag, alike = conceal.pitch(past)
    base = past[:, -conceal.HISTORY :].astype(np.float32)
    sure = conceal.confidence(alike)
    whole = conceal.continued(base, lag, np.array([0]), 480, sure=sure)
    for begin in (0, 37, 160, 320):
        part = conceal.continued(base, lag, np.array([begin]), 160, sure=sure)
        assert np.array_equal(part, whole[:, begin : begin + 160])


def test_rows_do_not_know_of_each_other() -> None:
    rng = np.random.default_rng(5)
    past = (rng.normal(size=(40, 480)) * 3000).astype(np.int16)
    past[::2] = [voiced(80 + n, 480) for n in range(20)]
    lag, alike = conceal.pitch(past)
    base = past[:, -conceal.HISTORY :].astype(np.float32)
    start = rng.integers(0, 400, 40)
    made = conceal.continued(base, lag, start, 160)
    for row in range(40):
        one = slice(row, row + 1)
        own, score = conceal.pitch(past[one])
        assert (own[0], score[0]) == (lag[row], alike[row])
        alone = conceal.continued(base[one], own, start[one], 160)
        assert np.array_equal(alone[0], made[row])


@pytest.mark.parametrize("hertz", [90, 125, 210])
def test_a_period_less_or_more_leaves_no_step(hertz: int) -> None:
    whole = voiced(hertz, 1200)
    lag = np.array([round(8000 / hertz)])
    usual = np.abs(np.diff(whole.astype(int))).max()
    past, sound = whole[None, :480], whole[None, 480:900]
    short = timescale.shortened(sound, lag, 160)[0]
    line = np.concatenate([past[0], short, whole[640 + lag[0] : 720]]).astype(int)
    assert np.abs(np.diff(line)).max() <= 1.1 * usual
    more = timescale.lengthened(past, sound, lag, 160)[0]
    line = np.concatenate([past[0], more, whole[640 - lag[0] : 720]]).astype(int)
    assert np.abs(np.diff(line)).max() <= 1.1 * usual
