"""The service with a clock on each frame that passes between a call and its room.

It is our service in every other respect: two classes are replaced by ones that write down how long
a frame was between the tick that took it out of the jitter ring and the moment it was given to
the SDK, and between the moment the SDK had it and the tick that took it. At its end it writes them
where ``BENCH_TAPS`` says: ``[[monotonic seconds, ms], ...]`` for each way, and what the service
itself counts of its rooms, twice a second.
"""

from __future__ import annotations

import atexit
import json
import os
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

# First: it sets what numpy reads when it is imported.
from telephony.cli import main
from telephony.rooms import presence, stay
from telephony.rooms.feed import Feed
from telephony.rooms.livekit import LiveKitRooms
from telephony.rooms.voices import Voice

if TYPE_CHECKING:
    from telephony.audio.mix import Samples

OUT: list[tuple[float, float]] = []
IN: list[tuple[float, float]] = []
FIGURES: list[tuple[float, dict[str, Any]]] = []
LOOK = 0.5


class Tick:
    began = 0.0


class TimedFeed(Feed):
    """From the beginning of the tick to the hands of the SDK."""

    def __init__(self) -> None:
        super().__init__()
        self._since: deque[float] = deque()

    def push(self, frame: Samples) -> None:
        self._since.append(Tick.began)
        super().push(frame)
        while len(self._since) > len(self._waiting):
            self._since.popleft()

    def due(self, now: float) -> list[Samples]:
        out = super().due(now)
        left = len(self._since) - len(self._waiting)
        done = time.monotonic()
        taken = [self._since.popleft() for _ in range(left)]
        # Where quiet was left out nobody can say which frames went.
        if len(out) == len(taken):
            OUT.extend((done, (done - since) * 1000) for since in taken)
        return out


class TimedVoice(Voice):
    """From the hands of the SDK to the tick."""

    __slots__ = ("_since",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._since: deque[float] = deque()

    def put(self, frame: Samples) -> None:
        self._since.append(time.monotonic())
        super().put(frame)

    def take(self) -> Samples | None:
        frame = super().take()
        since = 0.0
        while len(self._since) > len(self._frames):
            since = self._since.popleft()
        if frame is not None and since:
            done = time.monotonic()
            IN.append((done, (done - since) * 1000))
        return frame

    def clear(self) -> None:
        super().clear()
        self._since.clear()


def before(rooms: LiveKitRooms, whole: Any = LiveKitRooms.before) -> None:
    """A tick begins."""
    Tick.began = time.monotonic()
    if not FIGURES or Tick.began > FIGURES[-1][0] + LOOK:
        FIGURES.append((Tick.began, asdict(rooms.figures())))
    whole(rooms)


def write() -> None:
    if FIGURES:
        found = {"out": OUT, "in": IN, "figures": FIGURES}
        Path(os.environ["BENCH_TAPS"]).write_text(json.dumps(found))


if __name__ == "__main__":
    stay.Feed = TimedFeed  # type: ignore[misc]
    presence.Voice = TimedVoice  # type: ignore[misc]
    LiveKitRooms.before = before  # type: ignore[method-assign]
    atexit.register(write)
    main()
