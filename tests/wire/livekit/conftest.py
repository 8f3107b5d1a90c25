"""The LiveKit carrier on the stand-in for LiveKit, with rooms that a test speaks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import ClientSession, web

from telephony.accounts.model import PhoneNumber, Trunk, TrunkKind
from telephony.calls import events as e
from telephony.calls.meeting import Dispatch, Meeting
from telephony.calls.ports import DialRequest, Emit, Media, Offer, OfferedLeg
from telephony.carriers.livekit import LiveKitCarrier, LiveKitConfig
from telephony.testing.livekit_sip import KEY, SECRET, LiveKitStandIn, signed
from tests.wire.conftest import Book, Caught, QuietEngine, RealClock

T0 = datetime(2026, 1, 5, tzinfo=UTC)
NUMBER = "+12025550123"
# What ends a call by itself is slow here: a test that waits for it says so, and the others do not
# depend on how busy the machine is.
FAST: dict[str, Any] = {
    "look_ringing": 0.02,
    "look_closely": 0.02,
    "look_active": 60.0,
    "sweep": 0.05,
    "grace": 0.2,
    "reason_grace": 0.1,
    "ring_margin": 0.4,
    "join": 5.0,
    "answer": 5.0,
    "request": 2.0,
    "transfer_ring": 1.0,
    "drain": 1.0,
}


@dataclass
class Link:
    """Our place in a room, as the room's double has it."""

    meeting: Meeting
    media: Media
    emit: Emit
    keys: list[str] = field(default_factory=list)
    closed: bool = False

    def send(self, data: bytes, topic: str = "") -> None: ...

    def send_digits(self, digits: str) -> None:
        self.keys.append(digits)

    def mute(self, on: bool) -> None: ...

    def dispatch(self, dispatch: Dispatch) -> None: ...

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.left("")

    def left(self, reason: str) -> None:
        """We are out."""
        room = self.meeting.room
        self.emit(
            e.RoomLeft(
                at=T0, leg=self.meeting.identity, room=room, provider="livekit", reason=reason
            )
        )

    def presses(self, digit: str) -> None:
        """The caller presses a key."""
        self.emit(e.DigitPressed(at=T0, leg=self.meeting.identity, digit=digit, method="room"))

    def peer_left(self, identity: str, reason: str = "left") -> None:
        self.emit(
            e.PeerLeft(at=T0, room=self.meeting.room, identity=identity, kind="sip", reason=reason)
        )


class Rooms:
    """``calls.ports.AgentRooms``: who enters is in at once, unless the test keeps him out."""

    def __init__(self) -> None:
        self.links: list[Link] = []
        self.lets_in = True

    def ready(self) -> str | None:
        return None

    def meet(self, meeting: Meeting, media: Media, emit: Emit) -> Link:
        link = Link(meeting, media, emit)
        self.links.append(link)
        if self.lets_in:
            joined = e.RoomJoined(
                at=T0, leg=meeting.identity, room=meeting.room, provider="livekit"
            )
            asyncio.get_running_loop().call_soon(emit, joined)
        return link

    async def dispatch(self, room: str, dispatch: Dispatch) -> None: ...

    async def send(self, room: str, data: bytes, topic: str = "") -> None: ...

    async def delete(self, room: str) -> None: ...


class LiveKitHouse:
    """A carrier with its directory, engine and rooms; calls that come in are ``caught``."""

    def __init__(self, server: LiveKitStandIn, engine: Any, **config: Any) -> None:
        self.server = server
        self.book = Book()
        self.engine = engine
        self.rooms = Rooms()
        self.caught: list[Caught] = []
        self.heard: list[str] = []
        self.admits = True
        self.config = LiveKitConfig(
            **{**FAST, "url": server.url, "key": KEY, "secret": SECRET, **config}
        )
        self.carrier = LiveKitCarrier(
            self.config,
            self.book,
            engine,
            self.rooms,
            RealClock(),
            heard=[self.heard.append],
        )
        self._runner: web.AppRunner | None = None
        self.webhook_url = ""

    def add_trunk(self, name: str = "lk", **values: Any) -> Trunk:
        given = {"kind": TrunkKind.LIVEKIT, "livekit_trunk": "ST_out", **values}
        return self.book.add_trunk(name, **given)

    def add_number(
        self,
        e164: str = NUMBER,
        trunk: str | None = "tr_lk",
        organization: str = "org_default",
    ) -> None:
        self.book.number_list.append(
            PhoneNumber(
                id=f"num_{e164[1:]}",
                organization=organization,
                e164=e164,
                trunk=trunk,
                created_at=T0,
                updated_at=T0,
            )
        )

    def dial(self, to: str = "+12025550188", **values: Any) -> Caught:
        caught = Caught()
        given = {"leg": "phone-x", "call": "x", "to": to, "from_number": "+12025550100"}
        caught.leg = self.carrier.dial(DialRequest(**{**given, **values}), caught.events.append)
        return caught

    async def offered(self, seconds: float = 5.0) -> Caught:
        async with asyncio.timeout(seconds):
            while not self.caught:
                await asyncio.sleep(0.005)
        return self.caught[-1]

    async def start(self) -> None:
        await self.carrier.start(self._take)
        app = web.Application()
        for hook in self.carrier.routes():
            app.router.add_route(hook.method, hook.path, hook.handle)
            path = hook.path
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.webhook_url = f"http://{host}:{port}{path}"

    async def stop(self) -> None:
        await self.carrier.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    async def tell(self, *events: Any) -> None:
        """LiveKit's webhooks, in this order."""
        async with ClientSession() as session:
            for event in events:
                body, token = signed(event)
                headers = {
                    "Authorization": token,
                    "Content-Type": "application/webhook+json",
                }
                async with session.post(self.webhook_url, data=body, headers=headers) as reply:
                    assert reply.status == 200, await reply.text()

    def _take(self, offer: Offer, leg: OfferedLeg) -> None:
        caught = Caught(leg, offer)
        self.caught.append(caught)
        if self.admits:
            leg.name(f"phone-{len(self.caught)}", caught.events.append)


@pytest.fixture
async def server() -> AsyncIterator[LiveKitStandIn]:
    """Every request of the test must have been one that LiveKit's messages know."""
    async with LiveKitStandIn() as one:
        yield one
    assert one.faults == []


@pytest.fixture
async def house(server: LiveKitStandIn) -> AsyncIterator[Callable[..., Awaitable[LiveKitHouse]]]:
    """``await house(orphan=1.0, …)``: a carrier that is stopped when the test ends."""
    made: list[LiveKitHouse] = []

    async def make(engine: Any = None, **config: Any) -> LiveKitHouse:
        one = LiveKitHouse(server, QuietEngine() if engine is None else engine, **config)
        made.append(one)
        await one.start()
        return one

    yield make
    for one in made:
        await one.stop()


async def until(true: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait for something that has no event."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)
