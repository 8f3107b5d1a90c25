"""Time-outs, reports, ceilings and figures of the bank and the engine."""

from __future__ import annotations

import random
import threading

import pytest

from telephony.base.clock import ManualClock
from telephony.base.errors import Busy, ConfigError, MediaFailed
from telephony.media.config import MediaConfig, descriptors_needed
from telephony.media.engine import Engine
from telephony.media.stats import TickStats
from telephony.rtp import rtcp
from telephony.testing.audio import tone

from .conftest import FAR, Rig, Stream

# --- time-outs -----------------------------------------------------------------------------


def test_silence_before_the_first_packet_times_out_once(rig: Rig) -> None:
    lane, fired = rig.lane(), []
    lane.on_timeout = lambda: fired.append(rig.clock.monotonic())
    start = rig.clock.monotonic()
    rig.tick(29 * 50)
    assert fired == []
    rig.tick(40 * 50)
    assert len(fired) == 1
    assert fired[0] - start == pytest.approx(30, abs=0.6)


def test_silence_after_the_first_packet_times_out_sooner(rig: Rig) -> None:
    lane, fired = rig.lane(), []
    lane.on_timeout = lambda: fired.append(True)
    rig.talk(lane, tone(440, 1000))
    rig.tick(14 * 50)
    assert fired == []
    rig.tick(2 * 50)
    assert fired == [True]


def test_a_far_end_that_may_not_send_does_not_time_out(rig: Rig) -> None:
    lane, fired = rig.lane(), []
    lane.on_timeout = lambda: fired.append(True)
    rig.talk(lane, tone(440, 200))
    lane.renegotiate(remote=FAR, can_receive=False)
    rig.tick(60 * 50)
    assert fired == []
    lane.renegotiate(remote=FAR)
    rig.tick(14 * 50)
    assert fired == []
    rig.tick(2 * 50)
    assert fired == [True]


def test_what_a_far_end_sends_against_the_direction_is_not_heard(rig: Rig) -> None:
    lane = rig.lane(can_receive=False)
    rig.talk(lane, tone(440, 200))
    assert lane.quality().packets_received == 0


def test_what_is_sent_while_we_do_not_listen_is_no_loss(rig: Rig) -> None:
    lane, stream = rig.lane(), Stream()
    rig.talk(lane, tone(440, 400), stream)
    lane.renegotiate(remote=FAR, can_receive=False)
    rig.talk(lane, tone(440, 2000), stream)
    lane.renegotiate(remote=FAR)
    rig.talk(lane, tone(440, 400), stream)
    quality = lane.quality()
    assert (quality.packets_received, quality.lost, quality.concealed) == (40, 0, 0)


def test_another_far_end_is_heard_from_its_first_packet(rig: Rig) -> None:
    lane = rig.lane()
    rig.talk(lane, tone(440, 400))
    lane.renegotiate(remote=("192.0.2.8", 5000))
    rig.talk(lane, tone(440, 400), Stream(ssrc=9, sequence=50000, timestamp=7))
    quality = lane.quality()
    assert (quality.packets_received, quality.lost) == (40, 0)


def test_port_zero_is_nobody(rig: Rig) -> None:
    lane = rig.lane(remote=None)
    rig.tick(60 * 50)
    assert rig.wire(lane).sent == []


def test_a_codec_we_do_not_speak_is_refused(rig: Rig) -> None:
    with pytest.raises(MediaFailed):
        rig.bank.open("127.0.0.1").start(remote=FAR, codec="G729")


def test_a_far_end_that_does_not_listen_yet_is_no_fault(rig: Rig) -> None:
    lane = rig.lane()
    rig.wire(lane).error = ConnectionRefusedError()
    rig.tick(10)
    assert rig.bank.unsent == 10
    rig.wire(lane).error = None
    rig.tick(10)
    assert len(rig.wire(lane).sent) == 10


def test_the_codec_may_change_in_the_middle(rig: Rig) -> None:
    lane = rig.lane("PCMU")
    rig.talk(lane, tone(440, 200))
    lane.renegotiate(remote=FAR, codec="PCMA", payload_type=8)
    rig.talk(lane, tone(440, 200), Stream(codec="PCMA", sequence=110, timestamp=2600))
    packets = rig.wire(lane).packets()
    assert [p.payload_type for p in packets] == [0] * 10 + [8] * 10
    assert packets[-1].payload == b"\xd5" * 160
    assert lane.quality().codec == "PCMA"


# --- reports -------------------------------------------------------------------------------


def test_reports_go_out_about_every_five_seconds_and_end_with_bye(rig: Rig) -> None:
    lane = rig.lane()
    packets = [[p] for p in Stream().packets(tone(440, 60_000))]
    del packets[100]
    for arriving in packets:
        for packet in arriving:
            rig.wire(lane).arrive(packet)
        rig.tick()
    sent = [rtcp.parse(data) for data in rig.wire(lane).rtcp_sent]
    assert 8 <= len(sent) <= 24
    report = sent[0][0]
    assert isinstance(report, rtcp.SenderReport)
    last = sent[-1][0]
    assert isinstance(last, rtcp.SenderReport)
    assert last.reports[0].cumulative_lost == 1
    assert last.reports[0].ssrc == 77
    lane.close()
    assert isinstance(rtcp.parse(rig.wire(lane).rtcp_sent[-1])[-1], rtcp.Goodbye)


def test_the_round_trip_is_measured_from_the_far_ends_reports(rig: Rig) -> None:
    lane = rig.lane()
    while not rig.wire(lane).rtcp_sent:
        rig.tick()
    ours = rtcp.parse(rig.wire(lane).rtcp_sent[0])[0]
    assert isinstance(ours, rtcp.SenderReport)
    rig.tick(10)
    block = rtcp.ReportBlock(ours.ssrc, 64, 12, 1, 0, rtcp.middle(ours.ntp), int(0.1 * 65536))
    rig.wire(lane).rtcp_inbox.append(rtcp.compound(rtcp.ReceiverReport(9, (block,))))
    rig.tick(5)
    assert lane.quality().round_trip_ms == pytest.approx(150, abs=60)
    assert lane.quality().remote_lost == 12


def test_a_bye_and_rubbish_on_the_control_port_end_nothing(rig: Rig) -> None:
    lane = rig.lane()
    for data in (bytes(rtcp.Goodbye((77,))), b"", b"\x80", b"\xff" * 1400):
        rig.wire(lane).rtcp_inbox.append(data)
    rig.talk(lane, tone(440, 1000))
    assert lane.quality().packets_received == 50


def test_a_delay_of_ours_is_told_in_the_report(rig: Rig) -> None:
    lane = rig.lane()
    report = rtcp.SenderReport(77, 0x1234_5678_9ABC_DEF0, 0, 1, 160)
    rig.talk(lane, tone(440, 100))
    rig.wire(lane).rtcp_inbox.append(bytes(report))
    before = len(rig.wire(lane).rtcp_sent)
    while len(rig.wire(lane).rtcp_sent) == before:
        rig.tick()
    block = rtcp.parse(rig.wire(lane).rtcp_sent[-1])[0].reports[0]  # type: ignore[union-attr]
    assert block.last_sr == 0x5678_9ABC
    assert 0 < block.delay < 8 * 65536


# --- ceilings and figures ------------------------------------------------------------------


def test_rows_are_used_again_and_start_clean(rig: Rig) -> None:
    first = rig.lane()
    rig.talk(first, tone(440, 400))
    assert first.close().packets_received == 20
    second = rig.lane()
    assert second.row == first.row
    quality = second.quality()
    assert (quality.packets_received, quality.packets_sent, quality.mos) == (0, 0, None)
    rig.tick(3)
    assert {p.payload for p in rig.wire(second).packets()} == {b"\xff" * 160}


def test_growing_keeps_what_plays(rig: Rig) -> None:
    lanes = [rig.lane() for _ in range(15)]
    stream = Stream()
    for number, packet in enumerate(stream.packets(tone(440, 1000))):
        rig.wire(lanes[0]).arrive(packet)
        if number in (10, 20, 30):
            lanes += [rig.lane() for _ in range(20)]
        rig.tick()
    quality = lanes[0].quality()
    assert (quality.packets_received, quality.lost, quality.concealed) == (50, 0, 0)
    assert rig.bank.count == 75
    assert len(rig.wire(lanes[-1]).sent) == 20


def test_facts_say_when_sound_first_went_each_way(rig: Rig) -> None:
    lane = rig.lane()
    rig.tick(10)
    rig.talk(lane, tone(440, 100))
    quality = lane.quality()
    assert quality.first_sent_at is not None
    assert quality.first_packet_at is not None
    assert (quality.first_packet_at - quality.first_sent_at).total_seconds() == pytest.approx(0.2)


def test_bad_settings_are_refused() -> None:
    for bad in ({"ports": (5, 5)}, {"depth_ms": 30}, {"depth_ms": 240}, {"max_lanes": 0}):
        with pytest.raises(ConfigError):
            MediaConfig(**bad)  # type: ignore[arg-type]
    assert descriptors_needed(1000) > 3000


def test_the_engine_refuses_more_lanes_than_its_ceiling() -> None:
    threads = threading.active_count()
    config = MediaConfig(max_lanes=1, ports=(30800, 30899))
    engine = Engine(config, ManualClock(), rng=random.Random(1))
    assert engine.ready() is not None
    lane = engine.open()
    with pytest.raises(Busy):
        engine.open()
    lane.close()
    engine.open().close()
    assert threading.active_count() == threads


def test_figures_tell_late_ticks_from_the_rest() -> None:
    stats = TickStats()
    for _ in range(99):
        stats.add(0.0004, 0.0015, 3)
    stats.add(0.0051, 0.018, 3)
    stats.add(9.0, 9.0, 0)
    figures = stats.figures()
    assert (figures["ticks"], figures["late_ticks"]) == (100, 1)
    assert 1.0 <= figures["tick_p50_ms"] <= 2.0
    assert figures["tick_max_ms"] == pytest.approx(18.0)
    assert figures["tick_p99_ms"] <= 18.0
