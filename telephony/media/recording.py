"""Recordings: buffers of a second a lane, filled by the tick, handed to the writer when full.

A call's recording has two channels, the leg left and what it hears right, aligned by the tick. A
message has one and ends by silence, length or order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from telephony.calls.ports import Recorded
from telephony.media.columns import Columns, Counts, Flags, Rows, Samples
from telephony.media.config import FRAME, TICK_MS, MediaConfig
from telephony.media.writer import Take, Writer

CHUNK = 50
"""Frames a buffer holds: what is lost when the process dies, and one write a second."""
STAGGER = 7
"""Ticks between the full buffers of neighbours, so that no tick hands over all of them."""
FIRST_TAPES = 16


class Tapes(Columns):
    """Running recordings of one kind, a row each; ``lane`` says whose."""

    LAYOUT = {
        "lane": (np.int64, (), 0),
        "fill": (np.int64, (), 0),
        "limit": (np.int64, (), CHUNK),
        "ticks": (np.int64, (), 0),
        "longest": (np.int64, (), 0),
        "patience": (np.int64, (), 0),
        "quiet": (np.int64, (), 0),
        "voiced": (np.bool_, (), False),
    }
    lane: Counts
    fill: Counts
    limit: Counts
    ticks: Counts
    longest: Counts
    """Ticks after which it ends; 0 never."""
    patience: Counts
    """Ticks of silence after which it ends; 0 never."""
    quiet: Counts
    voiced: Flags
    """Somebody has spoken."""

    def __init__(self, writer: Writer, channels: int) -> None:
        """``channels``: 1, or 2 that lie side by side in a word of 32 bits."""
        super().__init__(FIRST_TAPES)
        self._writer = writer
        self._channels = channels
        self._capacity = FIRST_TAPES
        kind = np.int16 if channels == 1 else np.uint32
        self._store: npt.NDArray[Any] = np.zeros((FIRST_TAPES * CHUNK, FRAME), kind)
        self._takes: dict[int, Take] = {}
        self._free = list(range(FIRST_TAPES))[::-1]
        self.active: Rows = np.empty(0, np.int64)

    def begin(
        self,
        lane: int,
        path: Path,
        done: Callable[[Recorded], None],
        failed: Callable[[Take], None],
        longest: int = 0,
        patience: int = 0,
    ) -> int:
        """Start one; its row. ``failed`` is called when the writer gave up."""
        if not self._free:
            self._free = list(range(self._capacity, 2 * self._capacity))[::-1]
            self._capacity *= 2
            self.grow(self._capacity)
            larger = np.zeros((self._capacity * CHUNK, FRAME), self._store.dtype)
            larger[: self._store.shape[0]] = self._store
            self._store = larger
        tape = self._free.pop()
        self.clear(tape)
        self.lane[tape] = lane
        self.limit[tape] = 1 + tape * STAGGER % CHUNK
        self.longest[tape], self.patience[tape] = longest, patience
        self._takes[tape] = self._writer.begin(path, self._channels, done, failed)
        self._list()
        return tape

    def end(self, tape: int, reason: str) -> None:
        """Hand over what is there and close the file."""
        take = self._takes.pop(tape)
        if self.fill[tape]:
            self._hand_over(tape, take)
        self._writer.end(take, reason)
        self._free.append(tape)
        self._list()

    def runs(self, tape: int, take: Take) -> bool:
        """Whether this row is still that recording: the writer's word may come late."""
        return self._takes.get(tape) is take

    def append(self, frames: npt.NDArray[Any]) -> None:
        """20 ms of every active tape: (tapes, 160), in the order of ``active``."""
        tapes = self.active
        fill = self.fill[tapes]
        self._store[tapes * CHUNK + fill] = frames
        fill += 1
        self.fill[tapes] = fill
        self.ticks[tapes] += 1
        for tape in tapes[fill >= self.limit[tapes]].tolist():
            self._hand_over(tape, self._takes[tape])

    def expired(self, speaks: Flags) -> list[tuple[int, str]]:
        """Tapes that have reached their end, and why. ``speaks``: bool (active tapes,)."""
        tapes = self.active
        voiced = self.voiced[tapes] | speaks
        self.voiced[tapes] = voiced
        quiet = np.where(voiced & ~speaks, self.quiet[tapes] + 1, 0)
        self.quiet[tapes] = quiet
        patience, longest = self.patience[tapes], self.longest[tapes]
        silent = (patience > 0) & (quiet >= patience)
        full = (longest > 0) & (self.ticks[tapes] >= longest)
        found = [(tape, "silence") for tape in tapes[silent].tolist()]
        return found + [(tape, "max") for tape in tapes[full & ~silent].tolist()]

    def _hand_over(self, tape: int, take: Take) -> None:
        start = tape * CHUNK
        self._writer.write(take, self._store[start : start + int(self.fill[tape])].copy())
        self.fill[tape] = 0
        self.limit[tape] = CHUNK

    def _list(self) -> None:
        self.active = np.array(sorted(self._takes), np.int64)


class Recordings:
    """The recordings of all lanes: at most one call's and one message a lane."""

    def __init__(
        self,
        config: MediaConfig,
        writer: Writer,
        later: Callable[[Callable[[], None]], None],
    ) -> None:
        """``later`` takes callbacks that are due when the tick is over."""
        self._later = later
        self._calls = Tapes(writer, 2)
        self._messages = Tapes(writer, 1)
        self._call_of: dict[int, int] = {}
        self._message_of: dict[int, int] = {}
        self._max_seconds = config.max_message_seconds

    def record_call(self, row: int, path: Path, done: Callable[[Recorded], None]) -> None:
        """Begin; a second one while the first runs has failed at once."""
        if row in self._call_of:
            self._refuse(path, done)
            return

        def failed(take: Take) -> None:
            if self._calls.runs(tape, take):
                self._end(self._calls, self._call_of, row, tape, "failed")

        tape = self._calls.begin(row, path, done, failed)
        self._call_of[row] = tape

    def record_message(
        self,
        row: int,
        path: Path,
        done: Callable[[Recorded], None],
        max_seconds: float,
        silence_seconds: float | None,
    ) -> None:
        """Begin; a second one while the first runs has failed at once."""
        if row in self._message_of:
            self._refuse(path, done)
            return

        def failed(take: Take) -> None:
            if self._messages.runs(tape, take):
                self._end(self._messages, self._message_of, row, tape, "failed")

        tape = self._messages.begin(
            row,
            path,
            done,
            failed,
            _ticks(min(max_seconds, self._max_seconds)),
            _ticks(silence_seconds) if silence_seconds else 0,
        )
        self._message_of[row] = tape

    def stop_message(self, row: int) -> None:
        """End the message that is being recorded, if any."""
        self._end(self._messages, self._message_of, row, self._message_of.get(row), "stopped")

    def finish(self, row: int) -> None:
        """End both, if any: the leg is over."""
        self._end(self._messages, self._message_of, row, self._message_of.get(row), "leg_ended")
        self._end(self._calls, self._call_of, row, self._call_of.get(row), "leg_ended")

    def append(self, said: Samples, heard: Samples, speaks: Flags) -> None:
        """A tick: what every lane said and what it heard, both int16 (lanes, 160).

        ``speaks``: bool (lanes,), over the noise of the line: what is silence in a quiet room and
        what in a car is not one level.
        """
        if self._call_of:
            lanes = self._calls.lane[self._calls.active]
            self._calls.append(_side_by_side(said[lanes], heard[lanes]))
        if self._message_of:
            lanes = self._messages.lane[self._messages.active]
            self._messages.append(said[lanes])
            for tape, reason in self._messages.expired(speaks[lanes]):
                row = int(self._messages.lane[tape])
                self._end(self._messages, self._message_of, row, tape, reason)

    def _end(
        self, tapes: Tapes, of: dict[int, int], row: int, tape: int | None, reason: str
    ) -> None:
        if tape is not None:
            del of[row]
            tapes.end(tape, reason)

    def _refuse(self, path: Path, done: Callable[[Recorded], None]) -> None:
        result = Recorded(path, 0, 0, "failed", "the leg is being recorded already")
        self._later(partial(done, result))


def _side_by_side(left: Samples, right: Samples) -> npt.NDArray[np.uint32]:
    """int16 (lanes, 160) each → words with the left sample first, as WAV has them.

    Half the time of ``np.stack``. Samples lie in memory with the low octet first, here and in WAV.
    """
    words = right.view(np.uint16).astype(np.uint32)
    words <<= 16
    words |= left.view(np.uint16)
    return words


def _ticks(seconds: float) -> int:
    return max(1, round(seconds * 1000 / TICK_MS))
