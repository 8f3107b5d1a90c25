"""Recorded streams through the whole of receiving: counted as rtpproxy counts them, and played."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from telephony.rtp.packet import Packet, is_rtcp
from telephony.testing import pcap

from .conftest import Rig

VECTORS = Path(__file__).parents[2] / "vectors" / "rtp"


def stream(name: str, ssrc: int) -> list[tuple[float, Packet]]:
    found = []
    for datagram in pcap.read((VECTORS / name).read_bytes()):
        packet = None if is_rtcp(datagram.payload) else Packet.parse(datagram.payload)
        if packet is not None and packet.ssrc == ssrc:
            found.append((datagram.at, packet))
    return found


@pytest.mark.parametrize(
    ("name", "ssrc", "lost", "duplicates", "concealed_ms"),
    [
        ("rtpproxy/dups.a.pcap", 0xAE9DD7AF, 0, 1, 60),
        ("rtpproxy/lost.o.pcap", 0xE0E9C816, 0, 0, 60),
        ("rtpproxy/lost.a.pcap", 0x0A7328F3, 321, 0, 6600),
        ("rtpproxy/sess6.o.pcap", 0x70C93B97, 1, 0, 300),
        ("rtpproxy/rtcp.o.pcap", 0xF3CB2001, 1, 0, 100),
    ],
)
def test_a_capture_is_counted_and_played(
    name: str, ssrc: int, lost: int, duplicates: int, concealed_ms: int
) -> None:
    """The sound is replaced by ours: what counts is when the packets came and how they number."""
    rig = Rig()
    lane = rig.lane()
    packets = stream(name, ssrc)
    begin, index = packets[0][0], 0
    steps = pairwise(packets)
    octets = min(b.timestamp - a.timestamp for (_, a), (_, b) in steps if b.timestamp > a.timestamp)
    voiced = 0
    for tick in range(int((packets[-1][0] - begin) / 0.02) + 20):
        while index < len(packets) and packets[index][0] - begin <= tick * 0.02:
            packet = packets[index][1]
            packet.payload_type, packet.payload = 0, b"\x10" * octets
            packet.padding, packet.extension = 0, None
            rig.wire(lane).arrive(packet)
            index += 1
        rig.tick()
        voiced += bool(rig.bank.playout.voice.frame[lane.row].any())
    quality = lane.quality()
    assert (quality.lost, quality.duplicated) == (lost, duplicates)
    assert quality.concealed_ms <= concealed_ms
    assert voiced * 160 >= 0.95 * len(packets) * octets
    assert quality.buffer_ms <= rig.config.max_depth_ms
