"""Who answered: a person or a machine, by how the greeting goes. A row a lane, one pass a tick.

A person says a word or a sentence and waits; a machine talks on, or beeps. What is looked at is
when there is voice in the foreground, for how long, and which tones. The verdict comes at most
4 s after the first voice, and ``unknown`` when the time is over without any; nothing waits for it.
Where a message is to be left the same row then finds the end of the greeting.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from telephony.audio.progress import Tone
from telephony.calls.ports import AnswerHeard, GreetingHeard, Verdict
from telephony.media.columns import Columns, Counts, Flags, Floats
from telephony.media.config import TICK_MS

AnswerDone = Callable[[AnswerHeard], None]
GreetingDone = Callable[[GreetingHeard], None]
Mask = npt.NDArray[np.bool_]
Tasks = npt.NDArray[np.int8]

BEEP = 7
"""Ticks of one steady tone that make a beep; no voice holds one note so purely for so long."""


def ticks(seconds: float) -> int:
    """Whole ticks of so many seconds."""
    return round(seconds * 1000 / TICK_MS)


# Voice in the foreground: whoever speaks into the telephone, and not the tables around him.
QUIETEST, NOISIEST = -70.0, -30.0
"""Between these levels (dBm0) the background is looked for."""
ABOVE_NOISE = 9.0
BELOW_LOUDEST = 11.0
"""dB. The foreground is so far above the background and not farther below the loudest so far."""
FAINTEST = -50.0
FALL, RISE = 0.3, 0.04
"""The background follows what is softer by this share a tick, and else rises by so many dB."""
ATTACK, FADE = 0.5, 0.02
"""The loudest follows what is louder by this share a tick, so that a knock on the receiver does not
hide the words behind it, and is forgotten by so many dB."""
NEW, ON, OFF = 0.3, 0.5, 0.2
"""Share of a new tick in the average, and where voice begins and ends in it: one click is no
voice, and one stop consonant no pause."""

# When it is decided. Voice is counted without its pauses.
WAITS = ticks(1.0)
"""Silence after which somebody waits for us to speak. Machines pause for 0.3 to 0.8 s."""
LEAST = ticks(0.18)
"""Voice in all, below which it was a knock or a breath."""
SHORT = ticks(2.1)
"""A person's greeting has at most so much voice."""
LONG = ticks(3.3)
"""Who says so much does not wait for us, whatever follows."""
SPAN = ticks(3.3)
"""Who has not waited from the first voice to one so long after it is a machine, too."""
DECIDE = ticks(3.7)
"""After the first voice, which in noise is up to 250 ms old when it is taken for one."""

# When a greeting is over.
BEEP_OVER = ticks(0.3)
"""Silence after a beep: two beeps are one."""
QUIET_AFTER = ticks(2.0)
"""Silence after which no beep is waited for."""
REMEMBERED = ticks(3.0)
"""A verdict may be a beep's: who asks for the end of the greeting so late still learns of it."""

_MACHINES = {Tone.SIT: "sit", Tone.FAX_ANSWER: "fax"}

IDLE, WHO, TOLD, END, LATE = range(5)
"""What a row is watched for: nothing, who answers, nothing more of that for now, the end of the
greeting, a beep and nothing else."""


class Answers(Columns):
    """Times are in ticks since the watch began; -1 for never."""

    LAYOUT = {
        "task": (np.int8, (), IDLE),
        "age": (np.int64, (), 0),
        "limit": (np.int64, (), 0),
        "first": (np.int64, (), -1),
        "last": (np.int64, (), -1),
        "beeped": (np.int64, (), -1),
        "voiced": (np.int64, (), 0),
        "share": (np.float64, (), 0.0),
        "speaking": (np.bool_, (), False),
        "floor": (np.float64, (), NOISIEST),
        "top": (np.float64, (), QUIETEST),
    }
    task: Tasks
    age: Counts
    limit: Counts
    first: Counts
    last: Counts
    beeped: Counts
    voiced: Counts
    share: Floats
    speaking: Flags
    floor: Floats
    top: Floats

    def __init__(self, capacity: int, later: Callable[[Callable[[], None]], None]) -> None:
        """``later`` takes callbacks that are due when the tick is over."""
        super().__init__(capacity)
        self._later = later
        self._who: dict[int, AnswerDone] = {}
        self._end: dict[int, GreetingDone] = {}

    # -- orders ---------------------------------------------------------------------------------

    def watch(self, row: int, done: AnswerDone, seconds: float) -> None:
        """Find out who answers, from now on, within ``seconds``; a watch before is given up."""
        self.clear(row)
        self.task[row], self.limit[row] = WHO, ticks(seconds)
        self._who[row] = done

    def await_end(
        self, row: int, done: GreetingDone, seconds: float, *, beep_only: bool = False
    ) -> None:
        """Find the end of the greeting within ``seconds``: the beep's, or a long silence."""
        if self.task[row] == IDLE:
            self.clear(row)
        self._who.pop(row, None)
        self._end[row] = done
        self.task[row] = LATE if beep_only else END
        if beep_only:
            self.beeped[row] = -1
        self.limit[row] = self.age[row] + ticks(seconds)

    def hear_tone(self, row: int, kind: Tone) -> None:
        """A tone of the network or of a machine was recognized on a lane."""
        reason = _MACHINES.get(kind)
        if reason is not None:
            # Its tones are no beep that a message follows.
            self.beeped[row] = -1
            if self.task[row] == WHO:
                self._tell(row, "machine", 0.98, reason)

    def clear(self, row: int) -> None:
        """Forget all of a row; nobody is told."""
        super().clear(row)
        self._who.pop(row, None)
        self._end.pop(row, None)

    # -- time -----------------------------------------------------------------------------------

    def listen(self, level: Floats, voiced: Flags, steady: Counts) -> None:
        """20 ms pass, of each lane: (lanes,) each.

        ``level`` in dBm0, ``voiced`` bool, ``steady``: ticks for which one pure tone has sounded.
        """
        rows = np.flatnonzero(self.task[: level.shape[0]])
        if not rows.size:
            return
        age = self.age[rows] + 1
        self.age[rows] = age
        tone = steady[rows]
        self.beeped[rows] = np.where(tone >= BEEP, age, self.beeped[rows])
        self._follow(rows, age, np.clip(level[rows], QUIETEST, 10.0), voiced[rows], tone > 1)
        task = self.task[rows]
        for chosen, decide in (
            (task == WHO, self._decide),
            ((task == END) | (task == LATE), self._find_end),
        ):
            if chosen.any():
                decide(rows[chosen])
        stale = rows[(self.task[rows] == TOLD) & (age >= self.limit[rows])]
        self.task[stale] = IDLE

    def _follow(self, rows: Counts, age: Counts, level: Floats, voiced: Flags, tone: Mask) -> None:
        """Keep each row's background and foreground."""
        floor = self.floor[rows]
        softer = level < floor
        begins = age <= 3
        floor = np.where(
            softer,
            floor + np.where(begins, 1.0, FALL) * (level - floor),
            np.minimum(floor + RISE, NOISIEST),
        )
        self.floor[rows] = floor
        near = voiced & (level > floor + ABOVE_NOISE) & (level > FAINTEST)
        top = np.maximum(self.top[rows] - FADE, QUIETEST)
        top += ATTACK * np.where(near, np.maximum(level - top, 0.0), 0.0)
        self.top[rows] = top
        # A tone is told apart; as voice it would be a very steady talker.
        loud = near & (level > top - BELOW_LOUDEST) & ~tone
        share = self.share[rows]
        share += NEW * (loud - share)
        self.share[rows] = share
        speaking = share > np.where(self.speaking[rows], OFF, ON)
        self.speaking[rows] = speaking
        self.voiced[rows] += speaking
        first, last = self.first[rows], self.last[rows]
        self.first[rows] = np.where((first < 0) & speaking, age, first)
        self.last[rows] = np.where(speaking, age, last)

    # -- who ------------------------------------------------------------------------------------

    def _decide(self, rows: Counts) -> None:
        age, first, voiced = self.age[rows], self.first[rows], self.voiced[rows]
        begun = first >= 0
        beeped = self.beeped[rows]
        # Not before a tone is over: three in a row are SIT, which is told otherwise.
        beep = (beeped >= 0) & (age - beeped >= BEEP_OVER)
        waiting = begun & (age - self.last[rows] >= WAITS) & ((beeped < 0) | beep)
        knock = waiting & (voiced < LEAST)
        self.first[rows[knock]] = -1
        self.voiced[rows[knock]] = 0
        self.top[rows[knock]] = QUIETEST
        late = begun & (age - first >= DECIDE)
        talked = (waiting | late) & ~knock
        length = np.where(waiting, 0, self.last[rows] - first)
        long = (voiced >= LONG) | (talked & ((voiced > SHORT) | (length >= SPAN)))
        due = beep | talked | long | (age >= self.limit[rows])
        if not due.any():
            return
        # How sure: by the distance from the line between them, and by how clear the line is.
        clear = np.clip((self.top[rows] - self.floor[rows]) / 20.0, 0.7, 1.0)
        brief = np.clip(1.0 - 0.35 * voiced / SHORT, 0.6, 0.95) * clear
        lengthy = np.clip(0.6 + 0.35 * (voiced - SHORT) / (LONG - SHORT), 0.6, 0.95) * clear
        for at in np.flatnonzero(due).tolist():
            row = int(rows[at])
            if beep[at]:
                self._tell(row, "machine", 0.95, "beep")
            elif long[at]:
                self._tell(row, "machine", float(lengthy[at]), "long_greeting")
            elif talked[at]:
                self._tell(row, "human", float(brief[at]), "short_greeting")
            else:
                self._tell(row, "unknown", 0.0, "timeout" if begun[at] else "silence")

    def _tell(self, row: int, verdict: Verdict, confidence: float, reason: str) -> None:
        done = self._who.pop(row)
        self.task[row] = TOLD if verdict == "machine" else IDLE
        self.limit[row] = self.age[row] + REMEMBERED
        time_ms = int(self.age[row]) * TICK_MS
        self._later(partial(done, AnswerHeard(verdict, round(confidence, 2), time_ms, reason)))

    # -- the end of the greeting ----------------------------------------------------------------

    def _find_end(self, rows: Counts) -> None:
        age, beeped, last = self.age[rows], self.beeped[rows], self.last[rows]
        beep = (beeped >= 0) & (age - beeped >= BEEP_OVER) & (last <= beeped)
        quiet = (self.task[rows] == END) & (age - np.maximum(last, beeped) >= QUIET_AFTER)
        over = age >= self.limit[rows]
        for index in np.flatnonzero(beep | quiet | over).tolist():
            row = int(rows[index])
            how = "beep" if beep[index] else "silence" if quiet[index] else "timeout"
            done = self._end.pop(row)
            # What was heard stays: a beep may still follow the silence.
            self.task[row], self.limit[row] = TOLD, self.age[row] + REMEMBERED
            self._later(partial(done, GreetingHeard(how, int(self.age[row]) * TICK_MS)))
