"""Calls whose legs are real lanes on loopback, meeting real participants on a real server."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from telephony.calls import events as e
from telephony.calls.meeting import Dispatch, Meeting
from telephony.media.config import MediaConfig
from telephony.media.contract import MediaEngine, MediaLane
from telephony.media.engine import Engine
from telephony.rooms.here import Here
from telephony.rooms.link import Link
from telephony.rooms.livekit import LiveKitRooms
from telephony.rooms.local import LocalRooms
from telephony.rooms.passes import Passes
from telephony.rooms.server import RoomServer
from telephony.rooms.workers.host import WorkerHost
from telephony.system import SystemClock
from telephony.testing.audio import heard, tone
from telephony.testing.livekit import LiveKit
from telephony.testing.participant import Participant
from telephony.testing.rtp_endpoint import RtpEndpoint, Towards

Samples = npt.NDArray[np.int16]
PORTS = (37400, 37498)
DISPATCH = Dispatch(agent_name="tests", metadata="{}")


@dataclass
class Caller:
    """A leg and its far end, in a room."""

    room: str
    lane: MediaLane
    far: RtpEndpoint
    link: Link
    events: list[e.Event] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]

    async def until(self, kind: type[Any], count: int = 1, seconds: float = 15.0) -> Any:
        """The last of so many events of a kind."""
        async with asyncio.timeout(seconds):
            while len(self.of(kind)) < count:
                await asyncio.sleep(0.02)
        return self.of(kind)[-1]

    def hears(self, hertz: float, since: float = 0.0) -> int:
        """Milliseconds of a tone in what came."""
        return heard(self.far.heard(since), hertz).present_ms


@dataclass
class Hall:
    """Rooms with agents of one service, and calls that enter them."""

    server: LiveKit
    engine: MediaEngine
    rooms: LiveKitRooms
    host: Here | WorkerHost
    calls: list[Caller] = field(default_factory=list)

    async def call(
        self, dispatch: Dispatch | None = DISPATCH, first: Samples | None = None
    ) -> Caller:
        """A call that is answered and meets an agent; ``first`` is said at once."""
        number = len(self.calls) + 1
        room = f"call-{random.getrandbits(64):x}"
        lane = self.engine.open("127.0.0.1")
        far = RtpEndpoint(random.Random(number))
        await far.open("127.0.0.1")
        lane.start(remote=(far.host, far.port), dtmf_payload_type=101)
        far.start(Towards("127.0.0.1", lane.local_address[1], "PCMU", 0, 101))
        if first is not None:
            far.play(first)
        events: list[e.Event] = []
        meeting = Meeting(
            room=room,
            call=room.removeprefix("call-"),
            identity=room.replace("call-", "phone-"),
            attributes={"sip.phoneNumber": "+12025550123"},
            dispatch=dispatch,
        )
        link = self.rooms.meet(meeting, lane, events.append)
        caller = Caller(room, lane, far, link, events)
        self.calls.append(caller)
        return caller

    def somebody(self, call: Caller, identity: str = "agent-1", kind: Any = "agent") -> Participant:
        """Who may join a call's room; hears at 8 kHz."""
        token = self.server.token(call.room, identity, kind=kind)
        return Participant(self.server.url, token, rate=8000)


MakeHall = Callable[[LiveKit], Awaitable[Hall]]


@pytest.fixture(params=["direct", "stock", "worker"])
def path(request: pytest.FixtureRequest) -> str:
    """Both ways to the SDK in this process, and a process of its own."""
    return str(request.param)


@pytest.fixture
async def open_hall(path: str) -> AsyncIterator[MakeHall]:
    halls: list[Hall] = []

    async def make(server: LiveKit) -> Hall:
        clock = SystemClock()
        engine = Engine(MediaConfig(ports=PORTS, max_lanes=8), clock, rng=random.Random(1))
        await engine.start()
        host: Here | WorkerHost = Here(clock, direct=path == "direct")
        if path == "worker":
            host = WorkerHost(clock, count=1)
        rooms = LiveKitRooms(
            RoomServer(server.url, server.key, server.secret),
            Passes(server.key, server.secret),
            host,
            LocalRooms(engine.config, engine),
            engine,
            clock,
        )
        await rooms.start()
        if isinstance(host, Here):
            assert host.stays.sdk.direct == (path == "direct")
        halls.append(Hall(server, engine, rooms, host))
        return halls[-1]

    yield make
    for hall in halls:
        await hall.rooms.stop()
        for call in hall.calls:
            await call.far.close()
        await hall.engine.stop()


@pytest.fixture
async def hall(open_hall: MakeHall, livekit: LiveKit) -> Hall:
    return await open_hall(livekit)


def loud(hertz: float, ms: int, rate: int = 8000) -> Samples:
    return np.asarray(tone(hertz, ms, rate=rate), np.int16)


def words(*hertz: float, ms: int = 200, gap: int = 200) -> Samples:
    """Tones with pauses between them, 8 kHz."""
    pause = np.zeros(gap * 8, np.int16)
    return np.concatenate([part for f in hertz for part in (loud(f, ms), pause)])
