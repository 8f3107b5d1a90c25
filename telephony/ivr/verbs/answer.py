"""answer: pick up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.outcome import Cause, Outcome
from telephony.ivr.fields import Target, key
from telephony.ivr.model import Verb
from telephony.ivr.run import Activity, End, Go, Move, Run

ANSWER_SECONDS = 40.0
"""An answer whose ACK never comes is over after 64 × T1 = 32 s (RFC 3261 §13.3.1.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Verb):
    """Pick up, then go on. Verbs that need sound do it by themselves."""

    VERB: ClassVar[str] = "answer"

    next: str | None = key(Target(), None, doc="Where to go on; without it the call ends.")

    def begin(self, run: Run) -> Move | Activity:
        return Go(self.next) if run.answered else Answering(run, self.next)


class Answering(Activity):
    """Picked up, not yet confirmed."""

    def __init__(self, run: Run, following: str | None) -> None:
        super().__init__(run.now + ANSWER_SECONDS)
        self._following = following
        run.order(c.Answer(leg=run.leg))

    def step(self, run: Run, event: e.Event) -> Move | None:
        if isinstance(event, e.LegAnswered) and event.leg == run.leg:
            return Go(self._following)
        return None

    def expire(self, run: Run) -> Move | None:
        return End(Outcome.failed(Cause.INTERNAL))
