"""hangup: the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from telephony.ivr.model import Verb
from telephony.ivr.run import Activity, Go, Move, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Hangup(Verb):
    """Hang up; before the answer the call is declined."""

    VERB: ClassVar[str] = "hangup"

    def begin(self, run: Run) -> Move | Activity:
        return Go(None)
