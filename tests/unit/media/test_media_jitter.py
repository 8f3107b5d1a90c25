"""What arrives late, twice, out of order, in odd sizes or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from telephony.audio import g711
from telephony.rtp.packet import Packet
from telephony.rtp.telephone_event import Event
from telephony.testing.audio import heard, tone

from .conftest import Rig, Stream, hear


def listen(rig: Rig, packets: list[list[Packet]], rest: int = 5) -> np.ndarray:  # type: ignore[type-arg]
    """What a bridged lane hears of packets that arrive in these ticks."""
    speaker, listener = rig.lane(), rig.lane()
    speaker.bridge(listener)
    for arriving in packets:
        for packet in arriving:
            rig.wire(speaker).arrive(packet)
        rig.tick()
    rig.tick(rest)
    return hear(rig.wire(listener).packets())


@pytest.mark.parametrize("ptime", [10, 20, 30, 40, 60])
def test_every_packet_time_plays_without_a_hole(rig: Rig, ptime: int) -> None:
    sound = tone(440, 1200)
    made = Stream().packets(sound, ptime)
    arriving: list[list[Packet]] = [[] for _ in range(60)]
    for index, packet in enumerate(made):
        arriving[index * ptime // 20].append(packet)
    out = listen(rig, arriving)
    quality = rig.bank.quality(0)
    assert (quality.concealed, quality.late, quality.lost, quality.duplicated) == (0, 0, 0, 0)
    start = int(np.flatnonzero(np.abs(out) > 30)[0]) // 160 * 160
    expected = g711.ulaw_decode(g711.ulaw_encode(sound))
    assert np.array_equal(out[start : start + expected.size - 320], expected[: expected.size - 320])


def test_sequence_and_timestamp_wrap_unheard(rig: Rig) -> None:
    stream = Stream(sequence=65530, timestamp=(1 << 32) - 800)
    out = listen(rig, [[p] for p in stream.packets(tone(440, 400))])
    assert heard(out, 440).present_ms >= 380
    assert rig.bank.quality(0).lost == 0


def test_a_lost_packet_is_concealed_and_counted_once(rig: Rig) -> None:
    packets = [[p] for p in Stream().packets(tone(440, 1000))]
    packets[20] = []
    out = listen(rig, packets)
    quality = rig.bank.quality(0)
    assert (quality.lost, quality.concealed, quality.late) == (1, 1, 0)
    assert np.abs(out[21 * 160 + 20 : 22 * 160 - 20]).max() > 500
    assert quality.mos is not None
    assert quality.mos < 4.4


def test_reordered_packets_play_in_order_and_nothing_is_lost(rig: Rig) -> None:
    sound = tone(440, 1000)
    packets = [[p] for p in Stream().packets(sound)]
    packets[10], packets[11] = [], [packets[11][0], packets[10][0]]
    out = listen(rig, packets)
    quality = rig.bank.quality(0)
    assert (quality.lost, quality.late, quality.concealed, quality.duplicated) == (0, 0, 0, 0)
    start = int(np.flatnonzero(np.abs(out) > 30)[0]) // 160 * 160
    expected = g711.ulaw_decode(g711.ulaw_encode(sound))
    # A line that reorders is given more time later on: a period is said once more then.
    assert np.array_equal(out[start : start + 15 * 160], expected[: 15 * 160])
    assert heard(out, 440).present_ms >= 980


def test_duplicates_are_counted_and_not_played_twice(rig: Rig) -> None:
    packets = [[p, p] for p in Stream().packets(tone(440, 400))]
    listen(rig, packets)
    quality = rig.bank.quality(0)
    assert quality.duplicated == 20
    assert (quality.lost, quality.concealed) == (0, 0)


def test_a_late_packet_makes_the_buffer_deeper_and_is_still_played(rig: Rig) -> None:
    packets = [[p] for p in Stream().packets(tone(440, 1000))]
    # From packet 20 on everything comes 60 ms later.
    delayed = [*packets[:20], [], [], [], *packets[20:]]
    out = listen(rig, delayed, rest=10)
    quality = rig.bank.quality(0)
    assert quality.lost == 0
    assert quality.late == 1
    assert 1 <= quality.concealed <= 4
    assert heard(out, 440).present_ms >= 960


def test_a_pause_of_the_far_end_is_no_loss(rig: Rig) -> None:
    stream = Stream()
    before = [[p] for p in stream.packets(tone(440, 200))]
    stream.timestamp += 160 * 25
    after = [[p] for p in stream.packets(tone(440, 200))]
    listen(rig, before + [[]] * 25 + after)
    quality = rig.bank.quality(0)
    assert (quality.lost, quality.concealed, quality.late) == (0, 0, 0)


def test_keys_between_the_sound_are_no_loss(rig: Rig) -> None:
    stream = Stream()
    packets = [[p] for p in stream.packets(tone(440, 200))]
    for step in range(1, 6):
        packets.append([stream.packet(bytes(Event(5, step > 3, 10, step * 160)), 101, 0)])
    stream.timestamp += 5 * 160
    packets += [[p] for p in stream.packets(tone(440, 200))]
    listen(rig, packets)
    quality = rig.bank.quality(0)
    assert (quality.lost, quality.concealed) == (0, 0)


def test_another_timestamp_base_with_the_numbers_going_on_is_played(rig: Rig) -> None:
    stream = Stream()
    packets = [[p] for p in stream.packets(tone(440, 400))]
    stream.timestamp = 3_000_000_000
    packets += [[p] for p in stream.packets(tone(700, 400))]
    out = listen(rig, packets)
    assert heard(out, 440).present_ms >= 360
    assert heard(out, 700).present_ms >= 360


def test_another_source_takes_over_when_the_first_is_gone(rig: Rig) -> None:
    packets = [[p] for p in Stream(ssrc=1).packets(tone(440, 400))]
    packets += [[]] * 4
    packets += [[p] for p in Stream(ssrc=2, sequence=9000).packets(tone(700, 400))]
    out = listen(rig, packets)
    assert heard(out, 700).present_ms >= 340
    assert rig.bank.quality(0).lost == 0


def test_two_sources_at_once_do_not_take_turns(rig: Rig) -> None:
    first = Stream(ssrc=1).packets(tone(440, 600))
    second = Stream(ssrc=2, sequence=9000).packets(tone(700, 600))
    out = listen(rig, [[a, b] for a, b in zip(first, second, strict=True)])
    assert heard(out, 440)
    assert not heard(out, 700)


def test_a_stray_sequence_number_does_not_move_the_clock(rig: Rig) -> None:
    packets = [[p] for p in Stream().packets(tone(440, 600))]
    packets[10].append(Packet(0, 40000, 5, 77, bytes(160)))
    listen(rig, packets)
    quality = rig.bank.quality(0)
    assert (quality.lost, quality.concealed) == (0, 0)


def test_a_restart_of_the_numbering_is_no_loss(rig: Rig) -> None:
    packets = [[p] for p in Stream(sequence=30000).packets(tone(440, 400))]
    packets += [[p] for p in Stream(sequence=1, timestamp=9).packets(tone(700, 400))]
    out = listen(rig, packets)
    assert heard(out, 700).present_ms >= 340
    assert rig.bank.quality(0).lost == 0


def test_a_burst_after_a_stall_does_not_leave_the_call_behind(rig: Rig) -> None:
    packets = [[p] for p in Stream().packets(tone(440, 4000))]
    stalled = (
        packets[:50] + [[]] * 25 + [[p for some in packets[50:75] for p in some]] + packets[75:]
    )
    listen(rig, stalled, rest=0)
    assert rig.bank.playout.depth_ms(0) <= rig.config.max_depth_ms


def test_depth_shrinks_again_where_it_is_quiet(rig: Rig) -> None:
    speaker = rig.lane()
    quiet = np.zeros(8000 * 12, np.int16)
    packets = [[p] for p in Stream().packets(quiet)]
    delayed = (
        packets[:20] + [[]] * 5 + [[p for some in packets[20:26] for p in some]] + packets[26:]
    )
    playout, deepest = rig.bank.playout, 0.0
    for arriving in delayed:
        for packet in arriving:
            rig.wire(speaker).arrive(packet)
        rig.tick()
        deepest = max(deepest, playout.depth_ms(0))
    assert playout.depth_ms(0) < deepest


def test_a_fast_clock_does_not_grow_the_delay(rig: Rig) -> None:
    lane = rig.lane()
    stream = Stream()
    for number in range(1500):
        rig.wire(lane).arrive(stream.packet(b"\xff" * 160))
        if number % 50 == 0:
            rig.wire(lane).arrive(stream.packet(b"\xff" * 160))
        rig.tick()
    assert rig.bank.playout.depth_ms(0) <= rig.config.max_depth_ms


def test_what_is_no_rtp_or_was_not_agreed_on_is_passed_over(rig: Rig) -> None:
    lane = rig.lane()
    for data in (b"", b"x", bytes(12), b"\x80\x60" + bytes(200), b"\x80\x00" + bytes(700)):
        rig.wire(lane).arrive(data)
    rig.wire(lane).arrive(b"\xbf\x00" + b"\xff" * 30)
    rig.tick(8)
    assert lane.quality().packets_received == 0


def test_a_flood_on_one_lane_costs_a_tick_a_bounded_number(rig: Rig) -> None:
    lane = rig.lane()
    for packet in Stream().packets(tone(440, 2000)):
        rig.wire(lane).arrive(packet)
    rig.tick()
    assert len(rig.wire(lane).inbox) >= 90


def test_the_same_lane_sounds_the_same_alone_and_among_others(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    packets = [[p] for p in Stream().packets((rng.normal(size=8000) * 3000).astype(np.int16))]
    packets[7] = []
    alone = listen(Rig(), packets)
    crowd = Rig()
    for number in range(30):
        lane = crowd.lane("PCMA" if number % 2 else "PCMU")
        lane.record_call(tmp_path / f"{number}.wav", lambda done: None)
    for number in range(0, 30, 3):
        crowd.wire(crowd.bank._lanes[number]).arrive(Stream(ssrc=number + 1).packet(b"\x10" * 160))
    speaker, listener = crowd.lane(), crowd.lane()
    speaker.bridge(listener)
    for arriving in packets:
        for packet in arriving:
            crowd.wire(speaker).arrive(packet)
        crowd.tick()
    crowd.tick(5)
    crowd.bank.close_all()
    crowd.writer.run_queued()
    assert np.array_equal(hear(crowd.wire(listener).packets()), alone)


def test_jitter_is_measured_from_arrival_times(rig: Rig) -> None:
    lane = rig.lane()
    stream = Stream()
    for number in range(800):
        rig.wires.stamps[lane.row] = number * 0.02 + (0.004 if number % 2 else 0.0)
        rig.wire(lane).arrive(stream.packet(b"\xff" * 160))
        rig.tick()
    assert lane.quality().jitter_ms == pytest.approx(4.0, abs=0.3)


def test_a_pause_with_described_noise_sounds_like_it(rig: Rig) -> None:
    stream = Stream()
    packets = [[p] for p in stream.packets(tone(440, 400))]
    packets.append([stream.packet(bytes([40]), 13, 0)])
    stream.timestamp += 160 * 40
    packets += [[] for _ in range(39)]
    packets += [[p] for p in stream.packets(tone(440, 200))]
    out = listen(rig, packets)
    pause = out[27 * 160 : 55 * 160].astype(float)
    level = 10 * np.log10((pause**2).mean() / 32768**2)
    assert level == pytest.approx(-40, abs=1.5)
    quality = rig.bank.quality(0)
    assert (quality.lost, quality.concealed, quality.late) == (0, 0, 0)
