"""Who is in a room beside the caller, and the agent that is called into it: the events of both."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import structlog

from telephony.base.clock import Clock
from telephony.base.errors import TelephonyError, Unavailable
from telephony.calls import events as e
from telephony.calls.meeting import Dispatch, Meeting
from telephony.calls.ports import Emit
from telephony.rooms.attendance import Listing

log = structlog.get_logger("telephony.rooms")

GRACE_SECONDS = 5.0
"""For who was lost with a connection to come back, before the call hears that he left."""
COME_SECONDS = 15.0
"""For an agent to come after it was called: the server itself asks workers for 10 s."""
SPEAK_SECONDS = 10.0
"""For an agent that should speak first to say something."""


class Timer(Protocol):
    def cancel(self) -> None: ...


class Server(Listing, Protocol):
    """What is asked of a conference server; ``rooms.server.RoomServer`` says what is raised."""

    @property
    def url(self) -> str: ...

    async def dispatch(self, room: str, dispatch: Dispatch) -> str: ...

    async def send(self, room: str, data: bytes, topic: str = "") -> None: ...

    async def delete(self, room: str) -> None: ...

    async def remove(self, room: str, identity: str) -> None: ...

    async def close(self) -> None: ...


class Tokens(Protocol):
    """Who makes a leg's token."""

    def token(self, meeting: Meeting) -> str: ...


class Means(Protocol):
    """What timers, tasks and requests are made with."""

    @property
    def clock(self) -> Clock: ...

    @property
    def server(self) -> Server: ...

    def later(self, seconds: float, act: Callable[[], None]) -> Timer: ...

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None: ...


class Calling:
    """Calls agents in, one at a time, and says what came of it."""

    def __init__(self, house: Means, meeting: Meeting, emit: Emit) -> None:
        self.speaks_first = True
        """What is known of the agent that was called last."""
        self._house = house
        self._meeting = meeting
        self._emit = emit
        self._awaited: tuple[Dispatch, Timer] | None = None
        self._number = 0

    def call(self, dispatch: Dispatch) -> None:
        """Call one; who was called before is no longer waited for."""
        self.speaks_first = dispatch.speaks_first
        self._emit(
            e.AgentDispatched(
                at=self._house.clock.now(),
                room=self._meeting.room,
                agent_name=dispatch.agent_name,
            )
        )
        self._number += 1
        self._await(dispatch)
        self._house.spawn(self._dispatch(dispatch, self._number), f"agent {self._meeting.room}")

    def answered(self) -> None:
        """One has come, or nobody waits any more."""
        if self._awaited is not None:
            self._awaited[1].cancel()
            self._awaited = None

    async def _dispatch(self, dispatch: Dispatch, number: int) -> None:
        try:
            await self._house.server.dispatch(self._meeting.room, dispatch)
        except TelephonyError as error:
            log.warning("rooms.no_agent", call=self._meeting.call, error=error.message)
            if number == self._number:
                cause = "unreachable" if isinstance(error, Unavailable) else "refused"
                self._missed(dispatch, cause)

    def _await(self, dispatch: Dispatch) -> None:
        self.answered()
        timer = self._house.later(COME_SECONDS, lambda: self._missed(dispatch, "timeout"))
        self._awaited = (dispatch, timer)

    def _missed(self, dispatch: Dispatch, cause: str) -> None:
        if self._awaited is None:
            return
        self.answered()
        self._emit(
            e.AgentDispatchFailed(
                at=self._house.clock.now(),
                room=self._meeting.room,
                agent_name=dispatch.agent_name,
                cause=cause,
            )
        )


class Company:
    """Everybody in the room but the leg."""

    def __init__(self, house: Means, meeting: Meeting, emit: Emit, calling: Calling) -> None:
        self._house = house
        self._meeting = meeting
        self._emit = emit
        self._calling = calling
        self._company: dict[str, str] = {}
        self._missing: dict[str, Timer] = {}
        self._joined_at: dict[str, float] = {}
        self._dead: set[str] = set()
        self._silence: dict[str, Timer] = {}

    def roll_call(self) -> None:
        """The room was entered again: who is there says so, the others are missed."""
        for identity in list(self._company):
            self.miss(identity, "lost")

    def close(self) -> None:
        """Nobody is waited for."""
        for timer in [*self._missing.values(), *self._silence.values()]:
            timer.cancel()
        self._missing.clear()
        self._silence.clear()

    def came(self, identity: str, kind: str) -> None:
        if identity in self._dead:
            return
        missing = self._missing.pop(identity, None)
        if missing is not None:
            missing.cancel()
        if identity in self._company:
            return
        self._company[identity] = kind
        now, room = self._house.clock.now(), self._meeting.room
        if kind != "agent":
            self._emit(e.PeerJoined(at=now, room=room, identity=identity, kind=kind))
            return
        self._joined_at[identity] = self._house.clock.monotonic()
        self._calling.answered()
        self._emit(e.AgentJoined(at=now, room=room, identity=identity))
        if self._calling.speaks_first:
            self._silence[identity] = self._house.later(
                SPEAK_SECONDS, lambda: self._silent(identity)
            )

    def heard(self, identity: str) -> None:
        timer = self._silence.pop(identity, None)
        if timer is not None:
            timer.cancel()
        joined = self._joined_at.pop(identity, None)
        if joined is not None:
            after = round((self._house.clock.monotonic() - joined) * 1000)
            self._emit(
                e.AgentHeard(
                    at=self._house.clock.now(),
                    room=self._meeting.room,
                    identity=identity,
                    after_ms=after,
                )
            )

    def _silent(self, identity: str) -> None:
        if self._silence.pop(identity, None) is not None:
            self._emit(
                e.AgentSilent(
                    at=self._house.clock.now(),
                    room=self._meeting.room,
                    identity=identity,
                    seconds=SPEAK_SECONDS,
                )
            )

    def went(self, identity: str, kind: str, reason: str) -> None:
        if identity in self._dead:
            self._dead.discard(identity)
        elif reason in ("left", "removed"):
            self._leave(identity, reason)
        else:
            self.miss(identity, "lost")

    def miss(self, identity: str, reason: str) -> None:
        if identity in self._company and identity not in self._missing:
            self._missing[identity] = self._house.later(
                GRACE_SECONDS, lambda: self._leave(identity, reason)
            )

    def died(self, identity: str) -> None:
        """Its packets end. It must not come back beside the agent that is called for it.

        LiveKit's SIP service sends none while it rings or is on hold, and looks after its callers
        itself: who is of kind SIP is not dead for that.
        """
        if self._company.get(identity, "sip") == "sip":
            return
        self._dead.add(identity)
        self._leave(identity, "lost")
        self._house.spawn(self._remove(identity), f"remove {identity}")

    def _leave(self, identity: str, reason: str) -> None:
        missing = self._missing.pop(identity, None)
        if missing is not None:
            missing.cancel()
        kind = self._company.pop(identity, None)
        self._joined_at.pop(identity, None)
        if (timer := self._silence.pop(identity, None)) is not None:
            timer.cancel()
        if kind is None:
            return
        now, room = self._house.clock.now(), self._meeting.room
        if kind == "agent":
            self._emit(e.AgentLeft(at=now, room=room, identity=identity, reason=reason))
        else:
            self._emit(e.PeerLeft(at=now, room=room, identity=identity, kind=kind, reason=reason))

    async def _remove(self, identity: str) -> None:
        try:
            await self._house.server.remove(self._meeting.room, identity)
        except TelephonyError as error:
            log.warning("rooms.not_removed", call=self._meeting.call, error=error.message)
