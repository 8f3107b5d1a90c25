"""What lanes hear that nobody says: prompts and hold music, before the voices are added."""

from __future__ import annotations

from pathlib import Path

from telephony.media.activity import Activity
from telephony.media.columns import Flags, Rows, Samples
from telephony.media.desk import Plan
from telephony.media.ducking import Ducking
from telephony.media.hold import HoldMusic, load

SOUND_DBM0 = -50.0
"""What a holder sends and is louder is music of its own; under it lies the noise of a line."""


class Sounds:
    """A row a lane, grown and cleared as the bank's other parts are."""

    def __init__(self, capacity: int, activity: Activity, music: Path | None) -> None:
        """``activity``: who speaks, brought up to date before; ``music``: see ``hold.load``.

        Raises:
            ConfigError: the music cannot be played.
        """
        self._activity = activity
        self._ducking = Ducking(capacity)
        self._hold = HoldMusic(capacity, load(music))

    def grow(self, capacity: int) -> None:
        self._ducking.grow(capacity)
        self._hold.grow(capacity)

    def clear(self, row: int) -> None:
        self._ducking.clear(row)
        self._hold.clear(row)

    def lay(self, plan: Plan, rows: Rows, frames: Samples, heard: Samples, sounding: Flags) -> None:
        """Put this tick's sounds into ``heard`` (lanes, 160), which is silent.

        ``frames`` int16 (rows, 160): the next frame of each prompt. Lanes with a sound are marked
        in ``sounding`` (lanes,).
        """
        lanes = sounding.size
        if not self._ducking.idle or (rows.size and not plan.lonely):
            spoken = plan.company(self._activity.active[:lanes])
            frames = self._ducking.apply(rows, frames, spoken[rows])
        heard[rows] = frames
        sounding[rows] = True
        if plan.waiting.size or not self._hold.idle:
            there = plan.company(self._activity.level[:lanes] > SOUND_DBM0)
            self._hold.mix(plan.waiting, there, heard, sounding)
