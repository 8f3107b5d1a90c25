"""The exchange: admits calls, gives each a task, finds them again, lets them drain."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import structlog

from telephony.accounts.agents import Agent
from telephony.accounts.model import PhoneNumber
from telephony.accounts.routing import choose_trunk, provider_of
from telephony.base.errors import Busy, StoreUnavailable
from telephony.base.ids import phone_identity, room_name
from telephony.base.number import mask
from telephony.calls.call import Call
from telephony.calls.callback import Callback
from telephony.calls.events import CallEnded, CallRequested, LegEnded
from telephony.calls.orders import DialOrder, DialResult, EndResult, RoomOrder, RoomResult
from telephony.calls.outcome import Cause, EndedBy, Outcome, Status
from telephony.calls.ports import CallReader, DialRequest, Offer, OfferedLeg
from telephony.calls.state import Direction
from telephony.ivr.model import Dialplan
from telephony.ivr.program import Context, Program
from telephony.ivr.routing import Accept, Reject, direct, route_inbound
from telephony.ivr.screen import ScreenedProgram
from telephony.switchboard.admission import Admission
from telephony.switchboard.agents import Agents, Talker
from telephony.switchboard.kit import Kit
from telephony.switchboard.session import Session
from telephony.switchboard.web import Web

log = structlog.get_logger("telephony.switchboard")

T = TypeVar("T")


class Switchboard:
    """All live calls of this process."""

    def __init__(
        self,
        kit: Kit,
        reader: CallReader,
        dialplans: Mapping[str, Dialplan],
        default_dialplan: str | None,
    ) -> None:
        self._kit = kit
        self._reader = reader
        self._dialplans = dialplans
        self._default = default_dialplan
        self.agents = Agents(kit.directory, dialplans, default_dialplan, kit.agents, kit.talking)
        self._web = Web(kit, self.agents)
        self._admission = Admission(kit.config.max_calls, kit.config.calls_per_second)
        self._sessions: dict[str, Session] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self.draining = False
        self.refused: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()

    # --- what it holds ---------------------------------------------------------------------

    @property
    def live(self) -> int:
        return len(self._sessions)

    def problems(self) -> list[str]:
        """Why no call can be taken now, in words; empty when ready."""
        problems = []
        if self.draining:
            problems.append("draining: the service is being stopped")
        if self._kit.journal.down:
            problems.append("the store does not take events")
        reason = self._kit.carrier.ready()
        if reason is not None:
            problems.append(reason)
        return problems

    def unfit(self, agent: Agent, number: PhoneNumber | None) -> str | None:
        """Why an agent cannot talk with who calls a number, or None; without a number, with
        whom it is to call."""
        return self.agents.unfit(agent, number, self._kit.clock.now())

    def recovered(self, seconds: float, calls: set[str]) -> None:
        """The store is back: the calls whose events waited learn how long."""
        for call in calls:
            if (session := self._sessions.get(call)) is not None:
                session.delayed(seconds)

    # --- inbound ---------------------------------------------------------------------------

    def take(self, offer: Offer, leg: OfferedLeg) -> None:
        """Somebody calls: admit the call or refuse it."""
        try:
            route = self._admit(offer)
        except Busy as busy:
            self._refuse(leg, Cause.CAPACITY, 503, busy.retry_after)
            return
        if isinstance(route, Reject):
            self._refuse(leg, route.cause, route.sip_status, None)
            return
        kit, event = self._kit, offer.event
        now = kit.clock.now()
        call_id = kit.ids.call()
        identity = phone_identity(call_id)
        call = Call(
            id=call_id,
            organization=offer.organization,
            direction=Direction.INBOUND,
            created_at=now,
            updated_at=now,
            status=Status.RINGING,
            from_number=event.from_number,
            to_number=event.dialled,
            provider=event.provider,
            trunk=event.trunk,
            phone_number=route.phone_number,
            room=room_name(call_id),
        )
        talker = self._answers(route, call)
        call, plan = talker.call, talker.plan
        program = Program(plan, self._context(call, identity, talker.variables))
        session = Session(kit, call, program, record=route.record or plan.record)
        session.legs[identity] = leg
        self._begin(session)
        leg.name(identity, session.emit)
        session.emit(replace(event, leg=identity, at=now))

    def _answers(self, route: Accept, call: Call) -> Talker:
        """Who talks in a call that comes in."""
        if route.dial is not None:
            plan = direct(route.dial)
            return Talker(plan, replace(call, dialplan=plan.name))
        return self.agents.answer(call, route, self._kit.directory.number(call.to_number))

    def _admit(self, offer: Offer) -> Accept | Reject:
        if self.draining:
            raise Busy("draining", retry_after=30)
        if self._kit.journal.down:
            raise Busy("the store does not take events", retry_after=5)
        event = offer.event
        directory = self._kit.directory
        route = route_inbound(
            event.dialled,
            trunk=event.trunk,
            phone=event.phone,
            numbers=directory.numbers(offer.organization),
            dialplans=self._dialplans,
            default=self._default,
            phones={phone.user for phone in directory.phones(offer.organization)},
            agents=lambda agent: directory.agent(offer.organization, agent),
        )
        if isinstance(route, Accept):
            self._admission.enter(self._kit.clock.monotonic())
        return route

    def _refuse(
        self, leg: OfferedLeg, cause: Cause, sip_status: int, retry_after: int | None
    ) -> None:
        # Refused before admission: a metric and the carrier's trace entry, no call.
        self.refused[cause.value] += 1
        leg.end(Outcome.failed(cause, sip_status=sip_status, retry_after=retry_after))

    # --- outbound --------------------------------------------------------------------------

    async def dial(
        self, order: DialOrder, before: Callable[[DialResult], Awaitable[None]] | None = None
    ) -> DialResult:
        """Start an outbound call; returns once the request for it is on disk.

        ``before`` is told the result when all is checked and nothing is begun; what it raises
        ends the attempt.

        Raises:
            BadInput: unknown trunk or dialplan, or nobody who could talk; a variable that nobody
                gave (code MISSING_TEMPLATE_VARIABLES).
            NotFound: an unknown agent.
            Refused: no credit is left (code INSUFFICIENT_CREDITS).
            Busy: no capacity, or the trunk's own limit (code TRUNK_BUSY).
            StoreUnavailable: nothing that costs money starts without its record.
        """
        kit = self._kit
        if self.draining:
            raise Busy("the service is being stopped", retry_after=30)
        if kit.journal.down:
            raise StoreUnavailable("the store does not take events; try again")
        trunks = kit.directory.trunks(order.organization)
        numbers = kit.directory.numbers(order.organization)
        trunk = choose_trunk(trunks, numbers, order.trunk, order.from_number or "")
        from_number = order.from_number or (
            trunk.caller_ids[0] if trunk is not None and trunk.caller_ids else ""
        )
        number = next((n for n in numbers if n.e164 == from_number), None)
        stub = order.test or trunk is None
        order = replace(
            order, from_number=from_number, session_id=order.session_id or kit.ids.call()
        )
        talker = self._talks(order, trunk.id if trunk is not None else None, number)
        if trunk is not None and not order.test:
            busy = kit.carrier.admits(trunk.id)
            if busy is not None:
                raise busy
        call = talker.call
        result = DialResult(
            session_id=call.id,
            call_control_id="" if stub else phone_identity(call.id),
            room_name=room_name(call.id),
            status="dialing-stub" if stub else "dialing",
            to=order.to,
            from_number=from_number,
        )
        if not stub:
            await kit.afford(order.organization)
        await self._enter(before, result)
        session = self._outbound(order, talker, stub)
        self._begin(session, run=not stub)
        if stub:
            await self._live_stub(session)
        await self._on_disk(session)
        return result

    def _talks(self, order: DialOrder, trunk: str | None, number: PhoneNumber | None) -> Talker:
        """The row of an outbound call, and who talks in it. Raises BadInput, NotFound."""
        now = self._kit.clock.now()
        assert order.session_id is not None
        call = Call(
            id=order.session_id,
            organization=order.organization,
            direction=Direction.OUTBOUND,
            created_at=now,
            updated_at=now,
            status=Status.DIALING,
            from_number=order.from_number or "",
            to_number=order.to,
            provider=provider_of(self._kit.directory.trunks(order.organization), trunk),
            agent=order.agent,
            trunk=trunk,
            room=room_name(order.session_id),
            metadata=dict(order.metadata),
            tags=dict(order.tags),
        )
        return self.agents.call_out(call, order, number)

    def _outbound(self, order: DialOrder, talker: Talker, stub: bool) -> Session:
        kit, call, plan = self._kit, talker.call, talker.plan
        identity = phone_identity(call.id)
        request = DialRequest(
            leg=identity,
            call=call.id,
            to=call.to_number,
            from_number=call.from_number,
            trunk=call.trunk,
            ring_seconds=order.ring_seconds,
            max_seconds=order.max_duration_seconds,
            headers=dict(order.headers),
        )
        context = self._context(call, identity, talker.variables)
        session = Session(
            kit,
            call,
            Program(plan, context)
            if order.machine is None
            else ScreenedProgram(plan, context, order.machine),
            record=plan.record if order.record is None else order.record,
            max_seconds=order.max_duration_seconds,
            first_dial=None if stub else request,
        )
        requested = CallRequested(
            at=call.created_at,
            leg=identity,
            to=call.to_number,
            from_number=call.from_number,
            trunk=call.trunk,
            source=order.source,
        )
        # In the log before the session's task begins: who asked waits for this very row.
        session.append(requested)
        return session

    async def _live_stub(self, session: Session) -> None:
        """No trunk, or a test key: a session like any other that ends for want of a route."""
        now = self._kit.clock.now()
        identity = phone_identity(session.call.id)
        outcome = Outcome.failed(Cause.NO_ROUTE)
        session.append(LegEnded(at=now, leg=identity, outcome=outcome))
        session.append(CallEnded(at=now, outcome=outcome))
        self._ended(session)

    async def open(
        self, order: RoomOrder, before: Callable[[RoomResult], Awaitable[None]] | None = None
    ) -> RoomResult:
        """Begin a browser's session; returns once it is on disk. ``before``: as for ``dial``.

        Raises:
            BadInput: a variable that nobody gave (code MISSING_TEMPLATE_VARIABLES).
            NotFound: an unknown agent.
            Busy: no capacity.
            Refused: no credit is left (code INSUFFICIENT_CREDITS).
            StoreUnavailable: nothing is handed out without its record.
            Unavailable: no agent can be met (code ROOMS_NOT_CONFIGURED without a server).
            TelephonyError: the agent could not be called (code SESSION_CREATE_FAILED).
        """
        kit = self._kit
        if self.draining:
            raise Busy("the service is being stopped", retry_after=30)
        if kit.journal.down:
            raise StoreUnavailable("the store does not take events; try again")
        call, dispatch = self._web.prepare(order, kit.ids.call())
        await kit.afford(order.organization)
        result = RoomResult(
            session_id=call.id,
            room_name=room_name(call.id),
            identity=order.identity,
            expires_at=call.created_at + timedelta(seconds=order.ttl_seconds),
        )
        await self._enter(before, result)
        session = self._web.session(call, order, result, dispatch)
        self._begin(session)
        await self._on_disk(session)
        await self._web.call_in(session, dispatch, order.ttl_seconds)
        return result

    async def join(self, call: Call, identity: str, seconds: int) -> RoomResult:
        """Where a further browser joins a call, and until when it may begin to.

        Raises:
            Conflict: the call is over, or meets nobody in a room (code CALL_NOT_LIVE).
            Unavailable: no rooms (code ROOMS_NOT_CONFIGURED), or their server does not answer.
        """
        return await self._web.join(call, identity, seconds)

    async def tell(self, call: Call, text: str, mode: str) -> str:
        """Hand the agent of a call a text; the message's id.

        Raises:
            Conflict: the call is over, or no agent is in it (code CALL_NOT_LIVE).
            Busy: too many are on their way.
            Unavailable: no rooms (code ROOMS_NOT_CONFIGURED).
        """
        return await self._web.tell(call, self._sessions.get(call.id), text, mode)

    async def _enter(self, before: Callable[[T], Awaitable[None]] | None, result: T) -> None:
        """Take a place, and tell ``before``; what that raises gives the place back. Raises Busy."""
        self._admission.enter(self._kit.clock.monotonic())
        if before is not None:
            try:
                await before(result)
            except BaseException:
                self._admission.leave()
                raise

    async def _on_disk(self, session: Session) -> None:
        """Wait for a session's first row. Raises StoreUnavailable, and ends it, without one."""
        kit = self._kit
        if not await kit.journal.committed(session.call.id, 1, kit.config.commit_seconds):
            session.end(EndedBy.SERVICE, Outcome.failed(Cause.INTERNAL))
            raise StoreUnavailable("the store does not take events; try again")

    async def dial_callback(self, callback: Callback, session_id: str) -> None:
        """Make a promised call. Raises what ``dial`` raises."""
        await self.dial(
            DialOrder(
                organization=callback.organization,
                to=callback.to_number,
                from_number=callback.from_number,
                agent=callback.agent,
                dialplan=callback.dialplan,
                metadata={**callback.metadata, "callback_id": callback.id},
                session_id=session_id,
                source="callback",
                variables={"callback_reason": callback.reason or ""},
            )
        )

    # --- ending ----------------------------------------------------------------------------

    async def end(self, organization: str, call: str) -> EndResult | None:
        """End a live call, or say when it ended; None: no such call of this organization."""
        session = self._sessions.get(call)
        if session is not None and session.call.organization == organization:
            session.end(EndedBy.API)
            return EndResult("ending", None)
        row = await self._reader.get(organization, call)
        if row is None:
            return None
        if row.live and not self._kit.journal.holds(call) and await self._kit.elsewhere.end(call):
            return EndResult("ending", None)
        return EndResult("already_ended", row.ended_at or row.updated_at)

    def end_here(self, call: str) -> None:
        """Another node was asked to end a call: if it is one of this process, do."""
        if (session := self._sessions.get(call)) is not None:
            session.end(EndedBy.API)

    async def drain(self, seconds: float) -> int:
        """Take no new call; wait for those that live, then end them. Returns how many it ended."""
        self.draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            pass
        left = self.end_all()
        if left:
            try:
                async with asyncio.timeout(self._kit.config.teardown_seconds * 2):
                    await self._empty.wait()
            except TimeoutError:
                log.error("calls did not end in time", calls=len(self._sessions))
        return left

    def end_all(self) -> int:
        """End every live call now. Returns how many there were."""
        for session in self._sessions.values():
            session.end(EndedBy.SERVICE)
        return len(self._sessions)

    # --- one task a call -------------------------------------------------------------------

    def _begin(self, session: Session, run: bool = True) -> None:
        self._sessions[session.call.id] = session
        self._empty.clear()
        log.info(
            "call begins",
            call=session.call.id,
            direction=session.call.direction.value,
            from_=mask(session.call.from_number),
            to=mask(session.call.to_number),
            dialplan=session.call.dialplan,
        )
        if run:
            self._kit.tasks.spawn(self._live(session), f"call {session.call.id}")

    async def _live(self, session: Session) -> None:
        try:
            await session.run()
        finally:
            self._ended(session)

    def _ended(self, session: Session) -> None:
        self._sessions.pop(session.call.id, None)
        self._admission.leave()
        self.ended[session.call.status.value] += 1
        if not self._sessions:
            self._empty.set()
        self._kit.tasks.spawn(self._forget(session), f"forget {session.call.id}")

    async def _forget(self, session: Session) -> None:
        await self._kit.journal.committed(session.call.id, session.seq)
        self._kit.journal.forget(session.call.id)

    def _context(self, call: Call, leg: str, variables: Mapping[str, str]) -> Context:
        return Context(
            call=call.id,
            leg=leg,
            direction=call.direction,
            from_number=call.from_number,
            to_number=call.to_number,
            variables=dict(variables),
        )
