"""Levels, mixes, tones, fades and single frequencies."""

from __future__ import annotations

import numpy as np
import pytest

from telephony.audio import goertzel, level, pcm, tones


def test_a_full_scale_sine_is_three_below_overload_and_3_14_above_dbm0() -> None:
    samples = np.round(32767 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)).astype(np.int16)
    assert level.dbov(samples) == pytest.approx(-3.01, abs=0.01)
    assert level.dbm0(samples) == pytest.approx(3.14, abs=0.01)
    assert level.peak(samples) == 32767


def test_silence_and_nothing_measure_the_floor() -> None:
    assert level.dbov(np.zeros((2, 160), np.int16)).tolist() == [-127.0, -127.0]
    assert level.dbov(np.zeros(0, np.int16)) == -127.0
    assert level.peak(np.zeros(0, np.int16)) == 0
    assert level.active_dbm0(np.zeros(1000, np.int16)) < -100


def test_pauses_do_not_count_as_speech() -> None:
    burst = tones.sine(500, 400, -20)
    with_pause = np.concatenate([burst, pcm.silence(1600), burst])
    assert level.active_dbm0(with_pause) == pytest.approx(-20, abs=0.3)
    assert level.dbm0(with_pause) < -24


@pytest.mark.parametrize("wanted", [-40.0, -20.0, -10.0, 0.0])
def test_a_sine_has_the_level_asked_for(wanted: float) -> None:
    assert level.dbm0(tones.sine(1000, 1000, wanted)) == pytest.approx(wanted, abs=0.1)


def test_fades_leave_no_step_at_the_edges() -> None:
    loud = np.full((2, 400), 20000, np.int16)
    soft = pcm.fade(loud, 40, 40).astype(int)
    assert np.abs(soft[:, [0, -1]]).max() < 20
    assert np.abs(np.diff(soft, axis=-1)).max() < 900
    assert (soft[:, 40:-40] == 20000).all()
    assert pcm.fade(np.full(3, 900, np.int16), 40, 40).size == 3
    assert pcm.ramp(loud, 0.0, 1.0)[0, 200] == 10000


def test_gain_limits_and_floats_survive() -> None:
    assert pcm.gain(np.array([20000, -20000], np.int16), 12).tolist() == [32767, -32768]
    assert pcm.from_float(np.array([np.nan, 2.0, -2.0, 0.5])).tolist() == [0, 32767, -32768, 16384]
    samples = np.array([1, -2, 3], np.int16)
    assert pcm.from_bytes(pcm.to_bytes(samples) + b"x").tolist() == [1, -2, 3]
    assert pcm.mono(np.array([[10, -10], [20, 10]], np.int16)).tolist() == [15, 0]


def test_goertzel_measures_peaks_of_many_blocks_at_once() -> None:
    blocks = np.stack([tones.sine(697, 100, 0.0)[80:760], np.zeros(680, np.int16)])
    found = goertzel.amplitudes(blocks, (697.0, 1209.0))
    assert found.shape == (2, 2)
    assert found[0, 0] == pytest.approx(level.amplitude(0.0), rel=0.02)
    assert found[0, 1] < 0.02 * found[0, 0]
    assert found[1].max() == 0


def test_every_key_is_its_two_tones() -> None:
    for key, pair in tones.DTMF.items():
        block = tones.dtmf(key, 100, 0)[200:600]
        found = goertzel.amplitudes(block, (*tones.LOW, *tones.HIGH))
        strongest = sorted(np.argsort(found)[-2:].tolist())
        assert [(*tones.LOW, *tones.HIGH)[i] for i in strongest] == list(pair)
    with pytest.raises(ValueError, match="no key"):
        tones.dtmf("12x")


def test_cadences_are_whole_and_silent_where_they_pause() -> None:
    ring = tones.ringback("us")
    assert ring.size == 6 * 8000
    assert level.dbm0(ring[2 * 8000 :]) == -127.0 + level.DBM0_OF_DBOV
    assert tones.busy("eu").size == 8000
    assert tones.beep().size == 3200
    assert level.dbm0(tones.fallback()) > -20
