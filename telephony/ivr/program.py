"""A dialplan running: events in, commands out. No clock, no waiting: deadlines are asked for."""

from __future__ import annotations

from collections.abc import Mapping

from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.outcome import Cause, EndedBy, Outcome
from telephony.calls.state import Direction
from telephony.ivr.model import Dialplan
from telephony.ivr.rules import takes_secret_next
from telephony.ivr.run import Activity, Context, End, Go, Move, Run
from telephony.ivr.verbs import VERBS, Phase
from telephony.ivr.verbs.answer import Answering

__all__ = ["Context", "Program"]

MAX_HOPS = 200
"""Nodes entered for one event. Only a plan that can do nothing but fail in a circle has more."""
MAX_VISITS = 5000
"""Nodes entered in one call."""


class Program:
    """One call's dialplan. Orders are returned; what became of them is told by events.

    ``now`` is monotonic seconds; wall time is that of the last event and what ran since.
    """

    def __init__(self, plan: Dialplan, context: Context) -> None:
        self._plan = plan
        self._run = Run(plan, context)
        self._activity: Activity | None = None
        self._finished = False
        self._visits = 0

    @property
    def node(self) -> str:
        """The node the call is in."""
        return self._run.node

    @property
    def variables(self) -> Mapping[str, str]:
        """What the variables hold now, secrets included."""
        return self._run.values

    @property
    def finished(self) -> bool:
        """Nothing more will come: hung up, handed over, or the first leg is gone."""
        return self._finished

    @property
    def engaged(self) -> bool:
        """The caller is being talked to or asked; leaving now is giving up (abandoned)."""
        return self._activity is not None and self._activity.engaged

    def masks(self, event: e.DigitPressed) -> bool:
        """Whether this key is part of a secret. Asked before the event is handed to ``step``.

        A key that ends a prompt counts for the question behind it, so it is masked as well
        where that question may be a secret one.
        """
        activity = self._activity
        if activity is None or event.leg != self._run.leg:
            return False
        if activity.secret:
            return True
        return activity.ahead and takes_secret_next(self._plan, self._run.node)

    def next_deadline(self) -> float | None:
        """When to call ``expire``: always a time while the program lives."""
        return None if self._activity is None else self._activity.deadline

    # --- doors -----------------------------------------------------------------------------

    def start(self, event: e.Event, now: float) -> list[c.Command]:
        """Begin: ``LegOffered`` of a call that came in, ``LegAnswered`` of one that went out."""
        run = self._run
        run.observe(event, now)
        run.answered = isinstance(event, e.LegAnswered)
        for name, declared in self._plan.variables.items():
            if declared.report and run.values[name]:
                run.set(name, run.values[name])
        return self._drive(Go(self._plan.start))

    def step(self, event: e.Event, now: float) -> list[c.Command]:
        """Take a fact."""
        run = self._run
        run.observe(event, now)
        if self._finished:
            return []
        match event:
            case e.LegEnded(leg=run.leg):
                return self._abandoned()
            case e.TransferCompleted(leg=run.leg):
                self._finish()
                return []
            case e.LegAnswered(leg=run.leg):
                run.answered = True
            case e.DigitPressed() if event.leg != run.leg:
                # The other party of a bridge presses keys towards this one, not to us.
                return []
        move = None if self._activity is None else self._activity.step(run, event)
        self._strays(event)
        return run.take_orders() if move is None else self._drive(move)

    def expire(self, now: float) -> list[c.Command]:
        """The deadline has come; before it nothing happens."""
        run, activity = self._run, self._activity
        if activity is None or now < activity.deadline:
            return []
        run.now = now
        move = activity.expire(run)
        return run.take_orders() if move is None else self._drive(move)

    # --- running ---------------------------------------------------------------------------

    def _drive(self, move: Move) -> list[c.Command]:
        """Follow moves until something waits or the call ends."""
        for _ in range(MAX_HOPS):
            if isinstance(move, Go) and move.target is None:
                move = End(self._hangup())
            if isinstance(move, End):
                self._run.order(c.Hangup(outcome=move.outcome))
                break
            assert move.target is not None
            self._visits += 1
            if self._visits > MAX_VISITS:
                self._run.order(c.Hangup(outcome=self._lost()))
                break
            found = self._enter(move.target)
            if isinstance(found, Activity):
                self._activity = found
                return self._run.take_orders()
            move = found
        else:
            self._run.order(c.Hangup(outcome=self._lost()))
        self._finish()
        return self._run.take_orders()

    def _enter(self, target: str) -> Move | Activity:
        run = self._run
        run.node = target
        verb = self._plan.nodes[target]
        row = VERBS.get(verb.VERB)
        # A verb without a row is one that no file can write (ivr/agent.py); they all need sound.
        if not run.answered and (row is None or Phase.OFFERED not in row.phases):
            return Answering(run, target)
        return verb.begin(run)

    def _hangup(self) -> Outcome:
        if self._run.answered:
            return Outcome.completed(EndedBy.SERVICE)
        if self._run.context.direction is Direction.OUTBOUND:
            return Outcome.canceled(EndedBy.SERVICE)
        return Outcome.declined(Cause.DECLINED, 603, by=EndedBy.SERVICE)

    def _lost(self) -> Outcome:
        """The plan runs in a circle."""
        if self._run.answered:
            return Outcome.dropped(Cause.INTERNAL)
        return Outcome.failed(Cause.INTERNAL)

    def _abandoned(self) -> list[c.Command]:
        """The first leg is gone: whoever was dialled for it is not needed any more."""
        for leg in sorted(self._run.dialled):
            self._run.order(c.EndLeg(leg=leg, outcome=Outcome.completed(EndedBy.CALLER)))
        self._finish()
        return self._run.take_orders()

    def _strays(self, event: e.Event) -> None:
        """A leg that was given up and answers all the same is hung up."""
        if not isinstance(event, e.LegEvent) or event.leg not in self._run.dialled:
            return
        if isinstance(event, e.LegEnded):
            self._run.dialled.discard(event.leg)
        elif isinstance(event, e.LegAnswered) and (
            self._activity is None or self._activity.party != event.leg
        ):
            self._run.order(c.EndLeg(leg=event.leg, outcome=Outcome.no_answer()))

    def _finish(self) -> None:
        self._finished = True
        self._activity = None
