"""Packets of others, one by one and by the matrix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.rtp import packet
from telephony.rtp.packet import Packet, parse_headers, write_headers

VECTORS = Path(__file__).parents[2] / "vectors" / "rtp" / "aiortc-packets"
GOOD = sorted(p.name for p in VECTORS.glob("rtp*.bin") if "rtcp" not in p.name)

packets = st.builds(
    Packet,
    payload_type=st.integers(0, 127),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(max_size=60),
    marker=st.booleans(),
    csrcs=st.lists(st.integers(0, 0xFFFFFFFF), max_size=15).map(tuple),
    extension=st.none()
    | st.tuples(st.integers(0, 0xFFFF), st.integers(0, 5).map(lambda n: bytes(range(4 * n)))),
    padding=st.integers(0, 20),
)


def batch(datagrams: list[bytes], width: int = 400) -> packet.Headers:
    buf = np.full((len(datagrams), width), 0xAA, np.uint8)
    for row, data in enumerate(datagrams):
        buf[row, : len(data)] = np.frombuffer(data, np.uint8)
    return parse_headers(buf, np.array([len(d) for d in datagrams], np.int32))


@given(packets)
def test_round_trip(one: Packet) -> None:
    assert Packet.parse(bytes(one)) == one


@pytest.mark.parametrize("name", GOOD)
def test_captured_packets(name: str) -> None:
    data = (VECTORS / name).read_bytes()
    one = Packet.parse(data)
    assert one is not None
    assert Packet.parse(bytes(one)) == one


def test_captured_fields() -> None:
    one = Packet.parse((VECTORS / "rtp_with_csrc.bin").read_bytes())
    assert one is not None
    assert (one.payload_type, one.sequence, len(one.payload)) == (0, 16082, 160)
    assert one.csrcs == (2882400001, 3735928559)
    padded = Packet.parse((VECTORS / "rtp_only_padding_with_header_extensions.bin").read_bytes())
    assert padded is not None
    assert (padded.payload, padded.padding) == (b"", 224)
    assert padded.extension == (0xBEDE, b'"\xf1\xcc\x8c')


def test_rtcp_is_told_apart() -> None:
    assert packet.is_rtcp((VECTORS / "rtcp_sr.bin").read_bytes())
    assert not packet.is_rtcp((VECTORS / "rtp_dtmf.bin").read_bytes())


@given(st.lists(st.one_of(packets.map(bytes), st.binary(max_size=300)), min_size=1, max_size=20))
def test_the_matrix_reads_what_the_single_parser_reads(datagrams: list[bytes]) -> None:
    found = batch(datagrams)
    for row, data in enumerate(datagrams):
        one = Packet.parse(data)
        assert bool(found.valid[row]) == (one is not None), data.hex()
        start, size = int(found.offset[row]), int(found.length[row])
        if one is None:
            assert (start, size) == (0, 0)
            continue
        assert data[start : start + size] == one.payload
        assert found.payload_type[row] == one.payload_type
        assert bool(found.marker[row]) == one.marker
        assert found.sequence[row] == one.sequence
        assert found.timestamp[row] == one.timestamp
        assert found.ssrc[row] == one.ssrc


def test_the_matrix_takes_a_slice_of_a_larger_one() -> None:
    big = np.zeros((10, 200), np.uint8)
    view = big[2:7]
    write_headers(view, 8, True, np.arange(5, dtype=np.uint16), 7, np.uint32(9))
    found = parse_headers(view, np.full(5, 172, np.int32))
    assert found.valid.all()
    assert found.sequence.tolist() == [0, 1, 2, 3, 4]
    assert set(found.payload_type.tolist()) == {8}
    assert (found.length == 160).all()
    assert not big[0].any()


def test_written_headers_are_packets() -> None:
    out = np.zeros((2, 16), np.uint8)
    write_headers(
        out,
        np.array([0, 101]),
        np.array([False, True]),
        np.array([65535, 1], np.uint16),
        np.array([0xFFFFFFFF, 160], np.uint32),
        np.array([1, 0xFEEDBEEF], np.uint32),
    )
    assert Packet.parse(out[0].tobytes()) == Packet(0, 65535, 0xFFFFFFFF, 1, bytes(4))
    assert Packet.parse(out[1].tobytes()) == Packet(101, 1, 160, 0xFEEDBEEF, bytes(4), True)


def test_no_rows_at_all() -> None:
    assert batch([]).valid.size == 0
