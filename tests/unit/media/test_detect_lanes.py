"""Detectors in the tick: what a lane is told, and from which lanes it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from telephony.audio import tones
from telephony.audio.pcm import silence
from telephony.media.config import MediaConfig
from tests.unit.media.conftest import Rig, Stream

if TYPE_CHECKING:
    from telephony.media.lane import Lane

SOUND = np.concatenate((silence(200), tones.dtmf("4711#", 80, 80), silence(200)))


def keys_of(rig: Rig, lane: Lane, stream: Stream | None = None) -> list[tuple[str, int]]:
    pressed: list[tuple[str, int]] = []
    lane.on_digit = lambda digit, duration: pressed.append((digit, duration))
    rig.talk(lane, SOUND, stream)
    return pressed


def test_keys_in_the_sound_reach_a_lane_without_events(rig: Rig) -> None:
    assert keys_of(rig, rig.lane(dtmf=None)) == [(key, 0) for key in "4711#"]
    found = keys_of(rig, rig.lane(codec="PCMA", dtmf=None), Stream(codec="PCMA"))
    assert [key for key, _ in found] == list("4711#")


def test_and_none_where_events_were_agreed_on(rig: Rig) -> None:
    assert keys_of(rig, rig.lane(dtmf=101)) == []


def test_a_negotiation_decides_which_it_is(rig: Rig) -> None:
    lane = rig.lane(dtmf=None)
    lane.renegotiate(remote=("192.0.2.7", 4000), dtmf_payload_type=101)
    stream = Stream()
    assert keys_of(rig, lane, stream) == []
    lane.renegotiate(remote=("192.0.2.7", 4000))
    assert [key for key, _ in keys_of(rig, lane, stream)] == list("4711#")


def test_who_may_not_speak_presses_no_keys(rig: Rig) -> None:
    assert keys_of(rig, rig.lane(dtmf=None, can_receive=False)) == []


def test_tones_are_told_while_they_are_listened_for() -> None:
    for seconds, wanted in ((30.0, ["busy"]), (1.0, [])):
        rig = Rig(MediaConfig(tone_seconds=seconds))
        lane, heard = rig.lane(), []
        lane.on_tone = heard.append
        rig.talk(lane, np.tile(tones.busy("eu"), 4))
        assert heard == wanted


def test_a_closed_lane_leaves_nothing_to_its_row(rig: Rig) -> None:
    lane = rig.lane(dtmf=None)
    rig.talk(lane, np.tile(tones.busy("eu"), 2))
    row = lane.row
    lane.close()
    detectors = rig.bank.detectors
    for part in (detectors.activity, detectors.keys, detectors.tones, detectors.ears):
        for name, (_, _, fill) in part.LAYOUT.items():
            assert np.all(getattr(part, name)[row] == fill), name


def test_rows_beyond_the_first_are_heard(rig: Rig) -> None:
    lanes = [rig.lane(dtmf=None) for _ in range(40)]
    assert [key for key, _ in keys_of(rig, lanes[-1])] == list("4711#")
