"""The port of rooms with agents: on LiveKit, and on the conference of this process."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pytest

from telephony.base.errors import NotFound
from telephony.calls import events as e
from telephony.calls.meeting import Dispatch, Meeting
from telephony.calls.ports import AgentRooms, RoomLink
from telephony.media.config import MediaConfig
from telephony.media.engine import Engine
from telephony.rooms.here import Here
from telephony.rooms.livekit import LiveKitRooms
from telephony.rooms.local import LocalRooms
from telephony.rooms.passes import Passes
from telephony.rooms.server import RoomServer
from telephony.system import SystemClock
from telephony.testing.audio import heard, tone
from telephony.testing.conference import Conference, Visitor
from telephony.testing.livekit import LiveKit
from telephony.testing.participant import Participant

Samples = npt.NDArray[np.int16]
RATE = 24_000


class Guest(Protocol):
    """Somebody else in the room."""

    async def say(self, sound: Samples) -> None: ...

    def heard(self) -> Samples: ...

    def packets(self) -> list[tuple[str, bytes]]: ...

    def keys(self) -> list[str]: ...

    async def press(self, digit: str) -> None: ...

    def over(self) -> bool: ...

    async def leave(self) -> None: ...


class FarGuest:
    """Over the network."""

    def __init__(self, one: Participant, leg: str) -> None:
        self._one, self._leg = one, leg

    async def say(self, sound: Samples) -> None:
        await self._one.say(sound)

    def heard(self) -> Samples:
        return self._one.heard(self._leg)

    def packets(self) -> list[tuple[str, bytes]]:
        return [(packet.topic, packet.data) for packet in self._one.packets]

    def keys(self) -> list[str]:
        return self._one.keys

    async def press(self, digit: str) -> None:
        await self._one.room.local_participant.publish_dtmf(code=int(digit), digit=digit)

    def over(self) -> bool:
        return self._one.over is not None

    async def leave(self) -> None:
        await self._one.leave()


class NearGuest:
    """In this process."""

    def __init__(self, one: Visitor) -> None:
        self._one = one

    async def say(self, sound: Samples) -> None:
        for at in range(0, sound.size - 479, 480):
            self._one.say(sound[at : at + 480])
            await asyncio.sleep(0.0199)

    def heard(self) -> Samples:
        return np.concatenate(self._one.heard or [np.zeros(0, np.int16)])

    def packets(self) -> list[tuple[str, bytes]]:
        return [(topic, data) for _, topic, data in self._one.packets]

    def keys(self) -> list[str]:
        return self._one.keys

    async def press(self, digit: str) -> None:
        self._one.press(digit)

    def over(self) -> bool:
        return bool(self._one.over)

    async def leave(self) -> None:
        self._one.leave()


class Place:
    """A service with one call, and who else comes."""

    def __init__(
        self, rooms: AgentRooms, local: LocalRooms, engine: Engine, server: LiveKit | Conference
    ) -> None:
        self.rooms = rooms
        self.events: list[e.Event] = []
        self.room = f"call-{random.getrandbits(64):x}"
        self.leg = self.room.replace("call", "phone")
        self._server = server
        self._engine = engine
        self._local = local
        self._guests: list[Guest] = []

    def meet(self, dispatch: Dispatch | None = None) -> RoomLink:
        self.lane = self._engine.open("127.0.0.1")
        link = self.rooms.meet(
            Meeting(
                room=self.room,
                call=self.room[5:],
                identity=self.leg,
                dispatch=dispatch or Dispatch(agent_name="nobody", metadata="{}"),
            ),
            self.lane,
            self.events.append,
        )
        # The caller, as the engine has him: another voice of the room of this process.
        self.caller = self._local.sit(self.room, "caller", 8000)
        return link

    async def guest(self, identity: str = "agent-1", kind: Any = "agent") -> Guest:
        guest: Guest
        if isinstance(self._server, Conference):
            visitor = self._server.visit(self.room, identity, kind)
            visitor.publish()
            guest = NearGuest(visitor)
        else:
            sent_as: Any = "standard" if kind == "browser" else kind
            token = self._server.token(self.room, identity, kind=sent_as)
            one = Participant(self._server.url, token, rate=RATE)
            await one.__aenter__()
            await one.publish()
            guest = FarGuest(one, self.leg)
        self._guests.append(guest)
        return guest

    async def says(self, sound: Samples) -> None:
        """The caller, 8 kHz."""
        for at in range(0, sound.size - 159, 160):
            self.caller.write(sound[at : at + 160])
        await asyncio.sleep(sound.size / 8000)

    def hears(self) -> Samples:
        """What reached the caller since the last time, 8 kHz."""
        frames = []
        while (frame := self.caller.read()) is not None:
            frames.append(frame)
        return np.concatenate(frames or [np.zeros(0, np.int16)])

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(15):
            while not true():
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        for guest in self._guests:
            with contextlib.suppress(Exception):
                await guest.leave()


@pytest.fixture(params=["here", "livekit"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    clock = SystemClock()
    engine = Engine(MediaConfig(ports=(37600, 37698), max_lanes=4), clock, rng=random.Random(1))
    await engine.start()
    local = LocalRooms(engine.config, engine)
    if request.param == "here":
        conference = Conference(clock)
        rooms = LiveKitRooms(conference, conference, conference, local, engine, clock)
        made = Place(rooms, local, engine, conference)
    else:
        server: LiveKit = request.getfixturevalue("livekit")
        rooms = LiveKitRooms(
            RoomServer(server.url, server.key, server.secret),
            Passes(server.key, server.secret),
            Here(clock),
            local,
            engine,
            clock,
        )
        made = Place(rooms, local, engine, server)
    await rooms.start()
    yield made
    await made.close()
    await rooms.stop()
    await engine.stop()


def loud(hertz: float, ms: int, rate: int = RATE) -> Samples:
    return np.asarray(tone(hertz, ms, rate=rate), np.int16)


async def test_a_leg_meets_an_agent_and_both_are_heard(place: Place) -> None:
    assert place.rooms.ready() is None
    link = place.meet()
    await place.says(loud(1000, 300, 8000))
    await place.until(lambda: place.of(e.RoomJoined))
    agent = await place.guest()
    await place.until(lambda: place.of(e.AgentJoined))
    await asyncio.sleep(0.8)
    place.hears()
    await asyncio.gather(agent.say(loud(500, 400)), place.says(loud(1500, 400, 8000)))
    await place.until(lambda: place.of(e.AgentHeard))
    await asyncio.sleep(0.9)
    assert heard(agent.heard(), 1000, rate=RATE).present_ms > 150, "said before it came"
    assert heard(agent.heard(), 1500, rate=RATE).present_ms > 200
    await asyncio.sleep(0.3)
    await agent.leave()
    await place.until(lambda: place.of(e.AgentLeft))
    link.close()
    link.close()
    assert [type(event).__name__ for event in place.events] == [
        "AgentDispatched", "RoomJoined", "AgentJoined", "AgentHeard", "AgentLeft", "RoomLeft",
    ]  # fmt: skip
    assert place.of(e.AgentLeft)[0].reason == "left"


async def test_data_and_keys_both_ways(place: Place) -> None:
    link = place.meet()
    link.send(b'{"type":"early"}', "t")
    agent = await place.guest()
    await place.until(lambda: place.of(e.AgentJoined) and place.of(e.RoomJoined))
    await asyncio.sleep(0.5)
    link.send(b'{"type":"user_message"}', "t")
    link.send_digits("12")
    await place.rooms.send(place.room, b'{"type":"contextual_update"}')
    await place.until(lambda: ("", b'{"type":"contextual_update"}') in agent.packets())
    await place.until(lambda: ("t", b'{"type":"user_message"}') in agent.packets())
    await place.until(lambda: agent.keys() == ["1", "2"])
    await agent.press("7")
    await place.until(lambda: place.of(e.DigitPressed))
    assert (place.of(e.DigitPressed)[0].digit, place.of(e.DigitPressed)[0].method) == ("7", "room")


async def test_the_agent_is_muted_by_order_and_while_a_colleague_speaks_for_it(
    place: Place,
) -> None:
    link = place.meet()
    agent = await place.guest()
    await place.until(lambda: place.of(e.AgentJoined))
    await asyncio.sleep(0.5)
    link.mute(True)
    await place.until(lambda: place.of(e.AgentMuted))
    place.hears()
    await agent.say(loud(500, 300))
    await asyncio.sleep(0.2)
    assert heard(place.hears(), 500).present_ms == 0
    link.mute(False)
    await place.until(lambda: place.of(e.AgentUnmuted))
    anna = await place.guest("anna", "browser")
    await place.until(lambda: len(place.of(e.AgentMuted)) == 2)
    assert place.of(e.PeerJoined)[0].identity == "anna"
    await asyncio.sleep(0.4)
    place.hears()
    await asyncio.gather(agent.say(loud(500, 400)), anna.say(loud(900, 400)))
    await asyncio.sleep(0.2)
    sound = place.hears()
    assert heard(sound, 500).present_ms == 0 and heard(sound, 900).present_ms > 200
    await anna.leave()
    await place.until(lambda: place.of(e.PeerLeft) and len(place.of(e.AgentUnmuted)) == 2)


async def test_a_room_that_is_deleted_ends_for_all(place: Place) -> None:
    place.meet()
    agent = await place.guest()
    await place.until(lambda: place.of(e.AgentJoined))
    await place.rooms.delete(place.room)
    await place.until(lambda: place.of(e.RoomLeft) and agent.over())
    assert place.of(e.RoomLeft)[0].reason == "deleted"
    await place.rooms.delete(place.room)
    with pytest.raises(NotFound):
        await place.rooms.send(place.room, b"{}")
    assert len(place.of(e.RoomLeft)) == 1


async def test_an_agent_is_called_in_for_somebody_else(place: Place) -> None:
    await place.rooms.dispatch(place.room, Dispatch(agent_name="nobody", metadata="{}"))
    await place.rooms.send(place.room, b"{}")
    await place.rooms.delete(place.room)
