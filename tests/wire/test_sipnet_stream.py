"""TCP on loopback: flows, re-use, deadlines and ceilings."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
import uvloop

from telephony.base.trace import Trace
from telephony.sip.addresses import Destination, Send, Source
from telephony.sip.message import Request, Response
from telephony.sip.parser import Malformed
from telephony.sipnet.stream import StreamConfig, Streams


@pytest.fixture(
    params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"]
)
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=request.param().new_event_loop) as made:
        yield made


MESSAGE = (
    b"OPTIONS sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKabc\r\n"
    b"From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\nCall-ID: id\r\n"
    b"CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


class User:
    def __init__(self) -> None:
        self.got: list[tuple[Request | Response | Malformed, Source]] = []
        self.failures: list[Send] = []
        self.ended: list[int] = []

    def received(self, message: Request | Response | Malformed, source: Source) -> None:
        self.got.append((message, source))

    def failed(self, send: Send) -> None:
        self.failures.append(send)

    def closed(self, flow: int) -> None:
        self.ended.append(flow)


TRUSTED = {"127.0.0.2"}


def streams(user: User, **changed: float) -> Streams:
    values: dict[str, object] = {"sweep": 0.02} | changed
    config = StreamConfig(**values)  # type: ignore[arg-type]
    return Streams(user, time.monotonic, config, Trace(), trusted=TRUSTED.__contains__)


def reasons(dut: Streams) -> list[object]:
    assert dut._trace is not None
    return [entry.facts["reason"] for entry in dut._trace.entries()]


def send(address: tuple[str, int], flow: int = 0, data: bytes = MESSAGE) -> Send:
    return Send(data, Destination(address, "TCP", flow), None, "k")


async def until(check: object, seconds: float = 3.0) -> None:
    assert callable(check)
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_one_connection_serves_both_ways(runner: asyncio.Runner, host: str) -> None:
    async def run() -> None:
        a, b = User(), User()
        dialling, listening = streams(a), streams(b)
        address = await listening.listen(host, 0)
        for _ in range(3):
            assert dialling.send(send(address))
        await until(lambda: len(b.got) == 3)
        source = b.got[0][1]
        assert source.transport == "TCP" and source.local == address and source.flow
        # By flow, by address, and by the flow when the address says otherwise.
        assert listening.send(send(source.address, source.flow))
        assert listening.send(send(source.address))
        assert listening.send(send(("192.0.2.1", 9), source.flow))
        await until(lambda: len(a.got) == 3)
        assert len(dialling) == len(listening) == 1
        await dialling.close()
        await until(lambda: b.ended == [source.flow])
        assert len(listening) == 0 and a.ended == []
        await listening.close()

    runner.run(run())


def test_messages_wait_for_the_connection_in_order(runner: asyncio.Runner) -> None:
    async def run() -> None:
        a, b = User(), User()
        dialling, listening = streams(a), streams(b)
        address = await listening.listen("127.0.0.1", 0)
        for n in range(5):
            assert dialling.send(send(address, data=MESSAGE.replace(b": 1 O", b": %d O" % (n + 1))))
        await until(lambda: len(b.got) == 5)
        assert [m.cseq.number for m, _ in b.got if isinstance(m, Request)] == [1, 2, 3, 4, 5]
        assert len(listening) == 1
        await dialling.close()
        await listening.close()

    runner.run(run())


def test_a_refused_connection_fails_all_that_waited(runner: asyncio.Runner) -> None:
    async def run() -> None:
        user = User()
        dut = streams(user)
        with closing(socket.socket()) as taken:
            taken.bind(("127.0.0.1", 0))
            address = taken.getsockname()
            assert dut.send(send(address)) and dut.send(send(address))
            await until(lambda: len(user.failures) == 2)
        assert reasons(dut) == ["connect: ConnectionRefusedError"]
        assert user.ended == []
        assert not dut.send(send(("127.0.0.1", 0)))
        await dut.close()
        assert not dut.send(send(address))

    runner.run(run())


def test_a_connection_that_never_opens_fails_in_time(runner: asyncio.Runner) -> None:
    async def run() -> None:
        user = User()
        dut = streams(user, connect=0.05)
        with closing(socket.socket()) as full:
            # A listener whose queue is full neither accepts nor refuses.
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            assert dut.send(send(full.getsockname()))
            await until(lambda: len(user.failures) == 1)
            for filler in fillers:
                filler.close()
        await dut.close()

    runner.run(run())


def test_what_waits_for_a_connection_has_a_ceiling(
    runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telephony.sipnet.stream.MAX_STREAM_BACKLOG", 2)
    monkeypatch.setattr("telephony.sipnet.stream.MAX_STREAM_CONNECTING", 1)

    async def run() -> None:
        dut = streams(User())
        first, second = ("127.0.0.1", 9), ("127.0.0.2", 9)
        assert [dut.send(send(first)) for _ in range(3)] == [True, True, False]
        assert not dut.send(send(second))
        await dut.close()

    runner.run(run())


async def connect(address: tuple[str, int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*address)


def test_pings_are_answered(runner: asyncio.Runner) -> None:
    async def run() -> None:
        user = User()
        dut = streams(user)
        reader, writer = await connect(await dut.listen("127.0.0.1", 0))
        writer.write(b"\r\n\r\n")
        assert await asyncio.wait_for(reader.readexactly(2), 3) == b"\r\n"
        writer.close()
        await until(lambda: len(user.ended) == 1)
        await dut.close()

    runner.run(run())


def test_one_byte_at_a_time(runner: asyncio.Runner) -> None:
    async def run() -> None:
        user = User()
        dut = streams(user)
        _, writer = await connect(await dut.listen("127.0.0.1", 0))
        for byte in MESSAGE:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        await until(lambda: len(user.got) == 1)
        writer.close()
        await dut.close()

    runner.run(run())


@pytest.mark.parametrize("start", [b"", b"OPTIONS sip:", MESSAGE + MESSAGE[:50]])
def test_a_slow_sender_is_cut_off(runner: asyncio.Runner, start: bytes) -> None:
    async def run() -> None:
        dut = streams(User(), first_byte=0.05, whole_message=0.05)
        reader, writer = await connect(await dut.listen("127.0.0.1", 0))
        writer.write(start)
        began = time.monotonic()

        async def trickle() -> None:
            # One byte now and then does not help him.
            while start:
                await asyncio.sleep(0.02)
                writer.write(b"x")

        task = asyncio.ensure_future(trickle())
        with suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 3) == b""
        assert time.monotonic() - began < 1.5
        assert reasons(dut) == ["message not whole" if start else "nothing sent"]
        task.cancel()
        writer.close()
        await dut.close()

    runner.run(run())


def test_a_sender_of_whole_messages_is_not_cut_off(runner: asyncio.Runner) -> None:
    async def run() -> None:
        user = User()
        dut = streams(user, first_byte=0.05, whole_message=0.1)
        _, writer = await connect(await dut.listen("127.0.0.1", 0))
        for _ in range(6):
            writer.write(MESSAGE[:100])
            await asyncio.sleep(0.03)
            writer.write(MESSAGE[100:] + b"\r\n")
            await asyncio.sleep(0.03)
        assert len(user.got) == 6 and not user.ended
        writer.close()
        await dut.close()

    runner.run(run())


def test_an_idle_connection_is_closed(runner: asyncio.Runner) -> None:
    async def run() -> None:
        user = User()
        dut = streams(user, idle=0.05)
        reader, writer = await connect(await dut.listen("127.0.0.1", 0))
        writer.write(MESSAGE)
        assert await asyncio.wait_for(reader.read(), 3) == b""
        assert len(user.got) == 1 and reasons(dut) == ["idle"]
        writer.close()
        await until(lambda: len(user.ended) == 1)
        await dut.close()

    runner.run(run())


def test_connections_of_one_source_have_a_ceiling(runner: asyncio.Runner) -> None:
    async def run() -> None:
        user = User()
        dut = streams(user, per_source=2)
        address = await dut.listen("127.0.0.1", 0)
        kept = [await connect(address) for _ in range(2)]
        await until(lambda: len(dut) == 2)
        reader, writer = await connect(address)
        with pytest.raises((ConnectionResetError, EOFError)):
            await asyncio.wait_for(reader.readexactly(1), 3)
        writer.close()
        assert dut.refused == 1 and len(dut) == 2
        assert reasons(dut) == ["too many connections"]
        trusted = [
            await asyncio.open_connection(*address, local_addr=("127.0.0.2", 0)) for _ in range(3)
        ]
        await until(lambda: len(dut) == 5)
        for _, open_writer in trusted:
            open_writer.close()
        await until(lambda: len(dut) == 2)
        kept[0][1].close()
        await until(lambda: len(dut) == 1)
        again = await connect(address)
        await until(lambda: len(dut) == 2)
        for _, open_writer in (kept[1], again):
            open_writer.close()
        await dut.close()

    runner.run(run())


def test_connections_in_all_have_a_ceiling(runner: asyncio.Runner) -> None:
    async def run() -> None:
        dut = streams(User(), total=0)
        reader, writer = await connect(await dut.listen("127.0.0.1", 0))
        with pytest.raises((ConnectionResetError, EOFError)):
            await asyncio.wait_for(reader.readexactly(1), 3)
        writer.close()
        await dut.close()

    runner.run(run())


def test_a_peer_that_does_not_read_is_cut_off(runner: asyncio.Runner) -> None:
    async def run() -> None:
        user = User()
        dut = streams(user, write_buffer=1000)
        reader, writer = await connect(await dut.listen("127.0.0.1", 0))
        writer.write(MESSAGE)
        await until(lambda: len(user.got) == 1)
        source = user.got[0][1]
        results = [dut.send(send(source.address, source.flow, b"x" * 1_000_000)) for _ in range(9)]
        assert results[-1] is False or not all(results)
        await until(lambda: user.ended == [source.flow])
        assert "peer does not read" in reasons(dut)
        writer.close()
        del reader
        await dut.close()

    runner.run(run())


def test_a_stream_that_lost_its_framing_is_closed(runner: asyncio.Runner) -> None:
    async def run() -> None:
        user = User()
        dut = streams(user)
        reader, writer = await connect(await dut.listen("127.0.0.1", 0))
        writer.write(MESSAGE.replace(b"Content-Length: 0", b"Content-Length: -1"))
        assert await asyncio.wait_for(reader.read(), 3) == b""
        ((message, _),) = user.got
        assert isinstance(message, Malformed) and message.answer is not None
        assert reasons(dut) == ["Malformed Content-Length"]
        writer.close()
        await dut.close()

    runner.run(run())
