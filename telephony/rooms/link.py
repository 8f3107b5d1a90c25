"""One call's place in a room with agents: what its stay tells becomes the call's events.

What heals and what ends is decided here. A connection that is lost is made again, with a new
token, for ``HEAL_SECONDS``; then the link ends. Who was lost with it may come back for a while
(``company``). Whether an agent is called again is the program's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from telephony.audio.mix import Samples
from telephony.base.errors import TelephonyError
from telephony.calls import events as e
from telephony.calls.meeting import MAX_DATA, Dispatch, Meeting
from telephony.calls.ports import Emit, Media
from telephony.media.seats import Seat
from telephony.rooms.company import Calling, Company, Means, Timer
from telephony.rooms.staying import Staying

log = structlog.get_logger("telephony.rooms")

HEAL_SECONDS = 12.0
"""How long a caller hears nothing before it is over: a restart of the server fits."""
AGAIN_SECONDS = 0.5
"""Between two attempts."""
CONTROL = "telephony.control"
"""Topic of what we tell agents; browsers pass it over (contract 14.3)."""
DIGITS = frozenset("0123456789*#ABCD")
MAX_DIGITS = 64


class House(Means, Protocol):
    """What a link needs of where it is."""

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
        self._calling = Calling(house, meeting, emit)
        self._company = Company(house, meeting, emit, self._calling)
        self._agents_heard = True
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
        if not self._over:
            self._calling.call(dispatch)

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
        self._company.roll_call()

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

    def _finish(self, reason: str) -> None:
        self._over = True
        self._stop_healing()
        self._calling.answered()
        self._company.close()
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
    "digit": Link._digit,
    "agents": Link._agents,
    "came": lambda link, *who: link._company.came(*who),
    "went": lambda link, *who: link._company.went(*who),
    "dead": lambda link, *who: link._company.died(*who),
    "heard": lambda link, *who: link._company.heard(*who),
}
