"""A dialplan whose call may have been answered by a machine.

It runs from the answer on as if nobody asked who that is. When it was a machine and that is to
have consequences, the dialplan is stopped: the call ends, or a message is left after the beep.
"""

from __future__ import annotations

from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.orders import MachineOrder
from telephony.calls.outcome import EndedBy, Outcome
from telephony.ivr.model import Dialplan
from telephony.ivr.program import Program
from telephony.ivr.run import Activity, Context, End, Move, Run

NODE = "voicemail"
"""What the message's prompt names as its node."""
GREETING_SECONDS = 60.0
"""A greeting that is not over by then is none that takes messages."""
LATE_SECONDS = 15.0
"""After a greeting without a beep: one that comes within this has cut our beginning off."""
GRACE_SECONDS = 5.0
"""The engine's own end of waiting comes before ours."""
MESSAGE_SECONDS = 300.0


class ScreenedProgram(Program):
    """A program that asks who answers, once, and does what was ordered about a machine."""

    def __init__(self, plan: Dialplan, context: Context, order: MachineOrder) -> None:
        super().__init__(plan, context)
        self._order = order
        self._asked = False
        self._run.values["amd"] = "pending"

    def start(self, event: e.Event, now: float) -> list[c.Command]:
        """Listen first, then begin."""
        watch = c.WatchAnswer(leg=self._run.leg, seconds=self._order.seconds)
        return [watch, *super().start(event, now)]

    def step(self, event: e.Event, now: float) -> list[c.Command]:
        """Take a fact."""
        run = self._run
        if isinstance(event, e.AnswerDetected) and event.leg == run.leg and not self._asked:
            self._asked = True
            run.values["amd"] = event.verdict
            if event.verdict == "machine" and self._order.action and not self.finished:
                run.observe(event, now)
                return self._machine()
        return super().step(event, now)

    def _machine(self) -> list[c.Command]:
        run = self._run
        run.node = NODE
        if self._order.action == "hangup":
            return self._drive(End(Outcome.voicemail()))
        message = run.fill(self._order.message).strip()
        if not message:
            return self._drive(_ended(run, "missing_message"))
        for leg in run.further:
            run.order(c.EndLeg(leg=leg, outcome=Outcome.canceled(EndedBy.SERVICE)))
        run.order(c.Note(event=e.VoicemailStarted(at=run.wall, leg=run.leg)))
        run.order(c.Stop(leg=run.leg))
        run.order(c.LeaveRoom(leg=run.leg))
        self._activity = Leaving(run, message)
        return run.take_orders()


class Leaving(Activity):
    """The greeting is waited for, then the message plays, once more where a beep was late."""

    def __init__(self, run: Run, message: str) -> None:
        super().__init__(run.now + GREETING_SECONDS + GRACE_SECONDS)
        self._message = message
        self._playback: str | None = None
        self._late = False
        run.order(c.AwaitGreeting(leg=run.leg, seconds=GREETING_SECONDS))

    def step(self, run: Run, event: e.Event) -> Move | None:
        if not isinstance(event, e.LegEvent):
            return None
        if event.leg != run.leg:
            # Somebody whom a transfer had begun to call: nobody talks to a tape.
            if isinstance(event, e.LegRinging | e.LegEarlyMedia | e.LegAnswered):
                run.order(c.EndLeg(leg=event.leg, outcome=Outcome.canceled(EndedBy.SERVICE)))
            return None
        match event:
            case e.GreetingEnded() if self._playback is None:
                if event.how == "timeout":
                    return _ended(run, "greeting_timeout")
                self._play(run)
                if event.how == "silence":
                    self._late = True
                    run.order(c.AwaitGreeting(leg=run.leg, seconds=LATE_SECONDS, beep_only=True))
            case e.GreetingEnded(how="beep") if self._late:
                # What was said before the beep is not on the tape.
                self._late = False
                run.order(c.Stop(leg=run.leg))
                self._play(run)
            case e.PromptFailed() if self._playback is not None and event.node == NODE:
                return _ended(run, "playout_failed")
            case e.PromptPlayed(playback=self._playback):
                heard = event.reason == "finished" and event.heard_ms > 0
                return _ended(run, "delivered" if heard else "playout_failed")
        return None

    def expire(self, run: Run) -> Move | None:
        return _ended(run, "greeting_timeout" if self._playback is None else "playout_failed")

    def _play(self, run: Run) -> None:
        self._playback = run.play(c.Prompt(text=self._message))
        self.deadline = run.now + MESSAGE_SECONDS


def _ended(run: Run, delivery: str) -> Move:
    """Write down what became of the message, and hang up."""
    run.order(c.Note(event=e.VoicemailEnded(at=run.wall, leg=run.leg, delivery=delivery)))
    return End(Outcome.voicemail())
