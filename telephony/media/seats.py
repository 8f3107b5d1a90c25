"""Seats: places in a room for a program of this process, which reads and writes 20 ms frames.

A seat is a row of the bank like a leg's, without ports and without a codec: what it writes is its
voice in the next tick, what it hears waits until it is read.
"""

from __future__ import annotations

import numpy as np

from telephony.media.columns import Columns, Counts, Rows, Samples
from telephony.media.config import FRAME

SAYS = 250
"""Frames a seat may write ahead: 5 s."""
HEARS = 50
"""Frames that wait to be read; the oldest leave first."""
FIRST_SEATS = 4


class Seats(Columns):
    """``row`` is the seat's row in the bank; counters are in frames and never wrap."""

    LAYOUT = {
        "row": (np.int64, (), 0),
        "said": (np.int16, (SAYS, FRAME), 0),
        "written": (np.int64, (), 0),
        "spoken": (np.int64, (), 0),
        "heard": (np.int16, (HEARS, FRAME), 0),
        "arrived": (np.int64, (), 0),
        "read": (np.int64, (), 0),
    }
    row: Counts
    said: Samples
    written: Counts
    spoken: Counts
    heard: Samples
    arrived: Counts
    read: Counts

    def __init__(self) -> None:
        super().__init__(FIRST_SEATS)
        self._size = FIRST_SEATS
        self._taken: set[int] = set()
        self._active: Rows = np.empty(0, np.int64)

    def take(self, row: int) -> int:
        """A place for a row of the bank; its number."""
        place = next(p for p in range(self._size + 1) if p not in self._taken)
        if place == self._size:
            self._size *= 2
            self.grow(self._size)
        self.clear(place)
        self.row[place] = row
        self._taken.add(place)
        self._list()
        return place

    def give_back(self, place: int) -> None:
        self._taken.discard(place)
        self._list()

    def speak(self, voice: Samples) -> None:
        """The next frame of every seat into its row of ``voice``; silence where it wrote none."""
        places = self._active
        if not places.size:
            return
        at = self.spoken[places]
        there = at < self.written[places]
        frames = self.said[places, at % SAYS]
        frames[~there] = 0
        voice[self.row[places]] = frames
        self.spoken[places] = at + there

    def hear(self, heard: Samples) -> None:
        """Keep what every seat hears now."""
        places = self._active
        if not places.size:
            return
        at = self.arrived[places]
        self.heard[places, at % HEARS] = heard[self.row[places]]
        self.arrived[places] = at + 1
        self.read[places] = np.maximum(self.read[places], at + 1 - HEARS)

    def _list(self) -> None:
        self._active = np.array(sorted(self._taken), np.int64)


class Seat:
    """One place at 8 kHz; frames are int16 (160,). Called on the loop's thread."""

    def __init__(self, seats: Seats, place: int) -> None:
        self._seats = seats
        self._place = place
        self._flushed = 0
        self.open = True

    def write(self, frame: Samples) -> bool:
        """Say 20 ms behind what is queued; False where 5 s are queued already.

        Raises:
            ValueError: another shape.
        """
        if frame.shape != (FRAME,):
            raise ValueError(f"a frame is {FRAME} samples, not {frame.shape}")
        seats, place = self._seats, self._place
        at = int(seats.written[place])
        if not self.open or at - int(seats.spoken[place]) >= SAYS:
            return False
        seats.said[place, at % SAYS] = frame
        seats.written[place] = at + 1
        return True

    def read(self) -> Samples | None:
        """The next 20 ms of everybody else, None before the next tick has made one."""
        seats, place = self._seats, self._place
        at = int(seats.read[place])
        if not self.open or at >= int(seats.arrived[place]):
            return None
        seats.read[place] = at + 1
        return np.array(seats.heard[place, at % HEARS])

    @property
    def queued(self) -> int:
        """Frames written and not said yet."""
        if not self.open:
            return 0
        return int(self._seats.written[self._place] - self._seats.spoken[self._place])

    def flush(self) -> int:
        """Drop what is queued; samples that were said since the last flush."""
        if not self.open:
            return 0
        seats, place = self._seats, self._place
        spoken = int(seats.spoken[place])
        seats.written[place] = spoken
        samples, self._flushed = (spoken - self._flushed) * FRAME, spoken
        return samples
