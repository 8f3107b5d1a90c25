"""Commands become orders to ports: one row of a table each. Results come back as events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from telephony.accounts.routing import choose_trunk, provider_of
from telephony.base.errors import BadInput, Conflict, Refused, StoreUnavailable, TelephonyError
from telephony.base.ids import phone_identity
from telephony.base.number import is_e164
from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.callback import Callback
from telephony.calls.leg import Leg
from telephony.calls.meeting import Dispatch, Meeting
from telephony.calls.outcome import Cause, EndedBy, Outcome
from telephony.calls.ports import (
    AnswerHeard,
    DialRequest,
    GreetingHeard,
    LegControl,
    Recorded,
    RoomLink,
)
from telephony.calls.role import Role
from telephony.calls.state import Direction
from telephony.switchboard.playout import Playout
from telephony.switchboard.transfers import Transfers

if TYPE_CHECKING:
    from telephony.switchboard.session import Session

log = structlog.get_logger("telephony.switchboard.execute")

CALLBACK_TRIES = 60
"""How often a promise is offered to a store that is away, once a second."""


class Executor:
    """Carries out one session's commands."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._kit = session.kit
        self._playouts: dict[str, Playout] = {}
        self._rooms: dict[str, c.JoinRoom] = {}
        self._links: dict[str, RoomLink] = {}
        self._stop_reasons: dict[str, str] = {}
        self._messages = 0
        self._promises = 0
        self.open_recordings: dict[str, e.RecordingStarted] = {}
        self.transfers = Transfers(session, self)

    async def do(self, command: c.Command) -> Outcome | None:
        """Carry out a command; an outcome ends the call."""
        return await _TABLE[type(command)](self, command)

    async def observe(self, event: e.Event) -> None:
        """What an event means for orders under way."""
        if isinstance(event, e.LegEnded):
            # A leg that is over makes room for others: a call may dial as often as it likes.
            self._session.legs.pop(event.leg, None)
            self._playouts.pop(event.leg, None)
            self._leave(event.leg)
        elif isinstance(event, e.RoomLeft):
            self._links.pop(event.leg, None)
        elif isinstance(event, e.DigitPressed) and event.leg in self._links:
            # Those of the agent go down the line by themselves.
            self._links[event.leg].send_digits(event.digit)
        await self.transfers.observe(event)

    @property
    def busy(self) -> bool:
        """Recordings, promises, texts or a room of which it is not known yet what became of
        them."""
        session = self._session
        return (
            bool(self.open_recordings)
            or self._promises > 0
            or (session.room is not None and session.room.busy)
            or (session.messages is not None and session.messages.busy)
        )

    async def committed(self) -> bool:
        """Wait until everything so far is on disk, before acting outwards."""
        return await self._kit.journal.committed(
            self._session.call.id, self._session.seq, self._kit.config.commit_seconds
        )

    def leg(self, leg: str) -> LegControl | None:
        return self._session.legs.get(leg)

    # --- answering, sound ------------------------------------------------------------------

    async def _ring(self, order: c.Ring) -> None:
        if (leg := self.leg(order.leg)) is not None:
            leg.ring()

    async def _answer(self, order: c.Answer) -> None:
        # A call that was admitted is answered even when the store went away since.
        await self.committed()
        if (leg := self.leg(order.leg)) is not None:
            leg.answer()

    async def _play(self, order: c.Play) -> None:
        leg = self.leg(order.leg)
        if leg is None:
            return
        playout = self._playouts.get(order.leg)
        if playout is None:
            playout = Playout(self._kit, order.leg, lambda: leg.media, self._session.emit)
            self._playouts[order.leg] = playout
        playout.play(order)

    async def _stop(self, order: c.Stop) -> None:
        if (playout := self._playouts.get(order.leg)) is not None:
            playout.stop(order.reason)

    async def _send_digits(self, order: c.SendDigits) -> None:
        if (leg := self.leg(order.leg)) is not None:
            leg.media.send_digits(order.digits)
            now = self._kit.clock.now()
            self._session.emit(e.DigitsSent(at=now, leg=order.leg, digits=order.digits))

    # --- recordings ------------------------------------------------------------------------

    async def _record_call(self, order: c.RecordCall) -> None:
        self.record_call(order.leg)

    def record_call(self, leg_id: str) -> None:
        """Record the whole call from this leg's side, once."""
        recording = f"{self._session.call.id}"
        if recording in self.open_recordings or self._session.call.recording_status is not None:
            return
        leg = self.leg(leg_id)
        if leg is None:
            return
        path = self._begin(leg_id, recording, "call", recording)
        leg.media.record_call(path, partial(self._recorded, leg_id, recording, "call"))

    async def _record(self, order: c.Record) -> None:
        leg = self.leg(order.leg)
        if leg is None:
            return
        self._messages += 1
        name = f"{self._session.call.id}-message-{self._messages}"
        path = self._begin(order.leg, order.recording, "message", name)
        leg.media.record_message(
            path,
            partial(self._recorded, order.leg, order.recording, "message"),
            max_seconds=order.max_seconds,
            silence_seconds=order.silence_seconds,
        )

    async def _stop_record(self, order: c.StopRecord) -> None:
        if (leg := self.leg(order.leg)) is not None:
            self._stop_reasons[order.recording] = order.reason
            leg.media.stop_message()

    def _begin(self, leg: str, recording: str, kind: str, name: str) -> Path:
        now = self._kit.clock.now()
        path = self._kit.recording_path(name, self._session.call.created_at)
        begun = e.RecordingStarted(at=now, leg=leg, recording=recording, kind=kind, path=str(path))
        self.open_recordings[recording] = begun
        self._session.emit(begun)
        return path

    def _recorded(self, leg: str, recording: str, kind: str, result: Recorded) -> None:
        self.open_recordings.pop(recording, None)
        now = self._kit.clock.now()
        if result.error:
            log.warning("a recording failed", call=self._session.call.id, error=result.error)
            self._session.emit(
                e.RecordingFailed(
                    at=now,
                    leg=leg,
                    recording=recording,
                    kind=kind,
                    path=str(result.path),
                    error=result.error,
                    duration_ms=result.duration_ms,
                )
            )
            return
        reason = result.reason
        if reason == "stopped":
            reason = self._stop_reasons.pop(recording, reason)
        self._session.emit(
            e.RecordingReady(
                at=now,
                leg=leg,
                recording=recording,
                kind=kind,
                path=str(result.path),
                duration_ms=result.duration_ms,
                size=result.size,
                reason=reason,
            )
        )

    # --- who answered ----------------------------------------------------------------------

    async def _watch_answer(self, order: c.WatchAnswer) -> None:
        if (leg := self.leg(order.leg)) is not None:
            leg.media.watch_answer(partial(self._answer_heard, order.leg), seconds=order.seconds)

    def _answer_heard(self, leg: str, heard: AnswerHeard) -> None:
        self._session.emit(
            e.AnswerDetected(
                at=self._kit.clock.now(),
                leg=leg,
                verdict=heard.verdict,
                confidence=heard.confidence,
                time_ms=heard.time_ms,
                reason=heard.reason,
            )
        )

    async def _await_greeting(self, order: c.AwaitGreeting) -> None:
        if (leg := self.leg(order.leg)) is not None:
            done = partial(self._greeting_heard, order.leg)
            leg.media.await_greeting(done, seconds=order.seconds, beep_only=order.beep_only)

    def _greeting_heard(self, leg: str, heard: GreetingHeard) -> None:
        now = self._kit.clock.now()
        self._session.emit(e.GreetingEnded(at=now, leg=leg, how=heard.how, time_ms=heard.time_ms))

    # --- further legs ----------------------------------------------------------------------

    async def _transfer(self, order: c.Transfer) -> Outcome | None:
        return await self.transfers.begin(order)

    async def _dial(self, order: c.Dial) -> None:
        call = self._session.call
        await self.dial_leg(
            DialRequest(
                leg=order.leg,
                call=call.id,
                to=order.to,
                from_number=order.from_number,
                trunk=order.trunk,
                ring_seconds=order.ring_seconds,
                max_seconds=order.max_seconds,
                digits=order.digits,
                headers=order.headers,
            )
        )

    async def dial_leg(self, request: DialRequest) -> None:
        """Write the attempt down, then send it; what fails before that is an ended leg."""
        session, kit = self._session, self._kit
        request, refusal = self._route(request)
        session.append(
            e.LegDialing(
                at=kit.clock.now(),
                leg=request.leg,
                to=request.to,
                from_number=request.from_number,
                provider=provider_of(
                    kit.directory.trunks(session.call.organization), request.trunk
                ),
                trunk=request.trunk,
                phone=request.to if request.phone else None,
            )
        )
        if refusal is None and len(session.legs) >= kit.config.max_legs:
            refusal = Outcome.failed(Cause.CAPACITY)
        if refusal is None and not request.phone:
            refusal = await self._unpaid()
        # An INVITE cannot be taken back, and may cost money: its attempt is on disk first.
        if refusal is None and not await self.committed():
            refusal = Outcome.failed(Cause.INTERNAL)
        if refusal is None and session.leaving:
            refusal = Outcome.canceled(EndedBy.SERVICE)
        if refusal is None:
            try:
                session.legs[request.leg] = kit.carrier.dial(request, session.emit)
                return
            except TelephonyError as error:
                log.warning("could not dial", call=session.call.id, error=error.message)
                refusal = Outcome.failed(Cause.NO_ROUTE)
        session.emit(e.LegEnded(at=kit.clock.now(), leg=request.leg, outcome=refusal))

    async def _unpaid(self) -> Outcome | None:
        """Why nothing that costs money may begin, or None."""
        try:
            await self._kit.afford(self._session.call.organization)
        except Refused:
            return Outcome.failed(Cause.REFUSED_BY_POLICY)
        except StoreUnavailable:
            return Outcome.failed(Cause.INTERNAL)
        return None

    def _route(self, request: DialRequest) -> tuple[DialRequest, Outcome | None]:
        """The request with its trunk or phone, and why it cannot be dialled where it cannot."""
        call, directory = self._session.call, self._kit.directory

        if any(phone.user == request.to for phone in directory.phones(call.organization)):
            sender = request.from_number or call.from_number
            return replace(request, phone=True, from_number=sender), None
        trunks = directory.trunks(call.organization)
        sender = request.from_number or call.our_number
        try:
            trunk = choose_trunk(
                trunks, directory.numbers(call.organization), request.trunk, sender
            )
        except BadInput:
            trunk = None
        if trunk is None:
            return request, Outcome.failed(Cause.NO_ROUTE)
        # A caller id that the trunk does not hold is refused by carriers or, worse, passed on.
        if trunk.caller_ids and sender not in trunk.caller_ids and not request.from_number:
            sender = trunk.caller_ids[0]
        return replace(request, trunk=trunk.id, from_number=sender), None

    def next_leg(self) -> str:
        """The name of a further leg that nobody has yet."""
        call = self._session.call
        number = 2
        while call.leg(phone_identity(call.id, number)) is not None:
            number += 1
        return phone_identity(call.id, number)

    async def _bridge(self, order: c.Bridge) -> None:
        self.bridge(order.leg, order.other)

    def bridge(self, one: str, two: str) -> None:
        """Let two legs hear each other and write it down."""
        first, second = self.leg(one), self.leg(two)
        if first is None or second is None:
            return
        for leg in (one, two):
            if (playout := self._playouts.get(leg)) is not None:
                playout.stop("stopped")
        first.media.bridge(second.media)
        self._session.emit(e.LegsBridged(at=self._kit.clock.now(), leg=one, other=two))

    async def _end_leg(self, order: c.EndLeg) -> None:
        if (leg := self.leg(order.leg)) is not None:
            leg.end(order.outcome)

    # --- rooms -----------------------------------------------------------------------------

    async def _join_room(self, order: c.JoinRoom) -> None:
        leg = self.leg(order.leg)
        if leg is None or order.leg in self._rooms or order.leg in self._links:
            return
        if order.dispatch is not None:
            self._meet(order, order.dispatch, leg)
            return
        now = self._kit.clock.now()
        try:
            self._kit.rooms.join(self._room(order.room), order.leg, leg.media, order.role)
        except TelephonyError as error:
            log.warning("a room could not be entered", call=self._session.call.id, error=str(error))
            self._session.emit(e.RoomLeft(at=now, leg=order.leg, room=order.room))
            return
        self._rooms[order.leg] = order
        self._session.emit(e.RoomJoined(at=now, leg=order.leg, room=order.room))

    def _meet(self, order: c.JoinRoom, dispatch: Dispatch, leg: LegControl) -> None:
        agents, call = self._kit.agents, self._session.call
        if agents is None:
            now = self._kit.clock.now()
            self._session.emit(e.RoomLeft(at=now, leg=order.leg, room=order.room, reason="refused"))
            return
        outbound = call.direction is Direction.OUTBOUND
        far, near = call.from_number, call.to_number
        meeting = Meeting(
            room=order.room,
            call=call.id,
            identity=order.leg,
            # What LiveKit's own SIP service says of its callers: agents look for these.
            attributes={
                "sip.callID": call.id,
                "sip.callStatus": "active",
                "sip.phoneNumber": near if outbound else far,
                "sip.trunkPhoneNumber": far if outbound else near,
                "sip.trunkID": call.trunk or "",
            },
            dispatch=dispatch,
        )
        self._links[order.leg] = agents.meet(meeting, leg.media, self._session.emit)

    async def _dispatch_agent(self, order: c.DispatchAgent) -> None:
        if (link := self._links.get(order.leg)) is not None:
            link.dispatch(order.dispatch)

    async def _call_agent(self, order: c.CallAgent) -> None:
        if (room := self._session.room) is not None:
            room.call_agent(order)

    async def _mute_agent(self, order: c.MuteAgent) -> None:
        if (link := self._links.get(order.leg)) is not None:
            link.mute(order.on)

    async def _send_data(self, order: c.SendData) -> None:
        if (link := self._links.get(order.leg)) is not None:
            link.send(order.data.encode(), order.topic)

    async def _leave_room(self, order: c.LeaveRoom) -> None:
        self._leave(order.leg)

    def _leave(self, leg: str) -> None:
        if (link := self._links.pop(leg, None)) is not None:
            link.close()
        joined = self._rooms.pop(leg, None)
        if joined is not None:
            self._kit.rooms.leave(self._room(joined.room), leg)
            now = self._kit.clock.now()
            self._session.emit(e.RoomLeft(at=now, leg=leg, room=joined.room))

    async def _mute(self, order: c.Mute) -> None:
        leg, joined = self.leg(order.leg), self._rooms.get(order.leg)
        if leg is None or joined is None:
            return
        # Who listens only is heard by nobody; muted and not, he hears the same.
        role = Role.LISTENER if order.on else joined.role
        self._kit.rooms.join(self._room(joined.room), order.leg, leg.media, role)
        fact = e.LegMuted if order.on else e.LegUnmuted
        self._session.emit(fact(at=self._kit.clock.now(), leg=order.leg))

    def _room(self, name: str) -> str:
        """Rooms of two organizations never meet, whatever their dialplans call them."""
        return f"{self._session.call.organization}/{name}"

    # --- promises --------------------------------------------------------------------------

    async def _queue_callback(self, order: c.QueueCallback) -> None:
        call, now = self._session.call, self._kit.clock.now()
        ours = call.our_number
        callback = Callback(
            id=self._kit.ids.make("cb"),
            organization=call.organization,
            to_number=order.to,
            # What was dialled is a caller id only where it is a number of ours.
            from_number=order.from_number or (ours if is_e164(ours) else None),
            scheduled_at=order.at,
            created_at=now,
            updated_at=now,
            source_session=call.id,
            phone_number=call.phone_number,
            dialplan=order.dialplan,
            reason=order.reason or None,
        )
        # The promise is kept even when the caller hangs up before the store takes it.
        self._promises += 1
        self._kit.tasks.spawn(self._promise(callback), f"callback {callback.id}")

    async def _promise(self, callback: Callback) -> None:
        try:
            await self._write_promise(callback)
        finally:
            self._promises -= 1
            self._session.wake()

    async def _write_promise(self, callback: Callback) -> None:
        for _ in range(CALLBACK_TRIES):
            try:
                await self._kit.callbacks.add(callback)
                break
            except Conflict:
                break
            except StoreUnavailable:
                await asyncio.sleep(1.0)
        else:
            log.error("a promised callback could not be written", callback=callback.id)
            return
        self._kit.nudge()
        self._session.emit(
            e.CallbackScheduled(
                at=self._kit.clock.now(),
                callback=callback.id,
                to=callback.to_number,
                from_number=callback.from_number,
                scheduled_at=callback.scheduled_at,
                reason=callback.reason or "",
            )
        )

    # --- endings ---------------------------------------------------------------------------

    async def _hangup(self, order: c.Hangup) -> Outcome:
        return order.outcome

    async def _note(self, order: c.Note) -> None:
        self._session.append(order.event)

    def stop_playouts(self) -> None:
        for leg, playout in self._playouts.items():
            if self.leg(leg) is not None:
                playout.stop("hangup")

    def finish_recordings(self) -> None:
        for leg in self._session.legs.values():
            leg.media.finish()

    def end_legs(self, outcome: Outcome) -> None:
        call = self._session.call
        for name, control in self._session.legs.items():
            leg = call.leg(name)
            if leg is None or leg.live:
                control.end(self._end_of(leg, outcome))

    def _end_of(self, leg: Leg | None, outcome: Outcome) -> Outcome:
        """Of one leg, when the call ends so: a party that never answered was only called."""
        if leg is None or leg.answered or leg == self._session.call.primary:
            return outcome
        return Outcome.canceled(outcome.ended_by)

    def leave_rooms(self) -> None:
        for leg in [*self._rooms, *self._links]:
            self._leave(leg)
        if (room := self._session.room) is not None:
            room.close()

    def close(self) -> None:
        """Let go of every leg, and of what holds us: a call leaves nothing to collect."""
        self._session.legs.clear()
        self._playouts.clear()
        del self.transfers


_TABLE: dict[type[c.Command], Callable[[Executor, Any], Awaitable[Outcome | None]]] = {
    c.Ring: Executor._ring,
    c.Answer: Executor._answer,
    c.Play: Executor._play,
    c.Stop: Executor._stop,
    c.Record: Executor._record,
    c.StopRecord: Executor._stop_record,
    c.RecordCall: Executor._record_call,
    c.Dial: Executor._dial,
    c.Bridge: Executor._bridge,
    c.Transfer: Executor._transfer,
    c.QueueCallback: Executor._queue_callback,
    c.JoinRoom: Executor._join_room,
    c.LeaveRoom: Executor._leave_room,
    c.DispatchAgent: Executor._dispatch_agent,
    c.CallAgent: Executor._call_agent,
    c.MuteAgent: Executor._mute_agent,
    c.SendData: Executor._send_data,
    c.Mute: Executor._mute,
    c.SendDigits: Executor._send_digits,
    c.WatchAnswer: Executor._watch_answer,
    c.AwaitGreeting: Executor._await_greeting,
    c.EndLeg: Executor._end_leg,
    c.Hangup: Executor._hangup,
    c.Note: Executor._note,
}
