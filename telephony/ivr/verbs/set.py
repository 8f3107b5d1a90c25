"""set: variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from telephony.ivr.fields import Assignments, Target, key
from telephony.ivr.model import Verb
from telephony.ivr.run import Activity, Go, Move, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Set(Verb):
    """Give variables values, in the order written."""

    VERB: ClassVar[str] = "set"

    variables: Mapping[str, str] = key(
        Assignments(), doc="Variable: text; {{variable}} is filled in."
    )
    next: str | None = key(Target(), None, doc="Where to go on; without it the call ends.")

    def begin(self, run: Run) -> Move | Activity:
        for name, text in self.variables.items():
            run.set(name, run.fill(text))
        return Go(self.next)

    def writes(self) -> Iterator[tuple[str, str, bool]]:
        for name in self.variables:
            yield f"variables.{name}", name, False
