"""Recordings: two channels in step, messages that end by themselves, disks that say no."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from telephony.audio import wav
from telephony.calls.ports import Recorded, Sound
from telephony.media.config import MediaConfig
from telephony.media.writer import File, open_file
from telephony.testing.audio import heard, tone

from .conftest import Rig


def test_left_is_what_the_leg_says_and_right_what_it_hears(rig: Rig, tmp_path: Path) -> None:
    lane, done = rig.lane(), []
    path = tmp_path / "2026" / "11" / "call.wav"
    lane.record_call(path, done.append)
    lane.play(Sound(tone(700, 3000).tobytes()), lambda played: None)
    rig.talk(lane, tone(440, 3000))
    rig.tick(2)
    lane.finish()
    rig.tick(1)
    assert [(d.path, d.duration_ms, d.reason, d.error) for d in done] == [
        (path, 3040, "leg_ended", "")
    ]
    assert done[0].size == path.stat().st_size
    file = wav.parse(path.read_bytes())
    assert file.samples.shape == (2, 3040 * 8)
    left, right = file.samples
    assert heard(left, 440).share > 0.95
    assert heard(right, 700).share > 0.95


def test_the_channels_are_aligned_to_the_sample(rig: Rig, tmp_path: Path) -> None:
    lane, done = rig.lane(), []
    lane.record_call(tmp_path / "call.wav", done.append)
    click = np.zeros(16000, np.int16)
    click[8000:8160] = 20000
    lane.play(Sound(click.tobytes()), lambda played: None)
    rig.talk(lane, click)
    rig.tick(3)
    lane.close()
    rig.tick()
    left, right = wav.parse((tmp_path / "call.wav").read_bytes()).samples
    # The play-out delay is one tick at a depth of 40 ms: left comes that much later.
    assert int(np.argmax(right > 9000)) == 8000
    assert int(np.argmax(left > 9000)) == 8160


def test_many_recordings_are_each_whole(tmp_path: Path) -> None:
    rig, done = Rig(), []
    lanes = [rig.lane() for _ in range(40)]
    for number, lane in enumerate(lanes):
        lane.record_call(tmp_path / f"{number}.wav", done.append)
        lane.play(Sound(np.full(8000 * 3, 100 * number, np.int16).tobytes()), lambda played: None)
        rig.tick()
    rig.tick(110)
    for lane in lanes:
        lane.close()
    rig.tick()
    assert len(done) == 40
    for number in range(40):
        right = wav.parse((tmp_path / f"{number}.wav").read_bytes()).samples[1]
        assert right.size == (150 - number) * 160
        assert (right == 100 * number).all()


def test_a_second_recording_of_a_leg_has_failed(rig: Rig, tmp_path: Path) -> None:
    lane, done = rig.lane(), []
    lane.record_call(tmp_path / "a.wav", lambda first: None)
    lane.record_call(tmp_path / "b.wav", done.append)
    rig.tick()
    assert done[0].reason == "failed"
    assert not (tmp_path / "b.wav").exists()
    lane.close()
    rig.tick()


# --- messages ------------------------------------------------------------------------------


def message(
    rig: Rig,
    path: Path,
    sound: np.ndarray,
    max_seconds: float,
    silence: float | None,  # type: ignore[type-arg]
) -> list[Recorded]:
    lane, done = rig.lane(), []
    lane.record_message(path, done.append, max_seconds=max_seconds, silence_seconds=silence)
    rig.talk(lane, sound)
    rig.tick()
    return done


def test_silence_ends_a_message_after_the_first_voice_only(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "m.wav"
    quiet = np.zeros(8000, np.int16)
    sound = np.concatenate([quiet, quiet, quiet, tone(440, 1000), quiet, quiet, quiet])
    (done,) = message(rig, path, sound, 60, 2.0)
    assert done.reason == "silence"
    assert done.duration_ms == pytest.approx(6020, abs=40)
    file = wav.parse(path.read_bytes())
    assert file.samples.shape[0] == 1
    assert heard(file.samples[0], 440).present_ms >= 940


def test_silence_in_a_car_ends_a_message_too(rig: Rig, tmp_path: Path) -> None:
    noise = np.random.default_rng(3).normal(0, 250, 9 * 8000)
    words = np.zeros(noise.size)
    words[8000:24000] = np.tile(np.pad(tone(440, 300, -12), (0, 1600)), 4)
    sound = np.clip(noise + words, -32768, 32767).astype(np.int16)
    (done,) = message(rig, tmp_path / "m.wav", sound, 60, 2.0)
    assert done.reason == "silence"
    assert done.duration_ms == pytest.approx(4800, abs=120)


def test_a_message_ends_at_its_longest(rig: Rig, tmp_path: Path) -> None:
    (done,) = message(rig, tmp_path / "m.wav", tone(440, 2500), 2, 1.0)
    assert (done.reason, done.duration_ms) == ("max", 2000)


def test_without_a_silence_it_goes_on_until_it_is_stopped(rig: Rig, tmp_path: Path) -> None:
    lane, done = rig.lane(), []
    lane.record_message(tmp_path / "m.wav", done.append, max_seconds=60, silence_seconds=None)
    rig.talk(lane, np.concatenate([tone(440, 500), np.zeros(40000, np.int16)]))
    assert done == []
    lane.stop_message()
    lane.stop_message()
    rig.tick()
    assert [(d.reason, d.duration_ms) for d in done] == [("stopped", 5500)]


def test_a_message_may_follow_a_message(rig: Rig, tmp_path: Path) -> None:
    lane, done = rig.lane(), []
    for number in range(3):
        path = tmp_path / f"{number}.wav"
        lane.record_message(path, done.append, max_seconds=9, silence_seconds=None)
        rig.tick(10)
        lane.stop_message()
    rig.tick()
    assert [d.duration_ms for d in done] == [200, 200, 200]


def test_no_message_is_longer_than_the_ceiling(tmp_path: Path) -> None:
    rig = Rig(MediaConfig(max_message_seconds=1))
    (done,) = message(rig, tmp_path / "m.wav", tone(440, 1500), 3600, None)
    assert (done.reason, done.duration_ms) == ("max", 1000)


# --- the disk says no ----------------------------------------------------------------------


class FullDisk:
    """A file on a disk with so many octets left; a write that does not fit is cut, then fails."""

    def __init__(self, path: Path, room: int) -> None:
        self._file = open_file(path)
        self._room = room

    def write(self, data: Any, /) -> int | None:
        if len(data) > 8 and self._room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        part = data[: max(self._room, 8)]
        self._room -= len(part)
        return self._file.write(part)

    def seek(self, offset: int, /) -> int:
        return self._file.seek(offset)

    def truncate(self, size: int, /) -> int:
        return self._file.truncate(size)

    def close(self) -> None:
        self._file.close()


def test_a_full_disk_ends_the_recording_and_not_the_call(tmp_path: Path) -> None:
    rig = Rig(opener=lambda path: FullDisk(path, 100_001))
    lane, done = rig.lane(), []
    lane.record_call(tmp_path / "call.wav", done.append)
    rig.talk(lane, tone(440, 6000))
    (failed,) = done
    assert (failed.reason, failed.error) == ("failed", "no space left on device")
    file = wav.parse((tmp_path / "call.wav").read_bytes())
    assert file.samples.shape[1] * 4 + 44 == failed.size == 44 + (100_001 - 44) // 4 * 4
    assert failed.duration_ms == file.samples.shape[1] // 8
    assert heard(file.samples[0], 440).share > 0.9
    assert len(rig.wire(lane).sent) == 300
    again: list[Recorded] = []
    lane.record_call(tmp_path / "again.wav", again.append)
    lane.close()
    rig.tick()
    assert len(done) == len(again) == 1


def test_a_folder_that_cannot_be_made_fails_the_recording(tmp_path: Path) -> None:
    def refuse(path: Path) -> File:
        raise PermissionError(errno.EACCES, "Permission denied")

    rig = Rig(opener=refuse)
    lane, done = rig.lane(), []
    lane.record_message(tmp_path / "m.wav", done.append, max_seconds=5, silence_seconds=None)
    rig.tick(10)
    assert [(d.reason, d.error, d.size) for d in done] == [("failed", "permission denied", 0)]
    lane.close()
    rig.tick()
    assert len(done) == 1


def test_a_slow_disk_fails_the_recording_at_the_ceiling(tmp_path: Path) -> None:
    rig = Rig(MediaConfig(writer_bytes=70_000))
    lane, done = rig.lane(), []
    lane.record_call(tmp_path / "call.wav", done.append)
    for _ in range(200):
        rig.bank.tick(rig.clock.monotonic())
    assert rig.writer.queued_bytes <= 70_000
    rig.tick()
    assert (done[0].reason, done[0].error) == ("failed", "the disk is too slow")
    assert wav.parse((tmp_path / "call.wav").read_bytes()).samples.shape[1] > 8000


def test_the_writers_thread_delivers_what_was_queued(tmp_path: Path) -> None:
    rig, posted = Rig(), []
    rig.writer.start(posted.append)
    lane = rig.lane()
    done: list[Recorded] = []
    lane.record_call(tmp_path / "call.wav", done.append)
    for _ in range(60):
        rig.bank.tick(rig.clock.monotonic())
        rig.writer.wake()
    lane.close()
    rig.writer.stop()
    for callback in posted:
        callback()
    assert done[0].duration_ms == 1200
    assert done[0].size == (tmp_path / "call.wav").stat().st_size


def test_a_closed_lane_answers_everything(rig: Rig, tmp_path: Path) -> None:
    lane = rig.lane()
    first = lane.close()
    assert lane.close() is first
    played: list[object] = []
    recorded: list[Recorded] = []
    lane.play(Sound(bytes(320)), played.append)
    lane.record_call(tmp_path / "a.wav", recorded.append)
    lane.record_message(tmp_path / "b.wav", recorded.append, max_seconds=1, silence_seconds=None)
    for order in (lane.stop, lane.finish, lane.stop_message):
        order()
    lane.send_digits("1")
    assert len(played) == 1
    assert [r.reason for r in recorded] == ["failed", "failed"]
