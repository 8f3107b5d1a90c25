"""The driver over real sockets, under an agent of the test's own and under the real one."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from telephony.sip.addresses import Destination, Send, Source
from telephony.sip.agent import AgentConfig, UserAgent
from telephony.sip.events import NeedResolve, SipEvent
from telephony.sip.message import Request, Response
from telephony.sip.parser import parse
from telephony.sipnet.driver import SipDriver
from telephony.sipnet.resolver import Answer, Resolver

VECTORS = Path(__file__).parents[1] / "vectors" / "rfc4475"

OPTIONS = (
    b"OPTIONS sip:b@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/%s 127.0.0.1:%d;branch=z9hG4bK%d;rport\r\n"
    b"Max-Forwards: 70\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\n"
    b"Call-ID: id%d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


class Doors:
    """An agent that echoes, remembers, and does what the test told it to."""

    def __init__(self) -> None:
        self.got: list[tuple[Any, Source]] = []
        self.sends: list[Send] = []
        self.events: list[Any] = []
        self.failures: list[Send] = []
        self.flows: list[int] = []
        self.answers: list[tuple[str, Sequence[Destination]]] = []
        self.deadline: float | None = None
        self.expired: list[float] = []
        self.on_receive: Callable[[], None] = lambda: None

    def receive(self, data: Any, source: Source, now: float) -> None:
        self.got.append((data, source))
        self.on_receive()

    def expire(self, now: float) -> None:
        if self.deadline is not None and now >= self.deadline:
            self.deadline = None
            self.expired.append(now)

    def next_deadline(self) -> float | None:
        return self.deadline

    def take_sends(self) -> list[Send]:
        taken, self.sends = self.sends, []
        return taken

    def take_events(self) -> list[SipEvent]:
        taken, self.events = self.events, []
        return taken

    def transport_failed(self, send: Send, now: float) -> None:
        self.failures.append(send)

    def flow_closed(self, flow: int, now: float) -> None:
        self.flows.append(flow)

    def resolved(self, token: str, destinations: Sequence[Destination], *, now: float) -> None:
        self.answers.append((token, destinations))

    def say(self, *items: Any) -> None:
        for item in items:
            (self.sends if isinstance(item, Send) else self.events).append(item)


class Rig:
    def __init__(self, doors: Any, driver: SipDriver, events: list[Any]) -> None:
        self.doors, self.driver, self.events = doors, driver, events
        self.address = ("", 0)


Make = Callable[..., Awaitable[Rig]]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[SipDriver] = []

    async def build(
        doors: Any = None, on_event: Callable[[Any], None] | None = None, **changed: Any
    ) -> Rig:
        events: list[Any] = []
        doors = doors or Doors()
        driver = SipDriver(doors, on_event or events.append, clock=time.monotonic, **changed)
        made.append(driver)
        rig = Rig(doors, driver, events)
        rig.address = await driver.listen("127.0.0.1", 0)
        return rig

    yield build
    for driver in made:
        await driver.close()


async def until(check: Callable[[], object], seconds: float = 3.0) -> None:
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.005)


def to(
    address: tuple[str, int], transport: str = "UDP", data: bytes = b"x", key: str = "k"
) -> Send:
    return Send(data, Destination(address, transport), None, key)


async def test_udp_and_tcp_share_a_port(make: Make) -> None:
    a, b = await make(), await make()
    assert a.driver.local == [a.address]
    data = OPTIONS % (b"TCP", 5060, 1, 1)
    a.driver.order(a.doors.say, to(b.address, "UDP", data), to(b.address, "TCP", data))
    await until(lambda: len(b.doors.got) == 2)
    by_transport = {source.transport: got for got, source in b.doors.got}
    assert by_transport["UDP"] == data
    assert isinstance(by_transport["TCP"], Request)


async def test_events_come_before_sends_and_both_before_the_return(make: Make) -> None:
    order: list[str] = []
    rig = await make(on_event=lambda event: order.append(f"event {event}"))
    put = rig.driver._put
    rig.driver._put = lambda send: (order.append("send"), put(send))[1]  # type: ignore[method-assign]
    assert rig.driver.order(lambda: rig.doors.say(to(rig.address), "e1", "e2")) is None
    assert order == ["event e1", "event e2", "send"]


async def test_orders_given_while_events_are_handed_out(make: Make) -> None:
    rig = await make(on_event=lambda event: handle(event))

    def handle(event: Any) -> None:
        seen.append(event)
        if event < 3:
            rig.driver.order(rig.doors.say, event + 1)

    seen: list[int] = []
    rig.driver.order(rig.doors.say, 1)
    assert seen == [1, 2, 3]


async def test_one_timer_follows_the_deadline(make: Make) -> None:
    rig = await make()

    def deadline(value: float | None) -> None:
        rig.doors.deadline = value

    now = time.monotonic()
    rig.driver.order(deadline, now + 60)
    rig.driver.order(deadline, now + 0.05)
    await until(lambda: rig.doors.expired)
    assert 0.04 <= rig.doors.expired[0] - now < 1
    # A deadline that moved away: the timer comes early, does nothing, and is set anew.
    now = time.monotonic()
    rig.driver.order(deadline, now + 0.03)
    rig.driver.order(deadline, now + 0.1)
    await until(lambda: len(rig.doors.expired) == 2)
    assert rig.doors.expired[1] - now >= 0.1
    rig.driver.order(deadline, now + 60)
    rig.driver.order(deadline, None)
    assert rig.driver._timer is None


async def test_a_fault_in_the_agent_costs_one_message(make: Make) -> None:
    rig, peer = await make(), await make()

    def fail() -> None:
        rig.doors.on_receive = lambda: None
        rig.doors.say("event")
        raise RuntimeError("a bug")

    rig.doors.on_receive = fail
    with structlog.testing.capture_logs() as logs:
        peer.driver.order(
            peer.doors.say, to(rig.address, data=b"one"), to(rig.address, data=b"two")
        )
        await until(lambda: len(rig.doors.got) == 2)
    faults = [entry for entry in logs if entry["event"] == "sip.internal_error"]
    assert len(faults) == 1 and faults[0]["exc_info"] and faults[0]["log_level"] == "error"
    assert rig.events == ["event"]


async def test_a_fault_in_a_handler_costs_one_event(make: Make) -> None:
    seen = []

    def handle(event: Any) -> None:
        seen.append(event)
        if event == "bad":
            raise RuntimeError("a bug")

    rig = await make(on_event=handle)
    with structlog.testing.capture_logs() as logs:
        rig.driver.order(rig.doors.say, "bad", "good")
    assert seen == ["bad", "good"]
    assert [entry["event"] for entry in logs] == ["sip.event_failed"]


async def test_an_order_that_is_wrong_is_the_callers(make: Make) -> None:
    rig = await make()

    def wrong() -> None:
        raise ValueError("header")

    with pytest.raises(ValueError, match="header"):
        rig.driver.order(wrong)


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_what_nobody_takes_is_reported(make: Make, transport: str) -> None:
    rig = await make()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        rig.driver.order(rig.doors.say, to(taken.getsockname(), transport, b"INVITE " + b"x" * 99))
        await until(lambda: rig.doors.failures)
    assert len(rig.doors.failures) == 1


async def test_no_socket_of_the_family_fails_at_once(make: Make) -> None:
    rig = await make()
    rig.driver.order(rig.doors.say, to(("::1", 5060)))
    assert len(rig.doors.failures) == 1


async def test_a_closed_flow_is_reported(make: Make) -> None:
    a, b = await make(), await make()
    a.driver.order(a.doors.say, to(b.address, "TCP", OPTIONS % (b"TCP", 5060, 1, 1)))
    await until(lambda: b.doors.got)
    await a.driver.close()
    await until(lambda: b.doors.flows == [b.doors.got[0][1].flow])


async def test_two_addresses_and_the_one_the_peer_knows(make: Make) -> None:
    rig, peer = await make(), await make()
    second = await rig.driver.listen("127.0.0.2", 0)
    ipv6 = await rig.driver.listen("::1", 0)
    assert rig.driver.local == [rig.address, second, ipv6]
    for local in (second, rig.address, None):
        rig.driver.order(rig.doors.say, Send(b"x", Destination(peer.address), local))
    await until(lambda: len(peer.doors.got) == 3)
    assert [s.address for _, s in peer.doors.got] == [second, rig.address, rig.address]
    own = await peer.driver.listen("::1", 0)
    rig.driver.order(rig.doors.say, to(own))
    await until(lambda: len(peer.doors.got) == 4)
    assert peer.doors.got[3][1].address == ipv6


async def test_a_taken_port_is_an_error_and_leaves_nothing_open(make: Make) -> None:
    rig = await make()
    with pytest.raises(OSError, match="in use"):
        await rig.driver.listen(*rig.address)
    assert len(rig.driver.local) == 1


class Hosts:
    async def query(self, name: str, kind: str) -> Answer:
        return Answer(("192.0.2.7",) if (name, kind) == ("pbx.example", "A") else (), 60)


async def test_names_are_resolved_for_the_agent(make: Make) -> None:
    resolver = Resolver(random.Random(1), time.monotonic, zone=Hosts())
    rig = await make(resolver=resolver)
    rig.driver.order(rig.doors.say, NeedResolve("t1", "sip:pbx.example;transport=tcp"))
    rig.driver.order(rig.doors.say, NeedResolve("t2", "sip:nowhere.example"))
    await until(lambda: len(rig.doors.answers) == 2)
    assert dict(rig.doors.answers) == {
        "t1": [Destination(("192.0.2.7", 5060), "TCP")],
        "t2": [],
    }
    assert rig.events == []
    without = await make()
    without.driver.order(without.doors.say, NeedResolve("t3", "sip:pbx.example"))
    await until(lambda: without.doors.answers == [("t3", [])])


# -- the real agent --------------------------------------------------------------------------------


def real_agent() -> UserAgent:
    return UserAgent(AgentConfig(), random.Random(5))


async def test_the_agent_answers_options_over_udp(make: Make) -> None:
    rig = await make(real_agent())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        phone.setblocking(False)
        loop = asyncio.get_running_loop()
        data = OPTIONS % (b"UDP", phone.getsockname()[1], 1, 1)
        await loop.sock_sendto(phone, data, rig.address)
        answer = parse(await asyncio.wait_for(loop.sock_recv(phone, 9999), 3))
        assert isinstance(answer, Response) and answer.status == 200
        assert answer.top_via.rport == str(phone.getsockname()[1])


async def test_the_agent_answers_options_over_tcp_on_the_same_connection(make: Make) -> None:
    rig = await make(real_agent())
    reader, writer = await asyncio.open_connection(*rig.address)
    for n in range(3):
        writer.write(OPTIONS % (b"TCP", 5060, n, n))
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 3)
        assert head.startswith(b"SIP/2.0 200 ")
    writer.write((OPTIONS % (b"TCP", 5060, 9, 9)).replace(b"Content-Length: 0\r\n", b""))
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 3)
    assert head.startswith(b"SIP/2.0 400 ")
    assert await asyncio.wait_for(reader.read(), 3) == b""
    writer.close()


async def test_rfc_4475_over_the_wire_leaves_no_exception(make: Make) -> None:
    rig = await make(real_agent())
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone,
        structlog.testing.capture_logs() as logs,
    ):
        phone.bind(("127.0.0.1", 0))
        for path in sorted(VECTORS.glob("*.dat")):
            phone.sendto(path.read_bytes(), rig.address)
        endpoint = rig.driver._udp[0]
        await until(lambda: endpoint.received == len(list(VECTORS.glob("*.dat"))))
        # TCP: each on a connection of its own, cut off at once.
        for path in sorted(VECTORS.glob("*.dat")):
            _, writer = await asyncio.open_connection(*rig.address)
            writer.write(path.read_bytes())
            writer.write_eof()
            await asyncio.sleep(0)
            writer.close()
        await asyncio.sleep(0.1)
    assert [e for e in logs if e["event"] in ("sip.internal_error", "sip.event_failed")] == []
