"""if: one way or the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from telephony.ivr.conditions import Condition, When
from telephony.ivr.fields import Target, key
from telephony.ivr.model import Verb
from telephony.ivr.run import Activity, Go, Move, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class If(Verb):
    """Ask for time, holidays, caller or variables."""

    VERB: ClassVar[str] = "if"

    when: Condition = key(When(), doc="The condition: every key of it must hold.")  # noqa: RUF009
    then: str = key(Target(), doc="Where to go on when it holds.")
    else_: str | None = key(Target(), None, doc="When it does not; without it the call ends.")

    def begin(self, run: Run) -> Move | Activity:
        return Go(self.then if self.when.holds(run.facts()) else self.else_)
