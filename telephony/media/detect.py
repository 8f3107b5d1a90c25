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

Keys are looked for on lanes that did not agree on telephone-event and only there: a gateway that
sends both would have every key twice.

Nothing here calls anybody: what was found waits for ``take_keys``.
"""

from __future__ import annotations

import numpy as np

from telephony.audio import dtmf
from telephony.audio.level import amplitude
from telephony.media.activity import Activity
from telephony.media.columns import Columns, Flags, Samples
from telephony.media.config import FRAME
from telephony.media.detect_keys import KeyTones

_FAINT = FRAME * amplitude(dtmf.LEAST_DBM0) ** 2 / 4
"""Energy of a frame in which no key can begin: half of what its softest tone has."""


class Ears(Columns):
    """Which lanes are listened to for what."""

    LAYOUT = {"keys": (np.bool_, (), False)}
    keys: Flags


class Detectors:
    """All detectors of a bank; ``hear`` once a tick, before anybody mixes."""

    def __init__(self, capacity: int) -> None:
        self.activity = Activity(capacity)
        self.keys = KeyTones(capacity)
        self.ears = Ears(capacity)
        self._found_keys: list[tuple[int, str]] = []
        self._allocate(capacity)

    def hear(self, voice: Samples, now: float) -> None:
        """20 ms of every lane, int16 (lanes, 160) at 8 kHz; ``now`` in monotonic seconds."""
        count = voice.shape[0]
        wide = self._wide[:count]
        np.copyto(wide, voice)
        halves = wide.reshape(-1, dtmf.HALF)
        energies = np.vecdot(halves, halves)
        energy = energies[0::2] + energies[1::2]
        self.activity.hear(energy, now)
        rows = np.flatnonzero(self.ears.keys[:count])
        if rows.size:
            if rows.size < count:
                halves = wide[rows].reshape(-1, dtmf.HALF)
                energies = energies.reshape(-1, 2)[rows].reshape(-1)
            loud = energy[rows] > _FAINT
            self._found_keys += self.keys.hear(rows, halves, energies, loud)

    def listen_for_keys(self, row: int, wanted: bool) -> None:
        """Whether keys on this lane come in the sound."""
        if self.ears.keys[row] and not wanted:
            self.keys.clear(row)
        self.ears.keys[row] = wanted

    def take_keys(self) -> list[tuple[int, str]]:
        """Keys that the last tick recognized, as (row, key)."""
        found, self._found_keys = self._found_keys, []
        return found

    def clear(self, row: int) -> None:
        """The lane is closed."""
        for part in (self.activity, self.keys, self.ears):
            part.clear(row)

    def grow(self, capacity: int) -> None:
        """Room for so many lanes."""
        for part in (self.activity, self.keys, self.ears):
            part.grow(capacity)
        self._allocate(capacity)

    def _allocate(self, capacity: int) -> None:
        self._wide = np.zeros((capacity, FRAME))
