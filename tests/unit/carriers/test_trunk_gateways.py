"""Gateways as they are written, and how often a trunk may be asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from telephony.accounts.model import Transport, Trunk
from telephony.base.errors import BadInput
from telephony.carriers.caps import TrunkCaps
from telephony.carriers.trunk.gateways import Gateway, gateways, parse_gateway

T0 = datetime(2026, 1, 5, tzinfo=UTC)


def trunk(**changes: object) -> Trunk:
    base = Trunk(
        id="tr_1",
        organization="org_default",
        name="main",
        gateways=("a.example",),
        created_at=T0,
        updated_at=T0,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "host", "port", "transport", "uri"),
    [
        ("sip.example.com", "sip.example.com", None, "udp", "sip:1@sip.example.com"),
        ("192.0.2.1:5070", "192.0.2.1", 5070, "udp", "sip:1@192.0.2.1:5070"),
        ("[2001:db8::1]:5070", "2001:db8::1", 5070, "udp", "sip:1@[2001:db8::1]:5070"),
        ("2001:db8::1", "2001:db8::1", None, "udp", "sip:1@[2001:db8::1]"),
        ("sip:h:5080;transport=tcp", "h", 5080, "tcp", "sip:1@h:5080;transport=tcp"),
    ],
)
def test_ways_to_write_a_gateway(
    text: str, host: str, port: int | None, transport: str, uri: str
) -> None:
    gateway = parse_gateway(text, Transport.UDP)
    assert gateway == Gateway(host, port, Transport(transport))
    assert gateway.uri("1") == uri


@pytest.mark.parametrize("text", ["", "a b", "sip:", "h:99999", "sip:h;transport=tls", "h:port"])
def test_what_is_no_gateway(text: str) -> None:
    with pytest.raises(BadInput):
        parse_gateway(text, Transport.UDP)


def test_order_is_kept_and_the_unreadable_left_out() -> None:
    found = gateways(trunk(gateways=("b", "a b", "a:5070"), transport=Transport.TCP))
    assert [(g.host, g.transport.value) for g in found] == [("b", "tcp"), ("a", "tcp")]


def test_max_calls() -> None:
    caps, one = TrunkCaps(), trunk(max_calls=2)
    for _ in range(2):
        assert caps.refusal(one, 0.0) is None
        caps.begin(one.id, 0.0, outbound=True)
    busy = caps.refusal(one, 0.0)
    assert busy is not None
    assert busy.code == "TRUNK_BUSY"
    caps.end(one.id)
    assert caps.refusal(one, 0.0) is None


def test_calls_per_second() -> None:
    caps, one = TrunkCaps(), trunk(calls_per_second=2)
    for at in (0.0, 0.1):
        assert caps.refusal(one, at) is None
        caps.begin(one.id, at, outbound=True)
        caps.end(one.id)
    busy = caps.refusal(one, 0.5)
    assert busy is not None
    assert busy.retry_after == 1
    assert caps.refusal(one, 1.05) is None


def test_less_than_one_a_second() -> None:
    caps, one = TrunkCaps(), trunk(calls_per_second=0.1)
    caps.begin(one.id, 0.0, outbound=True)
    busy = caps.refusal(one, 2.0)
    assert busy is not None
    assert busy.retry_after == 8
    assert caps.refusal(one, 10.0) is None


def test_inbound_calls_fill_the_trunk_but_not_its_rate() -> None:
    caps, one = TrunkCaps(), trunk(calls_per_second=1, max_calls=5)
    caps.begin(one.id, 0.0, outbound=False)
    assert caps.refusal(one, 0.0) is None
    assert caps.live(one.id) == 1


def test_trunks_that_are_gone_are_forgotten_when_idle() -> None:
    caps = TrunkCaps()
    caps.begin("a", 0.0, outbound=True)
    caps.begin("b", 0.0, outbound=True)
    caps.end("b")
    caps.keep(frozenset())
    assert (caps.live("a"), caps.live("b")) == (1, 0)
