"""Sound that strangers would send elsewhere, put into a call, or take out of it."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from telephony.calls.events import DigitPressed
from telephony.calls.ports import Sound
from telephony.media.config import MediaConfig
from telephony.media.engine import Engine
from telephony.rtp.packet import Packet
from telephony.testing.audio import tone
from telephony.testing.softphone import PhoneCall, Softphone
from tests.wire.conftest import RealClock

House = Callable[..., Awaitable[Any]]
PORTS = (37000, 37098)
LONG = Sound(np.asarray(tone(440, 10_000), np.int16).tobytes())


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    config = MediaConfig(ports=PORTS, drain_seconds=0.1)
    made = Engine(config, RealClock(), rng=random.Random(3))
    await made.start()
    yield made
    await made.stop()


class Canary:
    """A socket that counts what reaches it."""

    def __init__(self, host: str, port: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.socket.setblocking(False)
        self.address = self.socket.getsockname()

    def say(self, data: bytes, to: tuple[str, int]) -> None:
        self.socket.sendto(data, to)

    def heard(self) -> int:
        count = 0
        while True:
            try:
                self.socket.recv(2048)
            except BlockingIOError:
                return count
            except ConnectionRefusedError:
                continue
            count += 1


@pytest.fixture
def canary() -> Iterator[Callable[[str], Canary]]:
    made: list[Canary] = []

    def make(host: str) -> Canary:
        made.append(Canary(host))
        return made[-1]

    yield make
    for one in made:
        one.socket.close()


def offer(host: str, port: int) -> bytes:
    return (
        f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
    ).encode()


def rtp(sequence: int, kind: int = 0, payload: bytes = b"\xff" * 160, ssrc: int = 7) -> bytes:
    return bytes(Packet(kind, sequence % 65536, 160 * sequence, ssrc, payload))


async def playing(home: Any, phone: Softphone, body: bytes | None = None) -> PhoneCall:
    """A call that is told something; with a ``body`` of the test's own, the phone is silent."""

    def take(caught: Any) -> None:
        caught.leg.answer()
        caught.leg.media.play(LONG, lambda played: None)

    home.when_taken = take
    call = await phone.call(home.uri("front-desk"), body=body)
    if body is not None:
        call.sound.start = lambda towards: None  # type: ignore[method-assign]
    await call.answered()
    return call


async def test_a_stranger_cannot_aim_our_sound_at_a_third_host(
    house: House, engine: Engine, canary: Callable[[str], Canary]
) -> None:
    home = await house(engine)
    victim = canary("127.0.0.3")
    async with Softphone() as phone:
        await playing(home, phone, offer(*victim.address))
        await asyncio.sleep(0.4)
        assert victim.heard() == 0
        # What speaks from there is no victim.
        lane = home.caught[-1].leg.media
        for number in range(5):
            victim.say(rtp(number), lane.local_address)
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        assert victim.heard() > 5


async def test_nor_in_the_middle_of_a_call(
    house: House, engine: Engine, canary: Callable[[str], Canary]
) -> None:
    home = await house(engine)
    victim = canary("127.0.0.3")
    async with Softphone() as phone:
        call = await playing(home, phone)
        await call.reoffer(replace(call.local, host=victim.address[0], port=victim.address[1]))
        await asyncio.sleep(0.4)
        assert victim.heard() == 0
        assert call.ending is None


async def test_a_phone_that_proved_itself_is_taken_at_its_word(
    house: House, engine: Engine, canary: Callable[[str], Canary]
) -> None:
    home = await house(engine)
    home.book.add_phone("1000", "secret")
    elsewhere = canary("127.0.0.3")
    async with Softphone("1000", "secret") as phone:
        await playing(home, phone, offer(*elsewhere.address))
        await asyncio.sleep(0.4)
        assert elsewhere.heard() > 5


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
async def test_an_address_that_no_socket_reaches_is_refused_and_the_call_goes_on(
    house: House, engine: Engine, method: str
) -> None:
    """A socket on loopback cannot be connected to a public address."""
    home = await house(engine)
    home.book.add_phone("1000", "secret")
    async with Softphone("1000", "secret") as phone:
        call = await playing(home, phone)
        exchange = call._exchange
        assert exchange is not None
        stands = exchange.local
        for _ in range(2):
            exchange.local = replace(stands, host="8.8.8.8")
            await call._reoffer(exchange.offer(), method)
        assert [failure.status for failure in call.offer_failures] == [488, 488]
        exchange.local = stands
        await call.hold(method=method)
        await call.hold(on=False, method=method)
        assert call.ending is None
        await home.caught[-1].until("LegUnheld")


async def test_a_call_to_such_an_address_is_refused(house: House, engine: Engine) -> None:
    home = await house(engine)
    home.book.add_phone("1000", "secret")
    home.when_taken = lambda caught: caught.leg.answer()
    async with Softphone("1000", "secret") as phone:
        call = await phone.call(home.uri("front-desk"), body=offer("8.8.8.8", 4000))
        ending = await call.ended()
    assert ending.status == 488


async def test_an_ack_that_brings_such_an_address_ends_the_call(
    house: House, engine: Engine
) -> None:
    home = await house(engine)
    home.book.add_phone("1000", "secret")
    home.when_taken = lambda caught: caught.leg.answer()
    async with Softphone("1000", "secret") as phone:
        call = await phone.call(home.uri("front-desk"), offer=False)
        exchange = await call.open_sound()
        exchange.local = replace(exchange.local, host="8.8.8.8")
        await call.ended()
    end = home.caught[-1].end
    assert end.outcome.cause == "media_incompatible"


async def test_nothing_is_put_into_a_call_or_taken_out_of_it_by_others(
    house: House, engine: Engine, canary: Callable[[str], Canary]
) -> None:
    """Before and after the first packet of the far end; the right SSRC helps nobody."""
    home = await house(engine)
    others = [canary("127.0.0.1"), canary("127.0.0.2"), canary("127.0.0.3")]
    async with Softphone() as phone:
        call = await playing(home, phone)
        lane = home.caught[-1].leg.media
        control = (lane.local_address[0], lane.local_address[1] + 1)
        for ssrc in (7, call.sound._ssrc):
            for other in others:
                for number in range(1000, 1040):
                    other.say(rtp(number, ssrc=ssrc), lane.local_address)
                for key in (1, 2, 3):
                    for end in (0, 0, 0x80, 0x80, 0x80):
                        event = struct.pack("!BBH", key, end | 10, 800)
                        other.say(rtp(2000 + key, 101, event, ssrc), lane.local_address)
                goodbye = struct.pack("!BBHI", 0x81, 203, 1, ssrc)
                for junk in (goodbye, b"", b"\x80", b"\xff" * 1400, b"\x80\xc8\xff\xff" + bytes(9)):
                    other.say(junk, control)
                    other.say(junk, lane.local_address)
            await asyncio.sleep(0.2)
            before = lane.quality()
            await call.sound.press("5")
        await asyncio.sleep(0.2)
        assert [other.heard() for other in others] == [0, 0, 0]
        digits = [e.digit for e in home.caught[-1].events if isinstance(e, DigitPressed)]
        assert digits == ["5", "5"]
        assert before.duplicated == 0
        assert home.caught[-1].kinds().count("LegEnded") == 0


async def test_a_sweep_over_all_ports_of_sound_hears_nothing(
    house: House, engine: Engine, canary: Callable[[str], Canary]
) -> None:
    home = await house(engine)
    other = canary("127.0.0.2")
    async with Softphone() as phone:
        call = await playing(home, phone)
        for port in range(PORTS[0], PORTS[1] + 2):
            for number in range(6):
                other.say(rtp(number), ("127.0.0.1", port))
        await asyncio.sleep(0.3)
        assert other.heard() == 0
        assert call.ending is None
