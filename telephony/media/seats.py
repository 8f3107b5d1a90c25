"""Seats: places in a room for a program of this process, which reads and writes 20 ms frames.

A seat is a row of the bank like a leg's, without ports and without a codec: what it writes is its
voice in the next tick, what it hears waits until it is read. Seats that speak at another rate than
the bank are converted together, all of one rate at once, 2 ms late each way.
"""

from __future__ import annotations

import numpy as np

from telephony.audio.stream import RATES, Resampler
from telephony.media.columns import Columns, Counts, Rows, Samples
from telephony.media.config import RATE, TICK_MS

SAYS = 250
"""Frames a seat may write ahead: 5 s."""
HEARS = 50
"""Frames that wait to be read; the oldest leave first."""
FIRST_SEATS = 4


class Places(Columns):
    """Seats of one rate. ``row`` is in the bank; counters are in frames and never wrap."""

    row: Counts
    said: Samples
    written: Counts
    spoken: Counts
    heard: Samples
    arrived: Counts
    read: Counts

    def __init__(self, rate: int) -> None:
        self.frame = rate * TICK_MS // 1000
        self.LAYOUT = {
            "row": (np.int64, (), 0),
            "said": (np.int16, (SAYS, self.frame), 0),
            "written": (np.int64, (), 0),
            "spoken": (np.int64, (), 0),
            "heard": (np.int16, (HEARS, self.frame), 0),
            "arrived": (np.int64, (), 0),
            "read": (np.int64, (), 0),
        }
        super().__init__(FIRST_SEATS)
        self._size = FIRST_SEATS
        self._down = None if rate == RATE else Resampler(rate, RATE, FIRST_SEATS)
        self._up = None if rate == RATE else Resampler(RATE, rate, FIRST_SEATS)
        self._taken: set[int] = set()
        self._active: Rows = np.empty(0, np.int64)

    def grow(self, capacity: int) -> None:
        super().grow(capacity)
        if self._down is not None and self._up is not None:
            self._down.grow(capacity)
            self._up.grow(capacity)

    def clear(self, row: int) -> None:
        super().clear(row)
        if self._down is not None and self._up is not None:
            self._down.clear(row)
            self._up.clear(row)

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
        """Make room for another seat."""
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
        voice[self.row[places]] = (
            frames if self._down is None else self._down.process(frames, places)
        )
        self.spoken[places] = at + there

    def hear(self, heard: Samples) -> None:
        """Keep what every seat hears now."""
        places = self._active
        if not places.size:
            return
        at = self.arrived[places]
        frames = heard[self.row[places]]
        self.heard[places, at % HEARS] = (
            frames if self._up is None else self._up.process(frames, places)
        )
        self.arrived[places] = at + 1
        self.read[places] = np.maximum(self.read[places], at + 1 - HEARS)

    def _list(self) -> None:
        self._active = np.array(sorted(self._taken), np.int64)


class Seats:
    """All seats of a bank, those of one rate together."""

    def __init__(self) -> None:
        self._rates: dict[int, Places] = {}

    def take(self, row: int, rate: int = RATE) -> Seat:
        """A seat on a row of the bank.

        Raises:
            ValueError: a rate that is none of 8, 16, 24 and 48 kHz.
        """
        if rate not in RATES:
            raise ValueError(f"no seat has {rate} Hz")
        if rate not in self._rates:
            self._rates[rate] = Places(rate)
        places = self._rates[rate]
        return Seat(places, places.take(row), rate)

    def speak(self, voice: Samples) -> None:
        """The next frame of every seat into its row of ``voice`` (rows, 160)."""
        for places in self._rates.values():
            places.speak(voice)

    def hear(self, heard: Samples) -> None:
        """Keep what every seat hears now, of ``heard`` (rows, 160)."""
        for places in self._rates.values():
            places.hear(heard)


class Seat:
    """One place; frames are int16 (20 ms at ``rate``,). Called on the loop's thread."""

    def __init__(self, places: Places, place: int, rate: int) -> None:
        self.rate = rate
        self._places = places
        self._place = place
        self._flushed = 0
        self.open = True

    def write(self, frame: Samples) -> bool:
        """Say 20 ms behind what is queued; False where 5 s are queued already.

        Raises:
            ValueError: another shape.
        """
        places, place = self._places, self._place
        if frame.shape != (places.frame,):
            raise ValueError(f"a frame is {places.frame} samples, not {frame.shape}")
        at = int(places.written[place])
        if not self.open or at - int(places.spoken[place]) >= SAYS:
            return False
        places.said[place, at % SAYS] = frame
        places.written[place] = at + 1
        return True

    def read(self) -> Samples | None:
        """The next 20 ms of everybody else, None before the next tick has made one."""
        places, place = self._places, self._place
        at = int(places.read[place])
        if not self.open or at >= int(places.arrived[place]):
            return None
        places.read[place] = at + 1
        return np.array(places.heard[place, at % HEARS])

    @property
    def queued(self) -> int:
        """Frames written and not said yet."""
        if not self.open:
            return 0
        return int(self._places.written[self._place] - self._places.spoken[self._place])

    def flush(self) -> int:
        """Drop what is queued; samples at ``rate`` that were said since the last flush."""
        if not self.open:
            return 0
        places, place = self._places, self._place
        spoken = int(places.spoken[place])
        places.written[place] = spoken
        samples, self._flushed = (spoken - self._flushed) * places.frame, spoken
        return samples

    def leave(self) -> None:
        """Make room for another seat. Idempotent."""
        if self.open:
            self.open = False
            self._places.give_back(self._place)
