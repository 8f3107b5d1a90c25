"""A worker's own side, told things that go wrong, without a process of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from telephony.media.config import MediaConfig
from telephony.media.terms import Terms
from telephony.media.workers.child import Child
from telephony.media.workers.messages import FACTS, ORDERS, Message
from telephony.media.workers.pipe import Pipe
from tests.wire.test_media_engines import until


class Service:
    """The other end of a child's pipe."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.heard: list[Message] = []
        self.pipe = Pipe(ours, FACTS, self.heard.append, lambda: None)
        self.life = asyncio.ensure_future(Child(theirs).run())

    def say(self, name: str, *values: Any, lane: int | None = None, fds: Any = ()) -> None:
        row = ORDERS.row(name, of_lane=lane is not None)
        said = values if lane is None else (lane, *values)
        self.pipe.send(ORDERS.encode(row, *said), tuple(fds))

    def open(self, number: int, *, with_sockets: int = 2) -> int:
        """Hand over a lane's sockets, or fewer; its port."""
        rtp, rtcp = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for port in range(36600, 36698, 2):
            try:
                rtp.bind(("127.0.0.1", port))
                rtcp.bind(("127.0.0.1", port + 1))
                break
            except OSError:
                continue
        given = [one.detach() for one in (rtp, rtcp)[:with_sockets]]
        self.say("open", number, "127.0.0.1", port, fds=given)
        rtp.close()
        rtcp.close()
        return port

    async def until(self, name: str, count: int = 1) -> list[Message]:
        """The messages of a kind, once there are so many."""
        await until(lambda: len(self.of(name)) >= count)
        return self.of(name)

    def of(self, name: str) -> list[Message]:
        return [m for m in self.heard if m.row.name == name]


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    made = Service()
    made.say("begin", MediaConfig(io="epoll"))
    await made.until("ready")
    yield made
    made.pipe.close()
    await made.life


async def test_a_lane_whose_sockets_were_lost_is_lost_and_the_next_is_not(
    service: Service,
) -> None:
    service.open(1, with_sockets=1)
    service.open(2)
    await service.until("lane on_lost")
    service.say("end", 10, lane=1)
    service.say("end", 11, lane=2)
    (counted,) = await service.until("counted")
    (refused,) = await service.until("refused")
    assert [m.lane for m in service.of("lane on_lost")] == [1]
    assert (refused.values, counted.values[0]) == ((10,), 11)


async def test_an_order_for_nobody_and_a_sound_that_never_came_are_refused(
    service: Service,
) -> None:
    service.open(1)
    service.say("play", 99, 10, False, lane=1)
    service.say("play", 99, 11, False, lane=7)
    service.say("bridge", 7, lane=1)
    service.say("record_call", Path("/x.wav"), 12, lane=7)
    refused = await service.until("refused", 3)
    assert [m.values[0] for m in refused] == [10, 11, 12]
    assert service.of("lane on_lost") == []


async def test_a_stream_that_no_socket_takes_ends_the_lane_and_frees_its_ports(
    service: Service,
) -> None:
    port = service.open(1)
    service.say("start", Terms(remote=("192.0.2.1", 4000)), lane=1)
    await service.until("lane on_lost")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", port))


async def test_the_end_of_the_pipe_makes_recordings_whole(service: Service, tmp_path: Path) -> None:
    service.open(1)
    service.say("start", Terms(remote=("127.0.0.1", 9)), lane=1)
    service.say("record_call", tmp_path / "call.wav", 5, lane=1)
    await until(lambda: (tmp_path / "call.wav").exists())
    await asyncio.sleep(0.1)
    service.pipe.close()
    await service.life
    assert (tmp_path / "call.wav").stat().st_size > 1000


async def test_it_says_how_it_fares_and_stops_when_told(service: Service) -> None:
    service.open(1)
    (stats, *_) = await service.until("stats")
    (quality, *_) = await service.until("quality")
    assert stats.values[0] == 1
    assert quality.values[0] == 1
    service.say("stop")
    await service.life


async def test_a_worker_that_cannot_serve_ends() -> None:
    service = Service()
    service.say("begin", MediaConfig(hold_music=Path("/there-is-none.wav")))
    await service.life
    assert service.heard == []
    service.pipe.close()
