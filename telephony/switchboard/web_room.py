"""The room of a browser's session: made, watched, written into, closed.

Nobody of ours is in it. What happens there is told by ``calls.ports.Attendance``, what is said
into it goes through the conference server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from telephony.base.errors import Conflict, Refused, TelephonyError
from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.meeting import Dispatch
from telephony.calls.ports import AgentRooms, Attendance
from telephony.switchboard.closing import close_room

if TYPE_CHECKING:
    from telephony.switchboard.session import Session

log = structlog.get_logger("telephony.switchboard.room")


class WebRoom:
    """One session's room."""

    def __init__(
        self, session: Session, room: str, agents: AgentRooms, attendance: Attendance
    ) -> None:
        self._session = session
        self._room = room
        self._agents = agents
        self._attendance = attendance
        self._open = False
        self._over = False
        self._closing = 0
        self._stop: Callable[[], None] | None = None

    @property
    def busy(self) -> bool:
        """It is being closed, and not known to be."""
        return self._closing > 0

    async def open(self, dispatch: Dispatch, seconds: float) -> None:
        """Make the room, which waits so long for its browser, and call the agent in; who is in it
        is told from now on.

        Raises:
            TelephonyError: there is no room, or nobody comes; said as an event too.
        """
        try:
            await self._attendance.make(self._room, seconds)
            await self._agents.dispatch(self._room, dispatch)
        except TelephonyError as error:
            self._failed(dispatch, error)
            raise
        if self._over:
            self._delete_again()
            raise Conflict("the session was ended before its agent was called")
        session = self._session
        now = session.kit.clock.now()
        self._open = True
        session.emit(e.RoomOpened(at=now, room=self._room))
        session.emit(e.AgentDispatched(at=now, room=self._room, agent_name=dispatch.agent_name))
        self._stop = self._attendance.watch(self._room, self._told)

    def call_agent(self, order: c.CallAgent) -> None:
        """Call an agent in once more; events say what came of it."""
        self._session.kit.tasks.spawn(self._call(order.dispatch), f"dispatch {self._room}")

    async def _call(self, dispatch: Dispatch) -> None:
        try:
            await self._agents.dispatch(self._room, dispatch)
        except TelephonyError as error:
            self._failed(dispatch, error)
            return
        if self._over:
            self._delete_again()
            return
        now = self._session.kit.clock.now()
        name = dispatch.agent_name
        self._session.emit(e.AgentDispatched(at=now, room=self._room, agent_name=name))

    def close(self) -> None:
        """Send everybody out; ``RoomClosed`` follows where the room was there."""
        if self._stop is not None:
            self._stop()
            self._stop = None
        self._over = True
        self._closing += 1
        self._session.kit.tasks.spawn(self._delete(), f"close {self._room}")

    def _delete_again(self) -> None:
        """A room comes with whoever is called into it, also into one that was closed meanwhile."""
        work = close_room(self._agents, self._room)
        self._session.kit.tasks.spawn(work, f"close {self._room} again")

    async def _delete(self) -> None:
        reason = "lost"
        try:
            if await close_room(self._agents, self._room):
                reason = ""
        finally:
            self._closing -= 1
            if self._open:
                self._open = False
                now = self._session.kit.clock.now()
                self._session.emit(e.RoomClosed(at=now, room=self._room, reason=reason))
            self._session.wake()

    def _told(self, event: e.Event) -> None:
        if isinstance(event, e.RoomOpened):
            self._open = True
        elif isinstance(event, e.RoomClosed):
            self._open = False
        self._session.emit(event)

    def _failed(self, dispatch: Dispatch, error: TelephonyError) -> None:
        log.warning("no agent could be called", room=self._room, error=error.message)
        self._session.emit(
            e.AgentDispatchFailed(
                at=self._session.kit.clock.now(),
                room=self._room,
                agent_name=dispatch.agent_name,
                cause="refused" if isinstance(error, Refused) else "unreachable",
            )
        )
