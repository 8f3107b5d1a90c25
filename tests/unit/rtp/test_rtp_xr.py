"""RTCP extended reports: the VoIP metrics block octet by octet, and bursts as the RFC counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.rtp import rtcp, xr
from telephony.rtp.quality import burst_ratio, judge, r_factor

# Written out by RFC 3611 §2 and §4.7: V=2, PT=207, 10 words; BT=7, 8 words.
BLOCK = bytes.fromhex(
    "07000008 0a0b0c0d"  # block type, reserved, length; SSRC of source
    "0d 05 4d 02"  # loss, discard, burst density, gap density
    "0168 3a98"  # burst 360 ms, gap 15,000 ms
    "0078 0050"  # round trip 120 ms, end system 80 ms
    "ec c4 7f 10"  # signal -20 dBm0, noise -60 dBm0, no echo figure, Gmin 16
    "52 7f 29 28"  # R 82, no external R, MOS-LQ 4.1, MOS-CQ 4.0
    "f0 00 003c"  # enhanced concealment, adaptive buffer; nominal 60 ms
    "0064 00c8"  # maximum 100 ms, absolute 200 ms
)
PACKET = bytes.fromhex("80cf000a 01020304") + BLOCK
METRICS = xr.VoipMetrics(
    ssrc=0x0A0B0C0D,
    loss_rate=13,
    discard_rate=5,
    bursts=xr.Bursts(burst_density=77, gap_density=2, burst_ms=360, gap_ms=15_000),
    round_trip_ms=120,
    end_system_ms=80,
    signal_dbm0=-20,
    noise_dbm0=-60,
    r=82,
    mos_lq=41,
    mos_cq=40,
    receiver=xr.ENHANCED_CONCEALMENT | xr.ADAPTIVE_BUFFER,
    nominal_ms=60,
    maximum_ms=100,
    absolute_ms=200,
)

u8, u16, u32 = st.integers(0, 255), st.integers(0, 65535), st.integers(0, 0xFFFFFFFF)
level = st.integers(-128, 127)
bursts = st.builds(xr.Bursts, burst_density=u8, gap_density=u8, burst_ms=u16, gap_ms=u16)
metrics = st.builds(
    xr.VoipMetrics,
    ssrc=u32,
    loss_rate=u8,
    discard_rate=u8,
    bursts=bursts,
    round_trip_ms=u16,
    end_system_ms=u16,
    signal_dbm0=level,
    noise_dbm0=level,
    echo_loss=u8,
    gmin=u8,
    r=u8,
    external_r=u8,
    mos_lq=u8,
    mos_cq=u8,
    receiver=u8,
    nominal_ms=u16,
    maximum_ms=u16,
    absolute_ms=u16,
)


def test_the_block_stands_as_the_rfc_draws_it() -> None:
    report = xr.ExtendedReport(0x01020304, (METRICS,))
    assert bytes(report) == PACKET
    assert rtcp.parse(PACKET) == [report]
    assert rtcp.parse(bytes(rtcp.ReceiverReport(1)) + PACKET)[1] == report


@given(u32, st.lists(metrics, max_size=3).map(tuple))
def test_reports_round_trip(ssrc: int, blocks: tuple[xr.VoipMetrics, ...]) -> None:
    report = xr.ExtendedReport(ssrc, blocks)
    assert rtcp.parse(bytes(report)) == [report]


def test_other_blocks_are_passed_over() -> None:
    receiver_time = bytes.fromhex("04000002 1122334455667788")
    odd_length = bytes.fromhex("07000001 00000000")
    body = bytes.fromhex("01020304") + receiver_time + odd_length + BLOCK
    found = xr.ExtendedReport.parse(body)
    assert found == xr.ExtendedReport(0x01020304, (METRICS,))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x01\x02",
        bytes.fromhex("01020304 07"),
        bytes.fromhex("01020304") + BLOCK[:-1],
        bytes.fromhex("01020304 07000009") + BLOCK[4:],
        bytes.fromhex("01020304") + bytes.fromhex("fe000000") * (xr.MAX_BLOCKS + 1),
    ],
)
def test_what_does_not_hold_together_is_no_report(body: bytes) -> None:
    assert xr.ExtendedReport.parse(body) is None


@given(st.binary(max_size=120))
def test_noise_never_raises(data: bytes) -> None:
    packet = b"\x80\xcf" + (len(data) // 4).to_bytes(2, "big") + data[: len(data) // 4 * 4]
    assert len(rtcp.parse(packet)) <= 1


def test_bursts_of_a_stream_by_the_rfcs_own_sums() -> None:
    """1,000 received, three lost within ten, 500 received, one alone, 500 received."""
    found = xr.Bursts.of(c11=2000, c13=1, c14=1, c22=7, c23=2, c33=0, frame_ms=20)
    assert found.gap_ms == 2002 * 20
    assert found.burst_ms == (7 + 2 + 1 + 2) * 20
    assert found.gap_density == 0
    p32, p23 = 2 / 3, 1 - 7 / 9
    assert found.burst_density == int(256 * p23 / (p23 + p32))


def test_without_loss_there_is_a_gap_only() -> None:
    assert xr.Bursts.of(0, 0, 0, 0, 0, 0, 20) == xr.Bursts()
    found = xr.Bursts.of(c11=500, c13=0, c14=0, c22=0, c23=0, c33=0, frame_ms=20)
    assert (found.gap_ms, found.burst_ms, found.burst_density) == (10_000, 0, 0)


def test_values_stay_in_their_fields() -> None:
    assert xr.share(300, 100) == 255
    assert (xr.share(1, 4), xr.share(1, 0)) == (64, 0)
    assert (xr.milliseconds(1e9), xr.milliseconds(-3)) == (65535, 0)
    assert (xr.score(0.0), xr.score(4.41), xr.score(9)) == (10, 44, 50)
    most = xr.Bursts.of(10**9, 0, 10**9, 10**9, 10**9, 10**9, 20)
    assert max(most.gap_ms, most.burst_ms) == 65535


def test_bursts_cost_more_than_the_same_loss_alone() -> None:
    assert burst_ratio(0, 0, 0.0) == 1
    assert burst_ratio(30, 10, 0.1) == pytest.approx(2.7)
    assert burst_ratio(10, 10, 0.5) == 1, "losses that keep apart are no better than chance"
    apart = judge(expected=1000, lost=30, late=0, runs=30, jitter_ms=0)
    together = judge(expected=1000, lost=30, late=0, runs=10, jitter_ms=0)
    assert together.r == pytest.approx(r_factor(0.03, burst_ratio=2.91))
    assert together.mos < apart.mos < 4.3


def test_listening_alone_does_not_mind_the_delay() -> None:
    near = judge(expected=100, lost=1, late=0, jitter_ms=0, delay_ms=20)
    far = judge(expected=100, lost=1, late=0, jitter_ms=0, delay_ms=400)
    assert far.mos < near.mos < near.mos_lq
    assert far.mos_lq == near.mos_lq
