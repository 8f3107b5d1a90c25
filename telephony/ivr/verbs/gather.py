"""gather: digits into a variable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from telephony.calls.commands import Prompt
from telephony.ivr.asking import Asking, Question
from telephony.ivr.digits import Collector, Result
from telephony.ivr.fields import Flag, Keys, Prompts, Seconds, Target, VariableName, Whole, key
from telephony.ivr.model import Verb
from telephony.ivr.run import Activity, Go, Move, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Gather(Verb):
    """Ask for digits and keep them in a variable."""

    VERB: ClassVar[str] = "gather"
    waits: ClassVar[bool] = True
    listens: ClassVar[bool] = True

    prompt: tuple[Prompt, ...] = key(Prompts(), (), doc="The question.")
    variable: str = key(VariableName(), doc="Where the digits go.")
    min: int = key(Whole(1, 64), 1, doc="Fewest digits that count.")
    max: int = key(Whole(1, 64), 20, doc="The digit that ends the input by itself.")
    terminator: str = key(Keys(), "#", doc="Keys that end the input; empty for none.")
    timeout: float = key(Seconds(0.5, 120), 5.0, doc="Silence before the first key.")
    inter_digit: float = key(Seconds(0.5, 60), 3.0, doc="Silence after a key.")
    barge_in: bool = key(Flag(), True, doc="A key stops the prompt and counts.")
    flush: bool = key(Flag(), False, doc="Keys pressed before the question do not count.")
    tries: int = key(Whole(1, 10), 3, doc="How often to ask before giving up.")
    invalid: tuple[Prompt, ...] = key(
        Prompts(), (), doc="Said before asking again after too few digits."
    )
    silence: tuple[Prompt, ...] = key(
        Prompts(), (), doc="Said before asking again when nothing was pressed."
    )
    secret: bool = key(Flag(), False, doc="The digits appear in no record, log or report.")
    next: str = key(Target(), doc="Where to go on with the digits.")
    on_no_input: str | None = key(
        Target(), None, doc="When nothing was pressed; without it the call ends."
    )
    on_invalid: str | None = key(
        Target(), None, doc="When too few were pressed; without it as on_no_input."
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
            secret=self.secret,
        )
        return Asking(question, self._collector, self._finish).begin(run)

    def _collector(self) -> Collector:
        return Collector(self.min, self.max, self.terminator)

    def _finish(self, run: Run, result: Result) -> Move:
        if result.good:
            run.set(self.variable, result.digits, secret=self.secret)
            return Go(self.next)
        if result.reason == "invalid":
            return Go(self.on_invalid or self.on_no_input)
        return Go(self.on_no_input)

    def writes(self) -> Iterator[tuple[str, str, bool]]:
        yield "variable", self.variable, self.secret

    def faults(self) -> Iterator[tuple[str, str]]:
        if self.min > self.max:
            yield "min", f"min ({self.min}) is more than max ({self.max})"
