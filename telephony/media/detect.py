"""What is heard on the lanes besides words: one look a tick at the whole matrix.

Every lane has, after each tick, one row of these columns (read them as arrays, ``[:count]``):

* ``activity.level``     float64, dBm0 of the last 20 ms, -127 for nothing
* ``activity.smooth``    float64, dBm0 over about 80 ms
* ``activity.noise``     float64, dBm0 of the line when nobody speaks
* ``activity.voiced``    bool, a voice (or tone) in this frame; edges are 20 ms sharp
* ``activity.active``    bool, ``voiced`` with 200 ms of hangover
* ``activity.voiced_ms`` int64 so far; ``quiet_ms`` int64 since the last voiced frame
* ``activity.first_voice_at`` float64, monotonic seconds, infinite before
* ``keys.key``           int8, index of the key that sounds in the band, -1 for none
* ``tones.shape``        int8, kind of tone in the last 40 ms, ``progress.NOTHING`` to ``STEADY``,
  settled over two ticks; ``tones.hertz`` float64, frequency of the one tone in it, 0 for none.
  Both are kept only while a lane is watched (``watch``): looking at spectra costs more.

Keys are looked for on lanes that did not agree on telephone-event and only there: a gateway that
sends both would have every key twice.

Nothing here calls anybody: what was found waits for ``take_keys`` and ``take_tones``.
"""

from __future__ import annotations

import numpy as np

from telephony.audio import dtmf, progress
from telephony.audio.level import amplitude
from telephony.media.activity import Activity
from telephony.media.columns import Columns, Counts, Flags, Floats, Samples
from telephony.media.config import FRAME
from telephony.media.detect_keys import KeyTones
from telephony.media.detect_tones import NOBODY_TOLD, Found, LineTones

LEAST_TONE_DBM0 = -45.0
"""Softest tone of the network; T.30 §4.2 wants a fax at -43 dBm0 heard."""
AT_ONCE = 128
"""Lanes whose spectra are made together."""

_FAINT = FRAME * amplitude(dtmf.LEAST_DBM0) ** 2 / 4
"""Energy of a frame in which no key can begin: half of what its softest tone has."""
_SOFT = FRAME * amplitude(LEAST_TONE_DBM0) ** 2 / 2


class Ears(Columns):
    """Which lanes are listened to for what."""

    LAYOUT = {"keys": (np.bool_, (), False), "tones": (np.int64, (), 0)}
    keys: Flags
    tones: Counts
    """Ticks for which tones are still looked for."""


class Detectors:
    """All detectors of a bank; ``hear`` once a tick, before anybody mixes."""

    def __init__(self, capacity: int) -> None:
        self.activity = Activity(capacity)
        self.keys = KeyTones(capacity)
        self.tones = LineTones(capacity)
        self.ears = Ears(capacity)
        self._found_keys: list[tuple[int, str]] = []
        self._wide: Floats = np.zeros((capacity, FRAME))
        self._before: Samples = np.zeros((capacity, FRAME), np.int16)
        self._windows = np.zeros((AT_ONCE, progress.SPAN), np.float32)

    def hear(self, voice: Samples, now: float) -> None:
        """20 ms of every lane, int16 (lanes, 160) at 8 kHz; ``now`` in monotonic seconds."""
        count = voice.shape[0]
        wide = self._wide[:count]
        np.copyto(wide, voice)
        halves = wide.reshape(-1, dtmf.HALF)
        energies = np.vecdot(halves, halves)
        energy = energies[0::2] + energies[1::2]
        self.activity.hear(energy, now)
        self._hear_keys(wide, energies, energy)
        self._hear_tones(voice, energy, now)
        np.copyto(self._before[:count], voice)

    def _hear_keys(self, wide: Floats, energies: Floats, energy: Floats) -> None:
        rows = np.flatnonzero(self.ears.keys[: energy.size])
        if not rows.size:
            return
        if rows.size < energy.size:
            wide, energies = wide[rows], energies.reshape(-1, 2)[rows].reshape(-1)
        halves = wide.reshape(-1, dtmf.HALF)
        self._found_keys += self.keys.hear(rows, halves, energies, energy[rows] > _FAINT)

    def _hear_tones(self, voice: Samples, energy: Floats, now: float) -> None:
        rows = np.flatnonzero(self.ears.tones[: energy.size])
        if not rows.size:
            return
        left = self.ears.tones[rows] - 1
        self.ears.tones[rows] = left
        shape, hertz = np.zeros(rows.size, np.int8), np.zeros(rows.size)
        # Where nothing was seen, a look every other tick sees it soon enough: tones last longer.
        turn = (left % 2 == 0) | self.tones.sees(rows)
        loud = np.flatnonzero((energy[rows] > _SOFT) & turn)
        # A few at a time stay in the cache, where all of them together are ten times its size.
        for first in range(0, loud.size, AT_ONCE):
            some = loud[first : first + AT_ONCE]
            windows = self._windows[: some.size]
            windows[:, :FRAME] = self._before[rows[some]]
            windows[:, FRAME:] = voice[rows[some]]
            shape[some], hertz[some] = progress.look(windows)
        activity = self.activity
        self.tones.hear(rows, shape, hertz, activity.level[rows], activity.voiced[rows], now)

    def listen_for_keys(self, row: int, wanted: bool) -> None:
        """Whether keys on this lane come in the sound."""
        if self.ears.keys[row] and not wanted:
            self.keys.clear(row)
        self.ears.keys[row] = wanted

    def watch(self, row: int, ticks: int) -> None:
        """Look for tones of the network and of machines for so long, at least.

        One that was told already is told again where it still sounds.
        """
        if not self.ears.tones[row]:
            self.tones.clear(row)
        self.tones.told[row] = NOBODY_TOLD
        self.ears.tones[row] = max(ticks, int(self.ears.tones[row]))

    def take_keys(self) -> list[tuple[int, str]]:
        """Keys that the last tick recognized, as (row, key)."""
        found, self._found_keys = self._found_keys, []
        return found

    def take_tones(self) -> list[Found]:
        """Tones that the last tick recognized."""
        return self.tones.take()

    def clear(self, row: int) -> None:
        """The lane is closed."""
        for part in (self.activity, self.keys, self.tones, self.ears):
            part.clear(row)
        self._before[row] = 0

    def grow(self, capacity: int) -> None:
        """Room for so many lanes."""
        for part in (self.activity, self.keys, self.tones, self.ears):
            part.grow(capacity)
        before, self._before = self._before, np.zeros((capacity, FRAME), np.int16)
        self._before[: before.shape[0]] = before
        self._wide = np.zeros((capacity, FRAME))
