"""say: speak texts, play files or tones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from telephony.calls.commands import Prompt
from telephony.ivr.asking import tell
from telephony.ivr.fields import Flag, Prompts, Target, key
from telephony.ivr.model import Verb
from telephony.ivr.run import Activity, Move, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Say(Verb):
    """Speak, then go on."""

    VERB: ClassVar[str] = "say"

    text: tuple[Prompt, ...] = key(Prompts(), doc="What is said; {{variable}} is filled in.")
    barge_in: bool = key(
        Flag(), True, doc="A key ends it and is kept for the next node that takes keys."
    )
    farewell: bool = key(
        Flag(), False, doc="Nothing more is wanted of the caller: leaving inside it completes."
    )
    next: str | None = key(Target(), None, doc="Where to go on; without it the call ends.")

    def begin(self, run: Run) -> Move | Activity:
        return tell(run, self.text, self.next, barge_in=self.barge_in, farewell=self.farewell)
