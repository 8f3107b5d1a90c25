"""UDP on loopback: what comes in, what goes out, and errors that come back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
import uvloop

from telephony.sip import limits
from telephony.sip.addresses import Destination, Send, Source
from telephony.sipnet.udp import UdpEndpoint


@pytest.fixture(
    params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"]
)
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=request.param().new_event_loop) as made:
        yield made


class Ends:
    """Two endpoints of one loop; `a` is the one under test."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.got: list[tuple[bytes, Source]] = []
        self.failed: list[Send] = []
        loop = asyncio.get_running_loop()
        self.a = UdpEndpoint(lambda *_: None, self.failed.append)
        self.b = UdpEndpoint(lambda data, source: self.got.append((data, source)), lambda _: None)
        self.a.open(host, 0, loop)
        self.b.open(host, 0, loop)

    def send(self, data: bytes, key: str = "k", to: tuple[str, int] | None = None) -> bool:
        return self.a.send(Send(data, Destination(to or self.b.local), None, key))

    def close(self) -> None:
        self.a.close()
        self.b.close()


async def until(check: object, seconds: float = 3.0) -> None:
    assert callable(check)
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_datagram_arrives_with_its_source(runner: asyncio.Runner, host: str) -> None:
    async def run() -> None:
        ends = Ends(host)
        assert ends.send(b"hello")
        await until(lambda: ends.got)
        ((data, source),) = ends.got
        assert data == b"hello" and source == Source(ends.a.local, "UDP", ends.b.local)
        ends.close()
        ends.close()
        assert not ends.send(b"closed")

    runner.run(run())


def test_keep_alives_are_no_messages(runner: asyncio.Runner) -> None:
    async def run() -> None:
        ends = Ends()
        for noise in (b"", b"\r\n", b"\r\n\r\n", b"\x00\x00\x00\x00"):
            ends.send(noise)
        ends.send(b"x")
        await until(lambda: ends.got)
        assert [data for data, _ in ends.got] == [b"x"]
        ends.close()

    runner.run(run())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_unreachable_port_is_reported_with_its_request(
    runner: asyncio.Runner, host: str
) -> None:
    """And the endpoint goes on working, again and again."""

    async def run() -> None:
        ends = Ends(host)
        gone = UdpEndpoint(lambda *_: None, lambda _: None)
        gone.open(host, 0, asyncio.get_running_loop())
        gone.close()
        for n in range(3):
            ends.failed.clear()
            data = b"OPTIONS %d" % n + b"x" * 900
            assert ends.send(data, to=gone.local)
            await until(lambda: ends.failed)
            assert [send.data for send in ends.failed] == [data]
            assert ends.send(b"after %d" % n)
            await until(lambda n=n: len(ends.got) == n + 1)
            # The endpoint under test still hears, too.
            heard = ends.a.received
            ends.b.send(Send(b"back", Destination(ends.a.local)))
            await until(lambda heard=heard: ends.a.received == heard + 1)
        ends.close()

    runner.run(run())


def test_a_response_nobody_waits_for_is_not_reported(runner: asyncio.Runner) -> None:
    async def run() -> None:
        ends = Ends()
        gone = UdpEndpoint(lambda *_: None, lambda _: None)
        gone.open("127.0.0.1", 0, asyncio.get_running_loop())
        gone.close()
        ends.send(b"SIP/2.0 200 OK", key="", to=gone.local)
        ends.send(b"OPTIONS", key="k", to=gone.local)
        await until(lambda: ends.failed)
        assert [send.data for send in ends.failed] == [b"OPTIONS"]
        ends.close()

    runner.run(run())


def test_what_cannot_be_sent_fails_at_once(runner: asyncio.Runner) -> None:
    async def run() -> None:
        ends = Ends()
        assert not ends.send(b"x" * 70_000)
        assert not ends.send(b"x", to=("127.0.0.1", 70_000))
        assert not ends.send(b"x", to=("::1", 5060))
        assert ends.send(b"good")
        await until(lambda: ends.got)
        ends.close()

    runner.run(run())


def test_requests_remembered_have_a_ceiling(runner: asyncio.Runner) -> None:
    async def run() -> None:
        ends = Ends()
        for n in range(limits.MAX_UDP_REMEMBERED + 1):
            ends.a._remember(Send(b"%d" % n, Destination(ends.b.local), None, "k"))
        assert len(ends.a._recent) == limits.MAX_UDP_REMEMBERED
        ends.close()

    runner.run(run())


def test_a_taken_port_is_an_error(runner: asyncio.Runner) -> None:
    async def run() -> None:
        ends = Ends()
        other = UdpEndpoint(lambda *_: None, lambda _: None)
        with pytest.raises(OSError, match="in use"):
            other.open(*ends.a.local, asyncio.get_running_loop())
        ends.close()

    runner.run(run())


def test_a_burst_is_read_in_turns(runner: asyncio.Runner) -> None:
    """More datagrams than one wake-up reads all arrive."""

    async def run() -> None:
        ends = Ends()
        plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with plain:
            for n in range(3 * limits.MAX_DATAGRAMS_PER_WAKEUP):
                plain.sendto(b"message %d" % n, ends.b.local)
            await until(lambda: len(ends.got) == 3 * limits.MAX_DATAGRAMS_PER_WAKEUP)
        ends.close()

    runner.run(run())
