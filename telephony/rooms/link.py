"""One call's place in a room with agents: what its stay tells becomes the call's events.

What heals and what ends is decided here. A connection that is lost is made again, with a new
token, for ``HEAL_SECONDS``; then the link ends. Whoever is lost with it gets ``GRACE_SECONDS`` to
come back before the call hears that he left. Whether an agent is called again is the program's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import structlog

from telephony.audio.mix import Samples
from telephony.base.clock import Clock
from telephony.base.errors import TelephonyError, Unavailable
from telephony.calls import events as e
from telephony.calls.meeting import MAX_DATA, Dispatch, Meeting
from telephony.calls.ports import Emit, Media
from telephony.media.seats import Seat
from telephony.rooms.server import RoomServer
from telephony.rooms.staying import Staying

log = structlog.get_logger("telephony.rooms")

HEAL_SECONDS = 12.0
"""How long a caller hears nothing before it is over: a restart of the server fits."""
AGAIN_SECONDS = 0.5
"""Between two attempts."""
GRACE_SECONDS = 5.0
COME_SECONDS = 15.0
"""For an agent to come after it was called: the server itself asks workers for 10 s."""
SPEAK_SECONDS = 10.0
"""For an agent that should speak first to say something."""
CONTROL = "telephony.control"
"""Topic of what we tell agents; browsers pass it over (contract 14.3)."""
DIGITS = frozenset("0123456789*#ABCD")
MAX_DIGITS = 64


class Timer(Protocol):
    def cancel(self) -> None: ...


class House(Protocol):
    """What a link needs of where it is."""

    clock: Clock
    server: RoomServer

    def later(self, seconds: float, act: Callable[[], None]) -> Timer: ...

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None: ...

    def sit(self, link: Link) -> Seat:
        """The leg enters the room of this process, and a seat beside it. Raises TelephonyError."""
        ...

    def open(self, link: Link) -> Staying:
        """A stay on the SDK's side, which tells ``link.told``."""
        ...

    def token(self, meeting: Meeting) -> str: ...

    def gone(self, link: Link) -> None:
        """Forget it, and let the leg out."""
        ...


class Link:
    """Implements ``calls.ports.RoomLink``."""

    def __init__(self, house: House, meeting: Meeting, media: Media, emit: Emit) -> None:
        self.meeting = meeting
        self.media = media
        self.seat: Seat | None = None
        self.stay: Staying | None = None
        self._house = house
        self._emit = emit
        self._over = False
        self._inside = False
        self._lost_at: float | None = None
        """Since when we are out, or have not been in."""
        self._healing: Timer | None = None
        self._company: dict[str, str] = {}
        self._missing: dict[str, Timer] = {}
        self._joined_at: dict[str, float] = {}
        self._dead: set[str] = set()
        self._awaited: tuple[Dispatch, Timer] | None = None
        self._silence: dict[str, Timer] = {}
        self._speaks_first = True
        self._agents_heard = True
        self._calling = 0
        self._muted = False
        self._announced = False

    @property
    def leg(self) -> str:
        return self.meeting.identity

    # -- life -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Sit down and enter."""
        try:
            self.seat = self._house.sit(self)
            self.stay = self._house.open(self)
        except TelephonyError as error:
            log.warning("rooms.no_place", call=self.meeting.call, error=error.message)
            self._finish("full")
            return
        self._lost()
        self._enter()
        if self.meeting.dispatch is not None:
            self.dispatch(self.meeting.dispatch)

    def close(self) -> None:
        if not self._over:
            self._finish("")

    # -- orders ---------------------------------------------------------------------------------

    def send(self, data: bytes, topic: str = "") -> None:
        if len(data) > MAX_DATA:
            log.warning("rooms.packet_too_large", call=self.meeting.call, octets=len(data))
        elif self.stay is not None and not self._over:
            self.stay.send(data, topic)

    def send_digits(self, digits: str) -> None:
        if self.stay is not None and not self._over:
            self.stay.send_digits("".join(x for x in digits if x in DIGITS)[:MAX_DIGITS])

    def mute(self, on: bool) -> None:
        self._muted = on
        if self.stay is not None and not self._over:
            self.stay.mute(on)

    def dispatch(self, dispatch: Dispatch) -> None:
        if self._over:
            return
        self._speaks_first = dispatch.speaks_first
        self._emit(
            e.AgentDispatched(
                at=self._now(), room=self.meeting.room, agent_name=dispatch.agent_name
            )
        )
        self._calling += 1
        self._await(dispatch)
        self._house.spawn(self._dispatch(dispatch, self._calling), f"agent {self.meeting.room}")

    # -- the tick -------------------------------------------------------------------------------

    def before(self) -> None:
        """What the room says into this tick."""
        seat, stay = self.seat, self.stay
        if seat is not None and stay is not None and (frame := stay.say()) is not None:
            seat.write(frame)

    def after(self) -> None:
        """What the leg said in it."""
        seat, stay = self.seat, self.stay
        while seat is not None and stay is not None:
            frame: Samples | None = seat.read()
            if frame is None:
                return
            stay.hear(frame)

    # -- facts ----------------------------------------------------------------------------------

    def told(self, fact: str, *values: Any) -> None:
        """A fact of the stay: see ``staying.Tell``."""
        if not self._over:
            _FACTS[fact](self, *values)

    def _entered(self) -> None:
        self._inside = True
        self._stop_healing()
        if self._lost_at is not None:
            seconds, self._lost_at = self._monotonic() - self._lost_at, None
            self._found(seconds)
        for identity in list(self._company):
            self._miss(identity, "lost")

    def _found(self, seconds: float) -> None:
        if self._announced:
            self._emit(
                e.RoomResumed(at=self._now(), room=self.meeting.room, seconds=round(seconds, 3))
            )
        else:
            self._announced = True
            self._emit(
                e.RoomJoined(
                    at=self._now(), leg=self.leg, room=self.meeting.room, provider="livekit"
                )
            )

    def _away(self) -> None:
        if self._inside:
            self._inside = False
            self._lost()
            self._emit(e.RoomInterrupted(at=self._now(), room=self.meeting.room))

    def _back(self, seconds: float) -> None:
        if not self._inside:
            self._entered()

    def _out(self, reason: str) -> None:
        if reason not in ("lost", "left"):
            self._finish(reason)
            return
        self._away()
        # A stay that is over is entered anew, with a token that is fresh.
        self._later_enter()

    def _lost(self) -> None:
        self._lost_at = self._monotonic()
        self._stop_healing()
        self._healing = self._house.later(HEAL_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if not self._over:
            self._finish("lost")

    def _later_enter(self) -> None:
        self._house.later(AGAIN_SECONDS, self._enter)

    def _enter(self) -> None:
        if not self._over and self.stay is not None:
            self.stay.enter(self._house.server.url, self._house.token(self.meeting))

    @property
    def over(self) -> bool:
        return self._over

    def interrupted(self) -> None:
        """The process in which the stay was is gone, and there is no other yet."""
        self.stay = None
        self._away()

    def moved(self, stay: Staying) -> None:
        """The stay is gone, and here is one in another process."""
        self._away()
        self.stay = stay
        stay.mute(self._muted)
        self._enter()

    def _came(self, identity: str, kind: str) -> None:
        if identity in self._dead:
            return
        missing = self._missing.pop(identity, None)
        if missing is not None:
            missing.cancel()
        if identity in self._company:
            return
        self._company[identity] = kind
        now, room = self._now(), self.meeting.room
        if kind != "agent":
            self._emit(e.PeerJoined(at=now, room=room, identity=identity, kind=kind))
            return
        self._joined_at[identity] = self._monotonic()
        self._awaited_no_more()
        self._emit(e.AgentJoined(at=now, room=room, identity=identity))
        if self._speaks_first:
            self._silence[identity] = self._house.later(
                SPEAK_SECONDS, lambda: self._silent(identity)
            )

    def _heard(self, identity: str) -> None:
        timer = self._silence.pop(identity, None)
        if timer is not None:
            timer.cancel()
        joined = self._joined_at.pop(identity, None)
        if joined is not None:
            after = round((self._monotonic() - joined) * 1000)
            self._emit(
                e.AgentHeard(
                    at=self._now(), room=self.meeting.room, identity=identity, after_ms=after
                )
            )

    def _silent(self, identity: str) -> None:
        if self._silence.pop(identity, None) is not None and not self._over:
            self._emit(
                e.AgentSilent(
                    at=self._now(),
                    room=self.meeting.room,
                    identity=identity,
                    seconds=SPEAK_SECONDS,
                )
            )

    def _went(self, identity: str, kind: str, reason: str) -> None:
        if identity in self._dead:
            self._dead.discard(identity)
        elif reason in ("left", "removed"):
            self._leave(identity, reason)
        else:
            self._miss(identity, "lost")

    def _miss(self, identity: str, reason: str) -> None:
        if identity in self._company and identity not in self._missing:
            self._missing[identity] = self._house.later(
                GRACE_SECONDS, lambda: self._leave(identity, reason)
            )

    def _died(self, identity: str) -> None:
        """Its packets end. It must not come back beside the agent that is called for it."""
        if identity not in self._company:
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
        if kind is None or self._over:
            return
        now, room = self._now(), self.meeting.room
        if kind == "agent":
            self._emit(e.AgentLeft(at=now, room=room, identity=identity, reason=reason))
        else:
            self._emit(e.PeerLeft(at=now, room=room, identity=identity, kind=kind, reason=reason))

    def _digit(self, digit: str) -> None:
        if digit in DIGITS:
            self._emit(e.DigitPressed(at=self._now(), leg=self.leg, digit=digit, method="room"))

    def _agents(self, heard: bool) -> None:
        if heard == self._agents_heard:
            return
        self._agents_heard = heard
        if not heard and self.seat is not None:
            self.seat.flush()
        fact = e.AgentUnmuted if heard else e.AgentMuted
        self._emit(fact(at=self._now(), room=self.meeting.room))
        self.send(json.dumps({"type": "agent_muted", "muted": not heard}).encode(), CONTROL)

    # -- inside ---------------------------------------------------------------------------------

    async def _dispatch(self, dispatch: Dispatch, number: int) -> None:
        try:
            await self._house.server.dispatch(self.meeting.room, dispatch)
        except TelephonyError as error:
            log.warning("rooms.no_agent", call=self.meeting.call, error=error.message)
            if number == self._calling:
                cause = "unreachable" if isinstance(error, Unavailable) else "refused"
                self._missed(dispatch, cause)

    def _await(self, dispatch: Dispatch) -> None:
        self._awaited_no_more()
        timer = self._house.later(COME_SECONDS, lambda: self._missed(dispatch, "timeout"))
        self._awaited = (dispatch, timer)

    def _awaited_no_more(self) -> None:
        if self._awaited is not None:
            self._awaited[1].cancel()
            self._awaited = None

    def _missed(self, dispatch: Dispatch, cause: str) -> None:
        if self._over or self._awaited is None:
            return
        self._awaited_no_more()
        self._emit(
            e.AgentDispatchFailed(
                at=self._now(),
                room=self.meeting.room,
                agent_name=dispatch.agent_name,
                cause=cause,
            )
        )

    async def _remove(self, identity: str) -> None:
        try:
            await self._house.server.remove(self.meeting.room, identity)
        except TelephonyError as error:
            log.warning("rooms.not_removed", room=self.meeting.room, error=error.message)

    def _finish(self, reason: str) -> None:
        self._over = True
        self._stop_healing()
        self._awaited_no_more()
        for timer in [*self._missing.values(), *self._silence.values()]:
            timer.cancel()
        self._missing.clear()
        self._silence.clear()
        if self.stay is not None:
            self.stay.close()
        self._house.gone(self)
        self._emit(
            e.RoomLeft(
                at=self._now(),
                leg=self.leg,
                room=self.meeting.room,
                provider="livekit",
                reason=reason,
            )
        )

    def _stop_healing(self) -> None:
        if self._healing is not None:
            self._healing.cancel()
            self._healing = None

    def _now(self) -> Any:
        return self._house.clock.now()

    def _monotonic(self) -> float:
        return self._house.clock.monotonic()


_FACTS: dict[str, Callable[..., None]] = {
    "in": Link._entered,
    "over": Link._out,
    "away": Link._away,
    "back": Link._back,
    "came": Link._came,
    "went": Link._went,
    "dead": Link._died,
    "heard": Link._heard,
    "digit": Link._digit,
    "agents": Link._agents,
}
