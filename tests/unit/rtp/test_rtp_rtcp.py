"""RTCP of honest and of other peers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.rtp import rtcp

VECTORS = Path(__file__).parents[2] / "vectors" / "rtp" / "aiortc-packets"
u32 = st.integers(0, 0xFFFFFFFF)
blocks = st.builds(
    rtcp.ReportBlock, u32, st.integers(0, 255), st.integers(-0x800000, 0x7FFFFF), u32, u32, u32, u32
)
reports = st.lists(blocks, max_size=5).map(tuple)
items = st.lists(st.tuples(st.integers(1, 8), st.binary(max_size=40)), max_size=4).map(tuple)
any_packet = st.one_of(
    st.builds(rtcp.SenderReport, u32, st.integers(0, 2**64 - 1), u32, u32, u32, reports),
    st.builds(rtcp.ReceiverReport, u32, reports),
    st.builds(rtcp.SourceDescription, st.lists(st.tuples(u32, items), max_size=3).map(tuple)),
    st.builds(rtcp.Goodbye, st.lists(u32, max_size=4).map(tuple), st.binary(max_size=30)),
)


@given(st.lists(any_packet, max_size=5))
def test_compounds_round_trip(packets: list[rtcp.RtcpPacket]) -> None:
    assert rtcp.parse(rtcp.compound(*packets)) == packets


@pytest.mark.parametrize("name", sorted(p.name for p in VECTORS.glob("rtcp*.bin")))
def test_captured(name: str) -> None:
    data = (VECTORS / name).read_bytes()
    packets = rtcp.parse(data)
    if "invalid" in name or "truncated" in name:
        assert packets == []
    elif "fb" in name:
        assert packets == [], "feedback is passed over"
    elif "padding" in name:
        assert packets == [rtcp.Goodbye(())]
    else:
        assert rtcp.compound(*packets) == data


def test_captured_fields() -> None:
    (report,) = rtcp.parse((VECTORS / "rtcp_rr.bin").read_bytes())
    assert isinstance(report, rtcp.ReceiverReport)
    assert report.reports[0].highest_sequence == 630
    assert report.reports[0].jitter == 1906


@given(st.binary(max_size=200))
def test_noise_never_raises(data: bytes) -> None:
    assert isinstance(rtcp.parse(data), list)


@given(st.lists(any_packet, min_size=1, max_size=3), st.data())
def test_damage_never_raises(packets: list[rtcp.RtcpPacket], data: st.DataObject) -> None:
    octets = bytearray(rtcp.compound(*packets))
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(rtcp.parse(bytes(octets)), list)


def test_a_flood_of_tiny_packets_is_nobodys_report() -> None:
    one = bytes(rtcp.ReceiverReport(1))
    assert len(rtcp.parse(one * (rtcp.MAX_PACKETS - 1))) == rtcp.MAX_PACKETS - 1
    assert rtcp.parse(one * (rtcp.MAX_PACKETS + 1)) == []


def test_round_trip_time_from_a_report() -> None:
    sent = rtcp.ntp_time(1_700_000_000.0)
    block = rtcp.ReportBlock(1, 0, 0, 0, 0, rtcp.middle(sent), int(0.25 * 65536))
    measured = rtcp.round_trip(block, rtcp.ntp_time(1_700_000_000.3))
    assert measured == pytest.approx(0.05, abs=0.001)
    assert rtcp.round_trip(rtcp.ReportBlock(1, 0, 0, 0, 0, 0, 0), sent) is None
    lying = rtcp.ReportBlock(1, 0, 0, 0, 0, rtcp.middle(sent), 0xFFFFFFF)
    assert rtcp.round_trip(lying, sent) is None
