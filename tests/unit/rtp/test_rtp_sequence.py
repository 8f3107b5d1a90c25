"""Numbers that wrap, loss as rtpproxy counts it, and jitter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.rtp import sequence as seq
from telephony.rtp.packet import Packet, is_rtcp
from telephony.testing import pcap

VECTORS = Path(__file__).parents[2] / "vectors" / "rtp"
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
wide = st.integers(0, 2**40)


@given(u16, st.integers(-32768, 32767))
def test_sixteen_bits(value: int, step: int) -> None:
    moved = seq.add16(value, step)
    assert seq.diff16(moved, value) == step
    assert seq.newer16(moved, value) == (step > 0)


@given(u32, st.integers(-(2**31), 2**31 - 1))
def test_thirty_two_bits(value: int, step: int) -> None:
    moved = seq.add32(value, step)
    assert seq.diff32(moved, value) == step
    assert seq.newer32(moved, value) == (step > 0)


@given(wide, st.integers(-30000, 30000))
def test_extension_finds_the_number_again(near: int, step: int) -> None:
    assert seq.extend16((near + step) % 65536, near) == near + step
    assert seq.extend32((near + step) % 2**32, near) == near + step


@given(st.lists(st.tuples(u16, u16, u32, u32, wide), min_size=1, max_size=20))
def test_arrays_agree_with_numbers(rows: list[tuple[int, int, int, int, int]]) -> None:
    a16, b16, a32, b32, near = (np.array(c) for c in zip(*rows, strict=True))
    n16, o16 = a16.astype(np.uint16), b16.astype(np.uint16)
    n32, o32 = a32.astype(np.uint32), b32.astype(np.uint32)
    near = near.astype(np.int64)
    for row, (a, b, c, d, e) in enumerate(rows):
        assert seq.diff16_array(n16, o16)[row] == seq.diff16(a, b)
        assert seq.diff32_array(n32, o32)[row] == seq.diff32(c, d)
        assert seq.extend16_array(n16, near)[row] == seq.extend16(a, e)
        assert seq.extend32_array(n32, near)[row] == seq.extend32(c, e)


def count(numbers: list[int], probation: int = seq.MIN_SEQUENTIAL) -> seq.SourceCounter:
    counter = seq.SourceCounter(probation=probation)
    for number in numbers:
        counter.update(number % 65536)
    return counter


def test_a_source_is_valid_after_two_in_order() -> None:
    counter = seq.SourceCounter()
    assert [counter.update(n) for n in (7, 900, 901, 902)] == [False, False, True, True]
    assert (counter.received, counter.lost) == (3, 0)


def test_wrap_reordering_and_duplicates() -> None:
    counter = count([65533, 65534, 0, 65535, 0, 1, 3, 3])
    assert (counter.expected, counter.received) == (7, 8)
    assert (counter.lost, counter.duplicates, counter.late) == (1, 2, 1)
    assert counter.highest % 65536 == 3
    assert counter.highest - counter.base == 6


def test_one_stray_is_not_a_restart_and_two_are() -> None:
    counter = count([100, 101, 30000, 102])
    assert (counter.restarts, counter.lost, counter.received) == (0, 0, 3)
    counter = count([100, 101, 103, 30000, 30001, 30003])
    assert (counter.restarts, counter.lost, counter.received) == (1, 2, 6)


def test_a_packet_before_the_first_one_was_sent_too() -> None:
    counter = count([10, 11, 9, 8])
    assert (counter.expected, counter.lost) == (4, 0)


def test_fraction_lost_since_the_last_report() -> None:
    counter = count([*range(10), *range(15, 20)])
    assert counter.fraction_lost() == 5 * 256 // 20
    assert counter.fraction_lost() == 0
    assert count([1, 2, 2, 2, 2]).cumulative_lost == -3


@given(st.lists(u16, max_size=100))
def test_any_numbers_keep_the_counts_sane(numbers: list[int]) -> None:
    counter = count(numbers)
    assert 0 <= counter.lost <= counter.expected
    assert counter.duplicates + counter.late <= counter.received <= len(numbers)
    assert 0 <= counter.fraction_lost() <= 255


def counters(name: str) -> dict[int, seq.SourceCounter]:
    found: dict[int, seq.SourceCounter] = {}
    for datagram in pcap.read((VECTORS / name).read_bytes()):
        one = None if is_rtcp(datagram.payload) else Packet.parse(datagram.payload)
        if one is not None:
            found.setdefault(one.ssrc, seq.SourceCounter(probation=1)).update(one.sequence)
    return found


# Sent, lost and duplicates as rtpproxy's expected files give them; it does not count duplicates
# among the sent ones.
@pytest.mark.parametrize(
    ("name", "ssrc", "sent", "lost", "duplicates"),
    [
        ("rtpproxy/DLT_NULL.a.pcap", 0x9C49CA0A, 300, 0, 0),
        ("rtpproxy/dups.a.pcap", 0xAE9DD7AF, 383, 0, 1),
        ("rtpproxy/lost.a.pcap", 0x0A7328F3, 565, 321, 0),
        ("rtpproxy/lost.o.pcap", 0xE0E9C816, 246, 0, 0),
        ("rtpproxy/sess6.a.pcap", 0x49954FD1, 2546, 0, 0),
        ("rtpproxy/sess6.o.pcap", 0x70C93B97, 2039, 1, 0),
        ("rtpproxy/srtp1.a.pcap", 0xE7D56977, 239, 0, 0),
        ("rtpproxy/srtp1.o.pcap", 0x8557BACE, 246, 0, 0),
        ("rtpproxy/weird.a.pcap", 0x26304352, 3864, 0, 0),
        ("rtpproxy/weird.o.pcap", 0x9B77EDD9, 3379, 2106, 0),
        ("freeswitch/milliwatt.pcmu.rtp.pcap", 0x61DCF074, 232, 0, 0),
        ("rtpproxy/rtcp.o.pcap", 0xF3CB2001, 230, 1, 0),
    ],
)
def test_counts_as_recorded(name: str, ssrc: int, sent: int, lost: int, duplicates: int) -> None:
    counter = counters(name)[ssrc]
    assert (counter.expected, counter.lost, counter.duplicates) == (sent, lost, duplicates)


def test_jitter_of_a_steady_stream_is_zero_and_of_a_step_a_sixteenth() -> None:
    meter = seq.JitterMeter()
    start = 2**32 - 320
    for index in range(10):
        meter.update(seq.add32(start, 160 * index), 5000 + 160 * index)
    assert meter.jitter == 0
    meter.update(seq.add32(start, 1600), 5000 + 1600 + 32)
    assert meter.jitter == pytest.approx(2.0)
    meter.reset()
    meter.update(7, 0)
    assert meter.jitter == meter.maximum == pytest.approx(2.0)
