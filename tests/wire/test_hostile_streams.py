"""Far ends that break every rule, on real sockets, both ways that datagrams are moved."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from telephony.audio import g711
from telephony.calls.ports import Sound
from telephony.media.config import MediaConfig
from telephony.media.engine import Engine
from telephony.media.lane import Lane
from telephony.rtp.packet import Packet
from telephony.testing.audio import tone
from tests.unit.media.conftest import TYPES
from tests.unit.media.test_media_rows import CODECS, encoded
from tests.unit.media.test_media_strangers import MANNERS, report
from tests.wire.conftest import RealClock

FRAMES = 60
FLOOD = 60
"""Datagrams of the flood in 20 ms."""


class FarEnd:
    """A socket that says whatever it is told to, and throws away what it hears."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.address: tuple[str, int] = self.socket.getsockname()
        self.heard = 0

    def say(self, data: bytes, to: tuple[str, int]) -> None:
        with suppress(BlockingIOError, ConnectionRefusedError):
            self.socket.sendto(data, to)
        with suppress(BlockingIOError, ConnectionRefusedError):
            while self.socket.recv(2048):
                self.heard += 1


@pytest.fixture
def far_end() -> Iterator[Callable[[], FarEnd]]:
    made: list[FarEnd] = []

    def make() -> FarEnd:
        made.append(FarEnd())
        return made[-1]

    yield make
    for one in made:
        one.socket.close()


@pytest.fixture(params=["auto", "epoll"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    config = MediaConfig(ports=(37200, 37298), max_lanes=30, drain_seconds=0.1, io=request.param)
    made = Engine(config, RealClock(), rng=random.Random(3))
    await made.start()
    yield made
    await made.stop()


async def test_a_tick_never_fails_and_calm_lanes_lose_nothing(
    engine: Engine, far_end: Callable[[], FarEnd], tmp_path: Path
) -> None:
    rng = random.Random(8)
    stranger = far_end()
    calm: list[tuple[FarEnd, Lane]] = []
    for _ in range(3):
        far, lane = far_end(), engine.open()
        lane.start(remote=far.address, dtmf_payload_type=101)
        lane.play(Sound(tone(440, 5000).tobytes()), lambda played: None)
        calm.append((far, lane))
    hostile = []
    for index, manner in enumerate(MANNERS):
        codec = rng.choice(CODECS)
        far, lane = far_end(), engine.open()
        lane.start(
            remote=far.address,
            codec=codec,
            payload_type=TYPES[codec],
            dtmf_payload_type=rng.choice([None, 101]),
            comfort_noise=True,
        )
        lane.record_call(tmp_path / f"{index}.wav", lambda made: None)
        lane.watch_answer(lambda heard: None, seconds=4)
        hostile.append((far, lane, manner(rng, TYPES[codec], encoded(codec, index % 4))))
    flooder, flooded = far_end(), engine.open()
    flooded.start(remote=flooder.address)
    codes = g711.encode(g711.ULAW, tone(620, 20 * FRAMES)).tobytes()
    for number in range(FRAMES):
        for far, lane in calm:
            payload = codes[160 * number : 160 * number + 160]
            far.say(bytes(Packet(0, number, 160 * number, 9, payload)), lane.local_address)
        for far, lane, source in hostile:
            for data in next(source):
                far.say(data, lane.local_address)
            host, port = lane.local_address
            far.say(report(rng, int(engine.bank.streams.ssrc[lane.row])), (host, port + 1))
            stranger.say(b"\x80" + rng.randbytes(171), lane.local_address)
        for extra in range(FLOOD):
            packet = Packet(0, number * FLOOD + extra, 160 * extra, 9, bytes(160))
            flooder.say(bytes(packet), flooded.local_address)
        await asyncio.sleep(0.02)
    async with asyncio.timeout(5):
        while any(lane.quality().packets_received < FRAMES for _, lane in calm):
            await asyncio.sleep(0.02)
    assert engine.stats.failed == 0
    assert [lane.quality().lost for _, lane in calm] == [0, 0, 0]
    assert min(far.heard for far, _ in calm) > 0
    assert stranger.heard == 0
