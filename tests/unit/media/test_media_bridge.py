"""Who hears whom."""

from __future__ import annotations

import numpy as np
import pytest

from telephony.audio import g711
from telephony.base.errors import MediaFailed
from telephony.calls.ports import Sound
from telephony.media.lane import Lane
from telephony.testing.audio import heard, tone
from telephony.testing.carrier import FakeMedia

from .conftest import Rig, Stream, hear

TONES = [440, 700, 1000, 1300, 1900]


def converse(rig: Rig, lanes: list[Lane], milliseconds: int = 600) -> list[np.ndarray]:  # type: ignore[type-arg]
    """Everybody says a tone of its own; what each hears."""
    laws = [int(rig.bank.streams.law[lane.row]) for lane in lanes]
    said = [
        Stream(ssrc=rig.wire(lane).row + 1, codec=("PCMU", "PCMA")[law]).packets(
            tone(frequency, milliseconds, -22.0)
        )
        for lane, law, frequency in zip(lanes, laws, TONES, strict=False)
    ]
    start = [len(rig.wire(lane).sent) for lane in lanes]
    for packets in zip(*said, strict=True):
        for lane, packet in zip(lanes, packets, strict=True):
            rig.wire(lane).arrive(packet)
        rig.tick()
    return [
        hear(rig.wire(lane).packets()[begin:], law)
        for lane, begin, law in zip(lanes, start, laws, strict=True)
    ]


def test_a_bridge_joins_two_laws_both_ways(rig: Rig) -> None:
    first, second = rig.lane("PCMU"), rig.lane("PCMA")
    first.bridge(second)
    by_first, by_second = converse(rig, [first, second])
    assert heard(by_first, 700)
    assert not heard(by_first, 440)
    assert heard(by_second, 440)
    assert not heard(by_second, 700)


def test_nobody_is_heard_before_or_after_a_bridge(rig: Rig) -> None:
    first, second = rig.lane(), rig.lane()
    assert not any(heard(out, f) for out in converse(rig, [first, second]) for f in TONES)
    first.bridge(second)
    rig.bank.mixer.leave(second.row)
    assert rig.bank.mixer.group(first.row) == frozenset()
    assert not any(np.abs(out).max() for out in converse(rig, [first, second]))


def test_a_conference_hears_the_others_and_not_itself(rig: Rig) -> None:
    lanes = [rig.lane("PCMA" if n % 2 else "PCMU") for n in range(5)]
    bystander = rig.lane()
    for lane in lanes:
        lane.enter("lobby")
    for number, out in enumerate(converse(rig, lanes)):
        for other, frequency in enumerate(TONES):
            assert bool(heard(out, frequency, threshold_dbm0=-30)) == (other != number)
    assert not np.any(hear(rig.wire(bystander).packets()))


def test_two_rooms_do_not_hear_each_other(rig: Rig) -> None:
    lanes = [rig.lane() for _ in range(5)]
    for number, lane in enumerate(lanes):
        lane.enter("a" if number < 3 else "b")
    outs = converse(rig, lanes)
    assert heard(outs[0], 700)
    assert heard(outs[0], 1000)
    assert not heard(outs[0], 1300)
    assert heard(outs[3], 1900)
    assert not heard(outs[3], 440)


def test_leaving_changes_nothing_for_the_rest(rig: Rig) -> None:
    lanes = [rig.lane() for _ in range(4)]
    for lane in lanes:
        lane.enter("lobby")
    lanes[3].close()
    outs = converse(rig, lanes[:3])
    assert heard(outs[0], 700)
    assert heard(outs[0], 1000)


def test_a_lane_of_a_bridge_that_enters_a_room_leaves_the_other_alone(rig: Rig) -> None:
    first, second, third = rig.lane(), rig.lane(), rig.lane()
    first.bridge(second)
    first.enter("lobby")
    third.enter("lobby")
    assert rig.bank.mixer.group(second.row) == frozenset()
    assert rig.bank.mixer.group(first.row) == {third.row}


def test_a_prompt_is_heard_over_a_bridge(rig: Rig) -> None:
    first, second = rig.lane(), rig.lane()
    first.bridge(second)
    first.play(Sound(tone(1300, 600).tobytes()), lambda played: None)
    by_first, by_second = converse(rig, [first, second])
    assert heard(by_first, 1300)
    assert heard(by_first, 700).dbm0 == pytest.approx(-22, abs=1)
    assert not heard(by_second, 1300)


def test_loud_voices_are_limited_and_do_not_wrap(rig: Rig) -> None:
    lanes = [rig.lane() for _ in range(4)]
    for lane in lanes:
        lane.enter("lobby")
    loud = g711.ulaw_encode(np.full(160, 32000, np.int16)).tobytes()
    streams = [Stream(ssrc=n) for n in range(4)]
    for _ in range(5):
        for lane, stream in zip(lanes, streams, strict=True):
            rig.wire(lane).arrive(stream.packet(loud))
        rig.tick()
    assert hear(rig.wire(lanes[0]).packets()[-1:]).min() > 32000


def test_only_lanes_of_one_engine_are_bridged(rig: Rig) -> None:
    lane = rig.lane()
    with pytest.raises(MediaFailed):
        lane.bridge(FakeMedia(rig.clock))
    with pytest.raises(MediaFailed):
        lane.bridge(Rig().lane())


def test_a_lane_is_not_bridged_with_itself(rig: Rig) -> None:
    lane = rig.lane()
    lane.bridge(lane)
    assert rig.bank.mixer.group(lane.row) == frozenset()
