"""Frames between the engine and a room worker: rings in memory that both see.

A row a stay: one ring of what the leg says, one of what the room says. Each has one writer and one
reader; a counter is written after the frame that it counts, so neither waits for the other.
"""

from __future__ import annotations

import mmap
import os

import numpy as np
import numpy.typing as npt

from telephony.audio.mix import Samples

FRAME_SECONDS = 0.02
ROWS = 256
"""Stays of one worker."""
SLOTS = 16
"""Frames of 20 ms in a ring: a side that stands still for longer loses what is oldest."""
WIDTH = 960
"""Samples of a frame at 48 kHz."""
_COUNTS = ROWS * 2 * 3 * 8
SIZE = _COUNTS + ROWS * 2 * SLOTS * WIDTH * 2
HEARD, SAID = 0, 1


class Rings:
    """The memory, mapped. ``descriptor`` may be handed to another process."""

    def __init__(self, descriptor: int) -> None:
        """``descriptor``: as ``make`` gave it, here or there; it is not closed."""
        self._map = mmap.mmap(descriptor, SIZE)
        counts = np.frombuffer(self._map, np.int64, ROWS * 2 * 3)
        # Written, read, and when the last was written.
        self._counts: npt.NDArray[np.int64] = counts.reshape(ROWS, 2, 3)
        frames = np.frombuffer(self._map, np.int16, offset=_COUNTS)
        self._frames: Samples = frames.reshape(ROWS, 2, SLOTS, WIDTH)

    @staticmethod
    def make() -> int:
        """Memory for one worker; its pages are there when they are used."""
        descriptor = os.memfd_create("telephony-rooms", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, SIZE)
        return descriptor

    def clear(self, row: int) -> None:
        """Begin anew. Nobody else may use the row now."""
        self._counts[row] = 0

    def write(self, row: int, ring: int, frame: Samples, now: float = 0.0) -> None:
        """20 ms; the oldest are overwritten where nobody reads. ``now``: monotonic seconds."""
        counts = self._counts[row, ring]
        at = int(counts[0])
        self._frames[row, ring, at % SLOTS, : frame.size] = frame
        counts[2] = round(now * 1e6)
        counts[0] = at + 1

    def read(self, row: int, ring: int, samples: int) -> Samples | None:
        """The next 20 ms, or nothing yet. What is overwritten is passed over."""
        counts = self._counts[row, ring]
        written, at = int(counts[0]), int(counts[1])
        if at >= written:
            return None
        at = max(at, written - SLOTS + 1)
        frame = self._frames[row, ring, at % SLOTS, :samples].copy()
        counts[1] = at + 1
        return frame

    def waiting(self, row: int, ring: int) -> int:
        """Frames written and not read."""
        return int(self._counts[row, ring, 0] - self._counts[row, ring, 1])

    def age(self, row: int, ring: int, now: float) -> float | None:
        """Seconds for which the frame behind the next one has been there, None where there is none.

        Frames are written one a tick.
        """
        behind = self.waiting(row, ring) - 2
        if behind < 0:
            return None
        return now - int(self._counts[row, ring, 2]) / 1e6 + behind * FRAME_SECONDS

    def skip(self, row: int, ring: int) -> None:
        """Pass one over."""
        self._counts[row, ring, 1] += 1

    def close(self) -> None:
        del self._counts, self._frames
        self._map.close()
