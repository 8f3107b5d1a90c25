"""Rooms in processes of their own: one that dies takes no call with it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time

import pytest

from telephony.calls import events as e
from telephony.media.config import MediaConfig
from telephony.media.workers.engine import WorkerEngine
from telephony.rooms.livekit import LiveKitRooms
from telephony.rooms.local import LocalRooms
from telephony.rooms.passes import Passes
from telephony.rooms.server import RoomServer
from telephony.rooms.workers.host import WorkerHost
from telephony.system import SystemClock
from telephony.testing.audio import heard
from telephony.testing.livekit import LiveKit

from .conftest import DISPATCH, Caller, Hall, loud


@pytest.fixture
def path() -> str:
    return "worker"


async def test_a_room_worker_that_dies_joins_its_rooms_again(hall: Hall) -> None:
    assert isinstance(hall.host, WorkerHost)
    (worker,) = hall.host.all
    call = await hall.call()
    async with hall.somebody(call) as agent:
        await agent.publish()
        await call.until(e.AgentJoined)
        await asyncio.sleep(0.5)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        began = time.monotonic()
        call.far.play(loud(1000, 600))
        resumed = await call.until(e.RoomResumed)
        # Two seconds on a machine of its own: starting Python is most of it, and tests run beside.
        assert resumed.seconds < 4.0
        assert time.monotonic() - began < 4.5
        await asyncio.sleep(1.0)
        since = time.monotonic()
        await agent.say(loud(700, 500, 24_000))
        call.far.play(loud(1500, 400))
        await asyncio.sleep(0.8)
        assert call.hears(700, since) > 250
        assert heard(agent.heard(call.link.leg), 1500).present_ms > 200
    assert call.of(e.RoomLeft) == []
    assert call.names.count("RoomInterrupted") == call.names.count("RoomResumed") == 1
    assert call.names.count("AgentLeft") <= 1
    assert hall.rooms.workers() == [("1", True, 1, 1)]


async def test_a_worker_among_several_hands_its_rooms_over_at_once(hall: Hall) -> None:
    other = WorkerHost(hall.rooms.clock, count=1)
    await other.start()
    assert isinstance(hall.host, WorkerHost)
    try:
        hall.host.all.extend(other.all)
        calls = [await hall.call(), await hall.call()]
        for call in calls:
            await call.until(e.RoomJoined)
        first, second = hall.host.all
        assert (first.load, second.load) == (1, 1)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        resumed = await calls[0].until(e.RoomResumed)
        assert resumed.seconds < 2.0
        assert calls[1].of(e.RoomInterrupted) == []
        assert second.load == 2
        for call in calls:
            call.link.close()
        assert second.load == 0
    finally:
        hall.host.all.remove(other.all[0])
        await other.stop()


async def test_a_worker_that_is_stuck_is_killed(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telephony.rooms.workers.worker.DEAF_SECONDS", 2.5)
    assert isinstance(hall.host, WorkerHost)
    (worker,) = hall.host.all
    call = await hall.call()
    await call.until(e.RoomJoined)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    await call.until(e.RoomResumed)
    assert call.of(e.RoomLeft) == []
    assert worker.restarts == 1


async def test_legs_in_media_workers_meet_agents_too(livekit: LiveKit) -> None:
    """The leg is in one process, the room in another, and the seat between them in this one."""
    clock = SystemClock()
    config = MediaConfig(ports=(37800, 37898), max_lanes=8)
    engine = WorkerEngine(config, clock, rng=random.Random(1), count=1)
    await engine.start()
    host = WorkerHost(clock, count=1)
    rooms = LiveKitRooms(
        RoomServer(livekit.url, livekit.key, livekit.secret),
        Passes(livekit.key, livekit.secret),
        host,
        LocalRooms(engine.config, engine),
        engine,
        clock,
    )
    await rooms.start()
    hall = Hall(livekit, engine, rooms, host)
    try:
        call: Caller = await hall.call(DISPATCH)
        async with hall.somebody(call) as agent:
            await agent.publish()
            await call.until(e.AgentJoined)
            await asyncio.sleep(1.0)
            since = time.monotonic()
            call.far.play(loud(1300, 500))
            await agent.say(loud(700, 500, 24_000))
            await asyncio.sleep(1.0)
            assert call.hears(700, since) > 250
            assert heard(agent.heard(call.link.leg), 1300).present_ms > 250
            call.link.close()
    finally:
        await rooms.stop()
        for one in hall.calls:
            await one.far.close()
        await engine.stop()
