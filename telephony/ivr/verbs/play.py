"""play: a sound file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from telephony.calls.commands import Prompt
from telephony.ivr.asking import tell
from telephony.ivr.fields import File, Flag, Target, key
from telephony.ivr.model import Verb
from telephony.ivr.run import Activity, Move, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Play(Verb):
    """Play a WAV file, then go on."""

    VERB: ClassVar[str] = "play"

    file: str = key(File(), doc="A WAV file in the dialplans' folder.")
    barge_in: bool = key(
        Flag(), True, doc="A key ends it and is kept for the next node that takes keys."
    )
    farewell: bool = key(
        Flag(), False, doc="Nothing more is wanted of the caller: leaving inside it completes."
    )
    next: str | None = key(Target(), None, doc="Where to go on; without it the call ends.")

    def begin(self, run: Run) -> Move | Activity:
        prompts = (Prompt(file=self.file),)
        return tell(run, prompts, self.next, barge_in=self.barge_in, farewell=self.farewell)
