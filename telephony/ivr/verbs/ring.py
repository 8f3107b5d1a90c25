"""ring: let the caller hear ringing before the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from telephony.calls import commands as c
from telephony.ivr.fields import Seconds, Target, key
from telephony.ivr.model import Verb
from telephony.ivr.run import Activity, Go, Move, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring(Verb):
    """Ring for a while, then go on."""

    VERB: ClassVar[str] = "ring"

    seconds: float = key(Seconds(0, 60), 3.0, doc="How long.")
    next: str | None = key(Target(), None, doc="Where to go on; without it the call is refused.")

    def begin(self, run: Run) -> Move | Activity:
        if run.answered:
            return Go(self.next)
        run.order(c.Ring(leg=run.leg))
        return Ringing(run.now + self.seconds, self.next)


class Ringing(Activity):
    """Ringing until the deadline."""

    def __init__(self, deadline: float, following: str | None) -> None:
        super().__init__(deadline)
        self._following = following

    def expire(self, run: Run) -> Move | None:
        return Go(self._following)
