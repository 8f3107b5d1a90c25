"""A conference server of this process: rooms where scripted agents and colleagues meet calls.

It stands where LiveKit stands, with the same links over it, the same feed and the same mix, and
without a network: ``LiveKitRooms(conference, conference, conference, rooms, engine, clock)``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from telephony.audio.mix import Samples
from telephony.base.clock import Clock
from telephony.base.errors import NotFound
from telephony.calls.meeting import Dispatch, Meeting
from telephony.rooms.attendance import Present
from telephony.rooms.feed import Feed
from telephony.rooms.figures import Figures
from telephony.rooms.link import Link
from telephony.rooms.voices import Voice, Voices

log = structlog.get_logger("telephony.rooms")

HEARS = 1500
"""Frames of 20 ms that a visitor may leave unread; the oldest go first."""
MAX_PACKETS = 256
AgentProgram = Callable[["Visitor", str], Awaitable[None]]
"""Run for each dispatch with who it is in the room and the metadata; it is out when it returns."""


class Visitor:
    """Somebody in a room who is no leg. Frames are int16 (20 ms,) at the rate of the meeting."""

    def __init__(self, room: Room, identity: str, kind: str) -> None:
        self.identity = identity
        self.kind = kind
        self.heard: list[Samples] = []
        self.packets: list[tuple[str, str, bytes]] = []
        """Sender, topic, data; of nobody where the service sent it."""
        self.keys: list[str] = []
        self.over = ""
        """Why it is out."""
        self._room = room

    def publish(self) -> None:
        """Have a microphone."""
        self._room.publish(self)

    def say(self, frame: Samples) -> None:
        """20 ms behind what was said before."""
        for stay in self._room.stays.values():
            voice = stay.voices.get(self.identity)
            if voice is not None:
                voice.put(frame)

    def send(self, data: bytes, topic: str = "") -> None:
        self._room.broadcast(self.identity, topic, data)

    def press(self, digit: str) -> None:
        for stay in self._room.stays.values():
            stay.tell("digit", digit)

    def leave(self) -> None:
        """Idempotent."""
        self._room.part(self, "left")


class Room:
    def __init__(self, name: str) -> None:
        self.name = name
        self.visitors: dict[str, Visitor] = {}
        self.published: set[str] = set()
        self.stays: dict[str, LocalStay] = {}

    def publish(self, visitor: Visitor) -> None:
        self.published.add(visitor.identity)
        for stay in self.stays.values():
            stay.hears(visitor)

    def broadcast(self, sender: str, topic: str, data: bytes) -> None:
        for visitor in self.visitors.values():
            if visitor.identity != sender:
                visitor.packets = [*visitor.packets, (sender, topic, data)][-MAX_PACKETS:]

    def part(self, visitor: Visitor, reason: str) -> None:
        if self.visitors.pop(visitor.identity, None) is None:
            return
        visitor.over = reason
        self.published.discard(visitor.identity)
        for stay in self.stays.values():
            stay.misses(visitor, reason)


class LocalStay:
    """Implements ``rooms.staying.Staying`` in a room of this process."""

    def __init__(self, conference: Conference, link: Link) -> None:
        self.voices = Voices(link.meeting.rate // 50)
        self._link = link
        self._conference = conference
        self._room: Room | None = None
        self._feed = Feed()
        self._muted = False
        self._told: set[str] = set()
        self._waiting: list[tuple[bytes, str]] = []

    def tell(self, fact: str, *values: Any) -> None:
        self._link.told(fact, *values)

    def enter(self, url: str, token: str) -> None:
        asyncio.get_running_loop().call_soon(self._enter)

    def _enter(self) -> None:
        if self._link.over or self._room is not None:
            return
        room = self._room = self._conference.room(self._link.meeting.room)
        held = room.stays.get(self._link.leg)
        room.stays[self._link.leg] = self
        if held is not None:
            held.out("duplicate")
        self.tell("in")
        for visitor in list(room.visitors.values()):
            self.sees(visitor)
        for data, topic in self._waiting:
            room.broadcast(self._link.leg, topic, data)
        self._waiting.clear()

    def sees(self, visitor: Visitor) -> None:
        """Somebody is in the room."""
        self.tell("came", visitor.identity, visitor.kind)
        self._consider()
        if self._room is not None and visitor.identity in self._room.published:
            self.hears(visitor)

    def hears(self, visitor: Visitor) -> None:
        """Somebody has a microphone."""
        now = self._conference.clock.monotonic
        self.voices.add(visitor.identity, Voice(visitor.identity, visitor.kind == "agent", now))
        self._weigh()

    def misses(self, visitor: Visitor, reason: str) -> None:
        self.voices.remove(visitor.identity)
        self._told.discard(visitor.identity)
        self.tell("went", visitor.identity, visitor.kind, reason)
        self._consider()
        self._weigh()

    def out(self, reason: str) -> None:
        """Sent out."""
        self._room = None
        self.tell("over", reason)

    def send(self, data: bytes, topic: str) -> None:
        if self._room is None:
            self._waiting = [*self._waiting, (data, topic)][-MAX_PACKETS:]
        else:
            self._room.broadcast(self._link.leg, topic, data)

    def send_digits(self, digits: str) -> None:
        for visitor in self._room.visitors.values() if self._room is not None else ():
            visitor.keys = [*visitor.keys, *digits][-MAX_PACKETS:]

    def mute(self, on: bool) -> None:
        self._muted = on
        self._weigh()

    def say(self) -> Samples | None:
        frame = self.voices.take()
        for identity, voice in self.voices.items():
            if voice.loud and identity not in self._told:
                self._told.add(identity)
                self.tell("heard", identity)
        return frame

    def hear(self, frame: Samples) -> None:
        self._feed.push(frame)
        for one in self._feed.due(self._conference.clock.monotonic()):
            for visitor in self._room.visitors.values() if self._room is not None else ():
                visitor.heard.append(one)
                del visitor.heard[:-HEARS]

    def figures(self) -> Figures:
        dropped, late = self.voices.counted()
        return Figures(
            heard_lost=self._feed.lost,
            heard_skipped=self._feed.skipped,
            said_dropped=dropped,
            said_late=late,
            depth=self.voices.depth,
        )

    def close(self) -> None:
        room, self._room = self._room, None
        if room is not None and room.stays.get(self._link.leg) is self:
            del room.stays[self._link.leg]
        self._conference.closed(self)

    def _consider(self) -> None:
        agents = self._room is not None and any(
            one.kind == "agent" for one in self._room.visitors.values()
        )
        if agents or (self._link.meeting.dispatch is None and self._room is not None):
            self._feed.open()
        else:
            self._feed.close()

    def _weigh(self) -> None:
        room = self._room
        others = room is not None and any(
            room.visitors[who].kind == "browser" for who in room.published & room.visitors.keys()
        )
        heard = not self._muted and not others
        if heard != self.voices.agents_heard:
            self.voices.agents_heard = heard
            self.tell("agents", heard)


class Conference:
    """The rooms: ``rooms.livekit.Host``, and what ``rooms.company.Server`` and ``Tokens`` are."""

    url = "local:"
    problem = ""

    def __init__(self, clock: Clock, agents: Mapping[str, AgentProgram] | None = None) -> None:
        """``agents``: programs by the name that a dispatch has."""
        self.clock = clock
        self._past = Figures()
        self._agents = agents or {}
        self._rooms: dict[str, Room] = {}
        self._stays: list[LocalStay] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._number = 0

    def room(self, name: str) -> Room:
        return self._rooms.setdefault(name, Room(name))

    def visit(self, name: str, identity: str, kind: str = "agent") -> Visitor:
        """Somebody of this process enters: ``agent``, ``browser`` or ``sip``."""
        room = self.room(name)
        held = room.visitors.get(identity)
        if held is not None:
            room.part(held, "duplicate")
        visitor = room.visitors[identity] = Visitor(room, identity, kind)
        for stay in room.stays.values():
            stay.sees(visitor)
        return visitor

    # -- rooms.company.Server and Tokens --------------------------------------------------------

    async def dispatch(self, room: str, dispatch: Dispatch) -> str:
        """Run the program of this name; of another name nobody comes."""
        self._number += 1
        program = self._agents.get(dispatch.agent_name)
        if program is not None:
            visitor = self.visit(room, f"agent-{self._number}")
            task = asyncio.get_running_loop().create_task(
                self._run(program, visitor, dispatch.metadata)
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self.room(room)
        return f"AD_{self._number}"

    async def _run(self, program: AgentProgram, visitor: Visitor, metadata: str) -> None:
        try:
            await program(visitor, metadata)
        except Exception:
            log.exception("rooms.agent_failed", identity=visitor.identity)
        finally:
            visitor.leave()

    def token(self, meeting: Meeting) -> str:
        """Everybody may enter."""
        return ""

    async def send(self, room: str, data: bytes, topic: str = "") -> None:
        if room not in self._rooms:
            raise NotFound(f"there is no room {room}")
        self._rooms[room].broadcast("", topic, data)

    async def delete(self, room: str) -> None:
        gone = self._rooms.pop(room, None)
        if gone is not None:
            for visitor in list(gone.visitors.values()):
                visitor.over = "deleted"
            gone.visitors.clear()
            for stay in list(gone.stays.values()):
                stay.out("deleted")

    async def make(self, room: str, seconds: float) -> None:
        self.room(room)

    async def exists(self, room: str) -> bool:
        return room in self._rooms

    async def inside(self, room: str) -> list[Present]:
        held = self._rooms.get(room)
        if held is None:
            return []
        legs = [Present(identity, "sip") for identity in held.stays]
        return [*legs, *(Present(one.identity, one.kind) for one in held.visitors.values())]

    async def remove(self, room: str, identity: str) -> None:
        held = self._rooms.get(room)
        if held is not None and identity in held.visitors:
            held.part(held.visitors[identity], "removed")

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- rooms.livekit.Host ---------------------------------------------------------------------

    async def start(self) -> None:
        """There is nothing to start."""

    async def stop(self) -> None:
        self._stays.clear()

    def ready(self) -> str | None:
        return None

    def open(self, link: Link) -> LocalStay:
        self._stays.append(LocalStay(self, link))
        return self._stays[-1]

    def ticked(self, due: float) -> None:
        """Frames are there already."""

    def figures(self) -> Figures:
        found = Figures()
        found.add(self._past)
        for stay in self._stays:
            found.add(stay.figures())
        return found

    def closed(self, stay: LocalStay) -> None:
        """A stay is over; what it counted stays."""
        if stay in self._stays:
            self._stays.remove(stay)
            last = stay.figures()
            last.depth = 0
            self._past.add(last)

    def workers(self) -> list[tuple[str, bool, int, int]]:
        return []
