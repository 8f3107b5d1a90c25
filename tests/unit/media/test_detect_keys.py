"""Keys in the sound: what must be found and what refused (ITU-T Q.24, Bellcore), alone and in
batches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from telephony.audio import g711, level, wav
from telephony.audio.pcm import silence
from telephony.audio.resample import resample
from telephony.audio.tones import DTMF, dtmf, sine
from telephony.media.detect import Detectors
from tests.unit.media.hearing import KEYS, SPEECH, noise, whole

Sound = npt.NDArray[np.int16]
NAMES = {"pound": "#", "star": "*"}


def keys(lanes: Sound) -> list[str]:
    """What is found in int16 (lanes, samples), whole frames, a string a lane."""
    detectors = Detectors(lanes.shape[0])
    for row in range(lanes.shape[0]):
        detectors.listen_for_keys(row, True)
    found = [""] * lanes.shape[0]
    for tick in range(lanes.shape[1] // 160):
        detectors.hear(lanes[:, 160 * tick : 160 * tick + 160], tick * 0.02)
        for row, key in detectors.take_keys():
            found[row] += key
    return found


@dataclass(frozen=True)
class Press:
    """A key as some telephone makes it. ``twist``: high over low tone, dB; the louder of the two
    has ``dbm0``. ``off``: errors of the two frequencies. ``snr``: of white noise, dB."""

    ms: float = 60
    dbm0: float = -10
    twist: float = 0
    off: tuple[float, float] = (0, 0)
    snr: float | None = None
    law: int = g711.ULAW

    def sound(self, key: str, at: int, seed: int) -> Sound:
        """int16 (2,400,): the key begins at a sample, at random phases."""
        rng = np.random.default_rng(seed)
        time = np.arange(round(self.ms * 8)) / 8000
        levels = (self.dbm0 - max(self.twist, 0), self.dbm0 + min(self.twist, 0))
        sound = np.zeros(2400)
        for frequency, dbm0, error in zip(DTMF[key], levels, self.off, strict=True):
            phase = 2 * np.pi * (frequency * (1 + error) * time + rng.random())
            sound[at : at + time.size] += level.amplitude(dbm0) * np.sin(phase)
        if self.snr is not None:
            power = 10 * np.log10(sum(10 ** (dbm0 / 10) for dbm0 in levels))
            sound += noise(sound.size, power - self.snr, seed)
        return g711.decode(self.law, g711.encode(self.law, whole(sound[None])[0]))

    def lanes(self) -> tuple[list[str], Sound]:
        """Every key at six places against the frames: what should be heard, and the sounds."""
        pressed = [(key, at) for key in DTMF for at in (160, 187, 213, 240, 266, 305)]
        sounds = [self.sound(key, at, seed) for seed, (key, at) in enumerate(pressed)]
        return [key for key, _ in pressed], np.stack(sounds)


LEVELS = [(dbm0, twist) for dbm0 in (0, -10, -25) for twist in (-8, 0, 4)]
CORNERS = [(low, high) for low in (-0.015, 0.015) for high in (-0.015, 0.015)]


@pytest.mark.parametrize(("dbm0", "twist"), LEVELS)
@pytest.mark.parametrize("ms", [40, 60, 250])
def test_a_key_is_found_once(ms: float, dbm0: float, twist: float) -> None:
    wanted, lanes = Press(ms=ms, dbm0=dbm0, twist=twist).lanes()
    assert keys(lanes) == wanted


@pytest.mark.parametrize(("dbm0", "twist"), LEVELS)
@pytest.mark.parametrize("off", CORNERS)
def test_frequencies_may_be_wrong_by_so_much(
    off: tuple[float, float], dbm0: float, twist: float
) -> None:
    wanted, lanes = Press(ms=40, dbm0=dbm0, twist=twist, off=off).lanes()
    assert keys(lanes) == wanted


@pytest.mark.parametrize("twist", [-8, 0, 4])
@pytest.mark.parametrize("off", [(0.035, 0), (-0.035, 0), (0, 0.035), (0, -0.035)])
@pytest.mark.parametrize("ms", [50, 250])
def test_and_no_more(ms: float, off: tuple[float, float], twist: float) -> None:
    _, lanes = Press(ms=ms, twist=twist, off=off).lanes()
    assert set(keys(lanes)) == {""}


@pytest.mark.parametrize("snr", [15, 20, 30])
@pytest.mark.parametrize("off", [(0, 0), *CORNERS])
def test_noise_hides_no_key(off: tuple[float, float], snr: float) -> None:
    for twist in (-8, 4):
        wanted, lanes = Press(ms=50, twist=twist, off=off, snr=snr).lanes()
        assert keys(lanes) == wanted


@pytest.mark.parametrize(
    "press",
    [
        Press(ms=10),
        Press(ms=20),
        Press(ms=23),
        Press(ms=23, dbm0=0, snr=20),
        Press(dbm0=-45),
        Press(twist=-16),
        Press(twist=14),
        Press(snr=0),
        Press(off=(0.06, 0.06)),
    ],
    ids=str,
)
def test_what_is_no_key_is_refused(press: Press) -> None:
    _, lanes = press.lanes()
    assert set(keys(lanes)) == {""}


def test_alaw_lines_have_keys_too() -> None:
    wanted, lanes = replace(Press(), law=g711.ALAW, dbm0=-25, twist=-8).lanes()
    assert keys(lanes) == wanted


@pytest.mark.parametrize("path", sorted(KEYS.glob("*.wav")), ids=lambda path: path.stem)
def test_a_recorded_key_is_found_once(path: Path) -> None:
    name = path.stem.removeprefix("dtmf-")
    sound = np.pad(wav.parse(path.read_bytes()).samples[0], (0, 800))
    assert keys(whole(sound[None])) == [NAMES.get(name, name)]


def test_keys_in_a_row_are_found_in_order() -> None:
    assert keys(whole(dtmf("0123456789*#ABCD", 50, 45)[None])) == ["0123456789*#ABCD"]
    assert keys(whole(dtmf("1111", 60, 45)[None])) == ["1111"]
    assert keys(whole(dtmf("123", 60, 0)[None])) == ["123"]


@pytest.mark.parametrize("gap_ms", [5, 10, 20])
def test_an_interruption_makes_no_second_key(gap_ms: int) -> None:
    lanes = [
        np.concatenate((silence(at), dtmf("5", 80, gap_ms), dtmf("5", 80, 100)))[:3200]
        for at in np.arange(0, 20, 2.5)
    ]
    size = min(lane.size for lane in lanes)
    assert set(keys(whole(np.stack([lane[:size] for lane in lanes])))) == {"5"}


@pytest.mark.parametrize("gap_ms", [40, 50, 100])
def test_a_pause_makes_a_second_key(gap_ms: int) -> None:
    lanes = [
        np.concatenate((silence(at), dtmf("5", 80, gap_ms), dtmf("5", 80, 100 - at)))
        for at in np.arange(0, 20, 2.5)
    ]
    assert set(keys(whole(np.stack(lanes)))) == {"55"}


def test_two_short_bursts_are_no_key() -> None:
    assert keys(whole(np.concatenate((dtmf("5", 20, 30), dtmf("5", 20, 100)))[None])) == [""]


@pytest.mark.parametrize("gain_db", [-10, 0, 8])
def test_nobody_talks_a_key(gain_db: float) -> None:
    sounds = [
        resample(wav.parse(path.read_bytes()).samples[0], 16000, 8000)
        for path in sorted(SPEECH.parent.glob("*.wav"))
    ]
    size = max(sound.size for sound in sounds)
    lanes = np.stack([np.pad(sound, (0, size - sound.size)) for sound in sounds])
    assert set(keys(whole(lanes * 10 ** (gain_db / 20)))) == {""}


def test_other_sounds_are_no_keys() -> None:
    sweep = 9000 * np.sin(2 * np.pi * np.cumsum(np.linspace(300, 3400, 24000)) / 8000)
    sounds = {
        "one tone": sine(770.0, 3000, -10),
        "ringing": sine((440.0, 480.0), 3000, -19),
        "a chord": sine((697.0, 1047.0, 1319.0), 3000, -15),
        "a key with its second harmonics": sine((770.0, 1336.0, 1540.0, 2672.0), 3000, -18),
        "two keys": sine((697.0, 852.0, 1209.0, 1477.0), 3000, -18),
        "a sweep": sweep.astype(np.int16),
        "noise": noise(24000, -10, 1).astype(np.int16),
    }
    found = dict(zip(sounds, keys(whole(np.stack(list(sounds.values())))), strict=True))
    assert found == dict.fromkeys(sounds, "")


# -- lanes and their neighbours -----------------------------------------------------------------


def crowd() -> Sound:
    """int16 (40, 16,000): keys, speech-like noise and silence by turns."""
    rng = np.random.default_rng(6)
    lanes = np.zeros((40, 16000))
    for row in range(40):
        if row % 3 == 0:
            pressed = dtmf("".join(rng.choice(list(DTMF), 8)), 70, 60, -12)
            lanes[row, row * 20 : row * 20 + pressed.size] += pressed
        if row % 4 < 2:
            lanes[row] += noise(16000, float(rng.uniform(-50, -20)), row)
    return whole(lanes)


def columns(detectors: Detectors, row: int) -> dict[str, object]:
    """Everything that is kept of a lane."""
    parts = (detectors.keys, detectors.activity, detectors.tones)
    return {
        f"{type(part).__name__}.{name}": getattr(part, name)[row].tolist()
        for part in parts
        for name in part.LAYOUT
    }


def run(lanes: Sound, capacity: int | None = None) -> Detectors:
    detectors = Detectors(capacity or lanes.shape[0])
    for row in range(lanes.shape[0]):
        detectors.listen_for_keys(row, True)
        detectors.watch(row, 1000)
    for tick in range(lanes.shape[1] // 160):
        detectors.hear(lanes[:, 160 * tick : 160 * tick + 160], tick * 0.02)
    return detectors


def test_a_lane_hears_the_same_alone_and_among_others() -> None:
    lanes = crowd()
    together = run(lanes)
    heard = together.take_keys()
    assert len(heard) > 60
    for row in range(0, 40, 7):
        alone = run(lanes[row : row + 1])
        assert [key for _, key in alone.take_keys()] == [key for at, key in heard if at == row]
        assert columns(alone, 0) == columns(together, row)


def test_who_joins_or_leaves_changes_nothing_for_the_others() -> None:
    lanes = crowd()
    steady, busy = Detectors(16), Detectors(16)
    for detectors in (steady, busy):
        for row in range(16):
            detectors.listen_for_keys(row, True)
            detectors.watch(row, 1000)
    for tick in range(100):
        frames = lanes[:16, 160 * tick : 160 * tick + 160]
        steady.hear(frames, tick * 0.02)
        if tick == 20:
            busy.clear(4)
        if tick == 30:
            busy.grow(64)
            for row in range(16, 40):
                busy.listen_for_keys(row, True)
        if tick == 50:
            busy.listen_for_keys(5, False)
        more = frames if tick < 30 else lanes[:40, 160 * tick : 160 * tick + 160]
        busy.hear(more, tick * 0.02)
    for row in set(range(16)) - {4, 5}:
        assert columns(busy, row) == columns(steady, row)
    assert columns(busy, 5)["KeyTones.key"] == -1


@settings(max_examples=40, deadline=None)
@given(arrays(np.int16, (3, 800)), st.integers(0, 3))
def test_nothing_that_arrives_is_an_error(sound: Sound, quiet: int) -> None:
    detectors = Detectors(4)
    for row in range(4):
        detectors.listen_for_keys(row, True)
        detectors.watch(row, 1000)
    lanes = np.insert(sound, quiet, 0, axis=0)
    for tick in range(5):
        detectors.hear(lanes[:, 160 * tick : 160 * tick + 160], tick * 0.02)
    assert all(np.isfinite(detectors.activity.level))
    assert all(row != quiet for row, _ in detectors.take_keys())
