"""The LiveKit carrier on a real LiveKit server. Its SIP service is a stand-in: who is called, and
who calls, is a participant of kind SIP that the test lets join."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from livekit import api
from livekit.protocol import sip

from telephony.accounts.model import TrunkKind
from telephony.audio import wav
from telephony.base.clock import Clock
from telephony.calls.events import DigitPressed, Event
from telephony.calls.meeting import Meeting
from telephony.calls.outcome import Cause, EndedBy, Outcome
from telephony.calls.ports import DialRequest, Offer, OfferedLeg, Recorded, Sound
from telephony.carriers.livekit import LiveKitCarrier, LiveKitConfig
from telephony.media.config import MediaConfig
from telephony.media.engine import Engine
from telephony.rooms.here import Here
from telephony.rooms.livekit import LiveKitRooms
from telephony.rooms.local import LocalRooms
from telephony.rooms.passes import Passes
from telephony.rooms.server import RoomServer
from telephony.testing.audio import heard, tone
from telephony.testing.livekit import LiveKit
from telephony.testing.livekit_sip import SipBesideLiveKit
from telephony.testing.participant import Participant
from tests.wire.conftest import Book, Caught, RealClock

NUMBER = "+12025550123"


class Party(Participant):
    """Who stands for LiveKit's SIP service in a room."""

    def __init__(self, server: LiveKit, room: str, identity: str, status: str) -> None:
        attributes = {
            "sip.callStatus": status,
            "sip.callID": "SCL_x",
            "sip.phoneNumber": "+12025550188",
            "sip.trunkPhoneNumber": NUMBER,
        }
        token = server.token(room, identity, kind="sip", attributes=attributes)
        super().__init__(server.url, token, rate=8000)
        self._server = server
        self._room = room
        self._name = identity

    async def says(self, status: str) -> None:
        """``sip.callStatus`` is this from now on."""
        asked = api.UpdateParticipantRequest(
            room=self._room, identity=self._name, attributes={"sip.callStatus": status}
        )
        lk = self._server.api()
        try:
            await lk.room.update_participant(asked)
        finally:
            await lk.aclose()


class Station:
    """A carrier with an engine and rooms of a real server, its webhook behind aiohttp."""

    def __init__(self, server: LiveKit, sip_url: str, **config: Any) -> None:
        clock: Clock = RealClock()
        self.server = server
        self.book = Book()
        self.book.add_trunk("lk", kind=TrunkKind.LIVEKIT, livekit_trunk="ST_out")
        self.engine = Engine(MediaConfig(ports=(36400, 36498)), clock, rng=random.Random(3))
        given = {"url": sip_url, "key": server.key, "secret": server.secret, **config}
        self.rooms = LiveKitRooms(
            RoomServer(server.url, server.key, server.secret),
            Passes(server.key, server.secret),
            Here(clock),
            LocalRooms(self.engine.config, self.engine),
            self.engine,
            clock,
        )
        self.told: list[str] = []
        self.carrier = LiveKitCarrier(
            LiveKitConfig(**given),
            self.book,
            self.engine,
            self.rooms,
            clock,
            heard=[self.told.append],
        )
        self.caught: list[Caught] = []

    async def start(self) -> None:
        await self.engine.start()
        await self.rooms.start()
        await self.carrier.start(self._take)

    async def stop(self) -> None:
        await self.carrier.stop()
        await self.rooms.stop()
        await self.engine.stop()

    def dial(self, leg: str) -> Caught:
        caught = Caught()
        request = DialRequest(
            leg=leg, call="x", to="+12025550188", from_number=NUMBER, ring_seconds=20
        )
        caught.leg = self.carrier.dial(request, caught.events.append)
        return caught

    def _take(self, offer: Offer, leg: OfferedLeg) -> None:
        caught = Caught(leg, offer)
        self.caught.append(caught)
        leg.name(f"phone-in-{len(self.caught)}", caught.events.append)


async def until(true: Callable[[], object], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


class House:
    """Everything of one test; ``webhooks`` False: LiveKit tells nobody anything."""

    def __init__(self, webhooks: bool) -> None:
        self._webhooks = webhooks
        self._stack = contextlib.AsyncExitStack()
        self.callees: list[Party] = []

    async def __aenter__(self) -> House:
        hook: list[Any] = []

        async def handle(request: web.Request) -> web.StreamResponse:
            reply: web.StreamResponse = await hook[0].handle(request)
            return reply

        app = web.Application()
        app.router.add_post("/hook", handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        urls = [f"http://127.0.0.1:{port}/hook"] if self._webhooks else []
        self.server = LiveKit(webhooks=urls)
        self._stack.callback(self.server.stop)
        await asyncio.to_thread(self.server.start)
        self.sip = await self._stack.enter_async_context(
            SipBesideLiveKit(self.server.url, self.server.key, self.server.secret, self.ring)
        )
        self.station = Station(self.server, self.sip.url)
        hook += self.station.carrier.routes()
        await self.station.start()
        self._stack.push_async_callback(self.station.stop)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for party in self.callees:
            await party.leave()
        await self._stack.aclose()

    async def party(self, room: str, identity: str, status: str) -> Party:
        party = Party(self.server, room, identity, status)
        await party.__aenter__()
        self.callees.append(party)
        await party.publish(8000)
        return party

    async def ring(self, asked: sip.CreateSIPParticipantRequest) -> sip.SIPParticipantInfo:
        party = await self.party(asked.room_name, asked.participant_identity, "dialing")
        await party.says("ringing")
        await asyncio.sleep(1.0)
        await party.says("active")
        return sip.SIPParticipantInfo(
            participant_identity=asked.participant_identity, room_name=asked.room_name
        )


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with House(webhooks=True) as one:
        yield one
        assert one.sip.faults == []


@pytest.fixture
async def deaf_house() -> AsyncIterator[House]:
    async with House(webhooks=False) as one:
        yield one


def sound(hertz: float, ms: int) -> Sound:
    return Sound(np.asarray(tone(hertz, ms), np.int16).tobytes())


async def test_a_call_out_is_heard_both_ways_and_ends_with_the_callee(
    house: House, tmp_path: Path
) -> None:
    call = house.station.dial("phone-x")
    await call.until("LegRinging", 15)
    await call.until("LegAnswered", 15)
    (callee,) = house.callees
    played: list[Any] = []
    call.leg.media.play(sound(440.0, 1500), played.append)
    await callee.until(lambda: heard(callee.heard("service-phone-x"), 440.0).present_ms > 1300)
    done: list[Recorded] = []
    path = tmp_path / "in.wav"
    call.leg.media.record_message(path, done.append, max_seconds=10, silence_seconds=1.0)
    await callee.say(np.asarray(tone(880.0, 1500), np.int16))
    await until(lambda: done)
    assert heard(wav.parse(path.read_bytes()).samples[0], 880.0).present_ms > 1300
    await callee.room.local_participant.publish_dtmf(code=5, digit="5")
    pressed = await call.until("DigitPressed")
    assert isinstance(pressed, DigitPressed)
    assert (pressed.leg, pressed.digit) == ("phone-x", "5")
    call.leg.media.send_digits("7")
    await callee.until(lambda: callee.keys == ["7"])
    before = datetime.now(UTC)
    await callee.leave()
    ended = await call.until("LegEnded")
    assert call.end.outcome == Outcome.completed(EndedBy.CALLEE)
    assert (ended.at - before).total_seconds() < 1.0
    assert call.kinds() == ["LegRinging", "LegAnswered", "DigitPressed", "LegEnded"]
    assert "sip-out-phone-x" in house.station.told
    await until(lambda: house.station.engine.lanes == 0)


async def test_a_caller_whom_a_webhook_announces_is_answered_and_let_go(house: House) -> None:
    room = "sip-in_caller_one"
    caller = await house.party(room, "sip_+12025550188", "ringing")
    await until(lambda: house.station.caught, 2.5)
    (call,) = house.station.caught
    assert call.offer is not None
    offered = call.offer.event
    assert (offered.dialled, offered.from_number) == (NUMBER, "+12025550188")
    call.leg.ring()
    call.leg.answer()
    await caller.until(lambda: "service-phone-in-1" in caller.room.remote_participants)
    await caller.says("active")
    await call.until("LegAnswered")
    call.leg.media.play(sound(440.0, 1000), lambda played: None)
    await caller.until(lambda: heard(caller.heard("service-phone-in-1"), 440.0).present_ms > 850)
    call.leg.end(Outcome.completed(EndedBy.SERVICE))
    await caller.until(lambda: caller.over)
    assert caller.over == "ROOM_DELETED"
    assert call.kinds() == ["LegRinging", "LegAnswered", "LegEnded"]
    await asyncio.sleep(3.5)
    assert len(house.station.caught) == 1


async def test_without_webhooks_callers_are_found_and_leaving_is_seen(deaf_house: House) -> None:
    caller = await deaf_house.party("sip-in_caller_two", "sip_x", "ringing")
    await until(lambda: deaf_house.station.caught)
    (call,) = deaf_house.station.caught
    await caller.leave()
    await call.until("LegEnded", 10)
    assert call.end.outcome == Outcome.canceled(EndedBy.CALLER, 487)
    assert deaf_house.station.told == []


async def test_a_server_that_dies_under_a_call_ends_it_once(
    deaf_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telephony.rooms.link.HEAL_SECONDS", 2.0)
    call = deaf_house.station.dial("phone-x")
    await call.until("LegAnswered", 15)
    deaf_house.server.kill()
    await call.until("LegEnded", 20)
    assert call.end.outcome == Outcome.dropped(Cause.NETWORK)
    assert call.kinds().count("RoomInterrupted") == 1
    assert call.kinds()[-1] == "LegEnded"


async def test_a_caller_at_livekit_meets_an_agent_in_the_call_s_own_room(
    deaf_house: House,
) -> None:
    """Two rooms, and the service between them: who is in one is not in the other."""
    house = deaf_house
    call = house.station.dial("phone-x")
    await call.until("LegAnswered", 15)
    (callee,) = house.callees
    events: list[Event] = []
    meeting = Meeting(room="call-x", call="x", identity="phone-x")
    link = house.station.rooms.meet(meeting, call.leg.media, events.append)
    token = house.server.token("call-x", "agent-1", kind="agent")
    async with Participant(house.server.url, token, rate=8000) as agent:
        await agent.publish(8000)
        await agent.until(lambda: "phone-x" in agent.room.remote_participants)
        await agent.say(np.asarray(tone(440.0, 1500), np.int16))
        await callee.until(lambda: heard(callee.heard("service-phone-x"), 440.0).present_ms > 1300)
        await callee.say(np.asarray(tone(880.0, 1500), np.int16))
        await agent.until(lambda: heard(agent.heard("phone-x"), 880.0).present_ms > 1300)
        assert set(callee.room.remote_participants) == {"service-phone-x"}
        assert set(agent.room.remote_participants) == {"phone-x"}
        link.close()
    assert "LegEnded" not in call.kinds()
