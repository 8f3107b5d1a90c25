"""Where losses lie, what we tell the far end of it, and what it tells us."""

from __future__ import annotations

import random

import numpy as np
import pytest

from telephony.media.bursts import Losses
from telephony.rtp import rtcp, xr
from telephony.testing.audio import tone

from .conftest import Rig, Stream


def by_the_rfc(lost: list[bool]) -> tuple[dict[str, int], int]:
    """RFC 3611 A.2, packet by packet, as it stands there."""
    c = dict.fromkeys(("c11", "c13", "c14", "c22", "c23", "c33"), 0)
    row_lost = packets = 0
    for gone in lost:
        if not gone:
            packets += 1
            continue
        if packets >= xr.GMIN:
            c["c14" if row_lost == 1 else "c13"] += 1
            row_lost = 1
            c["c11"] += packets
        else:
            row_lost += 1
            if packets == 0:
                c["c33"] += 1
            else:
                c["c23"] += 1
                c["c22"] += packets - 1
        packets = 0
    return c, packets


@pytest.mark.parametrize("seed", range(6))
def test_counted_over_all_lanes_at_once_as_the_rfc_counts_one(seed: int) -> None:
    rng = random.Random(seed)
    lanes, length = 5, 1500
    sent = []
    for lane in range(lanes):
        bad, lost = False, []
        for _ in range(length):
            bad = rng.random() < (0.7 if bad else 0.005 * (1 + 4 * lane))
            lost.append(bad and rng.random() < 0.8)
        sent.append(lost[:-20] + [False] * 20)
    losses = Losses(lanes)
    concealed, received = np.zeros(lanes, np.int64), np.zeros(lanes, np.int64)
    waiting = np.zeros(lanes, np.int64)
    for at in range(length):
        for lane in range(lanes):
            if sent[lane][at]:
                waiting[lane] += 160
            else:
                # A packet comes: only now is it known that what lies before was lost.
                received[lane] += 1
                concealed[lane] += waiting[lane]
                waiting[lane] = 0
        losses.follow(concealed, received, at)
    for lane in range(lanes):
        wanted, rest = by_the_rfc(sent[lane])
        found = {name: int(getattr(losses, name)[lane]) for name in wanted}
        assert found == wanted
        runs = sum(a and not b for a, b in zip(sent[lane], [False, *sent[lane]], strict=False))
        assert losses.runs[lane] == runs
        bursts = losses.bursts(lane, int(received[lane]))
        assert bursts == xr.Bursts.of(**{**wanted, "c11": wanted["c11"] + rest}, frame_ms=20)


def test_a_little_wait_is_no_loss() -> None:
    losses = Losses(1)
    concealed, received = np.zeros(1, np.int64), np.full(1, 50)
    for tick in range(5):
        concealed += 60
        losses.follow(concealed, received, tick)
    assert losses.runs[0] == 0
    losses.follow(concealed + 100, received, 5)
    assert losses.runs[0] == 1


def test_a_report_tells_how_the_far_end_is_heard(rig: Rig) -> None:
    lane, clean = rig.lane(), rig.lane()
    packets = Stream().packets(tone(440, 40_000))
    for number, packet in enumerate(packets):
        if number % 100 not in (50, 51, 52, 53):
            rig.wire(lane).arrive(packet)
        rig.wire(clean).arrive(packet)
        rig.tick()
    for each in (lane, clean):
        each.close()
    (bad,), (good,) = (
        [p for p in rtcp.parse(rig.wire(each).rtcp_sent[-1]) if isinstance(p, xr.ExtendedReport)]
        for each in (lane, clean)
    )
    ours, theirs = bad.blocks[0], good.blocks[0]
    assert ours.ssrc == 77
    assert ours.loss_rate == pytest.approx(0.04 * 256, abs=1)
    assert ours.bursts.gap_ms == pytest.approx(96 * 20, rel=0.05)
    assert ours.bursts.burst_ms == 4 * 20
    assert ours.bursts.burst_density == 255
    assert theirs.loss_rate == theirs.discard_rate == theirs.bursts.burst_density == 0
    assert ours.mos_cq < theirs.mos_cq <= theirs.mos_lq
    assert theirs.r > 88
    assert 20 <= theirs.end_system_ms <= 220
    assert theirs.absolute_ms == rig.config.max_depth_ms
    assert lane.quality().mos == pytest.approx(ours.mos_cq / 10, abs=0.06)


def test_no_metrics_of_a_far_end_that_was_never_heard(rig: Rig) -> None:
    lane = rig.lane()
    lane.close()
    parts = rtcp.parse(rig.wire(lane).rtcp_sent[-1])
    assert not any(isinstance(part, xr.ExtendedReport) for part in parts)


def test_what_the_far_end_reports_of_us_is_in_the_record(rig: Rig) -> None:
    lane = rig.lane()
    while not rig.wire(lane).rtcp_sent:
        rig.tick()
    assert lane.quality().remote_lost is None
    ours = rtcp.parse(rig.wire(lane).rtcp_sent[0])[0]
    assert isinstance(ours, rtcp.SenderReport)

    def tell(*parts: rtcp.RtcpPacket) -> None:
        rig.wire(lane).rtcp_inbox.append(rtcp.compound(*parts))
        rig.tick(5)

    def said(mos: int, ssrc: int = ours.ssrc) -> xr.ExtendedReport:
        return xr.ExtendedReport(9, (xr.VoipMetrics(ssrc=ssrc, mos_cq=mos),))

    tell(rtcp.ReceiverReport(9, (rtcp.ReportBlock(ours.ssrc, 64, 12, 1, 80, 0, 0),)), said(38))
    found = lane.quality()
    assert (found.remote_lost, found.remote_jitter_ms, found.remote_mos) == (12, 10.0, 3.8)
    # Unavailable, out of scale, and about somebody else.
    tell(said(127), said(0), said(255), said(11, ssrc=ours.ssrc ^ 1))
    assert lane.quality().remote_mos == 3.8
    tell(rtcp.ReceiverReport(9, (rtcp.ReportBlock(ours.ssrc, 0, 13, 1, 80, 0, 0),)))
    assert (lane.quality().remote_lost, lane.quality().remote_mos) == (13, 3.8)
