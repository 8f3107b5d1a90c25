"""G.722 lanes: sound up to 7 kHz between two of them, and everybody else besides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from telephony.audio import g722
from telephony.calls.ports import Played, Recorded, Sound
from telephony.media.lane import Lane
from telephony.testing.audio import heard, tone

from .conftest import Rig, Stream, hear, hear_wide

Sounds = npt.NDArray[np.int16]


def wide_tone(frequency: float, milliseconds: float = 600) -> Sounds:
    return tone(frequency, milliseconds, -16.0, 16000)


def say(rig: Rig, said: dict[Lane, tuple[Stream, Sounds]]) -> None:
    """Each far end its sound, a packet a tick."""
    packets = {lane: stream.packets(sound) for lane, (stream, sound) in said.items()}
    for row in zip(*packets.values(), strict=True):
        for lane, packet in zip(packets, row, strict=True):
            rig.wire(lane).arrive(packet)
        rig.tick()


def test_two_wide_lanes_hear_what_lies_above_four_kilohertz(rig: Rig) -> None:
    first, second = rig.lane("G722"), rig.lane("G722")
    first.bridge(second)
    say(
        rig,
        {
            first: (Stream(1, codec="G722"), wide_tone(5000)),
            second: (Stream(2, codec="G722"), wide_tone(6300)),
        },
    )
    by_first = hear_wide(rig.wire(first).packets())
    by_second = hear_wide(rig.wire(second).packets())
    assert heard(by_second, 5000, 16000).present_ms > 400
    assert heard(by_first, 6300, 16000).present_ms > 400
    assert not heard(by_first, 5000, 16000)
    assert abs(heard(by_second[4800:], 5000, 16000).dbm0 + 16) < 1


def test_a_wide_and_a_narrow_lane_hear_each_other(rig: Rig) -> None:
    for codec in ("PCMU", "PCMA"):
        wide, narrow = rig.lane("G722"), rig.lane(codec)
        wide.bridge(narrow)
        sent = len(rig.wire(narrow).sent)
        say(
            rig,
            {
                wide: (Stream(1, codec="G722"), wide_tone(1000)),
                narrow: (Stream(2, codec=codec), tone(700, 600, -16.0)),
            },
        )
        law = int(rig.bank.streams.law[narrow.row])
        by_narrow = hear(rig.wire(narrow).packets()[sent:], law)
        by_wide = hear_wide(rig.wire(wide).packets())
        assert heard(by_narrow, 1000).present_ms > 400
        assert heard(by_wide, 700, 16000).present_ms > 400
        assert abs(heard(by_narrow[2400:], 1000).dbm0 + 16) < 1
        assert abs(heard(by_wide[4800:], 700, 16000).dbm0 + 16) < 1
        # No image of 700 Hz on the other side of the old half rate.
        assert heard(by_wide[4800:], 7300, 16000).dbm0 < -70
        wide.close()
        narrow.close()


def test_nothing_above_four_kilohertz_folds_into_a_narrow_lane(rig: Rig) -> None:
    wide, narrow = rig.lane("G722"), rig.lane()
    wide.bridge(narrow)
    say(rig, {wide: (Stream(1, codec="G722"), wide_tone(5000))})
    by_narrow = hear(rig.wire(narrow).packets())
    assert heard(by_narrow[2400:], 3000).dbm0 < -60


def test_a_conference_of_unlike_lanes(rig: Rig) -> None:
    lanes = [rig.lane(codec) for codec in ("G722", "PCMU", "G722", "PCMA")]
    for lane in lanes:
        lane.enter("lobby")
    codecs = ("G722", "PCMU", "G722", "PCMA")
    pitches = (5100, 700, 6000, 1300)
    say(
        rig,
        {
            lane: (
                Stream(lane.row + 1, codec=codec),
                wide_tone(pitch) if codec == "G722" else tone(pitch, 600, -16.0),
            )
            for lane, codec, pitch in zip(lanes, codecs, pitches, strict=True)
        },
    )
    for number in (0, 2):
        out = hear_wide(rig.wire(lanes[number]).packets())
        for other, pitch in enumerate(pitches):
            assert bool(heard(out, pitch, 16000, -30.0)) == (other != number)
    narrow = hear(rig.wire(lanes[1]).packets())
    assert heard(narrow, 1300)
    assert not heard(narrow, 700)


def test_a_prompt_is_heard_and_dtmf_of_a_wide_line_is_recognized(rig: Rig) -> None:
    lane = rig.lane("G722", dtmf=None)
    pressed: list[str] = []
    lane.on_digit = lambda digit, duration_ms: pressed.append(digit)
    played: list[Played] = []
    lane.play(Sound(tone(500, 300).tobytes()), played.append)
    key = tone(770, 120, -12.0, 16000) + tone(1336, 120, -12.0, 16000)
    pause = np.zeros(3200, np.int16)
    say(rig, {lane: (Stream(1, codec="G722"), np.concatenate([pause, key, pause]))})
    assert pressed == ["5"]
    assert [one.completed for one in played] == [True]
    sound = hear_wide(rig.wire(lane).packets())
    assert heard(sound, 500, 16000).present_ms >= 260
    assert not np.abs(sound[-2000:]).max() > 8


def test_a_recording_has_both_sides_at_eight_kilohertz(rig: Rig, tmp_path: Path) -> None:
    lane = rig.lane("G722")
    done: list[Recorded] = []
    lane.record_call(tmp_path / "call.wav", done.append)
    lane.play(Sound(tone(500, 400).tobytes()), lambda played: None)
    say(rig, {lane: (Stream(1, codec="G722"), wide_tone(1200, 400))})
    lane.finish()
    rig.tick()
    assert done
    data = (tmp_path / "call.wav").read_bytes()
    both = np.frombuffer(data[data.index(b"data") + 8 :], "<i2").reshape(-1, 2)
    assert heard(both[:, 0].astype(np.int16), 1200).present_ms > 250
    assert heard(both[:, 1].astype(np.int16), 500).present_ms > 250


def test_lost_packets_are_made_up_and_the_sound_goes_on(rig: Rig) -> None:
    first, second = rig.lane("G722"), rig.lane("G722")
    first.bridge(second)
    for number, packet in enumerate(Stream(1, codec="G722").packets(wide_tone(1500, 1600))):
        if number % 15 != 10:
            rig.wire(first).arrive(packet)
        rig.tick()
    out = hear_wide(rig.wire(second).packets())[8000:]
    assert heard(out, 1500, 16000).share > 0.97
    assert rig.bank.quality(first.row).concealed >= 3


def test_a_lane_changes_its_codec_and_back(rig: Rig) -> None:
    first, second = rig.lane(), rig.lane("G722")
    first.bridge(second)
    say(rig, {first: (Stream(1), tone(600, 400, -16.0))})
    terms = {"remote": ("192.0.2.7", 4000), "dtmf_payload_type": 101}
    first.start(codec="G722", payload_type=9, **terms)  # type: ignore[arg-type]
    say(rig, {first: (Stream(2, codec="G722"), wide_tone(5500, 400))})
    first.start(codec="PCMA", payload_type=8, **terms)  # type: ignore[arg-type]
    say(rig, {first: (Stream(3, codec="PCMA"), tone(900, 400, -16.0))})
    out = hear_wide(rig.wire(second).packets())
    for frequency in (600, 5500, 900):
        assert heard(out, frequency, 16000).present_ms >= 280
    assert {p.payload_type for p in rig.wire(first).packets()} == {0, 9, 8}


def test_a_lane_in_company_sends_what_it_sends_alone(rig: Rig) -> None:
    sound = Sound(tone(440, 500).tobytes())
    alone = Rig()
    sent = []
    for place, count in ((rig, 20), (alone, 1)):
        lanes = [place.lane("G722") for _ in range(count)]
        for number, lane in enumerate(lanes):
            if number in (count - 1,):
                lane.play(sound, lambda played: None)
            else:
                lane.play(Sound(tone(300 + 30 * number, 700).tobytes()), lambda played: None)
        place.tick(30)
        sent.append([p.payload for p in place.wire(lanes[-1]).packets()])
    assert sent[0] == sent[1]


def test_a_lane_that_is_told_to_be_silent_stays_in_step(rig: Rig) -> None:
    lane = rig.lane("G722")
    lane.play(Sound(tone(440, 200).tobytes()), lambda played: None)
    lane.send_digits("5")
    rig.tick(40)
    packets = rig.wire(lane).packets()
    assert {p.payload_type for p in packets} == {9, 101}
    sound = hear_wide(packets)
    assert np.abs(sound[-1600:]).max() <= 8
    assert len(packets[-1].payload) == g722.STEPS


def test_a_row_that_is_taken_at_once_says_nothing_of_who_was_there_before(rig: Rig) -> None:
    """The filter that brings a narrow voice up to 16 kHz holds its last samples."""
    wide, narrow = rig.lane("G722"), rig.lane()
    wide.enter("room")
    narrow.enter("room")
    rig.talk(narrow, np.asarray(tone(1000, 500), np.int16))
    narrow.close()
    successor = rig.lane()
    assert successor.row == narrow.row
    successor.enter("room")
    rig.tick(3)
    said = hear_wide(rig.wire(wide).packets())
    assert np.abs(said[: -3 * 320]).max() > 5000
    # What is left is the codec's own delay of 22 samples.
    assert np.abs(said[-3 * 320 + 35 :]).max() < 100
