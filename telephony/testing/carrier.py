"""A carrier without a network: legs that do what a test tells them, and note what they were told.

Sound is a list of what was played; nothing takes time unless the test lets it pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from telephony.base.clock import Clock
from telephony.base.errors import Busy
from telephony.calls.events import (
    DigitPressed,
    LegAnswered,
    LegEnded,
    LegOffered,
    LegRinging,
    MediaQuality,
)
from telephony.calls.outcome import EndedBy, Outcome
from telephony.calls.ports import (
    AnswerHeard,
    DialRequest,
    Emit,
    GreetingHeard,
    Media,
    Offer,
    OfferedLeg,
    Played,
    Recorded,
    ReferResult,
    Sound,
)


@dataclass
class FakeMedia:
    """A lane that plays nothing: sounds wait until ``finish_prompt`` or ``stop``."""

    clock: Clock
    playing: list[tuple[Sound, Callable[[Played], None], bool]] = field(default_factory=list)
    bridged: Media | None = None
    digits_sent: list[str] = field(default_factory=list)
    recordings: dict[Path, Callable[[Recorded], None]] = field(default_factory=dict)
    message: Path | None = None
    asked: tuple[Callable[[AnswerHeard], None], float] | None = None
    awaited: tuple[Callable[[GreetingHeard], None], float, bool] | None = None

    def play(self, sound: Sound, done: Callable[[Played], None], *, loop: bool = False) -> None:
        self.playing.append((sound, done, loop))

    def finish_prompt(self) -> None:
        """What plays has been heard to its end."""
        sound, done, _ = self.playing.pop(0)
        done(Played(sound.duration_ms, sound.duration_ms, True, self.clock.now()))

    def stop(self) -> None:
        for index, (sound, done, _) in enumerate(list(self.playing)):
            heard = sound.duration_ms // 2 if index == 0 else 0
            done(Played(heard, sound.duration_ms, False, self.clock.now()))
        self.playing.clear()

    def send_digits(self, digits: str) -> None:
        self.digits_sent.append(digits)

    def record_call(self, path: Path, done: Callable[[Recorded], None]) -> None:
        self.recordings[path] = done

    def record_message(
        self,
        path: Path,
        done: Callable[[Recorded], None],
        *,
        max_seconds: float,
        silence_seconds: float | None,
    ) -> None:
        self.recordings[path] = done
        self.message = path

    def stop_message(self) -> None:
        if self.message is not None:
            path, self.message = self.message, None
            self.recordings.pop(path)(Recorded(path, 2000, 32044, "stopped"))

    def watch_answer(self, done: Callable[[AnswerHeard], None], *, seconds: float) -> None:
        self.asked = (done, seconds)

    def await_greeting(
        self, done: Callable[[GreetingHeard], None], *, seconds: float, beep_only: bool = False
    ) -> None:
        self.awaited = (done, seconds, beep_only)

    def finish(self) -> None:
        for path, done in list(self.recordings.items()):
            del self.recordings[path]
            done(Recorded(path, 5000, 160044, "leg_ended"))

    def bridge(self, other: Media) -> None:
        self.bridged = other
        if isinstance(other, FakeMedia) and other.bridged is not self:
            other.bridge(self)

    def quality(self) -> MediaQuality:
        return MediaQuality(packets_received=50, packets_sent=50, codec="PCMU", mos=4.4)


class FakeLeg:
    """One leg. The test is the far end: ``rings``, ``answers``, ``presses``, ``leaves``."""

    def __init__(self, carrier: FakeCarrier, request: DialRequest | None = None) -> None:
        self._carrier = carrier
        self._emit: Emit = lambda event: None
        self.request = request
        self.id = request.leg if request is not None else ""
        self.media = FakeMedia(carrier.clock)
        self.orders: list[str] = []
        self.outcome: Outcome | None = None
        self.refer_result = ReferResult(False, supported=False, sip_status=405)

    # --- what the service orders -----------------------------------------------------------

    def name(self, leg: str, emit: Emit) -> None:
        self.id, self._emit = leg, emit

    def answer(self) -> None:
        if "answer" in self.orders or self.outcome is not None:
            return
        self.orders.append("answer")
        self._emit(LegAnswered(at=self._carrier.clock.now(), leg=self.id, codec="PCMU"))

    def ring(self) -> None:
        self.orders.append("ring")
        self._emit(LegRinging(at=self._carrier.clock.now(), leg=self.id))

    def end(self, outcome: Outcome) -> None:
        self.orders.append("end")
        self._over(outcome)

    def refer(self, to: str, headers: dict[str, str], done: Callable[[ReferResult], None]) -> None:
        self.orders.append(f"refer {to}")
        done(self.refer_result)

    # --- what the far end does -------------------------------------------------------------

    def rings(self) -> None:
        self._emit(LegRinging(at=self._carrier.clock.now(), leg=self.id))

    def answers(self) -> None:
        self._emit(LegAnswered(at=self._carrier.clock.now(), leg=self.id, codec="PCMU"))

    def presses(self, digits: str) -> None:
        for digit in digits:
            now = self._carrier.clock.now()
            self._emit(DigitPressed(at=now, leg=self.id, digit=digit, duration_ms=100))

    def leaves(self, outcome: Outcome | None = None) -> None:
        by = EndedBy.CALLER if self.request is None else EndedBy.CALLEE
        self._over(outcome or Outcome.completed(by))

    def _over(self, outcome: Outcome) -> None:
        if self.outcome is not None:
            return
        self.outcome = outcome
        self.media.stop()
        now = self._carrier.clock.now()
        quality = self.media.quality()
        self._emit(LegEnded(at=now, leg=self.id, outcome=outcome, quality=quality))


class FakeCarrier:
    """Legs that were dialled, in order; ``offer`` makes an inbound one."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.dialled: list[FakeLeg] = []
        self.take: Callable[[Offer, OfferedLeg], None] | None = None
        self.busy: Busy | None = None
        self.problem: str | None = None

    async def start(self, take: Callable[[Offer, OfferedLeg], None]) -> None:
        self.take = take

    async def stop(self) -> None:
        self.take = None

    def dial(self, request: DialRequest, emit: Emit) -> FakeLeg:
        leg = FakeLeg(self, request)
        leg.name(request.leg, emit)
        self.dialled.append(leg)
        return leg

    def ready(self) -> str | None:
        return self.problem

    def admits(self, trunk: str) -> Busy | None:
        return self.busy

    def offer(
        self,
        dialled: str,
        from_number: str = "+12025550188",
        *,
        organization: str = "org_default",
        trunk: str | None = None,
        phone: str | None = None,
    ) -> FakeLeg:
        """Somebody calls; the leg says what became of it."""
        leg = FakeLeg(self)
        event = LegOffered(
            at=self.clock.now(),
            leg="",
            from_number=from_number,
            dialled=dialled,
            trunk=trunk,
            phone=phone,
        )
        assert self.take is not None
        self.take(Offer(event, organization, trunk is None and phone is None), leg)
        return leg
