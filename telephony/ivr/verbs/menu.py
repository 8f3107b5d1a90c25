"""menu: a choice by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from telephony.calls.commands import Prompt
from telephony.ivr.asking import Asking, Question
from telephony.ivr.digits import Chooser, Result
from telephony.ivr.fields import Choices, Flag, Prompts, Seconds, Target, Whole, key
from telephony.ivr.model import Verb
from telephony.ivr.run import Activity, Go, Move, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu(Verb):
    """Let the caller choose."""

    VERB: ClassVar[str] = "menu"
    waits: ClassVar[bool] = True
    listens: ClassVar[bool] = True

    prompt: tuple[Prompt, ...] = key(Prompts(), (), doc="The choices, said.")
    choices: Mapping[str, str] = key(
        Choices(), doc="Keys and the nodes they lead to; quote '*' and '#'."
    )
    timeout: float = key(Seconds(0.5, 120), 5.0, doc="Silence before the first key.")
    inter_digit: float = key(
        Seconds(0.5, 60), 2.0, doc="Silence after a key, while a longer choice is possible."
    )
    barge_in: bool = key(Flag(), True, doc="A key stops the prompt and counts.")
    flush: bool = key(Flag(), False, doc="Keys pressed before the menu do not count.")
    tries: int = key(Whole(1, 10), 3, doc="Rounds without a choice before giving up.")
    invalid: tuple[Prompt, ...] = key(
        Prompts(), (), doc="Said before the next round after a wrong key."
    )
    silence: tuple[Prompt, ...] = key(
        Prompts(), (), doc="Said before the next round when nothing was pressed."
    )
    on_silence: str | None = key(
        Target(), None, doc="When the last round was silent; without it the call ends."
    )
    on_invalid: str | None = key(
        Target(), None, doc="When it held a wrong key; without it as on_silence."
    )

    def begin(self, run: Run) -> Move | Activity:
        question = Question(
            prompts=self.prompt,
            invalid=self.invalid,
            silence=self.silence,
            tries=self.tries,
            timeout=self.timeout,
            inter_digit=self.inter_digit,
            barge_in=self.barge_in,
            flush=self.flush,
        )
        return Asking(question, self._chooser, self._finish).begin(run)

    def _chooser(self) -> Chooser:
        return Chooser(tuple(self.choices))

    def _finish(self, run: Run, result: Result) -> Move:
        if result.good:
            return Go(self.choices[result.digits])
        if result.reason == "invalid":
            return Go(self.on_invalid or self.on_silence)
        return Go(self.on_silence)
