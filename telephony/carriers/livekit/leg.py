"""One leg over LiveKit's SIP service: a participant of kind SIP in a room of its own.

What LiveKit knows of the call is the participant's ``sip.callStatus``, the answer to our order to
dial, and why the participant left. Webhooks and the room itself only say when to look: what they
report late, twice or never changes nothing but the moment. ``LegEnded`` comes once; an order to end
is final at once, and LiveKit is told of it until it has listened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import structlog
from livekit.api import ServerError

from telephony.accounts.model import Trunk
from telephony.base.errors import MediaFailed, Unavailable
from telephony.base.ids import call_of
from telephony.calls import events as e
from telephony.calls.meeting import Meeting
from telephony.calls.outcome import Cause, Outcome
from telephony.calls.ports import DialRequest, Emit, Media, ReferResult
from telephony.calls.state import LegState
from telephony.carriers.livekit import causes, wire
from telephony.carriers.livekit.absence import Absence
from telephony.carriers.livekit.desk import Desk, Timer
from telephony.carriers.livekit.transfer import transferred
from telephony.carriers.livekit.voice import CODEC, RoomVoice
from telephony.carriers.livekit.wire import CallStatus, Notice, Party
from telephony.carriers.silence import NO_SOUND
from telephony.carriers.words import clean

log = structlog.get_logger("telephony.livekit")

PEER = "service-"
"""How the identity begins under which we are in a caller's room."""
REFUSED = 486
"""What LiveKit's SIP service answers to a caller whom we send away, whatever our reason is."""


def _nobody_listens(event: e.Event) -> None:
    """A leg that was refused before any call took it has nobody to tell."""


class LiveKitLeg:
    """See :class:`telephony.calls.ports.OfferedLeg`; one class for both directions."""

    def __init__(
        self,
        desk: Desk,
        trunk: Trunk,
        room: str,
        *,
        party: Party | None = None,
        request: DialRequest | None = None,
        emit: Emit = _nobody_listens,
        ended: Callable[[LiveKitLeg], None],
    ) -> None:
        """``party`` for a caller who is there, ``request`` for a call out. ``ended``: once."""
        self.room = room
        self.trunk = trunk
        self.id = "" if request is None else request.leg
        self.identity = self.id if party is None else party.identity
        self._desk = desk
        self._request = request
        self._party = party
        self._emit = emit
        self._ended = ended
        self._state = LegState.NEW
        self._voice: RoomVoice | None = None
        self._wake = asyncio.Event()
        self._joined = asyncio.Event()
        self._picked_up = self._rung = self._cut_off = False
        self._dialling = False
        self._absence = Absence(desk.config, inbound=request is None)
        self._began = desk.now
        self._timer: Timer | None = None
        self._refer: Callable[[ReferResult], None] | None = None

    # -- what a call is given ---------------------------------------------------------------------

    @property
    def inbound(self) -> bool:
        """Whether they called us."""
        return self._request is None

    @property
    def state(self) -> LegState:
        """Where it stands."""
        return self._state

    @property
    def sid(self) -> str:
        """Of the caller's stay in the room, as far as it was seen."""
        return "" if self._party is None else self._party.sid

    @property
    def media(self) -> Media:
        """The lane; before we are in the room, silence that takes every order."""
        return NO_SOUND if self._voice is None else self._voice.media

    def name(self, leg: str, emit: Emit) -> None:
        """The call that takes the leg gives it its name."""
        self.id, self._emit = leg, emit
        if self._party is not None:
            sip_call = clean(self._party.attributes.get("sip.callID", ""))
            log.info("livekit.taken", leg=leg, sip_call=sip_call)
        self._desk.spawn(self._claim(), f"claim {leg}")
        self.watch()

    # -- orders -----------------------------------------------------------------------------------

    def ring(self) -> None:
        """LiveKit rings the caller by itself until we are in the room."""
        if self.inbound and self._state is LegState.NEW:
            self._state = LegState.RINGING
            self._tell(e.LegRinging(at=self._desk.clock.now(), leg=self.id))

    def answer(self) -> None:
        """Enter the caller's room: LiveKit answers when it finds us there."""
        if not self.inbound or self._picked_up or self._over:
            return
        self._picked_up = True
        if self._enter():
            self._timer = self._desk.later(self._desk.config.answer, self._unanswered)
            self._wake.set()

    def end(self, outcome: Outcome) -> None:
        """Refuse, cancel or hang up; ``LegEnded`` with this outcome follows."""
        if self._over:
            return
        if self._state is not LegState.ANSWERED:
            if self.inbound:
                outcome = replace(outcome, sip_status=REFUSED)
            elif outcome.cause is Cause.CANCELED and outcome.sip_status is None:
                outcome = replace(outcome, sip_status=487)
        self._finish(outcome, hang_up=True)

    def refer(self, to: str, headers: dict[str, str], done: Callable[[ReferResult], None]) -> None:
        """TransferSIPParticipant; ``done`` once, when it is over."""
        if self._state is not LegState.ANSWERED or self._refer is not None:
            done(ReferResult(completed=False, supported=False))
            return
        self._refer = done
        self._spawn(self._transfer(to, headers), "transfer")

    # -- going out --------------------------------------------------------------------------------

    def dial(self) -> None:
        """Enter the room, then have the call made."""
        self._dialling = True
        if self._enter():
            self._spawn(self._call(), "dial")

    async def _call(self) -> None:
        request, desk = self._request, self._desk
        assert request is not None
        if not await self._entered() or self._over:
            # Nothing has left yet: whoever picked up would hear nobody.
            self._finish(Outcome.failed(Cause.UNREACHABLE))
            return
        self.watch()
        ring = request.ring_seconds
        self._timer = desk.later(ring + 2 * desk.config.ring_margin, self._rang_out)
        asked = wire.invite(self.trunk, request, self.room)
        self._began, refused = desk.now, False
        try:
            made = await desk.service.create(asked, ring + desk.config.ring_margin)
        except ServerError as error:
            outcome = self._in_time(causes.outcome_of_error(error))
            log.info("livekit.refused", leg=self.id, code=error.code, status=outcome.sip_status)
            refused = causes.is_final(error)
            if refused:
                self._finish(outcome)
            else:
                self._absence.doubt = outcome
        except Unavailable as error:
            # Whether the callee is ringing is not known. Asking again would dial twice; the room
            # knows.
            log.warning("livekit.unconfirmed", leg=self.id, error=error.message)
            self._absence.doubt = self._in_time(Outcome.failed(Cause.UNREACHABLE))
        else:
            log.info("livekit.answered", leg=self.id, sip_call=clean(made.sip_call_id))
            self._answered()
        self._dialling = False
        self._wake.set()
        if self._over and not refused:
            # It was ended while it was being made: whoever picked up late is hung up on.
            await desk.service.delete(self.room)

    async def _entered(self) -> bool:
        try:
            async with asyncio.timeout(self._desk.config.join):
                await self._joined.wait()
        except TimeoutError:
            return False
        return not self._cut_off

    def _in_time(self, outcome: Outcome) -> Outcome:
        """Where LiveKit names no status and it rang for as long as it may: nobody picked up."""
        request = self._request
        assert request is not None
        if outcome.sip_status is None and self._desk.now - self._began >= request.ring_seconds - 1:
            return Outcome.no_answer()
        return outcome

    def _rang_out(self) -> None:
        self.end(Outcome.no_answer())

    def _unanswered(self) -> None:
        self.end(Outcome.failed(Cause.NETWORK))

    # -- what happens -----------------------------------------------------------------------------

    def watch(self) -> None:
        """Look into the room from now on, until the leg is over."""
        self._spawn(self._look(), "look")

    def hint(self, notice: Notice) -> None:
        """A webhook about the room, however late: look, and know why where somebody left."""
        gone = notice.event in ("participant_left", "participant_connection_aborted")
        # Of an earlier stay under the same name nothing follows for this one.
        if gone and notice.identity == self.identity and self.sid in ("", notice.sid):
            self._absence.webhook = notice.reason
        self._wake.set()

    def _on_room(self, event: e.Event) -> None:
        """What the room itself reports."""
        match event:
            case e.RoomJoined():
                self._joined.set()
            case e.RoomLeft():
                self._cut_off = True
                self._joined.set()
                if event.reason == "deleted":
                    self._absence.tell(event.reason)
            case e.PeerLeft() if event.identity == self.identity:
                self._absence.tell(event.reason)
            case e.DigitPressed():
                # LiveKit knows keys as RFC 4733 events only.
                self._tell(replace(event, leg=self.id, method="rfc4733"))
            case e.RoomInterrupted() | e.RoomResumed():
                self._tell(event)
            case _:
                pass
        self._wake.set()

    async def _look(self) -> None:
        blind = False
        while not self._over:
            try:
                async with asyncio.timeout(self._interval):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            if self._over:
                return
            told = self._absence.told
            try:
                found = await self._desk.service.party(self.room, self.identity)
            except Unavailable as error:
                if not blind:
                    log.warning("livekit.room_unseen", leg=self.id, error=error.message)
                blind = True
                if self._cut_off and not self._dialling:
                    # Neither the room nor the API is there any more.
                    self.end(self._lost())
                continue
            blind = False
            if self._over:
                return
            self._seen(found, told=told)

    @property
    def _interval(self) -> float:
        config = self._desk.config
        if self._absence.noticed or (self._picked_up and not self._is_answered):
            return config.look_closely
        return config.look_active if self._is_answered else config.look_ringing

    def _seen(self, found: Party | None, *, told: bool) -> None:
        if found is None or found.status is CallStatus.HANGUP:
            self._missing()
            return
        self._absence.seen(told=told)
        self._party = found
        if self._cut_off:
            # The caller is there and we are not: nobody would hear him any more.
            self.end(self._lost())
        elif found.status is CallStatus.RINGING and not self.inbound:
            self._rings()
        elif found.status is CallStatus.ACTIVE and self._joined.is_set():
            self._answered()

    def _missing(self) -> None:
        """The caller is not in the room, or about to leave it."""
        if self._dialling and not self._is_answered:
            # The answer to our order says why.
            return
        outcome = self._absence.missed(
            self._desk.now, answered=self._is_answered, transferring=self._refer is not None
        )
        if outcome is not None:
            self._finish(outcome)

    def _lost(self) -> Outcome:
        if self._is_answered:
            return Outcome.dropped(Cause.NETWORK)
        return Outcome.failed(Cause.NETWORK)

    # -- inside -----------------------------------------------------------------------------------

    @property
    def _over(self) -> bool:
        return self._state is LegState.ENDED

    @property
    def _is_answered(self) -> bool:
        return self._state is LegState.ANSWERED

    def _enter(self) -> bool:
        """Take lanes and a place in the room; False: the leg has ended for want of them."""
        meeting = Meeting(
            room=self.room, call=call_of(self.id), identity=f"{PEER}{self.id}", name="Telephony"
        )
        self._voice = RoomVoice(
            self._desk.engine,
            self._desk.rooms,
            call=call_of(self.id),
            tone=self._tone_heard,
            lost=self._media_lost,
        )
        try:
            self._voice.open(meeting, self._on_room)
        except MediaFailed:
            self.end(Outcome.failed(Cause.CAPACITY, retry_after=5))
            return False
        return True

    def _rings(self) -> None:
        if not self._rung and not self._is_answered:
            self._rung = True
            self._state = LegState.RINGING
            self._tell(e.LegRinging(at=self._desk.clock.now(), leg=self.id, sip_status=180))

    def _answered(self) -> None:
        if self._over or self._is_answered:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._state = LegState.ANSWERED
        now = self._desk.clock.now()
        self._tell(e.LegAnswered(at=now, leg=self.id, codec=CODEC))
        if self._request is not None and self._request.digits:
            # LiveKit has pressed them before it said that the call is active.
            self._tell(e.DigitsSent(at=now, leg=self.id, digits=self._request.digits))

    def _tone_heard(self, kind: str) -> None:
        if not self._over:
            self._tell(e.ToneHeard(at=self._desk.clock.now(), leg=self.id, tone=kind))

    def _media_lost(self) -> None:
        """The process of the leg's sound died: to the caller it is as if all of us had."""
        self.end(Outcome.interrupted(was_active=self._is_answered))

    async def _claim(self) -> None:
        try:
            await self._desk.service.claim(self.room, self.identity, self.id)
        except Unavailable as error:
            # Another node may offer him to its own switchboard; ours has him.
            log.info("livekit.unclaimed", leg=self.id, error=error.message)

    async def _transfer(self, to: str, headers: dict[str, str]) -> None:
        desk = self._desk
        ring = desk.config.transfer_ring
        asked = wire.transfer(self.room, self.identity, to, headers, ring)
        self._refer_over(await transferred(desk.service, desk.config, asked))
        self._wake.set()

    def _refer_over(self, result: ReferResult) -> None:
        if self._refer is not None:
            done, self._refer = self._refer, None
            done(result)

    def _finish(self, outcome: Outcome, *, hang_up: bool = False) -> None:
        """The one way out. Sound first, so that the count is whole; then the fact."""
        if self._over:
            return
        self._refer_over(ReferResult(completed=False, cause=Cause.CANCELED, sip_status=487))
        self._state = LegState.ENDED
        if self._timer is not None:
            self._timer.cancel()
        self._wake.set()
        self._joined.set()
        at = self._desk.clock.now()

        def counted(quality: e.MediaQuality | None) -> None:
            self._ended(self)
            self._tell(e.LegEnded(at=at, leg=self.id, outcome=outcome, quality=quality))

        if self._voice is None:
            counted(None)
        else:
            self._voice.close(counted)
        if hang_up or not self.inbound:
            self._desk.spawn(self._hang_up(), f"hang up {self.id}")

    async def _hang_up(self) -> None:
        """The room is the leg's own, and goes with it."""
        await self._desk.service.delete(self.room)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._desk.spawn(self._guard(work), f"{name} {self.id}")

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """A fault of ours ends the call, which would wait for ever."""
        try:
            await work
        except Exception:
            log.exception("livekit.leg_failed", leg=self.id)
            answered = self._is_answered
            self.end((Outcome.dropped if answered else Outcome.failed)(Cause.INTERNAL))

    def _tell(self, event: e.Event) -> None:
        self._emit(event)
