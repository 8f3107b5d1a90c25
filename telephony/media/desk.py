"""The gain matrix as a tick needs it: sparse, in bank rows, for any number of samples a frame.

Most entries are 0 and the rest 1, so a tick multiplies nothing. It gathers pairs (one lane hears
one other) and sums lines (everybody on it hears all that speak on it, less himself): O(lanes),
whatever the size of a room. In between there are gains in one tick only: a lane whose row of the
matrix has changed is led from its old mix to its new one over that frame.

A wide-band bank follows the same mixer with a ``Desk`` of its own::

    desk = Desk()
    desk.follow(mixer, wide)    # each tick, before the mix; wide: flags (rows,), who listens here
    desk.sources                # rows whose 16 kHz voice is needed for them
    desk.mix(voice, out, sounding)      # int16 (rows, 320): the rows of the bank, only these read
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from telephony.audio.mix import Gains, Sums, blend, limit
from telephony.media.columns import Flags, Rows, Samples

NOBODY: Rows = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Lines:
    """Party lines that share no listener. ``sayers`` by line, which begin at ``starts``;
    ``line`` is each listener's, ``own`` its place among the sayers, -1 where it says nothing."""

    sayers: Rows = field(default_factory=lambda: NOBODY)
    starts: Rows = field(default_factory=lambda: NOBODY)
    listeners: Rows = field(default_factory=lambda: NOBODY)
    line: Rows = field(default_factory=lambda: NOBODY)
    own: Rows = field(default_factory=lambda: NOBODY)

    def heard(self, voice: Samples, gone: Rows = NOBODY) -> Sums:
        """int32 (listeners, samples): everybody on the line but the listener."""
        # One row of silence more: what is taken off for who says nothing himself.
        said = np.zeros((self.sayers.size + 1, voice.shape[1]), np.int32)
        if gone.size:
            there = np.flatnonzero(~np.isin(self.sayers, gone))
            said[there] = voice[self.sayers[there]]
        else:
            said[:-1] = voice[self.sayers]
        everybody = np.add.reduceat(said[:-1], self.starts, axis=0)[self.line]
        everybody -= said[self.own]
        return everybody

    def spoken(self, speaking: Flags) -> Flags:
        """(listeners,): whether anybody but the listener speaks."""
        said = np.zeros(self.sayers.size + 1, np.int64)
        said[:-1] = speaking[self.sayers]
        return np.asarray(np.add.reduceat(said[:-1], self.starts)[self.line] > said[self.own])

    def toward(self, wanted: Flags) -> Lines:
        """The same for these listeners only."""
        keep = wanted[self.listeners]
        if not keep.any():
            return Lines()
        return Lines(
            self.sayers, self.starts, self.listeners[keep], self.line[keep], self.own[keep]
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Who hears whom: ``to[i]`` hears ``of[i]``, then lines; asides are whispered on the side.

    ``waiting`` are bridged to a lane that does not listen: they hear hold music.
    """

    to: Rows = field(default_factory=lambda: NOBODY)
    of: Rows = field(default_factory=lambda: NOBODY)
    open: Lines = field(default_factory=Lines)
    asides: Lines = field(default_factory=Lines)
    waiting: Rows = field(default_factory=lambda: NOBODY)

    @property
    def lonely(self) -> bool:
        """Whether nobody hears anybody."""
        return not (self.to.size or self.open.listeners.size or self.asides.listeners.size)

    @property
    def sources(self) -> Rows:
        """Every row that is heard, once."""
        return np.unique(np.concatenate([self.of, self.open.sayers, self.asides.sayers]))

    def toward(self, wanted: Flags) -> Plan:
        """The same for these listeners only: flags (rows,)."""
        keep = wanted[self.to]
        return Plan(
            self.to[keep],
            self.of[keep],
            self.open.toward(wanted),
            self.asides.toward(wanted),
            self.waiting[wanted[self.waiting]],
        )

    def company(self, speaking: Flags) -> Flags:
        """(rows,) of what ``speaking`` says of each row: whether somebody it hears speaks."""
        found = np.zeros(speaking.size, np.bool_)
        found[self.to] = speaking[self.of]
        for lines in (self.open, self.asides):
            if lines.listeners.size:
                found[lines.listeners] |= lines.spoken(speaking)
        return found

    def sums(self, voice: Samples, rows: Rows, gone: Rows = NOBODY) -> Sums:
        """int32 (rows, samples): the voices that each of ``rows`` (sorted) hears by this plan.

        It hears nothing of rows that are ``gone``: somebody else may sit there by now.
        """
        total = np.zeros((rows.size, voice.shape[1]), np.int32)
        there = ~np.isin(self.of, gone)
        total[np.searchsorted(rows, self.to[there])] += voice[self.of[there]]
        for lines in (self.open, self.asides):
            if lines.listeners.size:
                total[np.searchsorted(rows, lines.listeners)] += lines.heard(voice, gone)
        return total


class Source(Protocol):
    """What a desk follows: the mixer."""

    version: int

    def plan(self) -> Plan: ...

    def changes(self) -> tuple[Rows, Rows]: ...


class Desk:
    """Carries out a plan at one rate, with a limiter a listener."""

    def __init__(self) -> None:
        self.sources: Rows = NOBODY
        self._plan = Plan()
        self._version = -1
        self._wanted: Flags | None = None
        self._before: Plan | None = None
        self._changed = self._gone = NOBODY
        self._gain: Gains = np.ones(0, np.float32)

    def follow(self, mixer: Source, wanted: Flags | None = None) -> None:
        """Take over the mixer's plan where it is another one; called once a tick.

        ``wanted``: flags (rows,) of who listens here, a new array when they change; None: all.
        """
        if mixer.version == self._version and wanted is self._wanted:
            return
        plan = mixer.plan()
        changed, gone = mixer.changes()
        if wanted is not None:
            plan = plan.toward(wanted)
            changed = changed[wanted[changed]]
        if mixer.version != self._version and changed.size:
            flags = np.zeros(1 + max(int(changed[-1]), _highest(self._plan)), np.bool_)
            flags[changed] = True
            # Who sits in a row that was given back hears nothing of what was heard there before.
            flags[gone[gone < flags.size]] = False
            self._before, self._changed, self._gone = self._plan.toward(flags), changed, gone
        self._plan, self._version, self._wanted = plan, mixer.version, wanted
        self.sources = plan.sources if wanted is not None else NOBODY
        height = 1 + _highest(plan)
        if height > self._gain.size:
            self._gain = np.concatenate([self._gain, np.ones(height - self._gain.size, np.float32)])
        self._gain[gone[gone < self._gain.size]] = 1

    def mix(self, voice: Samples, out: Samples, sounding: Flags) -> None:
        """Add to ``out``, which holds the prompts, what each listener hears of the others.

        ``voice`` is what each row says: both int16 (rows, samples). Listeners are marked in
        ``sounding``, which says on entry who hears a prompt: flags (rows,). Sums are limited,
        never wrapped; a voice that is heard alone passes bit for bit.
        """
        before, changed = self._before, self._changed
        if before is not None:
            prompts, gains = out[changed].astype(np.int32), self._gain_of(changed)
        self._add(voice, out, sounding)
        if before is not None:
            now = np.zeros(max(sounding.size, int(changed[-1]) + 1), np.bool_)
            now[changed] = True
            new = self._plan.toward(now).sums(voice, changed)
            prompts += blend(before.sums(voice, changed, self._gone), new)
            out[changed] = limit(prompts, gains)
            inside = changed < self._gain.size
            self._gain[changed[inside]] = gains[inside]
            sounding[changed] = True
            self._before = None

    def _add(self, voice: Samples, out: Samples, sounding: Flags) -> None:
        plan, gain = self._plan, self._gain
        if plan.to.size:
            over = sounding[plan.to] | (gain[plan.to] < 1)
            if over.any():
                self._add_to_sounds(plan.to[over], plan.of[over], voice, out)
                out[plan.to[~over]] = voice[plan.of[~over]]
            else:
                out[plan.to] = voice[plan.of]
            sounding[plan.to] = True
        for lines in (plan.open, plan.asides):
            if lines.listeners.size:
                total = lines.heard(voice)
                total += out[lines.listeners]
                self._limit(total, lines.listeners, out)
                sounding[lines.listeners] = True

    def _add_to_sounds(self, to: Rows, of: Rows, voice: Samples, out: Samples) -> None:
        total = out[to].astype(np.int32)
        total += voice[of]
        self._limit(total, to, out)

    def _limit(self, total: Sums, rows: Rows, out: Samples) -> None:
        gains = self._gain[rows]
        out[rows] = limit(total, gains)
        self._gain[rows] = gains

    def _gain_of(self, rows: Rows) -> Gains:
        gains = np.ones(rows.size, np.float32)
        inside = rows < self._gain.size
        gains[inside] = self._gain[rows[inside]]
        return gains


def _highest(plan: Plan) -> int:
    listeners = (
        plan.to,
        plan.of,
        plan.open.listeners,
        plan.open.sayers,
        plan.asides.listeners,
        plan.asides.sayers,
    )
    return max(int(rows.max(initial=-1)) for rows in listeners)
