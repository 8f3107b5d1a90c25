"""Sources that ask too much, guess passwords or scan."""

from __future__ import annotations

import pytest

from telephony.carriers.trunk.limits import (
    LimitConfig,
    SourceLimits,
    Verdict,
    is_scanner,
    is_scanner_name,
    source_key,
)


def test_sixteen_in_two_seconds_pass_and_the_next_is_silence() -> None:
    limits = SourceLimits()
    for i in range(16):
        assert limits.request("192.0.2.1", 10 + i * 0.1) is Verdict.PASS
    assert limits.request("192.0.2.1", 11.9) is Verdict.BAN
    assert limits.banned("192.0.2.1", 12.0)
    assert limits.request("192.0.2.1", 12.0) is Verdict.BANNED
    assert not limits.banned("192.0.2.2", 12.0)
    assert limits.banned("192.0.2.1", 311.8)
    assert not limits.banned("192.0.2.1", 312.0)
    assert limits.request("192.0.2.1", 312.0) is Verdict.PASS


def test_eight_a_second_for_ever_is_no_flood() -> None:
    limits = SourceLimits()
    for i in range(1000):
        assert limits.request("192.0.2.1", i / 8) is Verdict.PASS


def test_five_wrong_passwords_a_minute() -> None:
    limits = SourceLimits()
    for i in range(4):
        assert limits.wrong_password("192.0.2.1", i) is Verdict.PASS
    assert limits.wrong_password("192.0.2.1", 5.0) is Verdict.BAN
    assert limits.banned("192.0.2.1", 6.0)


def test_a_right_password_wipes_the_slate() -> None:
    limits = SourceLimits()
    for i in range(4):
        limits.wrong_password("192.0.2.1", i)
    limits.forgive("192.0.2.1")
    assert limits.wrong_password("192.0.2.1", 5.0) is Verdict.PASS


def test_a_flood_of_addresses_costs_a_fixed_amount() -> None:
    limits = SourceLimits(LimitConfig(max_sources=100))
    for i in range(1000):
        limits.request(f"10.0.{i >> 8}.{i & 255}", 1.0)
        limits.due_log(f"10.1.{i >> 8}.{i & 255}", 1.0)
    assert len(limits) == 100


def test_one_line_a_minute() -> None:
    limits = SourceLimits()
    assert limits.due_log("192.0.2.1", 0.0) == 1
    assert [limits.due_log("192.0.2.1", t) for t in (1.0, 30.0, 59.0)] == [None] * 3
    assert limits.due_log("192.0.2.1", 60.0) == 4


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no address", "no address"),
    ],
)
def test_what_a_source_is_counted_by(host: str, key: str) -> None:
    assert source_key(host) == key


@pytest.mark.parametrize(
    "name", ["friendly-scanner", "sipvicious", "sipcli/v1.8", "VaxSIPUserAgent/3.1", "pplsip"]
)
def test_scanners_by_name(name: str) -> None:
    assert is_scanner_name(name)
    assert is_scanner(f"OPTIONS sip:a SIP/2.0\r\nUser-Agent:  {name}\r\n\r\n".encode())
    assert not is_scanner(f"OPTIONS sip:a SIP/2.0\r\nSubject: {name}\r\n\r\n".encode())


def test_ordinary_phones_are_none() -> None:
    for name in ("baresip v4.4.0", "Linphone", "SIPp", "", "\udcff"):
        assert not is_scanner_name(name)
