"""Rooms with agents that do what a test says: who is met, what is ordered, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from telephony.base.clock import Clock
from telephony.base.errors import NotFound, TelephonyError
from telephony.calls import events as e
from telephony.calls.meeting import Dispatch, Meeting
from telephony.calls.ports import Emit, Media


@dataclass
class FakeLink:
    """A leg in a room. The test is the agent: ``joins``, ``speaks``, ``goes``, ``closes_room``."""

    clock: Clock
    meeting: Meeting
    media: Media
    emit: Emit
    dispatched: list[Dispatch] = field(default_factory=list)
    sent: list[tuple[bytes, str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    muted: bool = False
    open: bool = True

    # --- the port --------------------------------------------------------------------------

    def send(self, data: bytes, topic: str = "") -> None:
        self.sent.append((data, topic))

    def send_digits(self, digits: str) -> None:
        self.keys.append(digits)

    def mute(self, on: bool) -> None:
        self.muted = on

    def dispatch(self, dispatch: Dispatch) -> None:
        self.dispatched.append(dispatch)
        self._say(e.AgentDispatched, agent_name=dispatch.agent_name)

    def close(self) -> None:
        self._leave("")

    # --- the room --------------------------------------------------------------------------

    def enters(self) -> None:
        """The room lets the leg in, and calls the agent."""
        at, leg, room = self.clock.now(), self.meeting.identity, self.meeting.room
        self.emit(e.RoomJoined(at=at, leg=leg, room=room, provider="livekit"))
        if self.meeting.dispatch is not None:
            self.dispatch(self.meeting.dispatch)

    def joins(self, identity: str = "agent-1") -> None:
        self._say(e.AgentJoined, identity=identity)

    def speaks(self, identity: str = "agent-1") -> None:
        self._say(e.AgentHeard, identity=identity, after_ms=120)

    def is_silent(self, identity: str = "agent-1") -> None:
        self._say(e.AgentSilent, identity=identity, seconds=10.0)

    def goes(self, identity: str = "agent-1", reason: str = "left") -> None:
        self._say(e.AgentLeft, identity=identity, reason=reason)

    def colleague_joins(self, identity: str = "web-1") -> None:
        self._say(e.PeerJoined, identity=identity)

    def colleague_goes(self, identity: str = "web-1") -> None:
        self._say(e.PeerLeft, identity=identity)

    def nobody_comes(self, cause: str = "timeout") -> None:
        self._say(e.AgentDispatchFailed, agent_name=self.dispatched[-1].agent_name, cause=cause)

    def closes_room(self, reason: str = "deleted") -> None:
        self._leave(reason)

    def _leave(self, reason: str) -> None:
        if not self.open:
            return
        self.open = False
        at, leg, room = self.clock.now(), self.meeting.identity, self.meeting.room
        self.emit(e.RoomLeft(at=at, leg=leg, room=room, provider="livekit", reason=reason))

    def _say(self, fact: Callable[..., e.Event], **members: object) -> None:
        if self.open:
            self.emit(fact(at=self.clock.now(), room=self.meeting.room, **members))


class FakeAgentRooms:
    """``calls.ports.AgentRooms``. ``problem`` is why no agent can be met; ``fault`` is raised by
    what is awaited."""

    def __init__(self, clock: Clock, problem: str | None = None) -> None:
        self._clock = clock
        self.problem = problem
        self.fault: TelephonyError | None = None
        self.links: list[FakeLink] = []
        self.called: list[tuple[str, Dispatch]] = []
        self.sent: list[tuple[str, bytes, str]] = []
        self.deleted: list[str] = []

    def ready(self) -> str | None:
        return self.problem

    def meet(self, meeting: Meeting, media: Media, emit: Emit) -> FakeLink:
        link = FakeLink(self._clock, meeting, media, emit)
        self.links.append(link)
        return link

    async def dispatch(self, room: str, dispatch: Dispatch) -> None:
        self._check()
        self.called.append((room, dispatch))

    async def send(self, room: str, data: bytes, topic: str = "") -> None:
        self._check()
        if not any(link.open and link.meeting.room == room for link in self.links):
            raise NotFound("no such room")
        self.sent.append((room, data, topic))

    async def delete(self, room: str) -> None:
        self._check()
        self.deleted.append(room)

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault
