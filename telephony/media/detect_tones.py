"""Tones of the network and of machines on the lanes that somebody watches.

Each tick ``audio.progress`` looks at the last 40 ms of the watched lanes that are not silent. What
it sees becomes segments; only where one begins, or has reached an age that means something, a lane
is looked at by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from telephony.audio import progress
from telephony.audio.progress import NOTHING, Segment, Tone
from telephony.media.columns import Columns, Counts, Flags, Floats, Rows
from telephony.media.config import TICK_MS

SETTLED = 2
"""Windows in a row that make a segment; one alone is a click or an edge."""
EDGE_MS = 20.0
"""By which a tone seems longer and a pause shorter than it is: windows are two ticks."""

BEEP_HZ = (380.0, 2150.0)
BEEP_MS = (40.0, 2000.0)
"""As windows count it: one of 100 ms has three whole windows, less ``EDGE_MS``."""
SUNG_HZ, SUNG_MS = 450.0, 160.0
"""Below this frequency a beep must last longer: a high voice can hold a vowel for 120 ms."""
STEADY_HZ = 6.0
"""How far the frequency of a beep may move from window to window; sung vowels move more."""
STEADY_DB = 6.0
SPOKEN_MS = 300
"""Speech that goes before a beep, at least."""
REST = 7
"""Ticks without a tone after which a beep is told: SIT's tones follow each other sooner."""
LOW_REST = 36
"""The same at 400 to 500 Hz, where it may have been the first of a busy tone."""
NOBODY_TOLD = -1
MAX_FOUND = 4096
"""Tones that may wait to be taken."""

Marks = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Found:
    """A tone that was recognized; ``at`` in monotonic seconds, of a beep its end."""

    row: int
    kind: Tone
    at: float
    hertz: float = 0.0


class LineTones(Columns):
    """A row a lane; those that nobody watches stay as they are."""

    LAYOUT = {
        "shape": (np.int8, (), NOTHING),
        "hertz": (np.float64, (), 0.0),
        "raw": (np.int8, (), NOTHING),
        "streak": (np.int64, (), 0),
        "run": (np.int64, (), 0),
        "past_shape": (np.int8, (progress.MEMORY,), NOTHING),
        "past_ms": (np.float64, (progress.MEMORY,), 0.0),
        "told": (np.int8, (), NOBODY_TOLD),
        "spoken_ms": (np.int64, (), 0),
        "pure": (np.int64, (), 0),
        "pure_hertz": (np.float64, (), 0.0),
        "steady_hertz": (np.float64, (), 0.0),
        "pure_level": (np.float64, (), 0.0),
        "ended": (np.int64, (), 0),
        "ended_hertz": (np.float64, (), 0.0),
        "rest": (np.int64, (), 0),
    }
    shape: Marks
    """What kind of tone this window holds, settled: ``progress.NOTHING`` to ``STEADY``."""
    hertz: Floats
    """Frequency of the one tone in this window, 0 where there is none."""
    raw: Marks
    streak: Counts
    run: Counts
    """Ticks of the segment that runs."""
    past_shape: Marks
    past_ms: Floats
    told: Marks
    spoken_ms: Counts
    """Voice that was no tone."""
    pure: Counts
    """Ticks in a row of one steady tone."""
    pure_hertz: Floats
    steady_hertz: Floats
    """Of the window before the last one: a window that the tone does not fill is 5 Hz off."""
    pure_level: Floats
    ended: Counts
    """Ticks that the steady tone lasted which may have been a beep; 0: none waits."""
    ended_hertz: Floats
    rest: Counts
    """Ticks since its end."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._found: list[Found] = []

    def take(self) -> list[Found]:
        """What was recognized since the last time, oldest first."""
        found, self._found = self._found, []
        return found

    def sees(self, rows: Rows) -> Flags:
        """Where the last window held a tone, or a settled one may be about to end."""
        return np.asarray(
            (self.raw[rows] != NOTHING) | (self.hertz[rows] > 0) | (self.shape[rows] != NOTHING)
        )

    def hear(
        self, rows: Rows, shape: Marks, hertz: Floats, level: Floats, voiced: Flags, now: float
    ) -> None:
        """A tick of the watched ``rows``: what ``progress.look`` saw, their dBm0, and voice."""
        self.hertz[rows] = hertz
        self.spoken_ms[rows] += TICK_MS * (voiced & (shape == NOTHING) & (hertz == 0))
        self._segment(rows, shape, now)
        self._listen_for_beeps(rows, hertz, level, now)

    def _segment(self, rows: Rows, shape: Marks, now: float) -> None:
        streak = np.where(shape == self.raw[rows], self.streak[rows] + 1, 1)
        self.raw[rows], self.streak[rows] = shape, streak
        run = self.run[rows] + 1
        changed = (shape != self.shape[rows]) & (streak >= SETTLED)
        at = np.flatnonzero(changed)
        if at.size:
            self._turn(rows[at], shape[at], run[at] - streak[at])
            run[at] = streak[at]
        self.run[rows] = run
        due = changed
        for ticks in _LOOKS:
            due = due | (run == ticks)
        due &= (shape != NOTHING) | (self.past_shape[rows, -1] != NOTHING)
        for row in rows[due].tolist():
            self._judge(row, now)

    def _turn(self, rows: Rows, shape: Marks, lasted: Counts) -> None:
        """Another segment begins; the one before is over."""
        self.past_shape[rows, :-1] = self.past_shape[rows, 1:]
        self.past_ms[rows, :-1] = self.past_ms[rows, 1:]
        before = self.shape[rows]
        self.past_shape[rows, -1] = before
        self.past_ms[rows, -1] = lasted * TICK_MS + np.where(before == NOTHING, EDGE_MS, -EDGE_MS)
        self.shape[rows] = shape

    def _judge(self, row: int, now: float) -> None:
        past = zip(self.past_shape[row].tolist(), self.past_ms[row].tolist(), strict=True)
        segments = [Segment(shape, ms) for shape, ms in past if ms > 0]
        segments.append(Segment(int(self.shape[row]), float(self.run[row] * TICK_MS)))
        kind = progress.judge(segments)
        if kind is not None and _INDEX[kind] != self.told[row]:
            self.told[row] = _INDEX[kind]
            # What had seemed to be a beep was the beginning of this.
            self.ended[row] = 0
            self._tell(Found(row, kind, now, float(self.hertz[row])))

    def _listen_for_beeps(self, rows: Rows, hertz: Floats, level: Floats, now: float) -> None:
        pure, before = self.pure[rows], self.pure_hertz[rows]
        there = (hertz >= BEEP_HZ[0]) & (hertz <= BEEP_HZ[1])
        steady = there & (np.abs(hertz - before) <= STEADY_HZ)
        steady &= np.abs(level - self.pure_level[rows]) <= STEADY_DB
        over = ~steady & (pure > 0)
        lasted = pure * TICK_MS - EDGE_MS
        least = np.where(before < SUNG_HZ, SUNG_MS, BEEP_MS[0])
        enough = (lasted >= least) & (lasted <= BEEP_MS[1])
        beep = over & enough & (self.spoken_ms[rows] >= SPOKEN_MS)
        # Where the network has been heard, its own frequencies are no machine's.
        low = np.abs(before - _MIDDLE_HZ) <= _LOW_HZ
        beep &= ~low | (self.told[rows] == NOBODY_TOLD)
        # Another tone at once: not one steady tone.
        ended = np.where(there & (pure >= SETTLED), 0, self.ended[rows])
        rest = np.where(beep, 0, self.rest[rows] + 1)
        ended = np.where(beep, pure, ended)
        steady_hertz = self.steady_hertz[rows]
        self.steady_hertz[rows] = np.where(steady, before, steady_hertz)
        ended_hertz = np.where(beep, steady_hertz, self.ended_hertz[rows])
        waits = np.where(np.abs(ended_hertz - _MIDDLE_HZ) <= _LOW_HZ, LOW_REST, REST)
        due = (ended > 0) & (rest >= waits)
        for at in np.flatnonzero(due).tolist():
            end = now - float(rest[at]) * TICK_MS / 1000
            self._tell(Found(int(rows[at]), Tone.BEEP, end, float(ended_hertz[at])))
        ended[due] = 0
        self.ended[rows], self.rest[rows] = ended, rest
        self.ended_hertz[rows] = ended_hertz
        self.pure[rows] = np.where(steady, pure + 1, there)
        self.pure_hertz[rows] = np.where(there, hertz, before)
        self.pure_level[rows] = np.where(there, level, self.pure_level[rows])

    def _tell(self, found: Found) -> None:
        if len(self._found) < MAX_FOUND:
            self._found.append(found)


_INDEX = {kind: index for index, kind in enumerate(Tone)}
_LOOKS = tuple(round(ms / TICK_MS) for ms in progress.LOOKS_MS)
_MIDDLE_HZ, _LOW_HZ = 450.0, 75.0
