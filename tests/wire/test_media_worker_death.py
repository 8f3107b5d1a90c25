"""Media workers that die, hang or never come up, and what is left of their calls."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from telephony.audio import wav
from telephony.base.errors import Busy, ConfigError
from telephony.calls.events import MediaQuality
from telephony.calls.ports import Played, Recorded, Sound
from telephony.media.config import MediaConfig
from telephony.media.workers import worker as life
from telephony.media.workers.engine import WorkerEngine
from telephony.media.workers.messages import FACTS, ORDERS, Message
from telephony.media.workers.pipe import Pipe
from telephony.rooms.local import LocalRooms
from telephony.testing.audio import tone
from tests.wire.conftest import RealClock
from tests.wire.test_media_engines import Person, until

CONFIG = MediaConfig(ports=(36400, 36498), drain_seconds=0.1)
PROMPT = Sound(tone(700, 60_000).tobytes())


def new_engine(count: int) -> WorkerEngine:
    return WorkerEngine(CONFIG, RealClock(), rng=random.Random(5), count=count)


@pytest.fixture
async def engine() -> AsyncIterator[WorkerEngine]:
    made = new_engine(2)
    await made.start()
    yield made
    await made.stop()


def kill(engine: WorkerEngine, number: int, how: signal.Signals = signal.SIGKILL) -> None:
    pid = engine.workers[number].pid
    assert pid is not None
    os.kill(pid, how)


async def test_a_dead_worker_ends_what_it_had_and_nothing_else(
    engine: WorkerEngine, tmp_path: Path
) -> None:
    dead, alive = Person(engine.open()), Person(engine.open())
    assert dead.lane.worker is not alive.lane.worker  # type: ignore[attr-defined]
    ended: list[str] = []
    played: list[Played] = []
    recorded: list[Recorded] = []
    counted: list[MediaQuality] = []

    def lost() -> None:
        ended.append("lost")
        dead.lane.end(counted.append)

    dead.lane.on_lost = lost
    alive.lane.on_lost = lambda: ended.append("the wrong one")
    dead.lane.play(PROMPT, played.append)
    alive.lane.play(PROMPT, played.append)
    dead.lane.record_call(tmp_path / "call.wav", recorded.append)
    await dead.say(440, 1300)
    await until(lambda: dead.lane.quality().packets_received)
    # An order that is on its way when it happens is answered as well.
    dead.lane.play(PROMPT, played.append)
    kill(engine, 0)
    await until(lambda: ended and recorded)
    assert ended == ["lost"]
    assert played == [Played(0, 60_000, False, None)] * 2
    assert counted[0].packets_received > 0
    assert (recorded[0].reason, recorded[0].error) == ("interrupted", "")
    assert wav.parse((tmp_path / "call.wav").read_bytes()).samples.shape[1] >= 8000
    after: list[Recorded] = []
    dead.lane.record_call(tmp_path / "more.wav", after.append)
    assert after[0].error
    assert engine.lanes == 1
    # The other one is heard, and a new one takes the dead one's place and its ports.
    alive.far.received()
    await asyncio.sleep(0.2)
    assert len(alive.far.received()) > 5
    await until(lambda: engine.workers[0].alive)
    assert engine.workers[0].restarts == 1
    again = Person(engine.open())
    again.lane.play(PROMPT, played.append)
    await until(again.far.received)
    for person in (dead, alive, again):
        person.far.socket.close()


async def test_without_a_worker_no_lane_is_opened_until_one_is_back() -> None:
    engine = new_engine(1)
    await engine.start()
    try:
        lane = engine.open(call="x")
        kill(engine, 0)
        await until(lambda: engine.ready() is not None)
        with pytest.raises(Busy):
            engine.open(call="x")
        counted: list[MediaQuality] = []
        lane.end(counted.append)
        assert counted
        await until(lambda: engine.ready() is None)
        engine.open(call="x")
        assert sum(part.restarts for part in engine.parts()) == 1
    finally:
        await engine.stop()


async def test_a_room_goes_on_without_the_worker_that_died(engine: WorkerEngine) -> None:
    people = [Person(engine.open()) for _ in range(4)]
    rooms = LocalRooms(engine.config, engine)
    for number, person in enumerate(people):
        rooms.join("staff", str(number), person.lane)
    seat = rooms.sit("staff", "program")
    assert engine.meetings.trunks == 2
    kill(engine, 0)
    await until(lambda: engine.meetings.trunks == 1)
    await asyncio.gather(people[1].say(440, 600), people[3].say(700, 600))
    for person in people:
        person.listen()
        person.far.socket.close()
    assert people[1].hears(700) > 200
    assert people[3].hears(440) > 200
    assert people[0].sound.size < 8000 * 0.6
    rooms.leave("staff", "program")
    assert not seat.open


async def test_a_worker_that_hangs_is_taken_for_dead(
    engine: WorkerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "DEAF_SECONDS", 2.5)
    monkeypatch.setattr(life, "WATCH_SECONDS", 0.2)
    lane, lost = engine.open(), list[bool]()
    lane.on_lost = lambda: lost.append(True)
    kill(engine, 0, signal.SIGSTOP)
    await until(lambda: lost, 10)
    assert engine.workers[1].restarts == 0


async def test_a_worker_that_does_not_come_up_keeps_the_engine_from_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(life.sys, "executable", "/bin/false")
    engine = new_engine(2)
    with pytest.raises(ConfigError):
        await engine.start()
    assert engine.ready() is not None


async def test_attempts_that_fail_are_further_and_further_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = new_engine(1)
    await engine.start()
    try:
        with monkeypatch.context() as broken:
            broken.setattr(life.sys, "executable", "/bin/false")
            kill(engine, 0)
            await until(lambda: engine.workers[0].restarts == 3)
        assert engine.workers[0]._pause >= 8 * life.FIRST_PAUSE
        await until(lambda: engine.ready() is None, 10)
    finally:
        await engine.stop()


async def test_a_pipe_carries_sockets_and_more_than_fits_at_once() -> None:
    ours, theirs = socket.socketpair()
    heard: list[Message] = []
    gone: list[str] = []
    near = Pipe(ours, FACTS, heard.append, lambda: gone.append("near"))
    far = Pipe(theirs, ORDERS, heard.append, lambda: gone.append("far"))
    row = ORDERS.row("sound")
    for number in range(40):
        near.send(ORDERS.encode(row, number, 8000, True, tail=bytes(60_000)))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            near.send(ORDERS.encode(ORDERS.row("stop")), (one.detach(),))
    await until(lambda: len(heard) == 80)
    assert [m.values[0] for m in heard if m.row is row] == list(range(40))
    descriptors = far.descriptors()
    assert len(set(descriptors)) == 40
    for descriptor in descriptors:
        os.close(descriptor)
    assert near.queued == 0
    far.close()
    await until(lambda: gone)
    assert gone == ["near"]


async def test_a_side_that_never_reads_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from telephony.media.workers import pipe

    monkeypatch.setattr(pipe, "CEILING", 1 << 20)
    ours, theirs = socket.socketpair()
    gone: list[bool] = []
    near = Pipe(ours, FACTS, lambda message: None, lambda: gone.append(True))
    message = ORDERS.encode(ORDERS.row("sound"), 1, 8000, True, tail=bytes(60_000))
    for _ in range(64):
        near.send(message)
        await asyncio.sleep(0)
    assert gone == [True]
    assert not near.open
    theirs.close()
