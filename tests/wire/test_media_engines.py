"""What every media engine does, in this process or over workers, on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from telephony.audio import g711, wav
from telephony.base.errors import Busy, MediaFailed
from telephony.calls.events import MediaQuality
from telephony.calls.ports import Played, Recorded, Sound
from telephony.calls.role import Role
from telephony.media.config import MediaConfig
from telephony.media.contract import MediaEngine, MediaLane
from telephony.rooms.local import LocalRooms
from telephony.rtp.telephone_event import Event
from telephony.testing.audio import heard, tone
from tests.wire.conftest import EngineMaker
from tests.wire.test_media_udp import Far, _sound

PORTS = (36200, 36298)


@pytest.fixture
async def engine(new_engine: EngineMaker) -> AsyncIterator[MediaEngine]:
    config = MediaConfig(ports=PORTS, drain_seconds=0.1, silence_seconds=1.0, max_lanes=6)
    made = new_engine(config)
    await made.start()
    yield made
    await made.stop()


class Person:
    """A lane and its far end, which speaks in real time."""

    def __init__(self, lane: MediaLane) -> None:
        self.lane = lane
        self.far = Far(lane.local_address)
        lane.start(remote=self.far.address, dtmf_payload_type=101)

    async def say(self, hertz: float, ms: int) -> None:
        codes = g711.encode(g711.ULAW, np.asarray(tone(hertz, ms), np.int16)).tobytes()
        for at in range(0, len(codes), 160):
            self.far.say(codes[at : at + 160])
            await asyncio.sleep(0.0199)

    def listen(self) -> None:
        """Keep what came since the last time."""
        self.sound = _sound(self.far.received())

    def hears(self, hertz: float) -> int:
        """Milliseconds of a tone in what was kept."""
        return heard(self.sound, hertz).present_ms


@pytest.fixture
async def people(engine: MediaEngine) -> AsyncIterator[Callable[[], Person]]:
    made: list[Person] = []

    def make() -> Person:
        made.append(Person(engine.open("127.0.0.1")))
        return made[-1]

    yield make
    for person in made:
        person.far.socket.close()


async def until(true: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


async def end(lane: MediaLane) -> MediaQuality:
    counted: list[MediaQuality] = []
    lane.end(counted.append)
    await until(lambda: counted)
    return counted[0]


async def test_a_lane_from_its_first_prompt_to_its_count(
    engine: MediaEngine, people: Callable[[], Person], tmp_path: Path
) -> None:
    assert engine.ready() is None
    person = people()
    lane, keys, played = person.lane, list[str](), list[Played]()
    recorded: list[Recorded] = []
    lane.on_digit = lambda digit, duration: keys.append(digit)
    lane.record_call(tmp_path / "call.wav", recorded.append)
    lane.play(Sound(tone(700, 300).tobytes()), played.append)
    lane.play(Sound(tone(700, 60_000).tobytes()), played.append)
    await person.say(440, 500)
    person.far.say(bytes(Event(5, False, 10, 160)), 101)
    await until(lambda: keys)
    lane.stop()
    lane.send_digits("7")
    await until(lambda: len(played) == 2)
    assert keys == ["5"]
    assert (played[0].completed, played[0].heard_ms) == (True, 300)
    assert not played[1].completed
    assert 0 < played[1].heard_ms < 2_000
    assert played[1].total_ms == 60_000
    await asyncio.sleep(0.3)
    packets = person.far.received()
    assert {p.payload[0] for p in packets if p.payload_type == 101} == {7}
    await until(lambda: lane.quality().packets_received > 20)
    counted = await end(lane)
    await until(lambda: recorded)
    # A packet or two may come before a worker has begun to listen.
    assert 24 <= counted.packets_received <= 26
    assert counted.packets_sent >= len(packets)
    assert counted.codec == "PCMU"
    assert recorded[0].error == ""
    file = wav.parse((tmp_path / "call.wav").read_bytes())
    assert heard(file.samples[0], 440).present_ms > 300
    assert heard(file.samples[1], 700).present_ms > 400
    assert engine.lanes == 0
    late: list[Played] = []
    lane.play(Sound(tone(700, 300).tobytes()), late.append)
    assert late == [Played(0, 300, False, None)]


async def test_a_message_ends_by_silence(
    engine: MediaEngine, people: Callable[[], Person], tmp_path: Path
) -> None:
    person, recorded = people(), list[Recorded]()
    path = tmp_path / "message.wav"
    person.lane.record_message(path, recorded.append, max_seconds=30, silence_seconds=0.3)
    await person.say(440, 300)
    await until(lambda: recorded)
    assert recorded[0].reason == "silence"
    assert heard(wav.parse(path.read_bytes()).samples[0], 440).present_ms > 200


async def test_any_two_lanes_are_bridged_and_parted(
    engine: MediaEngine, people: Callable[[], Person]
) -> None:
    # Two workers, so that the first two are in one each and the third is beside the first.
    one, two, three = people(), people(), people()
    one.lane.bridge(two.lane)
    await asyncio.gather(one.say(440, 800), two.say(700, 800), three.say(1000, 800))
    for person in (one, two, three):
        person.listen()
    assert one.hears(700) > 400
    assert two.hears(440) > 400
    assert not one.hears(440)
    assert not one.hears(1000)
    one.lane.bridge(three.lane)
    await asyncio.gather(one.say(440, 600), two.say(700, 600), three.say(1000, 600))
    await asyncio.sleep(0.1)
    for person in (one, two, three):
        person.listen()
    assert one.hears(1000) > 200
    assert three.hears(440) > 200
    assert two.hears(440) < 200


async def test_a_room_and_a_seat_in_it(engine: MediaEngine, people: Callable[[], Person]) -> None:
    rooms = LocalRooms(engine.config, engine)
    members = [people() for _ in range(3)]
    for number, person in enumerate(members):
        rooms.join("staff", str(number), person.lane)
    seat = rooms.sit("staff", "program")
    spoken = np.asarray(tone(1700, 800), np.int16).reshape(-1, 160)
    for frame in spoken:
        seat.write(frame)
    hertz = (440, 700, 1000)
    await asyncio.gather(*(p.say(h, 800) for p, h in zip(members, hertz, strict=True)))
    for person in members:
        person.listen()
    for person, own in zip(members, hertz, strict=True):
        for other in (*hertz, 1700):
            assert (person.hears(other) > 300) is (other != own)
    frames = []
    while (frame := seat.read()) is not None:
        frames.append(frame)
    sound = np.concatenate(frames)
    for other in hertz:
        assert heard(sound, other).present_ms > 300
    rooms.leave("staff", "program")
    for number in range(3):
        rooms.leave("staff", str(number))
    for person in members:
        await end(person.lane)
    await until(lambda: sum(part.lanes for part in engine.parts()) == 0)


async def test_a_coach_whispers_to_the_agent_alone(
    engine: MediaEngine, people: Callable[[], Person]
) -> None:
    rooms = LocalRooms(engine.config, engine)
    # Over two workers the agent is not where the coach is.
    customer, agent, coach = people(), people(), people()
    rooms.join("desk", "customer", customer.lane)
    rooms.join("desk", "agent", agent.lane, Role.AGENT)
    rooms.join("desk", "coach", coach.lane, Role.COACH)
    await asyncio.gather(customer.say(440, 600), agent.say(700, 600), coach.say(1000, 600))
    for person in (customer, agent, coach):
        person.listen()
    assert agent.hears(1000) > 200
    assert agent.hears(440) > 200
    assert coach.hears(700) > 200
    assert customer.hears(700) > 200
    assert not customer.hears(1000)


async def test_who_says_nothing_times_out(
    engine: MediaEngine, people: Callable[[], Person]
) -> None:
    person, silent = people(), list[bool]()
    person.lane.on_timeout = lambda: silent.append(True)
    await person.say(440, 100)
    await until(lambda: silent)


async def test_what_cannot_be_is_said_at_once(engine: MediaEngine) -> None:
    with pytest.raises(MediaFailed):
        engine.open("192.0.2.1")
    lane = engine.open("127.0.0.1")
    with pytest.raises(MediaFailed):
        lane.start(remote=("192.0.2.1", 4000))
    with pytest.raises(MediaFailed):
        lane.start(remote=("127.0.0.1", 4000), codec="opus")
    for _ in range(5):
        engine.open(None)
    assert engine.ready() is not None
    with pytest.raises(Busy):
        engine.open(None)
    await end(lane)
    assert engine.ready() is None


async def test_stopping_ends_what_is_open(new_engine: EngineMaker, tmp_path: Path) -> None:
    engine = new_engine(MediaConfig(ports=PORTS))
    assert engine.ready() is not None
    await engine.start()
    lane = engine.open(None)
    lane.start(remote=("127.0.0.1", 9))
    over: list[object] = []
    lane.play(Sound(tone(700, 5000).tobytes()), over.append)
    lane.record_call(tmp_path / "call.wav", over.append)
    await asyncio.sleep(0.2)
    await engine.stop()
    await engine.stop()
    assert len(over) == 2
    assert wav.parse((tmp_path / "call.wav").read_bytes()).samples.shape[0] == 2
    assert engine.ready() is not None
