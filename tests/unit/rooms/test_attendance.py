"""Who is in a room, by looking: what a look says, and when the next one is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from telephony.base.clock import ManualClock
from telephony.base.errors import Unavailable
from telephony.calls import events as e
from telephony.rooms.attendance import Attendance, AttendanceConfig, Present, Roll

ANNA = Present("anna", "browser")
BERT = Present("agent-1", "agent")
AT = ManualClock().now()
LATER = AT + timedelta(seconds=3)


def names(events: list[e.Event]) -> list[str]:
    return [
        f"{type(x).__name__} {getattr(x, 'identity', '') or getattr(x, 'reason', '')}".strip()
        for x in events
    ]


def test_who_comes_and_who_goes() -> None:
    roll = Roll("call-1")
    assert roll.take([], AT) == []
    assert names(roll.take([ANNA, BERT], AT)) == ["AgentJoined agent-1", "PeerJoined anna"]
    assert roll.take([BERT, ANNA], AT) == []
    assert names(roll.take([BERT], AT)) == ["PeerLeft anna"]
    assert names(roll.take([ANNA], AT)) == ["AgentLeft agent-1", "PeerJoined anna"]


def test_a_room_is_gone_when_it_stays_missing() -> None:
    roll = Roll("call-1", 3.0)
    roll.take([ANNA, BERT], AT)
    assert roll.take(None, AT) == []
    assert roll.doubtful
    assert roll.take(None, AT + timedelta(seconds=2.9)) == []
    assert names(roll.take(None, LATER)) == ["RoomClosed deleted"]
    assert roll.take(None, LATER) == []
    assert names(roll.take([ANNA], AT)) == ["RoomOpened", "PeerJoined anna"]


def test_a_room_that_is_back_in_a_moment_was_not_gone() -> None:
    roll = Roll("call-1", 3.0)
    roll.take([ANNA], AT)
    roll.take(None, AT)
    assert roll.take([ANNA], LATER) == []
    assert not roll.doubtful
    assert roll.take(None, LATER) == []


def test_after_a_server_that_was_away_everybody_is_lost() -> None:
    roll = Roll("call-1")
    roll.take([ANNA, BERT], AT)
    roll.failed()
    roll.take(None, AT)
    lost = roll.take(None, LATER)
    assert names(lost) == ["AgentLeft agent-1", "PeerLeft anna", "RoomClosed lost"]
    assert {x.reason for x in lost if isinstance(x, e.PeerLeft | e.AgentLeft)} == {"lost"}
    assert names(roll.take([ANNA], AT)) == ["RoomOpened", "PeerJoined anna"]


class Server:
    """Rooms, and how often they were looked at."""

    def __init__(self) -> None:
        self.rooms: dict[str, list[Present]] = {}
        self.looks = 0
        self.away = False
        self.problem = ""

    async def inside(self, room: str) -> list[Present]:
        self.looks += 1
        self._answer()
        return list(self.rooms.get(room, []))

    async def exists(self, room: str) -> bool:
        self._answer()
        return room in self.rooms

    async def make(self, room: str, seconds: float) -> None:
        self._answer()
        self.rooms[room] = []

    def _answer(self) -> None:
        self.problem = "it is away" if self.away else ""
        if self.away:
            raise Unavailable(self.problem)


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.server = Server()
        self.attendance = Attendance(self.server, self.clock, AttendanceConfig(probe=0.001))
        self.told: list[e.Event] = []

    async def look(self) -> list[str]:
        """A webhook makes it look at once; what it then says."""
        self.told.clear()
        looks = self.server.looks
        self.clock.advance(0.01)
        self.attendance.heard("call-1")
        for _ in range(20):
            await asyncio.sleep(0)
        assert self.server.looks > looks
        return names(self.told)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    made.attendance.start()
    yield made
    await made.attendance.stop()


async def test_a_webhook_hastens_a_look_and_says_nothing_itself(world: World) -> None:
    world.server.rooms["call-1"] = [BERT]
    stop = world.attendance.watch("call-1", world.told.append)
    for _ in range(20):
        await asyncio.sleep(0)
    assert names(world.told) == ["AgentJoined agent-1"]
    assert await world.look() == []
    world.server.rooms["call-1"] = [BERT, ANNA]
    assert await world.look() == ["PeerJoined anna"]
    world.server.rooms["call-1"] = []
    assert await world.look() == ["AgentLeft agent-1", "PeerLeft anna"]
    del world.server.rooms["call-1"]
    assert await world.look() == []
    world.clock.advance(3)
    assert await world.look() == ["RoomClosed deleted"]
    stop()
    looks = world.server.looks
    world.attendance.heard("call-1")
    for _ in range(20):
        await asyncio.sleep(0)
    assert world.server.looks == looks


async def test_while_the_server_is_away_nothing_is_said(world: World) -> None:
    world.server.rooms["call-1"] = [ANNA]
    world.attendance.watch("call-1", world.told.append)
    await world.look()
    world.server.away = True
    assert await world.look() == []
    world.server.away = False
    assert await world.look() == []
    assert await world.attendance.exists("call-1")
    assert not await world.attendance.exists("call-2")


async def test_a_server_that_failed_somebody_is_asked_until_it_answers(world: World) -> None:
    world.server.away = True
    with pytest.raises(Unavailable):
        await world.attendance.exists("call-1")
    assert world.server.problem
    world.server.away = False
    async with asyncio.timeout(5):
        while world.server.problem:
            await asyncio.sleep(0.001)
    assert world.server.looks == 0


async def test_without_webhooks_it_looks_every_second_and_with_them_seldom() -> None:
    world = World()
    world.server.rooms |= {f"call-{n}": [ANNA] for n in range(100)}
    world.attendance.watch("call-1", world.told.append)
    assert world.attendance._between == 1.0
    world.attendance.heard("another")
    assert world.attendance._between == 10.0
    world.clock.advance(121)
    assert world.attendance._between == 1.0
    for n in range(100):
        world.attendance.watch(f"call-{n}", world.told.append)
    assert world.attendance._between == 2.0
