"""Prompts: one array of all sounds in 20 ms frames, and each lane's place in it."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import numpy as np

from telephony.audio import pcm
from telephony.audio.resample import resample
from telephony.base.clock import Clock
from telephony.calls.ports import Played, Sound
from telephony.media.columns import Columns, Counts, Flags, Rows, Samples
from telephony.media.config import FRAME, RATE, TICK_MS, MediaConfig

Done = Callable[[Played], None]
FIRST_FRAMES = 1024


@dataclass(slots=True)
class Clip:
    """A sound in the array: ``frames`` rows from ``start``; ``users`` hold it there."""

    start: int
    frames: int
    users: int = 0


@dataclass(slots=True)
class Item:
    """A sound on one lane, waiting or playing. ``laps``: whole rounds of a loop so far."""

    key: tuple[bytes, int]
    clip: Clip
    total_ms: int
    done: Done
    loop: bool
    laps: int = 0
    started_at: datetime | None = None


@dataclass(slots=True)
class Queue:
    """What one lane plays and what waits behind it."""

    playing: Item | None = None
    waiting: deque[Item] = field(default_factory=deque)


class Shelf:
    """All sounds once, whoever plays them: int16 (frames, 160), the least used leave first."""

    def __init__(self, ceiling_bytes: int) -> None:
        self.frames: Samples = np.zeros((FIRST_FRAMES, FRAME), np.int16)
        self._ceiling = max(1, ceiling_bytes // (2 * FRAME))
        self._clips: OrderedDict[tuple[bytes, int], Clip] = OrderedDict()
        self._free: list[tuple[int, int]] = [(0, FIRST_FRAMES)]

    def take(self, sound: Sound) -> tuple[tuple[bytes, int], Clip] | None:
        """Put a sound on the shelf, held by one user more; None where it does not fit."""
        key = (sound.pcm, sound.rate)
        clip = self._clips.get(key)
        if clip is None:
            samples = pcm.from_bytes(sound.pcm)
            if sound.rate != RATE:
                samples = resample(samples, sound.rate, RATE)
            found = self._room(-(-samples.size // FRAME))
            if found is None:
                return None
            clip = found
            flat = self.frames[clip.start : clip.start + clip.frames].reshape(-1)
            flat[: samples.size] = samples
            flat[samples.size :] = 0
            self._clips[key] = clip
        self._clips.move_to_end(key)
        clip.users += 1
        return key, clip

    def release(self, clip: Clip) -> None:
        """One user less; the sound stays until its room is wanted."""
        clip.users -= 1

    def _room(self, frames: int) -> Clip | None:
        while True:
            for index, (start, size) in enumerate(self._free):
                if size >= frames:
                    self._free[index : index + 1] = (
                        [(start + frames, size - frames)] if size > frames else []
                    )
                    return Clip(start, frames)
            if not self._grow(frames) and not self._evict():
                return None

    def _grow(self, frames: int) -> bool:
        size = self.frames.shape[0]
        wanted = min(self._ceiling, max(2 * size, size + frames))
        if wanted <= size:
            return False
        larger = np.zeros((wanted, FRAME), np.int16)
        larger[:size] = self.frames
        self.frames = larger
        self._give(size, wanted - size)
        return True

    def _evict(self) -> bool:
        for key, clip in self._clips.items():
            if clip.users == 0:
                del self._clips[key]
                self._give(clip.start, clip.frames)
                return True
        return False

    def _give(self, start: int, size: int) -> None:
        spans = sorted([*self._free, (start, size)])
        self._free = []
        for begin, length in spans:
            if self._free and sum(self._free[-1]) == begin:
                self._free[-1] = (self._free[-1][0], self._free[-1][1] + length)
            else:
                self._free.append((begin, length))


class Playback(Columns):
    """``at`` is a playing lane's next frame on the shelf, ``end`` one past its last."""

    LAYOUT = {
        "on": (np.bool_, (), False),
        "fresh": (np.bool_, (), False),
        "at": (np.int64, (), 0),
        "end": (np.int64, (), 0),
    }
    on: Flags
    fresh: Flags
    at: Counts
    end: Counts

    def __init__(
        self,
        capacity: int,
        config: MediaConfig,
        clock: Clock,
        later: Callable[[Callable[[], None]], None],
    ) -> None:
        """``later`` takes callbacks that are due when the tick is over."""
        super().__init__(capacity)
        self._shelf = Shelf(config.prompt_bytes)
        self._max_queued = config.max_queued
        self._clock = clock
        self._later = later
        self._queues: dict[int, Queue] = {}

    def play(self, row: int, sound: Sound, done: Done, *, loop: bool = False) -> None:
        """Queue a sound. One that fits nowhere is over at once, unheard."""
        queue = self._queues.setdefault(row, Queue())
        total = sound.duration_ms
        taken = None
        if total > 0 and len(queue.waiting) < self._max_queued:
            taken = self._shelf.take(sound)
        if taken is None:
            self._later(partial(done, Played(0, total, total == 0, None)))
            return
        queue.waiting.append(Item(*taken, total, done, loop))
        if queue.playing is None:
            self._next(row, queue)

    def stop(self, row: int) -> None:
        """Drop the whole queue; what has been sent counts as heard."""
        queue = self._queues.pop(row, None)
        self.on[row] = False
        if queue is None:
            return
        ended: list[tuple[Item, int]] = []
        if queue.playing is not None:
            ended.append((queue.playing, self._heard(row, queue.playing)))
        ended += [(item, 0) for item in queue.waiting]
        for item, _ in ended:
            self._shelf.release(item.clip)
        for item, heard in ended:
            item.done(Played(heard, item.total_ms, False, item.started_at))

    def waits(self, row: int) -> bool:
        """Whether anything plays or is queued."""
        queue = self._queues.get(row)
        return queue is not None and (queue.playing is not None or bool(queue.waiting))

    def take(self, sending: Flags) -> tuple[Rows, Samples]:
        """The next frame of each lane that plays and sends: rows, int16 (rows, 160)."""
        rows = np.flatnonzero(self.on[: sending.size] & sending)
        at = self.at[rows]
        frames = self._shelf.frames[at]
        at += 1
        self.at[rows] = at
        for row in rows[self.fresh[rows]].tolist():
            self._begun(row)
        for row in rows[at >= self.end[rows]].tolist():
            self._over(row)
        return rows, frames

    # -- inside ---------------------------------------------------------------------------------

    def _heard(self, row: int, item: Item) -> int:
        frames = int(self.at[row]) - item.clip.start
        return item.laps * item.total_ms + min(item.total_ms, frames * TICK_MS)

    def _begun(self, row: int) -> None:
        self.fresh[row] = False
        item = self._queues[row].playing
        if item is not None and item.started_at is None:
            item.started_at = self._clock.now()

    def _over(self, row: int) -> None:
        queue = self._queues[row]
        item = queue.playing
        if item is None:
            return
        if item.loop:
            item.laps += 1
            self.at[row] = item.clip.start
            return
        self._shelf.release(item.clip)
        self._later(partial(item.done, Played(item.total_ms, item.total_ms, True, item.started_at)))
        self._next(row, queue)

    def _next(self, row: int, queue: Queue) -> None:
        queue.playing = item = queue.waiting.popleft() if queue.waiting else None
        self.on[row] = self.fresh[row] = item is not None
        if item is not None:
            self.at[row] = item.clip.start
            self.end[row] = item.clip.start + item.clip.frames
