"""Browsers: their sessions, and who of them joins a call that is under way."""

from __future__ import annotations

from datetime import timedelta

from telephony.base.errors import Conflict, NotFound, TelephonyError, Unavailable
from telephony.base.ids import room_name
from telephony.calls.call import Call
from telephony.calls.events import SessionOpened
from telephony.calls.meeting import Dispatch
from telephony.calls.orders import RoomOrder, RoomResult
from telephony.calls.outcome import Cause, EndedBy, Outcome, Status
from telephony.calls.packets import message_packets
from telephony.calls.ports import AgentRooms, Attendance
from telephony.calls.state import Direction
from telephony.ivr.browser import BrowserProgram, BrowserTimes
from telephony.switchboard.agents import Agents
from telephony.switchboard.kit import Kit
from telephony.switchboard.messages import Messages
from telephony.switchboard.session import Session
from telephony.switchboard.web_room import WebRoom

NOT_LIVE = "CALL_NOT_LIVE"
NO_ROOMS = "ROOMS_NOT_CONFIGURED"
LATE_SECONDS = 60.0


class Web:
    """What the switchboard does for browsers."""

    def __init__(self, kit: Kit, agents: Agents) -> None:
        self._kit = kit
        self._agents = agents

    # --- sessions --------------------------------------------------------------------------

    def prepare(self, order: RoomOrder, call_id: str) -> tuple[Call, Dispatch]:
        """The row of a session, and the order that calls its agent.

        Raises:
            BadInput: a variable that nobody gave, or too much to tell the agent.
            NotFound: an unknown agent.
            Unavailable: no agent can be met (code ROOMS_NOT_CONFIGURED without a server).
        """
        now = self._kit.clock.now()
        call = Call(
            id=call_id,
            organization=order.organization,
            direction=Direction.WEB,
            created_at=now,
            updated_at=now,
            status=Status.CONNECTING,
            provider="livekit",
            kind="cascade",
            agent=order.agent,
            room=room_name(call_id),
            metadata=dict(order.metadata),
            tags=dict(order.tags),
        )
        call, told = self._agents.converse(call, order)
        dispatch = self._agents.dispatch(
            call, told, identity=order.identity, max_seconds=order.max_duration_seconds
        )
        self._rooms()
        if (reason := self._agents.away()) is not None:
            raise Unavailable(reason)
        return call, dispatch

    def session(self, call: Call, order: RoomOrder, result: RoomResult, who: Dispatch) -> Session:
        """The session with its first event, whose task has not begun."""
        agents, attendance = self._rooms()
        times = BrowserTimes(join=float(order.ttl_seconds))
        program = BrowserProgram(result.room_name, who, times)
        session = Session(self._kit, call, program, max_seconds=order.max_duration_seconds)
        session.room = WebRoom(session, result.room_name, agents, attendance)
        opened = SessionOpened(
            at=call.created_at,
            room=result.room_name,
            identity=result.identity,
            expires_at=result.expires_at,
        )
        # In the log before the session's task begins: who asked waits for this very row.
        session.append(opened)
        return session

    async def call_in(self, session: Session, dispatch: Dispatch, seconds: float) -> None:
        """Make the room and call the agent.

        Raises:
            TelephonyError: nobody comes, and the session is over (code SESSION_CREATE_FAILED).
        """
        assert session.room is not None
        try:
            # Looking, and the browser's own joining, take their time at the end of a token's life.
            await session.room.open(dispatch, seconds + LATE_SECONDS)
        except TelephonyError as error:
            session.end(EndedBy.SERVICE, Outcome.failed(Cause.AGENT_UNAVAILABLE))
            raise TelephonyError(
                f"no agent could be called: {error.message}", code="SESSION_CREATE_FAILED"
            ) from None

    # --- calls under way -------------------------------------------------------------------

    async def join(self, call: Call, identity: str, seconds: int) -> RoomResult:
        """Where a further browser joins a call, whichever process has it.

        Raises:
            Conflict: the call is over, or meets nobody in a room (code CALL_NOT_LIVE).
            Unavailable: as ``prepare``.
        """
        if not call.live:
            raise Conflict("the call is over", code=NOT_LIVE)
        _, attendance = self._rooms()
        room = room_name(call.id)
        if not await attendance.exists(room):
            raise Conflict("the call is in no room that a browser could join", code=NOT_LIVE)
        return RoomResult(
            session_id=call.id,
            room_name=room,
            identity=identity,
            expires_at=self._kit.clock.now() + timedelta(seconds=seconds),
        )

    async def tell(self, call: Call, session: Session | None, text: str, mode: str) -> str:
        """Hand the agent of a call a text; the message's id. ``session``: where the call is ours.

        Raises:
            Conflict: the call is over, or no agent is in it (code CALL_NOT_LIVE).
            Busy: too many are on their way.
            Unavailable: as ``prepare``.
        """
        if not (call if session is None else session.call).live:
            raise Conflict("the call is over", code=NOT_LIVE)
        agents, _ = self._rooms()
        if call.kind != "cascade":
            raise Conflict("no agent is in the call", code=NOT_LIVE)
        room = room_name(call.id)
        if session is None:
            return await self._pass_on(room, agents, text, mode)
        if session.messages is None:
            session.messages = Messages(session, room, agents)
        return session.messages.send(text, mode)

    async def _pass_on(self, room: str, agents: AgentRooms, text: str, mode: str) -> str:
        """Another process has the call, and its record: the room is the same for all."""
        message = self._kit.ids.make("msg")
        try:
            for packet in message_packets(message, text, mode):
                await agents.send(room, packet)
        except NotFound:
            raise Conflict("the call is in no room with an agent", code=NOT_LIVE) from None
        return message

    def _rooms(self) -> tuple[AgentRooms, Attendance]:
        agents, attendance = self._kit.agents, self._kit.attendance
        if agents is None or attendance is None:
            raise Unavailable("no LiveKit server is configured (LIVEKIT_URL)", code=NO_ROOMS)
        return agents, attendance
