"""Which of our addresses a peer is told."""

from __future__ import annotations

import pytest

from telephony.carriers.trunk import addresses as module
from telephony.carriers.trunk.addresses import Addresses, is_near


@pytest.fixture(autouse=True)
def _routes(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"10.1.2.3": "10.1.0.1", "127.0.0.1": "127.0.0.1", "8.8.8.8": "10.1.0.1"}
    monkeypatch.setattr(module, "route_to", lambda peer: table.get(peer))


def test_a_bound_address_is_told_to_everybody() -> None:
    ours = Addresses("10.1.0.1", "")
    assert {ours.towards(p) for p in ("10.1.2.3", "8.8.8.8")} == {"10.1.0.1"}
    assert (ours.default(), ours.bind("8.8.8.8")) == ("10.1.0.1", "10.1.0.1")


def test_the_external_address_is_for_those_outside() -> None:
    ours = Addresses("0.0.0.0", "198.51.100.1")
    assert ours.towards("8.8.8.8") == "198.51.100.1"
    assert ours.towards("10.1.2.3") == "10.1.0.1"
    assert ours.towards("127.0.0.1") == "127.0.0.1"
    assert ours.default() == "198.51.100.1"
    assert ours.bind("8.8.8.8") == "0.0.0.0"


def test_without_a_route_there_is_still_an_address() -> None:
    assert Addresses("0.0.0.0", "").towards("172.16.0.1") == "127.0.0.1"
    assert Addresses("::", "").towards("fd00::1") == "::1"
    assert Addresses("::", "").bind("fd00::1") == "::"


def test_what_is_near() -> None:
    near = ("127.0.0.1", "10.0.0.1", "192.168.1.1", "fe80::1%eth0", "fd00::1", "::1")
    assert all(is_near(p) for p in near)
    assert not any(is_near(p) for p in ("8.8.8.8", "2606:4700::1", "name"))
