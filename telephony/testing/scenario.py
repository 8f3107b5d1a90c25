"""Stories: a dialplan run with a manual clock, told from the caller's side.

    story = Story(load(text, "front-desk"))
    story.begins()
    story.hears("You have reached")
    story.press("1")
    story.hears("opening hours")
    story.hangs_up()

The story plays the part of the session: it keeps the call's value, refuses what the call does
not permit, and answers orders with the events that a carrier and the media engine would send.
Prompts take time (``SPEECH`` seconds a character), so a key can come inside one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime

from telephony.base.clock import ManualClock
from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.call import Call
from telephony.calls.outcome import Cause, EndedBy, Outcome, Status
from telephony.calls.state import Direction
from telephony.ivr.model import Dialplan
from telephony.ivr.program import Context, Program

SPEECH = 0.06
"""Seconds that a character takes to say."""
SOUND = 0.5
"""Seconds of a file or tone."""
MAX_TURNS = 10_000
"""Things that may happen in one wait; more is a dialplan that runs away."""


class Story:
    """One call through a dialplan. Its methods are what the people in it do."""

    def __init__(
        self,
        plan: Dialplan,
        *,
        direction: Direction = Direction.INBOUND,
        from_number: str = "+12025550123",
        to_number: str = "+12025550100",
        variables: Mapping[str, str] | None = None,
        at: datetime | None = None,
    ) -> None:
        self.plan = plan
        self.clock = ManualClock(at)
        self.leg = "phone-story"
        self.call = Call(
            id="story",
            organization="org_default",
            direction=direction,
            created_at=self.clock.now(),
            updated_at=self.clock.now(),
            status=Status.RINGING if direction is Direction.INBOUND else Status.DIALING,
            from_number=from_number,
            to_number=to_number,
        )
        self.program = Program(
            plan,
            Context(
                call="story",
                leg=self.leg,
                direction=direction,
                from_number=from_number,
                to_number=to_number,
                variables=variables or {},
            ),
        )
        self.orders: list[c.Command] = []
        self.facts: list[e.Event] = []
        self.heard: list[str] = []
        self.stopped: list[e.PromptPlayed] = []
        self.parties: list[str] = []
        self.outcome: Outcome | None = None
        self._playing: deque[tuple[c.Play, float]] = deque()
        self._recording: tuple[c.Record, float] | None = None
        self._transfer: c.Transfer | None = None
        self._events: deque[e.Event] = deque()

    # --- what happened ---------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """The call has ended, whoever ended it."""
        return self.outcome is not None

    @property
    def now_playing(self) -> str:
        """The text, file or tone that plays now, or nothing."""
        return _name(self._playing[0][0].prompt) if self._playing else ""

    def ordered(self, kind: type[c.Command]) -> list[c.Command]:
        """Every order of a kind so far."""
        return [order for order in self.orders if type(order) is kind]

    def noted(self, kind: type[e.Event]) -> list[e.Event]:
        """Every fact of a kind that the program wrote down."""
        notes = (order.event for order in self.orders if isinstance(order, c.Note))
        return [event for event in notes if type(event) is kind]

    # --- the caller ------------------------------------------------------------------------

    def begins(self) -> Story:
        """The call comes in, or the party we called picks up."""
        now = self.clock.now()
        if self.call.direction is Direction.INBOUND:
            offered = e.LegOffered(
                at=now,
                leg=self.leg,
                from_number=self.call.from_number,
                dialled=self.call.to_number,
            )
            self.call = self.call.apply(offered)
            self.facts.append(offered)
            self._carry_out(self.program.start(offered, self.clock.monotonic()))
        else:
            dialled = e.LegDialing(
                at=now, leg=self.leg, to=self.call.to_number, from_number=self.call.from_number
            )
            answered = e.LegAnswered(at=now, leg=self.leg)
            self.call = self.call.apply(dialled).apply(answered)
            self.facts += [dialled, answered]
            self._carry_out(self.program.start(answered, self.clock.monotonic()))
        self._settle()
        return self

    def press(self, digits: str, *, apart: float = 0.2) -> Story:
        """The caller presses keys, one after another."""
        for index, digit in enumerate(digits):
            if index:
                self.wait(apart)
            self.tell(e.DigitPressed(at=self.clock.now(), leg=self.leg, digit=digit))
        return self

    def hears(self, words: str, *, within: float = 120.0) -> Story:
        """The caller listens until a prompt with these words begins; fails where none does."""
        until = self.clock.monotonic() + within
        while True:
            if words.lower() in self.now_playing.lower():
                return self
            if not self._advance(until):
                raise AssertionError(
                    f"never heard {words!r}; heard {self.heard[-5:]}, now {self.now_playing!r}"
                )

    def listens(self) -> Story:
        """The caller hears everything that plays to its end."""
        for _ in range(MAX_TURNS):
            if not self._playing or self._playing[0][0].loop or self.over:
                return self
            self._advance(self._playing[0][1])
        raise AssertionError("the dialplan never stops talking")

    def wait(self, seconds: float) -> Story:
        """Time passes; prompts end and deadlines come."""
        until = self.clock.monotonic() + seconds
        for _ in range(MAX_TURNS):
            if not self._advance(until):
                return self
        raise AssertionError("too much happens: the dialplan runs in a circle")

    def falls_silent(self) -> Story:
        """The caller has stopped to speak into a recording."""
        self._end_recording("silence")
        self._settle()
        return self

    def hangs_up(self) -> Story:
        """The caller leaves."""
        if not self.over:
            engaged = self.program.engaged
            ended = Outcome.completed(EndedBy.CALLER)
            if self.call.answered_at is None:
                ended = Outcome.canceled(EndedBy.CALLER)
            self.tell(e.LegEnded(at=self.clock.now(), leg=self.leg, outcome=ended))
            self.outcome = ended.as_abandoned() if engaged else ended
        return self

    # --- the other party -------------------------------------------------------------------

    def party_rings(self) -> Story:
        return self.tell(e.LegRinging(at=self.clock.now(), leg=self.parties[-1]))

    def party_answers(self) -> Story:
        return self.tell(e.LegAnswered(at=self.clock.now(), leg=self.parties[-1]))

    def party_ends(self, outcome: Outcome | None = None) -> Story:
        """The other party refuses or, without an outcome, hangs up."""
        ended = outcome or Outcome.completed(EndedBy.CALLEE)
        return self.tell(e.LegEnded(at=self.clock.now(), leg=self.parties[-1], outcome=ended))

    def transfer_ends(self, cause: Cause | None = None) -> Story:
        """The transfer works, or fails for a cause."""
        order = self._transfer
        assert order is not None, "nothing is being transferred"
        now, mode = self.clock.now(), "refer"
        if cause is None:
            done = e.TransferCompleted(
                at=now, leg=order.leg, transfer=order.transfer, to=order.to, mode=mode
            )
            self.outcome = Outcome.transferred()
            return self.tell(done)
        failed = e.TransferFailed(
            at=now,
            leg=order.leg,
            transfer=order.transfer,
            to=order.to,
            mode=mode,
            cause=cause.value,
        )
        return self.tell(failed)

    def tell(self, event: e.Event) -> Story:
        """Any fact at all."""
        self._events.append(event)
        self._settle()
        return self

    # --- the session's part ----------------------------------------------------------------

    def _advance(self, until: float) -> bool:
        """Go on to the next thing that happens, at most to ``until``; False: nothing more."""
        if self.over:
            return False
        times = [self._playing[0][1]] if self._playing and not self._playing[0][0].loop else []
        if self._recording is not None:
            times.append(self._recording[1] + self._recording[0].max_seconds)
        deadline = self.program.next_deadline()
        if deadline is not None:
            times.append(deadline)
        when = min(times, default=until)
        now = self.clock.monotonic()
        if when > until:
            self.clock.advance(max(0.0, until - now))
            return False
        self.clock.advance(max(0.0, when - now))
        now = self.clock.monotonic()
        if self._playing and not self._playing[0][0].loop and self._playing[0][1] <= now + 1e-9:
            self._end_prompt("finished")
        elif (
            self._recording is not None
            and self._recording[1] + self._recording[0].max_seconds <= now + 1e-9
        ):
            self._end_recording("max")
        elif deadline is not None:
            self._carry_out(self.program.expire(max(now, deadline)))
        self._settle()
        return bool(times)

    def _settle(self) -> None:
        for _ in range(MAX_TURNS):
            if not self._events:
                return
            event = self._events.popleft()
            if isinstance(event, e.DigitPressed) and self.program.masks(event):
                self.facts.append(
                    e.DigitPressed(at=event.at, leg=event.leg, digit="*", secret=True)
                )
            else:
                self.facts.append(event)
            self.call = self.call.apply(event)
            self._carry_out(self.program.step(event, self.clock.monotonic()))
        raise AssertionError("too much happens at once: the dialplan runs in a circle")

    def _carry_out(self, orders: list[c.Command]) -> None:
        for order in orders:
            refusal = self.call.permit(order)
            if refusal is not None and not self.over:
                raise AssertionError(f"{order} is not permitted: {refusal}")
            self.orders.append(order)
            self._do(order)

    def _do(self, order: c.Command) -> None:
        now = self.clock.now()
        match order:
            case c.Answer():
                self._events.append(e.LegAnswered(at=now, leg=order.leg))
            case c.Ring():
                self._events.append(e.LegRinging(at=now, leg=order.leg))
            case c.Play():
                self._play(order)
            case c.Stop():
                while self._playing:
                    self._end_prompt(order.reason)
            case c.Record():
                self._recording = (order, self.clock.monotonic())
            case c.StopRecord():
                self._end_recording(order.reason)
            case c.Dial():
                self.parties.append(order.leg)
                self.call = self.call.apply(
                    e.LegDialing(at=now, leg=order.leg, to=order.to, from_number="")
                )
            case c.Bridge():
                self._events.append(e.LegsBridged(at=now, leg=order.leg, other=order.other))
            case c.EndLeg():
                self._events.append(e.LegEnded(at=now, leg=order.leg, outcome=order.outcome))
            case c.JoinRoom():
                self._events.append(e.RoomJoined(at=now, leg=order.leg, room=order.room))
            case c.Transfer():
                self._transfer = order
            case c.Hangup():
                self.outcome = order.outcome

    def _play(self, order: c.Play) -> None:
        begins = self._playing[-1][1] if self._playing else self.clock.monotonic()
        prompt = order.prompt
        lasts = len(prompt.text) * SPEECH if prompt.text else SOUND
        self._playing.append((order, begins + lasts))

    def _end_prompt(self, reason: str) -> None:
        order, ends = self._playing.popleft()
        total = round((len(order.prompt.text) * SPEECH if order.prompt.text else SOUND) * 1000)
        left = 0 if reason == "finished" else round((ends - self.clock.monotonic()) * 1000)
        played = e.PromptPlayed(
            at=self.clock.now(),
            leg=order.leg,
            node=order.node,
            playback=order.playback,
            text=order.prompt.text,
            heard_text=order.prompt.text,
            source=order.prompt.file or order.prompt.tone,
            started_at=None,
            heard_ms=max(0, total - max(0, left)),
            total_ms=total,
            reason=reason,
        )
        (self.stopped if reason != "finished" else []).append(played)
        self.heard.append(_name(order.prompt))
        self._events.append(played)

    def _end_recording(self, reason: str) -> None:
        assert self._recording is not None, "nothing is being recorded"
        (order, began), self._recording = self._recording, None
        self._events.append(
            e.RecordingReady(
                at=self.clock.now(),
                leg=order.leg,
                recording=order.recording,
                kind="message",
                path="message.wav",
                duration_ms=int((self.clock.monotonic() - began) * 1000),
                size=1,
                reason=reason,
            )
        )


def _name(prompt: c.Prompt) -> str:
    return prompt.text or prompt.file or prompt.tone
