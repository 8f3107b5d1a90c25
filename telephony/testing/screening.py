"""Greetings through the detectors and the classifier, all at once: what the verdicts were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from telephony.calls.ports import AnswerHeard, GreetingHeard
from telephony.media.amd import Answers
from telephony.media.config import FRAME, TICK_MS
from telephony.media.detect import Detectors
from telephony.testing.greetings import Greeting


@dataclass(frozen=True, slots=True)
class Screened:
    """What was said of a greeting; ``end`` where its end was asked for (machines)."""

    greeting: Greeting
    heard: AnswerHeard
    end: GreetingHeard | None

    @property
    def right(self) -> bool:
        """Whether a person was called a person and a machine a machine."""
        return self.heard.verdict == ("human" if self.greeting.human else "machine")


def screen(greetings: Sequence[Greeting], seconds: float = 8.0) -> list[Screened]:
    """Every greeting a lane of one matrix; of machines the end of the greeting, too."""
    voice = np.stack([one.samples for one in greetings])
    count, ticks = voice.shape[0], voice.shape[1] // FRAME
    detectors = Detectors(count)
    due: list[Callable[[], None]] = []
    answers = Answers(count, due.append)
    heard: dict[int, AnswerHeard] = {}
    ends: dict[int, GreetingHeard] = {}

    def verdict(row: int, answer: AnswerHeard) -> None:
        heard[row] = answer
        if answer.verdict == "machine":
            answers.await_end(row, partial(ends.__setitem__, row), 60.0)

    for row in range(count):
        detectors.watch(row, ticks)
        answers.watch(row, partial(verdict, row), seconds)
    for tick in range(ticks):
        detectors.hear(voice[:, tick * FRAME : (tick + 1) * FRAME], tick * TICK_MS / 1000)
        for found in detectors.take_tones():
            answers.hear_tone(found.row, found.kind)
        answers.listen(detectors.activity.level, detectors.activity.voiced, detectors.tones.pure)
        for fact in due:
            fact()
        due.clear()
    return [Screened(one, heard[row], ends.get(row)) for row, one in enumerate(greetings)]
