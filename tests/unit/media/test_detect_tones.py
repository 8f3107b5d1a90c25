"""Tones of the network and of machines: plans of three continents, SIT, fax, beeps, and speech."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from telephony.audio import g711, tones, wav
from telephony.audio.pcm import silence
from telephony.audio.progress import NOTHING, Segment, Tone, judge
from telephony.audio.resample import resample
from telephony.audio.tones import sine
from telephony.media.detect import Detectors
from telephony.media.detect_tones import Found
from tests.unit.media.hearing import SPEECH, noise, whole

Sound = npt.NDArray[np.int16]
PLACES = (0, 37, 80, 121)
"""Where against the frames a sound begins."""


def cadence(frequencies: Any, dbm0: float, *ms: int) -> Sound:
    """Tone and pause by turns."""
    return np.concatenate(
        [
            silence(length) if index % 2 else sine(frequencies, length, dbm0)
            for index, length in enumerate(ms)
        ]
    )


def hear(lanes: Sound, *, spoken: bool = False) -> list[list[Found]]:
    """What is found in int16 (lanes, samples), whole frames."""
    detectors = Detectors(lanes.shape[0])
    found: list[list[Found]] = [[] for _ in range(lanes.shape[0])]
    for row in range(lanes.shape[0]):
        detectors.watch(row, 10**6)
    if spoken:
        detectors.tones.spoken_ms[:] = 1000
    for tick in range(lanes.shape[1] // 160):
        detectors.hear(lanes[:, 160 * tick : 160 * tick + 160], tick * 0.02)
        for one in detectors.take_tones():
            found[one.row].append(one)
    return found


def placed(sound: Sound, snr_dbm0: float = -60.0) -> Sound:
    """The sound at every place, over the noise of a line, through mu-law."""
    lanes = np.stack(
        [np.concatenate((silence(200), np.zeros(at), sound, np.zeros(8000 - at))) for at in PLACES]
    )
    lanes = whole(lanes + noise(lanes.shape[1], snr_dbm0, 4))
    return g711.decode(g711.ULAW, g711.encode(g711.ULAW, lanes))


CASES = {
    "us ringing": (tones.ringback("us"), Tone.RINGBACK),
    "eu ringing": (tones.ringback("eu"), Tone.RINGBACK),
    "uk ringing": (tones.ringback("uk"), Tone.RINGBACK),
    "french ringing": (cadence(440.0, -20, 1500, 3500), Tone.RINGBACK),
    "us busy": (np.tile(tones.busy("us"), 4), Tone.BUSY),
    "eu busy": (np.tile(tones.busy("eu"), 4), Tone.BUSY),
    "uk busy": (np.tile(tones.busy("uk"), 4), Tone.BUSY),
    "us reorder": (cadence((480.0, 620.0), -24, *[250] * 10), Tone.REORDER),
    "eu congestion": (cadence(425.0, -16, *[250] * 10), Tone.REORDER),
    "italian congestion": (cadence(425.0, -16, *[200] * 10), Tone.REORDER),
    "uk congestion": (cadence(400.0, -16, *[400, 350, 225, 525] * 3), Tone.REORDER),
    "us dial tone": (sine((350.0, 440.0), 4000, -13), Tone.DIAL),
    "eu dial tone": (sine(425.0, 4000, -13), Tone.DIAL),
    "uk dial tone": (sine((350.0, 450.0), 4000, -13), Tone.DIAL),
    "a fax calls": (cadence(1100.0, -20, 500, 3000, 500, 3000), Tone.FAX_CALL),
    "a soft fax calls": (cadence(1138.0, -40, 475, 3400, 550, 1000), Tone.FAX_CALL),
    "a fax answers": (sine(2100.0, 3000, -15), Tone.FAX_ANSWER),
}


@pytest.mark.parametrize("name", CASES)
def test_a_tone_is_named_once(name: str) -> None:
    sound, kind = CASES[name]
    dbm0 = -55.0 if "soft" in name else -45.0
    for found in hear(placed(sound, dbm0)):
        assert [one.kind for one in found] == [kind]


@pytest.mark.parametrize("gap_ms", [0, 20, 50])
@pytest.mark.parametrize(
    "steps",
    [
        ((985.2, 380), (1428.5, 380), (1776.7, 380)),
        ((913.8, 276), (1370.6, 276), (1776.7, 380)),
        ((950.0, 330), (1400.0, 330), (1800.0, 330)),
    ],
    ids=["long high", "short low", "itu"],
)
def test_three_rising_tones_are_sit_and_no_beep(
    steps: tuple[tuple[float, int], ...], gap_ms: int
) -> None:
    sound = np.concatenate(
        [np.concatenate((sine(hertz, ms, -24), silence(gap_ms))) for hertz, ms in steps]
    )
    for found in hear(placed(sound), spoken=True):
        assert [one.kind for one in found] == [Tone.SIT]


@pytest.mark.parametrize("ms", [100, 250, 1000, 1900])
@pytest.mark.parametrize("hertz", [520.0, 1000.0, 1400.0, 2050.0])
@pytest.mark.parametrize("dbm0", [-12, -30])
def test_a_beep_after_speech_is_told_at_its_end(ms: int, hertz: float, dbm0: float) -> None:
    for at, found in zip(PLACES, hear(placed(sine(hertz, ms, dbm0)), spoken=True), strict=True):
        (beep,) = found
        assert beep.kind is Tone.BEEP
        assert beep.hertz == pytest.approx(hertz, abs=3)
        assert beep.at == pytest.approx(0.2 + at / 8000 + ms / 1000, abs=0.045)


def test_without_speech_before_it_a_tone_is_no_beep() -> None:
    assert hear(placed(sine(1000.0, 400, -12))) == [[], [], [], []]


@pytest.mark.parametrize("ms", [30, 50, 2300])
def test_too_short_or_too_long_is_no_beep(ms: int) -> None:
    assert hear(placed(sine(1000.0, ms, -12)), spoken=True) == [[], [], [], []]


def test_words_make_the_beep_after_them_one() -> None:
    words = resample(wav.parse(SPEECH.read_bytes()).samples[0], 16000, 8000)
    sound = np.concatenate((words, silence(400), sine(1000.0, 400, -12), silence(500)))
    (found,) = hear(whole(sound[None]))
    assert [one.kind for one in found] == [Tone.BEEP]


def test_a_busy_tone_after_speech_is_no_beep() -> None:
    for found in hear(placed(np.tile(tones.busy("eu"), 3)), spoken=True):
        assert [one.kind for one in found] == [Tone.BUSY]


@pytest.mark.parametrize("gain_db", [-10, 0, 8])
def test_speech_is_no_tone(gain_db: float) -> None:
    sounds = [
        resample(wav.parse(path.read_bytes()).samples[0], 16000, 8000)
        for path in sorted(SPEECH.parent.glob("*.wav"))
    ]
    lanes = np.zeros((len(sounds), max(sound.size for sound in sounds)))
    for lane, sound in zip(lanes, sounds, strict=True):
        lane[: sound.size] = sound * 10 ** (gain_db / 20)
    assert not any(hear(whole(lanes), spoken=True))


def test_another_tone_is_told_after_one() -> None:
    sound = np.concatenate((tones.ringback("us"), np.tile(tones.busy("us"), 3)))
    (found,) = hear(whole(sound[None]))
    assert [one.kind for one in found] == [Tone.RINGBACK, Tone.BUSY]


def test_what_nobody_watches_is_not_looked_at() -> None:
    detectors = Detectors(2)
    detectors.watch(1, 20)
    sound = whole(np.stack([np.tile(tones.busy("eu"), 3)] * 2))
    for tick in range(sound.shape[1] // 160):
        detectors.hear(sound[:, 160 * tick : 160 * tick + 160], tick * 0.02)
        if tick == 10:
            assert detectors.tones.hertz[0] == 0.0
            assert detectors.tones.hertz[1] == pytest.approx(425, abs=1)
    assert detectors.take_tones() == []
    detectors.watch(1, 1000)
    assert (detectors.tones.shape[1], detectors.tones.run[1]) == (NOTHING, 0)


def test_silence_means_nothing() -> None:
    assert judge([]) is None
    assert judge([Segment(NOTHING, 5000.0)]) is None
