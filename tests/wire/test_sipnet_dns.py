"""`DnsZone` against a name server of the test's own, on loopback."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import cast

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from telephony.sip.addresses import Destination
from telephony.sipnet.resolver import DnsZone, Naptr, Resolver, Srv

RECORDS = {
    ("sip.test.", "NAPTR"): '10 20 "s" "SIP+D2U" "" _sip._udp.sip.test.',
    ("_sip._udp.sip.test.", "SRV"): "5 6 5070 host.sip.test.",
    ("host.sip.test.", "A"): "192.0.2.1",
    ("host.sip.test.", "AAAA"): "2001:db8::1",
}


class NameServer(asyncio.DatagramProtocol):
    """Answers from RECORDS; NXDOMAIN for names it does not know, nothing for `silent.test`."""

    transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        (question,) = query.question
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        if name == "silent.test.":
            return
        if name == "broken.test.":
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif (name, kind) in RECORDS:
            answer.answer.append(dns.rrset.from_text(name, 77, "IN", kind, RECORDS[name, kind]))
        elif not any(known == name for known, _ in RECORDS):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        answer.flags |= dns.flags.RA
        self.transport.sendto(answer.to_wire(), addr)


@pytest.fixture
async def zone() -> AsyncIterator[DnsZone]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = transport.get_extra_info("sockname")[1]
    yield DnsZone(resolver)
    transport.close()


async def test_records_of_each_kind(zone: DnsZone) -> None:
    naptr = await zone.query("sip.test", "NAPTR")
    assert naptr.records == (Naptr(10, 20, "s", "SIP+D2U", "_sip._udp.sip.test"),)
    assert naptr.ttl == 77
    srv = await zone.query("_sip._udp.sip.test", "SRV")
    assert srv.records == (Srv(5, 6, 5070, "host.sip.test"),)
    assert (await zone.query("host.sip.test", "A")).records == ("192.0.2.1",)
    assert (await zone.query("host.sip.test", "AAAA")).records == ("2001:db8::1",)


async def test_no_records_is_no_error(zone: DnsZone) -> None:
    assert (await zone.query("host.sip.test", "SRV")).records == ()
    assert (await zone.query("nowhere.test", "SRV")).records == ()


async def test_a_server_that_fails_is_an_error(zone: DnsZone) -> None:
    with pytest.raises(OSError, match="DNS"):
        await zone.query("broken.test", "SRV")
    with pytest.raises(OSError, match="DNS"):
        await zone.query("x" * 70 + ".test", "SRV")


async def test_the_hosts_file_is_asked_last(zone: DnsZone) -> None:
    assert (await zone.query("localhost", "A")).records == ("127.0.0.1",)


async def test_a_whole_resolution(zone: DnsZone) -> None:
    resolver = Resolver(random.Random(1), time.monotonic, zone=zone)
    assert await resolver.resolve("sip:sip.test") == [
        Destination(("192.0.2.1", 5070), "UDP"),
        Destination(("2001:db8::1", 5070), "UDP"),
    ]


async def test_a_silent_server_costs_the_time_given(zone: DnsZone) -> None:
    resolver = Resolver(random.Random(1), time.monotonic, zone=zone, seconds=0.1)
    began = time.monotonic()
    assert await resolver.resolve("sip:silent.test:5060") == []
    assert time.monotonic() - began < 2
