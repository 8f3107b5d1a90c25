"""goto: go on elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from telephony.ivr.fields import Target, key
from telephony.ivr.model import Verb
from telephony.ivr.run import Activity, Go, Move, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Goto(Verb):
    """Go on at another node."""

    VERB: ClassVar[str] = "goto"

    next: str = key(Target(), doc="Where to go on.")

    def begin(self, run: Run) -> Move | Activity:
        return Go(self.next)
