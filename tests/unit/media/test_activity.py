"""Who speaks: levels, the noise of a line, edges and hangover."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from telephony.audio import g711, level, wav
from telephony.audio.resample import resample
from telephony.audio.tones import sine
from telephony.media.activity import FIRST_NOISE_DBM0, HANGOVER_MS, Activity
from tests.unit.media.hearing import SPEECH, noise, whole

Sound = npt.NDArray[np.int16]


def follow(lanes: Sound, activity: Activity | None = None) -> dict[str, npt.NDArray[np.float64]]:
    """Columns after each tick, float64 (lanes, ticks)."""
    activity = activity or Activity(lanes.shape[0])
    ticks: dict[str, list[npt.NDArray[np.float64]]] = {}
    for tick in range(lanes.shape[1] // 160):
        frame = lanes[:, 160 * tick : 160 * tick + 160].astype(np.float64)
        activity.hear(np.vecdot(frame, frame), 100 + tick * 0.02)
        for name in activity.LAYOUT:
            ticks.setdefault(name, []).append(getattr(activity, name)[: lanes.shape[0]].copy())
    return {name: np.stack(values, axis=1).astype(np.float64) for name, values in ticks.items()}


@pytest.mark.parametrize("dbm0", [-3.0, -20.0, -40.0])
def test_the_level_is_that_of_g711(dbm0: float) -> None:
    found = follow(sine(1000.0, 400, dbm0)[None])
    assert found["level"][0, 5:15] == pytest.approx(dbm0, abs=0.1)
    assert found["smooth"][0, -2] == pytest.approx(dbm0, abs=0.5)


def test_nothing_is_a_floor_and_no_voice() -> None:
    found = follow(np.zeros((1, 8000), np.int16))
    assert (found["level"] == level.FLOOR).all()
    assert not found["active"].any()
    assert found["noise"][0, -1] == FIRST_NOISE_DBM0


def test_a_word_has_edges_a_length_and_a_hangover() -> None:
    sound = np.concatenate((np.zeros(8000), sine(300.0, 400, -15), np.zeros(8000)))[None]
    found = follow(whole(sound))
    voiced, active = np.flatnonzero(found["voiced"][0]), np.flatnonzero(found["active"][0])
    assert (voiced[0], voiced[-1]) == (51, 69)
    assert active[-1] - voiced[-1] == HANGOVER_MS // 20
    assert found["voiced_ms"][0, -1] == 400
    assert found["first_voice_at"][0, -1] == pytest.approx(101.0)
    assert found["quiet_ms"][0, -1] == (found["voiced"].shape[1] - 70) * 20


def test_a_click_is_no_voice() -> None:
    sound = np.zeros((1, 16000), np.int16)
    sound[0, 8000:8080] = 20000
    assert not follow(sound)["active"].any()


@pytest.mark.parametrize("dbm0", [-60.0, -50.0, -40.0, -33.0])
def test_noise_is_learned_and_speech_over_it_is_heard(dbm0: float) -> None:
    words = np.tile(np.concatenate((sine(300.0, 300, dbm0 + 18), np.zeros(2400, np.int16))), 5)
    sound = np.concatenate((np.zeros(32000), words, np.zeros(32000)))
    found = follow(whole(sound[None] + noise(sound.size, dbm0, 5)))
    voiced = found["voiced"][0]
    assert not voiced[100:200].any()
    assert voiced[200:350].sum() == pytest.approx(75, abs=8)
    assert not voiced[360:].any()


def test_a_loud_line_is_no_voice_for_longer_than_two_seconds() -> None:
    found = follow(whole(noise(80000, -32.0, 1)[None]))
    assert not found["voiced"][0, 100:].any()


def test_speech_is_found_where_it_is() -> None:
    sound = resample(wav.parse(SPEECH.read_bytes()).samples[0], 16000, 8000)
    sound = whole(sound[None])
    clean = level.dbm0(sound.reshape(-1, 160))
    loud = clean > clean.max() - 20
    over = follow(whole(sound + noise(sound.shape[1], float(clean.max()) - 30, 2)))
    assert over["active"][0, loud].mean() > 0.95
    assert 0.3 < over["voiced"][0].mean() < 0.95


def test_a_row_that_was_used_is_as_new_after_clear() -> None:
    activity = Activity(2)
    follow(np.tile(sine(500.0, 400, -10), (2, 1)), activity)
    activity.clear(0)
    sound = np.concatenate((noise(8000, -42.0, 4), sine(500.0, 400, -20)))
    again = follow(np.tile(whole(sound[None]), (2, 1)), activity)
    alone = follow(whole(sound[None]))
    for name, values in alone.items():
        assert (again[name][0] == values[0]).all(), name


def test_lanes_do_not_hear_each_other() -> None:
    rng = np.random.default_rng(8)
    lanes = (rng.normal(0, 1, (40, 16000)) * rng.uniform(1, 9000, (40, 1))).astype(np.int16)
    together = follow(lanes)
    for row in (0, 7, 39):
        alone = follow(lanes[row : row + 1])
        for name, values in alone.items():
            assert (values[0] == together[name][row]).all(), name


def test_mulaw_silence_is_a_quiet_line() -> None:
    hiss = g711.decode(g711.ULAW, g711.encode(g711.ULAW, noise(32000, -64.0, 3).astype(np.int16)))
    found = follow(whole(hiss[None]))
    assert not found["active"].any()
