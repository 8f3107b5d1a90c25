"""Play-out: from packets by their timestamps to 20 ms of sound of every lane, whatever the line.

A lane's clock ``g`` moves 160 octets a tick; ``shift`` is where its ``cursor`` lies from it. The
shift changes by leading over: a pitch period more or less where the sound repeats itself, any bit
where it is quiet, and freely in pauses of the far end. Nothing else moves it, but for a packet that
came in order and too late (what was made up stands for the wait, and the packet is played) and for
what lies deeper than the ceiling.

In a tick: ``start(now)``, then ``put`` for what came (distinct lanes a call), then ``take``. The
common path is a gather, a table look-up and a few comparisons over the matrix; a row costs more
only in the tick in which something about it is rare.

Wide rows (for G.722): a stage is a ``playout_voice.Voice`` with a decoder of its own,
``decode(rows, codes (n, m)) -> int16 (n, m·factor)``, to which each code of a lane comes once and
in order. ``Playout.attach(stage)`` before the first lane, ``Playout.assign(row, stage)`` when a
lane's codec is agreed on (``None``: the narrow stage); after ``take``, ``stage.frame[row]`` is the
lane's int16 (160·factor,) and ``take``'s own matrix holds rubbish in its row, to be replaced by
what the stage's sound becomes at 8 kHz.
"""

from __future__ import annotations

import numpy as np

from telephony.audio.conceal import FADED
from telephony.media.columns import Codes, Columns, Counts, Flags, Floats, Rows, Samples, Words
from telephony.media.config import FRAME, RATE, TICK_MS
from telephony.media.jitter import JitterRings
from telephony.media.playout_comfort import SEED, Comfort
from telephony.media.playout_target import SLACK, Delays
from telephony.media.playout_voice import LONG_GONE, Decoder, Voice

OCTETS_MS = RATE // 1000
ALIKE = 0.85
"""How alike neighbouring periods must be for one to be left out or said twice."""
LENIENT = 0.15
"""How much less alike they may be after each attempt in vain: noise never is."""
URGENT = 50 * OCTETS_MS
"""Octets away from the target that count as two attempts."""
REST = 3 * FRAME
"""Octets of a lane's clock between two attempts to change the tempo in speech; twice as long after
each in vain, up to a second."""
MAX_TRIES = 4
MAX_AGE = 2.0
"""Seconds before the tick that an arrival is believed."""
MAX_LATENESS = 0.1
TICK = TICK_MS / 1000
IDLE = 0.2
"""Seconds: later than this is no tick that is being made up for."""


class Playout(Columns):
    """A row a lane. Counters are in octets (8 a millisecond) where not said otherwise."""

    LAYOUT = {
        "shift": (np.int64, (), 0),
        "todo": (np.int64, (), 0),
        "rested": (np.int64, (), 0),
        "tries": (np.int64, (), 0),
        "opens": (np.int64, (), 0),
        "resumes": (np.int64, (), 0),
        "odd_until": (np.int64, (), 0),
        "hole": (np.int64, (), LONG_GONE),
        "splice": (np.bool_, (), False),
        "pending": (np.int64, (), 0),
        "starving": (np.int64, (), 0),
        "late": (np.int64, (), 0),
        "concealed": (np.int64, (), 0),
        "underruns": (np.int64, (), 0),
        "scaled": (np.int64, (), 0),
        "dropped": (np.int64, (), 0),
    }
    shift: Counts
    todo: Counts
    """Octets to be left out (positive) or said more (negative) where the sound allows."""
    rested: Counts
    tries: Counts
    """Attempts in vain."""
    opens: Counts
    """Before it there was nothing: the lead of a stream that has just begun."""
    resumes: Counts
    """Octet at which the far end went on after a pause of its own: nothing is missing before."""
    odd_until: Counts
    """Rows whose cursor lies before need a closer look."""
    hole: Counts
    """Octets since the last real one."""
    splice: Flags
    pending: Counts
    """Octets made up of which nobody knows yet whether they were ever sent."""
    starving: Counts
    """Ticks with nothing to play, as ``pending``."""
    late: Counts
    """Packets."""
    concealed: Counts
    underruns: Counts
    """Ticks in which nothing was there while playing."""
    scaled: Counts
    dropped: Counts

    def __init__(self, capacity: int, decode: Decoder, depth_ms: int, max_depth_ms: int) -> None:
        """Depths: what a stream begins with, and what nothing exceeds."""
        super().__init__(capacity)
        self.rings = JitterRings(capacity)
        self.delays = Delays(capacity, max_depth_ms * OCTETS_MS)
        self.voice = Voice(capacity, decode)
        self.comfort = Comfort(capacity, np.random.default_rng(SEED))
        self._lead = depth_ms * OCTETS_MS
        self._max = max_depth_ms * OCTETS_MS
        self._due = -np.inf
        self._stages: list[Voice] = []
        self._stage: Codes = np.zeros(capacity, np.uint8)

    def grow(self, capacity: int) -> None:
        super().grow(capacity)
        stage = np.zeros(capacity, np.uint8)
        stage[: self._stage.size] = self._stage
        self._stage = stage
        for part in (self.rings, self.delays, self.comfort, self.voice, *self._stages):
            part.grow(capacity)

    def clear(self, row: int) -> None:
        super().clear(row)
        self._stage[row] = 0
        for part in (self.rings, self.delays, self.comfort, self.voice, *self._stages):
            part.clear(row)

    def attach(self, stage: Voice) -> None:
        """Another rate's stage, of the same capacity."""
        self._stages.append(stage)

    def assign(self, row: int, stage: Voice | None) -> None:
        """Which stage makes this lane's sound."""
        self._stage[row] = 0 if stage is None else self._stages.index(stage) + 1

    def forget(self, row: int) -> None:
        """The next packet begins a new clock (another SSRC or numbering)."""
        self.rings.forget(row)
        self.comfort.on[row] = False

    def depth_ms(self, row: int) -> float:
        """How much lies ready."""
        rings = self.rings
        return max(0, int(rings.top[row] - rings.cursor[row])) / OCTETS_MS

    def target_ms(self, row: int) -> float:
        """How deep play-out wants to be beyond the shortest delay of the line."""
        return int(self.delays.target[row]) / OCTETS_MS

    def concealed_ms(self, row: int) -> int:
        """Sound that was made up."""
        return int(self.concealed[row]) // OCTETS_MS

    def scaled_ms(self, row: int) -> int:
        """Sound left out or said longer to change the depth."""
        return int(self.scaled[row] + self.dropped[row]) // OCTETS_MS

    # -- time -----------------------------------------------------------------------------------

    def start(self, now: float) -> float:
        """A tick begins at ``now`` (monotonic seconds); when it was due: never later than that."""
        due = self._due + TICK
        if now - due > IDLE:
            # Nobody ticked while there was no lane; times are still whole ticks apart.
            due = due + (now - due) // TICK * TICK if np.isfinite(due) else now
        self._due = float(min(due, now))
        return self._due

    def pass_over(self, ticks: int) -> None:
        """The process stood still for so long: the far ends went on."""
        self.shift -= ticks * FRAME
        self._due += ticks * TICK

    # -- in -------------------------------------------------------------------------------------

    def put(
        self, rows: Rows, timestamp: Words, step: Counts, payload: Codes, age: Floats | None = None
    ) -> None:
        """Payloads of one length (uint8 (n, length ≤ 640)) of distinct lanes, no duplicates.

        Args:
            step: int64 (n,), how far the sequence number went on.
            age: float64 (n,), seconds that the packet was there before the tick was due, NaN where
                unknown; negative for one that came while the tick was late.
        """
        length = payload.shape[1]
        rings, forward = self.rings, step > 0
        position, anew, stray = rings.place(rows, timestamp, forward)
        if stray.any():
            self.late[rows[stray]] += 1
            kept = ~stray
            rows, position, anew, step = rows[kept], position[kept], anew[kept], step[kept]
            payload, forward = payload[kept], forward[kept]
            age = None if age is None else age[kept]
        if anew.any():
            self._begin(rows[anew], position[anew])
        self._note(rows, position, age)
        self.delays.learn_grid(rows, position, length)
        self._settle(rows, position, step)
        ahead = position - rings.cursor[rows]
        if ahead.min(initial=0) < 0:
            self._come_late(rows, position, ahead, forward, length)
        rings.store(rows, position, payload)
        if ahead.max(initial=0) + length > self._max + FRAME:
            self._drop(rows)

    def _begin(self, rows: Rows, position: Counts) -> None:
        self.rings.begin(rows, position)
        cursor = position - self._lead
        self.rings.cursor[rows] = cursor
        # The lane's clock begins at nought.
        self.shift[rows] = cursor
        self.todo[rows] = self.pending[rows] = self.starving[rows] = self.rested[rows] = 0
        self.opens[rows] = self.resumes[rows] = position
        self.odd_until[rows] = position + 1
        self.splice[rows] = True
        self.delays.begin(rows, position)

    def _note(self, rows: Rows, position: Counts, age: Floats | None) -> None:
        clock = self.rings.cursor[rows] - self.shift[rows]
        delay = clock - position
        if age is None:
            stamped = np.zeros(rows.size, np.bool_)
        else:
            stamped = (age > -MAX_LATENESS) & (age < MAX_AGE)
            delay -= np.rint(np.where(stamped, age, 0) * RATE).astype(np.int64)
        due = self.delays.note(rows, delay, clock, stamped)
        if due.size:
            self._judge(due)

    def _judge(self, rows: Rows) -> None:
        """How far each lane is from where it should be."""
        limit = self.delays.safe_limit(rows)
        shift = self.shift[rows]
        lower, upper = self.delays.place(rows, limit), self.delays.place(rows, limit - SLACK)
        todo = np.where(shift > lower, lower - shift, np.where(shift < upper, upper - shift, 0))
        self.todo[rows] = todo

    def _settle(self, rows: Rows, position: Counts, step: Counts) -> None:
        """What was made up was lost or late, unless the far end had paused (RFC 3551 §4.1): then
        sequence numbers go on and the timestamp has jumped."""
        paused = (step == 1) & (position > self.rings.top[rows])
        pending = self.pending[rows]
        if pending.any():
            counted = rows[~paused]
            self.concealed[counted] += pending[~paused]
            self.underruns[counted] += self.starving[counted]
            self.pending[rows] = self.starving[rows] = 0
        if paused.any():
            self._resume(rows[paused], position[paused])

    def _resume(self, rows: Rows, position: Counts) -> None:
        """The far end speaks again. Where all was played, the depth is set as it should be."""
        rings = self.rings
        self.resumes[rows] = position
        empty = (self.hole[rows] > 0) & (rings.top[rows] <= rings.cursor[rows])
        rows, position = rows[empty], position[empty]
        cursor = rings.cursor[rows]
        # Octets more or less until it plays: what was to be done is done now.
        wanted = np.clip(cursor + self.todo[rows], position - self._max, position)
        self.shift[rows] += wanted - cursor
        self.todo[rows] = 0
        rings.cursor[rows] = wanted
        rings.filled[rows] = self.opens[rows] = position
        rings.erased[rows] = position
        self.odd_until[rows] = position + 1

    def _come_late(
        self, rows: Rows, position: Counts, ahead: Counts, forward: Flags, length: int
    ) -> None:
        rings = self.rings
        cursor = rings.cursor[rows]
        behind = ahead < 0
        # In order, so nothing that follows it was played: wait for it, and stay that much deeper.
        wait = behind & forward & (self.hole[rows] > 0) & (position >= rings.erased[rows])
        wait &= np.maximum(rings.top[rows], position + length) - position <= self._max
        self.late[rows[wait | (ahead + length <= 0)]] += 1
        if wait.any():
            chosen = rows[wait]
            self.shift[chosen] += ahead[wait]
            rings.cursor[chosen] = rings.filled[chosen] = position[wait]
            rings.absorb(chosen)
            self.odd_until[chosen] = cursor[wait] + 1

    def _drop(self, rows: Rows) -> None:
        """What lies deeper than the ceiling is left out, led over."""
        rings = self.rings
        depth = rings.top[rows] - rings.cursor[rows]
        rows, depth = rows[depth > self._max + FRAME], depth[depth > self._max + FRAME]
        excess = depth - np.minimum(self.delays.target[rows] + 2 * FRAME, self._max)
        rings.cursor[rows] += excess
        self.shift[rows] += excess
        self.dropped[rows] += excess
        self.todo[rows] = 0
        self.splice[rows] = True
        self.odd_until[rows] = rings.cursor[rows] + 1
        rings.pass_holes(rows)

    # -- out ------------------------------------------------------------------------------------

    def take(self, count: int) -> Samples:
        """20 ms of the first ``count`` lanes: int16 (count, 160), left alone for three ticks."""
        rings, voice = self.rings, self.voice
        codes = rings.frames(count)
        frame = voice.turn()[:count]
        voice.say(slice(0, count), codes)
        cursor = rings.cursor[:count]
        odd = rings.filled[:count] - cursor < FRAME
        odd |= cursor < self.odd_until[:count]
        step = FRAME * rings.playing[:count]
        changed = self.todo[:count] != 0
        for stage in self._stages:
            stage.turn()
        changed &= ~odd
        if changed.any():
            self._change_tempo(np.flatnonzero(changed), step)
        self._say_wide(count, codes, odd, step)
        rows = np.flatnonzero(odd)
        if rows.size:
            rest = rows[~self._idle(rows)]
            if rest.size:
                self._mend(rest, codes[rest])
        cursor += step
        if rows.size:
            rings.pass_holes(rows[rings.playing[rows]])
        return frame

    def _parts(self, rows: Rows) -> list[tuple[Voice, Flags]]:
        """These rows by their stage, as masks."""
        if not self._stages:
            return [(self.voice, np.ones(rows.size, np.bool_))]
        number = self._stage[rows]
        stages = [self.voice, *self._stages]
        masks = [(stage, number == index) for index, stage in enumerate(stages)]
        return [(stage, mask) for stage, mask in masks if mask.any()]

    def _say_wide(self, count: int, codes: Codes, odd: Flags, step: Counts) -> None:
        for index, stage in enumerate(self._stages, 1):
            rows = np.flatnonzero((self._stage[:count] == index) & ~odd & (step == FRAME))
            stage.say(rows, codes[rows])

    def _idle(self, rows: Rows) -> Flags:
        """Which lanes have long been silent and have nothing to play: held, or not begun."""
        rings, cursor = self.rings, self.rings.cursor[rows]
        idle = (self.hole[rows] >= FADED) & ~self.comfort.on[rows]
        idle &= ~rings.playing[rows] | (rings.top[rows] <= cursor)
        if not idle.any():
            return idle
        for stage, mask in self._parts(rows):
            stage.hush(rows[mask & idle])
        rows, cursor = rows[idle], cursor[idle]
        playing = rings.playing[rows]
        self.hole[rows] = np.minimum(self.hole[rows] + FRAME, LONG_GONE)
        self.pending[rows] += FRAME * playing
        self.starving[rows] += playing
        self.odd_until[rows] = cursor + FRAME + 1
        self.splice[rows] = False
        return idle

    def _mend(self, rows: Rows, codes: Codes) -> None:
        """Frames that are not whole, and the first whole ones after."""
        rings = self.rings
        at = rings.cursor[rows][:, None] + np.arange(FRAME)
        playing = rings.playing[rows]
        there = rings.there(rows) & (at >= self.opens[rows][:, None]) & playing[:, None]
        some = np.asarray(there.any(axis=1))
        noisy = self.comfort.on[rows]
        alive = some | (self.hole[rows] < FADED) | noisy
        for stage, mask in self._parts(rows):
            stage.hush(rows[mask & ~alive])
            chosen = mask & alive
            if not chosen.any():
                continue
            noise = None
            if noisy[chosen].any():
                noise = self.comfort.frames(rows[chosen], stage.factor)
            splice = self.splice[rows[chosen]]
            stage.mend(rows[chosen], codes[chosen], there[chosen], splice, noise)
        self.splice[rows] = False
        self._count(rows, at, there, some, playing)

    def _count(self, rows: Rows, at: Counts, there: Flags, some: Flags, playing: Flags) -> None:
        missing = ~there & (at >= self.resumes[rows][:, None]) & playing[:, None]
        self.pending[rows] += missing.sum(axis=1)
        self.starving[rows] += missing.all(axis=1)
        hole = self.hole[rows]
        last = FRAME - np.argmax(there[:, ::-1], axis=1)
        fresh = np.where(hole == 0, at[:, 0], self.rings.erased[rows])
        self.rings.erased[rows] = np.where(some, at[:, 0] + last, fresh)
        hole = np.where(some, FRAME - last, np.minimum(hole + FRAME, LONG_GONE))
        self.hole[rows] = hole
        after = at[:, -1] + 1
        self.odd_until[rows] = np.maximum(
            np.where(hole > 0, after + 1, 0), np.where(self.opens[rows] >= after, after + 1, 0)
        )

    def _change_tempo(self, rows: Rows, step: Counts) -> None:
        rings = self.rings
        for stage, mask in self._parts(rows):
            chosen = rows[mask]
            todo = self.todo[chosen]
            clock = rings.cursor[chosen] - self.shift[chosen]
            rested = clock >= self.rested[chosen]
            lag, quiet, alike = stage.find_lag(chosen, rested)
            lag = np.where(quiet, np.minimum(lag, np.abs(todo)), lag)
            tries = self.tries[chosen]
            lenient = LENIENT * (tries + 2 * (np.abs(todo) >= URGENT))
            fit = quiet | (rested & (alike >= ALIKE - lenient))
            ready = rings.filled[chosen] - rings.cursor[chosen]
            shorter = fit & (todo >= lag) & (ready >= FRAME + lag)
            longer = fit & (todo < 0) & (rings.top[chosen] - rings.cursor[chosen] < self._max)
            tried = rested & ~quiet
            tries = np.where(
                shorter | longer, 0, np.where(tried, np.minimum(tries + 1, MAX_TRIES), tries)
            )
            self.tries[chosen] = tries
            self.rested[chosen] = np.where(tried, clock + (REST << tries), self.rested[chosen])
            if shorter.any():
                some, size = chosen[shorter], lag[shorter]
                stage.say_shortened(some, rings.read(some, FRAME + int(size.max())), size)
                self._moved(some, size, step)
            if longer.any():
                some, size = chosen[longer], lag[longer]
                stage.say_lengthened(some, rings.read(some, FRAME), size)
                self._moved(some, -size, step)

    def _moved(self, rows: Rows, octets: Counts, step: Counts) -> None:
        step[rows] += octets
        self.shift[rows] += octets
        self.scaled[rows] += np.abs(octets)
        todo = self.todo[rows]
        self.todo[rows] = np.where(np.abs(todo) > np.abs(octets), todo - octets, 0)
