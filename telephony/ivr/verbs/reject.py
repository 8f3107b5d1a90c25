"""reject: refuse the call without answering it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from telephony.calls.outcome import Cause, EndedBy, Outcome
from telephony.ivr.fields import OneOf, key
from telephony.ivr.model import Verb
from telephony.ivr.run import Activity, End, Go, Move, Run

_BY = EndedBy.SERVICE
CAUSES: dict[str, Outcome] = {
    "busy": Outcome.busy(486).by(_BY),
    "declined": Outcome.declined(Cause.DECLINED, 603, by=_BY),
    "forbidden": Outcome.declined(Cause.FORBIDDEN, 403, by=_BY),
    "blocked": Outcome.declined(Cause.BLOCKED, 607, by=_BY),
    "not_found": Outcome.failed(Cause.NOT_FOUND, 404),
    "unavailable": Outcome.no_answer(480),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject(Verb):
    """Refuse the call. One that is answered already, as one we made, is hung up."""

    VERB: ClassVar[str] = "reject"

    cause: str = key(OneOf(*CAUSES), "declined", doc="What the caller's side is told.")

    def begin(self, run: Run) -> Move | Activity:
        return Go(None) if run.answered else End(CAUSES[self.cause])
