"""Whose packets are believed."""

from __future__ import annotations

import pytest

from telephony.media.latch import KNOWN_PACKETS, Latch, Verdict, canonical, is_ambiguous
from telephony.media.terms import Terms
from telephony.rtp.packet import Packet

SDP = ("10.1.2.3", 4000)
NAT = ("203.0.113.9", 31000)


def latch(known: tuple[str, int] | None = None) -> Latch:
    return Latch(SDP, known, "203.0.113.9", frozenset({0, 13, 101}), 3)


def rtp(sequence: int, kind: int = 0, ssrc: int = 5) -> memoryview:
    return memoryview(bytes(Packet(kind, sequence, 160 * sequence, ssrc, bytes(160))))


def test_the_negotiated_address_is_believed_at_once() -> None:
    assert latch().judge(SDP, rtp(1)) is Verdict.LATCH


def test_the_signalling_host_is_believed_after_packets_in_order() -> None:
    one = latch()
    verdicts = [one.judge(NAT, rtp(n)) for n in (65535, 0, 1)]
    assert verdicts == [Verdict.DROP, Verdict.DROP, Verdict.LATCH]


@pytest.mark.parametrize(
    ("source", "packets"),
    [
        (("198.51.100.1", 31000), [rtp(n) for n in range(20)]),
        (NAT, [rtp(n * 2) for n in range(20)]),
        (NAT, [rtp(n, ssrc=n) for n in range(20)]),
        (NAT, [rtp(n, kind=96) for n in range(20)]),
        (NAT, [memoryview(b"\x00" * 172)] * 20),
        (NAT, [memoryview(b"\x80\x00\x00")] * 20),
    ],
)
def test_others_never_are(source: tuple[str, int], packets: list[memoryview]) -> None:
    one = latch()
    assert {one.judge(source, p) for p in packets} == {Verdict.DROP}


def test_two_ports_of_the_host_taking_turns_are_not_in_order() -> None:
    one = latch()
    verdicts = {one.judge((NAT[0], 31000 + n % 2), rtp(n)) for n in range(20)}
    assert verdicts == {Verdict.DROP}


def test_the_source_of_before_is_heard_on_and_fixed_after_a_second() -> None:
    one = latch(known=NAT)
    verdicts = [one.judge(NAT, rtp(n)) for n in range(KNOWN_PACKETS)]
    assert verdicts[:-1] == [Verdict.PASS] * (KNOWN_PACKETS - 1)
    assert verdicts[-1] is Verdict.LATCH


def test_another_port_may_replace_the_source_of_before() -> None:
    one = latch(known=NAT)
    assert one.judge(NAT, rtp(1)) is Verdict.PASS
    verdicts = [one.judge((NAT[0], 9), rtp(n, ssrc=6)) for n in range(3)]
    assert verdicts[-1] is Verdict.LATCH


@pytest.mark.parametrize(
    ("host", "trusted", "ambiguous"),
    [
        ("203.0.113.9", "203.0.113.9", False),
        ("8.8.8.8", "9.9.9.9", False),
        ("10.1.2.3", "9.9.9.9", True),
        ("192.168.1.4", "10.0.0.1", True),
        ("100.64.3.4", "9.9.9.9", True),
        ("127.0.0.1", "127.0.0.1", False),
        ("fd00::1", "2001:4860::1", True),
        ("fd00:0::1", "fd00::1", False),
        ("10.1.2.3", None, False),
        ("host.example", "9.9.9.9", False),
    ],
)
def test_only_a_private_address_beside_another_host_is_doubted(
    host: str, trusted: str | None, ambiguous: bool
) -> None:
    assert is_ambiguous(Terms(remote=(host, 4000), trusted_ip=trusted)) is ambiguous


def test_addresses_are_compared_as_the_kernel_writes_them() -> None:
    assert canonical(("2001:DB8:0:0::1", 5)) == ("2001:db8::1", 5)


@pytest.mark.parametrize(
    ("host", "doubted"), [("8.8.8.8", True), ("9.9.9.9", False), ("10.1.2.3", True)]
)
def test_who_has_not_shown_who_he_is_may_name_nobody_else(host: str, doubted: bool) -> None:
    terms = Terms(remote=(host, 4000), trusted_ip="9.9.9.9", patient=True)
    assert is_ambiguous(terms) is doubted
