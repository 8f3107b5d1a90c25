"""RFC 3263 over a zone of the test's own: no socket, no sleep."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from telephony.sip import limits
from telephony.sip.addresses import Destination
from telephony.sipnet.resolver import Answer, Naptr, Record, Resolver, Srv, by_weight


class Zone:
    """Answers from a table, and counts what was asked."""

    def __init__(self, table: dict[tuple[str, str], list[Record]], ttl: float = 60) -> None:
        self.table = table
        self.ttl = ttl
        self.asked: Counter[tuple[str, str]] = Counter()
        self.error: OSError | None = None

    async def query(self, name: str, kind: str) -> Answer:
        self.asked[name, kind] += 1
        if self.error is not None:
            raise self.error
        return Answer(tuple(self.table.get((name, kind), ())), self.ttl)


TABLE: dict[tuple[str, str], list[Record]] = {
    ("example.com", "NAPTR"): [
        Naptr(50, 50, "s", "SIPS+D2T", "_sips._tcp.example.com"),
        Naptr(90, 50, "s", "SIP+D2T", "_sip._tcp.example.com"),
        Naptr(100, 50, "s", "SIP+D2U", "_sip._udp.example.com"),
    ],
    ("_sip._tcp.example.com", "SRV"): [Srv(0, 1, 5070, "a.example.com")],
    ("_sip._udp.example.com", "SRV"): [
        Srv(1, 0, 5061, "b.example.com"),
        Srv(0, 0, 5062, "a.example.com"),
    ],
    ("a.example.com", "A"): ["192.0.2.1", "192.0.2.2"],
    ("a.example.com", "AAAA"): ["2001:db8::1"],
    ("b.example.com", "A"): ["192.0.2.3"],
    ("srv.example.org", "A"): ["192.0.2.9"],
    ("_sip._udp.srv.example.org", "SRV"): [Srv(0, 0, 5080, "a.example.com")],
    ("plain.example.org", "A"): ["192.0.2.5"],
    ("dot.example.org", "A"): ["192.0.2.6"],
    ("_sip._udp.dot.example.org", "SRV"): [Srv(0, 0, 0, "")],
}


OVER_UDP = [
    "UDP 192.0.2.1 5062",
    "UDP 192.0.2.2 5062",
    "UDP 2001:db8::1 5062",
    "UDP 192.0.2.3 5061",
]


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def resolver(zone: Zone, time: Time | None = None, **changed: object) -> Resolver:
    return Resolver(random.Random(7), time or Time(), zone=zone, **changed)  # type: ignore[arg-type]


async def found(uri: str, **changed: object) -> list[str]:
    destinations = await resolver(Zone(TABLE), **changed).resolve(uri)
    return [f"{d.transport} {d.address[0]} {d.address[1]}" for d in destinations]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:192.0.2.4", ["UDP 192.0.2.4 5060"]),
        ("sip:u@192.0.2.4:5999;transport=TCP", ["TCP 192.0.2.4 5999"]),
        ("sip:[2001:db8::9]", ["UDP 2001:db8::9 5060"]),
        ("sip:name.example;maddr=192.0.2.4", ["UDP 192.0.2.4 5060"]),
        ("sip:plain.example.org:5999", ["UDP 192.0.2.5 5999"]),
        ("sip:PLAIN.example.org.", ["UDP 192.0.2.5 5060"]),
        ("sip:plain.example.org;transport=tcp", ["TCP 192.0.2.5 5060"]),
        ("sip:plain.example.org", ["UDP 192.0.2.5 5060"]),
        ("sip:dot.example.org", ["UDP 192.0.2.6 5060"]),
        (
            "sip:srv.example.org",
            ["UDP 192.0.2.1 5080", "UDP 192.0.2.2 5080", "UDP 2001:db8::1 5080"],
        ),
        ("sip:srv.example.org:5060", ["UDP 192.0.2.9 5060"]),
        (
            "sip:example.com;transport=udp",
            OVER_UDP,
        ),
        (
            "sip:example.com",
            ["TCP 192.0.2.1 5070", "TCP 192.0.2.2 5070", "TCP 2001:db8::1 5070", *OVER_UDP],
        ),
        ("sip:nowhere.example", []),
        ("sips:example.com", []),
        ("tel:+12025550123", []),
        ("sip:example.com;transport=sctp", []),
        ("no uri at all", []),
    ],
)
async def test_rfc_3263(uri: str, expected: list[str]) -> None:
    assert await found(uri) == expected


async def test_only_the_families_and_transports_there_are() -> None:
    assert await found("sip:srv.example.org", families=("AAAA",)) == ["UDP 2001:db8::1 5080"]
    assert [r[:3] for r in await found("sip:example.com", transports=("UDP",))] == ["UDP"] * 4
    assert await found("sip:192.0.2.4", transports=("TCP", "UDP")) == ["TCP 192.0.2.4 5060"]


async def test_a_preset_transport_is_used_when_the_uri_names_none() -> None:
    dut = resolver(Zone(TABLE))
    assert await dut.resolve("sip:192.0.2.4", transport="tcp") == [
        Destination(("192.0.2.4", 5060), "TCP")
    ]
    (first, *_) = await dut.resolve("sip:example.com;transport=udp", transport="tcp")
    assert first.transport == "UDP"


async def test_answers_are_kept_for_their_time() -> None:
    zone, time = Zone(TABLE), Time()
    dut = resolver(zone, time)
    for _ in range(5):
        await dut.resolve("sip:plain.example.org:5060")
    assert zone.asked["plain.example.org", "A"] == 1
    time.now += 61
    await dut.resolve("sip:plain.example.org:5060")
    assert zone.asked["plain.example.org", "A"] == 2


@pytest.mark.parametrize(
    ("ttl", "kept"),
    [(0.0, limits.MIN_RESOLVER_TTL), (1e9, limits.MAX_RESOLVER_TTL)],
)
async def test_times_to_live_have_bounds(ttl: float, kept: float) -> None:
    zone, time = Zone(TABLE, ttl), Time()
    dut = resolver(zone, time)
    for step, asked in ((0.0, 1), (kept - 0.1, 1), (0.2, 2)):
        time.now += step
        await dut.resolve("sip:plain.example.org:5060")
        assert zone.asked["plain.example.org", "A"] == asked


async def test_a_name_that_was_not_found_is_asked_for_again_soon() -> None:
    zone, time = Zone({}), Time()
    dut = resolver(zone, time)
    assert await dut.resolve("sip:new.example:5060") == []
    zone.table[("new.example", "A")] = ["192.0.2.8"]
    assert await dut.resolve("sip:new.example:5060") == []
    time.now += limits.RESOLVER_NEGATIVE_TTL
    assert len(await dut.resolve("sip:new.example:5060")) == 1


async def test_a_failure_is_not_kept() -> None:
    zone = Zone(TABLE)
    dut = resolver(zone)
    zone.error = OSError("no server")
    assert await dut.resolve("sip:plain.example.org:5060") == []
    zone.error = None
    assert len(await dut.resolve("sip:plain.example.org:5060")) == 1


async def test_records_one_can_do_without() -> None:
    class Half(Zone):
        async def query(self, name: str, kind: str) -> Answer:
            if kind != "A":
                raise OSError("no answer")
            return await super().query(name, kind)

    assert await resolver(Half(TABLE)).resolve("sip:plain.example.org") == [
        Destination(("192.0.2.5", 5060), "UDP")
    ]


async def test_the_cache_has_a_ceiling() -> None:
    dut = resolver(Zone({}))
    for n in range(limits.MAX_RESOLVER_CACHE):
        await dut.resolve(f"sip:h{n}.example:5060")
    assert len(dut) == limits.MAX_RESOLVER_CACHE


async def test_time_is_up() -> None:
    class Silent:
        async def query(self, name: str, kind: str) -> Answer:
            await asyncio.Event().wait()
            raise AssertionError("never")

    dut = Resolver(random.Random(1), Time(), zone=Silent(), seconds=0.01)
    assert await dut.resolve("sip:plain.example.org") == []


async def test_targets_have_a_ceiling() -> None:
    many: list[Record] = [Srv(n, 0, 5060, f"192.0.2.{n}") for n in range(1, 60)]
    dut = resolver(Zone({("_sip._udp.many.example", "SRV"): many}))
    destinations = await dut.resolve("sip:many.example;transport=udp")
    assert len(destinations) == limits.MAX_TARGETS
    assert destinations[0].address == ("192.0.2.1", 5060)


def test_weights_are_shares_of_a_priority() -> None:
    records = [Srv(0, 60, 1, "a"), Srv(0, 20, 1, "b"), Srv(0, 20, 1, "c"), Srv(1, 0, 1, "d")]
    rng = random.Random(11)
    firsts = Counter(by_weight(records, rng)[0].target for _ in range(2000))
    assert 1080 <= firsts["a"] <= 1320 and firsts["d"] == 0
    for _ in range(50):
        drawn = by_weight(records, rng)
        assert sorted(r.target for r in drawn) == ["a", "b", "c", "d"]
        assert drawn[-1].target == "d"
    assert by_weight([], rng) == []
    zeros = [Srv(0, 0, 1, "a"), Srv(0, 0, 1, "b")]
    assert len(by_weight(zeros, rng)) == 2
