"""Prompts and keys: what is queued, cut, looped, sent, and reported as heard."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from telephony.audio import g711
from telephony.calls.ports import Played, Sound
from telephony.media.config import MediaConfig
from telephony.rtp.telephone_event import Event
from telephony.testing.audio import find_dtmf, heard, tone

from .conftest import Rig, Stream, hear


def sound(frequency: float, milliseconds: int, rate: int = 8000) -> Sound:
    return Sound(tone(frequency, milliseconds, rate=rate).tobytes(), rate)


def test_sounds_play_one_behind_the_other_and_say_when_they_ended(rig: Rig) -> None:
    lane, ended = rig.lane(), []
    lane.play(sound(440, 200), ended.append)
    lane.play(sound(700, 100), ended.append)
    rig.tick(10)
    assert [(p.heard_ms, p.total_ms, p.completed) for p in ended] == [(200, 200, True)]
    rig.tick(5)
    assert [(p.heard_ms, p.completed) for p in ended] == [(200, True), (100, True)]
    assert ended[0].started_at is not None
    assert ended[1].started_at is not None
    assert (ended[1].started_at - ended[0].started_at).total_seconds() == pytest.approx(0.2)
    out = hear(rig.wire(lane).packets())
    assert np.array_equal(out[:1600], g711.ulaw_decode(g711.ulaw_encode(tone(440, 200))))
    assert heard(out[1600:], 700).present_ms >= 80


def test_stop_is_heard_within_one_tick_and_tells_what_was_sent(rig: Rig) -> None:
    lane, ended = rig.lane(), []
    lane.play(sound(440, 2000), ended.append)
    lane.play(sound(700, 500), ended.append)
    rig.tick(30)
    lane.stop()
    assert [(p.heard_ms, p.total_ms, p.completed) for p in ended] == [
        (600, 2000, False),
        (0, 500, False),
    ]
    assert ended[1].started_at is None
    rig.tick(3)
    assert [p.payload for p in rig.wire(lane).packets()[30:]] == [b"\xff" * 160] * 3


def test_another_sound_may_follow_a_stop_at_once(rig: Rig) -> None:
    lane, ended = rig.lane(), []
    lane.play(sound(440, 2000), ended.append)
    rig.tick(5)
    lane.stop()
    lane.play(sound(700, 200), ended.append)
    rig.tick(10)
    out = hear(rig.wire(lane).packets())
    assert heard(out[:800], 440)
    assert not heard(out[800:], 440)
    assert heard(out[800:], 700).present_ms >= 180


def test_a_loop_goes_on_until_it_is_stopped(rig: Rig) -> None:
    lane, ended = rig.lane(), []
    lane.play(sound(440, 100), ended.append, loop=True)
    rig.tick(23)
    assert ended == []
    lane.stop()
    assert (ended[0].heard_ms, ended[0].total_ms, ended[0].completed) == (460, 100, False)


def test_a_sound_waits_while_we_may_not_send(rig: Rig) -> None:
    lane, ended = rig.lane(can_send=False), []
    lane.play(sound(440, 100), ended.append)
    rig.tick(20)
    assert rig.wire(lane).sent == []
    assert ended == []
    lane.renegotiate(remote=("192.0.2.7", 4000), can_send=True)
    rig.tick(5)
    assert [p.completed for p in ended] == [True]
    assert rig.wire(lane).packets()[0].marker


def test_what_is_queued_before_the_start_plays_from_the_start(rig: Rig) -> None:
    lane, ended = rig.bank.open("127.0.0.1"), []
    lane.play(sound(440, 100), ended.append)
    rig.tick(3)
    lane.start(remote=("192.0.2.7", 4000))
    rig.tick(5)
    assert [p.completed for p in ended] == [True]


def test_other_rates_are_converted_and_odd_lengths_padded(rig: Rig) -> None:
    lane, ended = rig.lane(), []
    lane.play(sound(440, 333, rate=22050), ended.append)
    rig.tick(20)
    assert ended[0].completed
    assert heard(hear(rig.wire(lane).packets()), 440).present_ms >= 300


def test_an_empty_sound_has_been_heard(rig: Rig) -> None:
    lane, ended = rig.lane(), []
    lane.play(Sound(b""), ended.append)
    rig.tick()
    assert ended == [Played(0, 0, True, None)]


def test_one_more_sound_than_may_wait_is_not_played() -> None:
    rig = Rig(MediaConfig(max_queued=2))
    lane, ended = rig.lane(), []
    for _ in range(4):
        lane.play(sound(440, 100), ended.append)
    rig.tick()
    assert [(p.heard_ms, p.completed) for p in ended] == [(0, False)]


def test_prompts_share_their_memory_and_the_unused_make_room() -> None:
    rig = Rig(MediaConfig(prompt_bytes=1024 * 320))
    lanes, ended = [rig.lane() for _ in range(5)], []
    for lane in lanes:
        lane.play(sound(440, 4000), ended.append)
    for number in range(20):
        lanes[0].stop()
        lanes[0].play(sound(500 + number, 10000), ended.append)
        rig.tick(2)
        assert ended[-1].heard_ms in (0, 40)
    assert heard(hear(rig.wire(lanes[1]).packets()), 440)
    assert heard(hear(rig.wire(lanes[0]).packets()[-2:]), 519).dbm0 > -15


def test_a_prompt_too_large_for_the_ceiling_is_over_at_once() -> None:
    rig = Rig(MediaConfig(prompt_bytes=1024 * 320))
    lane, ended = rig.lane(), []
    lane.play(sound(440, 30000), ended.append)
    rig.tick()
    assert ended == [Played(0, 30000, False, None)]


def test_silence_is_sent_all_the_time_with_one_numbering(rig: Rig) -> None:
    lane = rig.lane("PCMA")
    rig.tick(50)
    packets = rig.wire(lane).packets()
    assert len(packets) == 50
    assert {p.payload for p in packets} == {b"\xd5" * 160}
    assert {p.payload_type for p in packets} == {8}
    steps = {(b.sequence - a.sequence) % 65536 for a, b in pairwise(packets)}
    stamps = {(b.timestamp - a.timestamp) % 2**32 for a, b in pairwise(packets)}
    assert (steps, stamps) == ({1}, {160})
    assert [p.marker for p in packets] == [True] + [False] * 49


def test_the_timestamp_runs_on_over_a_hold_and_a_stall(rig: Rig) -> None:
    lane = rig.lane()
    rig.tick(2)
    rig.bank.pass_over(10)
    rig.tick(1)
    packets = rig.wire(lane).packets()
    assert (packets[2].timestamp - packets[1].timestamp) % 2**32 == 11 * 160
    assert packets[2].marker


# --- keys ----------------------------------------------------------------------------------


def press(stream: Stream, code: int, count: int = 8) -> list[bytes]:
    """A key of 100 ms with its last packet three times."""
    made = []
    for step in range(1, count + 1):
        event = Event(code, step >= count - 2, 10, min(step, count - 2) * 160)
        made.append(bytes(stream.packet(bytes(event), 101, 0)))
    stream.timestamp += count * 160
    return made


def test_a_key_is_told_at_its_first_packet_and_once(rig: Rig) -> None:
    lane, pressed = rig.lane(), []
    lane.on_digit = lambda digit, duration: pressed.append(digit)
    stream = Stream()
    packets = press(stream, 5)
    rig.wire(lane).arrive(packets[0])
    rig.tick()
    assert pressed == ["5"]
    for packet in [*packets[1:], *packets]:
        rig.wire(lane).arrive(packet)
        rig.tick()
    assert pressed == ["5"]
    for packet in press(stream, 11) + press(stream, 11):
        rig.wire(lane).arrive(packet)
        rig.tick()
    assert pressed == ["5", "#", "#"]


def test_a_key_whose_first_packets_were_lost_is_told_all_the_same(rig: Rig) -> None:
    lane, pressed = rig.lane(), []
    lane.on_digit = lambda digit, duration: pressed.append(digit)
    rig.wire(lane).arrive(press(Stream(), 9)[-1])
    rig.tick()
    assert pressed == ["9"]


def test_a_key_beside_the_stream_is_told(rig: Rig) -> None:
    lane, pressed = rig.lane(), []
    lane.on_digit = lambda digit, duration: pressed.append(digit)
    rig.talk(lane, tone(440, 100))
    for packet in press(Stream(ssrc=4242, sequence=60000), 7):
        rig.wire(lane).arrive(packet)
        rig.talk(lane, tone(440, 20), Stream(sequence=105 + len(pressed)))
    assert pressed == ["7"]


def test_barge_in_silences_the_tick_after_the_key(rig: Rig) -> None:
    lane, ended = rig.lane(), []
    lane.play(sound(440, 5000), ended.append)
    lane.on_digit = lambda digit, duration: lane.stop()
    rig.tick(10)
    rig.wire(lane).arrive(press(Stream(), 1)[0])
    rig.tick(3)
    payloads = [p.payload for p in rig.wire(lane).packets()]
    assert payloads[10] != b"\xff" * 160
    assert payloads[11:] == [b"\xff" * 160] * 2
    assert ended[0].heard_ms == 220


def test_events_nobody_agreed_on_are_no_keys(rig: Rig) -> None:
    lane, pressed = rig.lane(dtmf=None), []
    lane.on_digit = lambda digit, duration: pressed.append(digit)
    for packet in press(Stream(), 5):
        rig.wire(lane).arrive(packet)
        rig.tick()
    assert pressed == []


def test_keys_are_sent_as_events_in_place_of_the_sound(rig: Rig) -> None:
    lane = rig.lane()
    rig.tick(2)
    lane.send_digits("1x#")
    lane.send_digits("9")
    rig.tick(60)
    packets = rig.wire(lane).packets()
    events = [p for p in packets if p.payload_type == 101]
    keys = [Event.parse(p.payload) for p in events]
    assert [k.code for k in keys if k is not None and k.end] == [1, 1, 1, 11, 11, 11, 9, 9, 9]
    assert len({p.timestamp for p in events}) == 3
    assert [p.marker for p in events if p.marker] == [True] * 3
    sequences = [p.sequence for p in packets]
    assert sequences == [(sequences[0] + n) % 65536 for n in range(len(sequences))]
    assert len(packets) == 62
    first = packets.index(events[0])
    assert events[0].timestamp == (packets[first - 1].timestamp + 160) % 2**32
    other, got = Rig(), []
    far = other.lane()
    far.on_digit = lambda digit, duration: got.append(digit)
    for packet in packets:
        other.wire(far).arrive(packet)
        other.tick()
    assert got == ["1", "#", "9"]


def test_our_numbers_wrap_in_sound_and_in_keys(rig: Rig) -> None:
    lane = rig.lane()
    rig.bank.streams.sequence[lane.row] = 65530
    rig.bank.streams.timestamp[lane.row] = 2**32 - 900
    rig.tick(2)
    lane.send_digits("5")
    rig.tick(20)
    packets = rig.wire(lane).packets()
    assert [p.sequence for p in packets] == [(65531 + n) % 65536 for n in range(22)]
    sounds = [(n, p.timestamp) for n, p in enumerate(packets) if p.payload_type == 0]
    assert {(stamp - 160 * n) % 2**32 for n, stamp in sounds} == {2**32 - 900}


def test_a_prompt_pauses_while_a_key_is_sent(rig: Rig) -> None:
    lane, ended = rig.lane(), []
    lane.play(sound(440, 200), ended.append)
    rig.tick(2)
    lane.send_digits("5")
    rig.tick(11)
    assert ended == []
    rig.tick(30)
    assert ended[0].completed
    assert heard(hear(rig.wire(lane).packets()), 440).present_ms >= 160


def test_keys_are_tones_where_the_far_end_takes_no_events(rig: Rig) -> None:
    lane = rig.lane(dtmf=None)
    lane.send_digits("12#")
    rig.tick(40)
    assert find_dtmf(hear(rig.wire(lane).packets())) == "12#"


def test_more_keys_than_may_wait_are_cut(rig: Rig) -> None:
    lane = rig.lane()
    for _ in range(20):
        lane.send_digits("1" * 100)
    assert len(rig.bank.keypads._dialling[lane.row].packets) <= 2000
