"""Rooms that browsers and agents meet in, without a server: a test says who comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from telephony.base.clock import Clock
from telephony.base.errors import NotFound
from telephony.calls import events as e
from telephony.calls.meeting import Dispatch
from telephony.calls.ports import Emit
from telephony.testing.meetings import FakeAgentRooms


class FakeWeb(FakeAgentRooms):
    """``calls.ports.AgentRooms`` and ``Attendance`` of rooms that none of our legs is in."""

    def __init__(self, clock: Clock, problem: str | None = None) -> None:
        super().__init__(clock, problem)
        self._watches: dict[str, Emit] = {}
        self.rooms: set[str] = set()
        self.made: list[tuple[str, float]] = []
        self.gate = asyncio.Event()
        """What keeps the server from answering when an agent is called, while it is not set."""
        self.gate.set()

    # --- the ports -------------------------------------------------------------------------

    async def dispatch(self, room: str, dispatch: Dispatch) -> None:
        await self.gate.wait()
        await super().dispatch(room, dispatch)
        self.rooms.add(room)

    async def send(self, room: str, data: bytes, topic: str = "") -> None:
        self._check()
        if room not in self.rooms:
            raise NotFound("no such room")
        self.sent.append((room, data, topic))

    async def delete(self, room: str) -> None:
        await super().delete(room)
        self.rooms.discard(room)

    def watch(self, room: str, emit: Emit) -> Callable[[], None]:
        self._watches[room] = emit

        def stop() -> None:
            self._watches.pop(room, None)

        return stop

    async def make(self, room: str, seconds: float) -> None:
        self._check()
        self.made.append((room, seconds))

    async def exists(self, room: str) -> bool:
        self._check()
        return room in self.rooms

    # --- who comes and goes ----------------------------------------------------------------

    @property
    def watched(self) -> set[str]:
        """Rooms that are looked at."""
        return set(self._watches)

    def browser_comes(self, room: str, identity: str = "anna") -> None:
        self._tell(e.PeerJoined(at=self._clock.now(), room=room, identity=identity))

    def browser_goes(self, room: str, identity: str = "anna") -> None:
        self._tell(e.PeerLeft(at=self._clock.now(), room=room, identity=identity))

    def agent_comes(self, room: str, identity: str = "agent-1") -> None:
        self._tell(e.AgentJoined(at=self._clock.now(), room=room, identity=identity))

    def agent_goes(self, room: str, identity: str = "agent-1") -> None:
        self._tell(e.AgentLeft(at=self._clock.now(), room=room, identity=identity))

    def somebody_closes(self, room: str) -> None:
        self.rooms.discard(room)
        self._tell(e.RoomClosed(at=self._clock.now(), room=room, reason="deleted"))

    def _tell(self, event: e.RoomEvent) -> None:
        self._watches[event.room](event)
