"""Silence is described where that was agreed on, and sound goes on at once."""

from __future__ import annotations

import numpy as np

from telephony.calls.ports import Sound
from telephony.testing.audio import tone

from .conftest import Rig


def test_silence_is_described_and_speech_goes_on_with_a_marker(rig: Rig) -> None:
    lane = rig.lane(comfort_noise=True)
    lane.play(Sound(tone(440, 400).astype("<i2").tobytes()), lambda played: None)
    rig.tick(150)
    lane.play(Sound(tone(440, 100).astype("<i2").tobytes()), lambda played: None)
    rig.tick(20)
    packets = rig.wire(lane).packets()
    kinds = [p.payload_type for p in packets]
    # 20 frames of sound, 200 ms of silence, then a description at once and every second.
    assert kinds[:30] == [0] * 30
    assert kinds[30:33] == [13, 13, 13]
    assert all(len(p.payload) == 1 for p in packets if p.payload_type == 13)
    again = packets[33]
    assert (again.payload_type, again.marker) == (0, True)
    assert again.timestamp - packets[0].timestamp == 150 * 160
    numbers = [p.sequence for p in packets]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_lane_that_agreed_on_nothing_sends_silence(rig: Rig) -> None:
    lane, other = rig.lane(), rig.lane(comfort_noise=True)
    rig.tick(60)
    assert [p.payload_type for p in rig.wire(lane).packets()] == [0] * 60
    assert len(rig.wire(other).packets()) < 20
    other.renegotiate(remote=("192.0.2.7", 4000))
    before = len(rig.wire(other).packets())
    rig.tick(30)
    assert len(rig.wire(other).packets()) == before + 30


def test_a_new_level_is_told_at_once(rig: Rig) -> None:
    lane = rig.lane(comfort_noise=True)
    rng = np.random.default_rng(1)
    soft = (rng.normal(size=8000) * 12).clip(-50, 50).astype("<i2")
    rig.tick(20)
    lane.play(Sound(soft.tobytes()), lambda played: None)
    rig.tick(20)
    told = [p.payload[0] for p in rig.wire(lane).packets() if p.payload_type == 13]
    assert told[0] == 127
    assert 60 <= told[1] <= 75
