"""Prompts under speech, and music for who waits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from telephony.audio import level, wav
from telephony.audio.music import hold_music
from telephony.base.errors import ConfigError
from telephony.media.activity import Activity
from telephony.media.bridge import Mixer
from telephony.media.config import MediaConfig
from telephony.media.ducking import UNDER_SPEECH
from telephony.media.hold import load
from telephony.media.sounds import Sounds
from telephony.testing.audio import heard, tone

from .conftest import Rig, Stream, hear

Samples = npt.NDArray[np.int16]
LANES = 4
PROMPT = np.full(160, 8000, np.int16)


class Scene:
    """Sounds with lanes whose activity the test writes down itself."""

    def __init__(self, music: Path) -> None:
        self.mixer = Mixer()
        self.activity = Activity(LANES)
        self.sounds = Sounds(LANES, self.activity, music)
        self.heard: list[Samples] = []

    def tick(self, count: int = 1, prompts: tuple[int, ...] = ()) -> Samples:
        for _ in range(count):
            out, sounding = np.zeros((LANES, 160), np.int16), np.zeros(LANES, np.bool_)
            rows = np.array(prompts, np.int64)
            frames = np.repeat(PROMPT[None], rows.size, axis=0)
            self.sounds.lay(self.mixer.plan(), rows, frames, out, sounding)
            assert sounding.tolist() == out.any(axis=1).tolist()
            self.heard.append(out)
        return self.heard[-1]

    def row(self, lane: int) -> Samples:
        return np.concatenate([frame[lane] for frame in self.heard]).astype(np.int16)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(music_file(tmp_path, np.full(1600, 4000, np.int16)))


def music_file(folder: Path, sound: Samples) -> Path:
    path = folder / "music.wav"
    path.write_bytes(wav.encode(sound, 8000))
    return path


def largest_step(sound: Samples) -> int:
    return int(np.abs(np.diff(sound.astype(int))).max())


def test_a_prompt_goes_down_while_somebody_speaks_and_up_again(scene: Scene) -> None:
    scene.mixer.bridge(0, 1)
    scene.tick(2, (0,))
    assert (scene.heard[-1][0] == PROMPT).all()
    scene.activity.active[1] = True
    scene.tick(4, (0,))
    down = scene.heard[-1][0, -1] / 8000
    assert 20 * np.log10(down) < -9, "within 80 ms"
    scene.tick(6, (0,))
    assert scene.heard[-1][0, -1] / 8000 == pytest.approx(float(UNDER_SPEECH), rel=0.02)
    assert -15 < 20 * np.log10(UNDER_SPEECH) < -12
    scene.activity.active[1] = False
    scene.tick(10, (0,))
    assert scene.heard[-1][0, -1] < 2000, "not between two words"
    scene.tick(80, (0,))
    assert (scene.heard[-1][0] == PROMPT).all()
    rising = scene.row(0)[-90 * 160 :]
    assert (np.diff(rising.astype(int)) >= 0).all()
    assert largest_step(scene.row(0)) <= 8000 * 0.5 / 160 + 1


def test_a_lane_alone_hears_its_prompt_bit_for_bit(scene: Scene) -> None:
    scene.mixer.bridge(0, 1)
    scene.activity.active[:] = True
    scene.tick(20, (2, 0))
    assert all((frame[2] == PROMPT).all() for frame in scene.heard)
    assert not (scene.heard[-1][0] == PROMPT).all()


def test_ones_own_voice_turns_nothing_down(scene: Scene) -> None:
    for row in range(3):
        scene.mixer.enter(row, "lobby")
    scene.activity.active[0] = True
    scene.tick(20, (0, 1))
    assert (scene.heard[-1][0] == PROMPT).all()
    assert scene.heard[-1][1, -1] < 2000


def test_a_prompt_rises_when_the_company_leaves_and_the_next_is_not_down(
    scene: Scene,
) -> None:
    scene.mixer.bridge(0, 1)
    scene.activity.active[1] = True
    scene.tick(20, (0,))
    scene.mixer.leave(0)
    first = scene.tick(1, (0,))[0]
    assert abs(int(first[0]) - int(scene.heard[-2][0, -1])) <= 50
    scene.mixer.bridge(0, 1)
    scene.tick(20, (0,))
    scene.activity.active[1] = False
    scene.tick(30)
    scene.tick(1, (0,))
    assert (scene.heard[-1][0] == PROMPT).all()


def test_who_is_left_waiting_hears_music_that_comes_and_goes_softly(scene: Scene) -> None:
    scene.mixer.bridge(0, 1)
    scene.mixer.hold(1, True)
    scene.tick(40)
    assert scene.heard[-1][0, -1] > 3900
    assert not any(frame[1:].any() for frame in scene.heard)
    scene.mixer.hold(1, False)
    scene.tick(20)
    assert not scene.heard[-1].any()
    assert largest_step(scene.row(0)) <= 4000 * 0.5 / 160 + 1


def test_music_makes_way_for_that_of_the_holder(scene: Scene) -> None:
    scene.mixer.bridge(0, 1)
    scene.mixer.hold(1, True)
    scene.tick(40)
    scene.activity.level[1] = -30.0
    scene.tick(20)
    assert not scene.heard[-1].any()
    scene.activity.level[1] = -127.0
    scene.tick(70)
    assert not scene.heard[-1].any(), "a pause of its music"
    scene.tick(60)
    assert scene.heard[-1][0, -1] > 3900


def test_music_lies_under_a_prompt(scene: Scene) -> None:
    scene.mixer.bridge(0, 1)
    scene.mixer.hold(1, True)
    scene.tick(40)
    scene.tick(20, (0,))
    assert scene.heard[-1][0, -1] == pytest.approx(8000 + 4000 * float(UNDER_SPEECH), abs=30)


def test_a_row_given_back_waits_for_nobody(scene: Scene) -> None:
    scene.mixer.bridge(0, 1)
    scene.mixer.hold(1, True)
    scene.tick(40)
    scene.mixer.forget(0)
    scene.sounds.clear(0)
    assert not scene.tick().any()
    scene.sounds.grow(2 * LANES)
    assert not scene.tick().any()


def test_the_music_is_a_loop_of_its_own() -> None:
    music = hold_music()
    assert music.size == 32 * 2400
    assert level.dbm0(music) == pytest.approx(-22, abs=0.2)
    assert level.peak(music) < 16384
    frames = level.dbm0(music.reshape(-1, 160))
    assert frames.min() > -40, "never a hole"
    inside = np.abs(np.diff(music.astype(int))).max()
    assert abs(int(music[0]) - int(music[-1])) <= inside


def test_music_that_cannot_be_played_is_refused(tmp_path: Path) -> None:
    short = music_file(tmp_path, np.zeros(159, np.int16))
    rubbish = tmp_path / "rubbish.wav"
    rubbish.write_bytes(b"RIFF")
    for wrong in (short, rubbish, tmp_path / "nowhere.wav", tmp_path):
        with pytest.raises(ConfigError, match="hold_music"):
            load(wrong)


def test_a_party_put_on_hold_by_the_other_leg_hears_music_until_it_is_back(tmp_path: Path) -> None:
    rig = Rig(MediaConfig(hold_music=music_file(tmp_path, tone(1300, 400, -15.0))))
    first, second = rig.lane(), rig.lane()
    first.bridge(second)
    stream = Stream()
    rig.talk(second, tone(700, 400), stream)
    second.renegotiate(remote=("192.0.2.7", 4000), can_send=False)
    at = len(rig.wire(first).sent)
    rig.tick(60)
    waiting = hear(rig.wire(first).packets()[at + 30 :])
    assert heard(waiting, 1300)
    sent = len(rig.wire(second).sent)
    second.renegotiate(remote=("192.0.2.7", 4000))
    rig.talk(second, tone(700, 600), stream)
    at = len(rig.wire(first).sent) - 15
    back = hear(rig.wire(first).packets()[at:])
    assert heard(back, 700)
    assert not heard(back, 1300)
    assert len(rig.wire(second).sent) > sent
