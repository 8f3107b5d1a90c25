"""What a room says to its caller: a short queue for each voice, and the sum of those heard.

Frames come when the SDK has them and go when the tick comes; ``slack`` keeps the queue as short as
the jitter between the two allows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from telephony.audio.mix import Samples, limit
from telephony.rooms.slack import Slack

MOST = 10
"""Frames of 20 ms that wait; the oldest leave first."""
LOUD = 120
"""Peak on the int16 scale from which something is said: -49 dBov. A track that nobody feeds
still brings frames, of silence or of a codec's last ripple."""


class Voice:
    """One track. ``put`` may be called in another thread: a deque is safe for that."""

    __slots__ = (
        "_frames", "_now", "_slack", "agent", "dropped", "dry", "identity", "loud", "started",
    )  # fmt: skip

    def __init__(self, identity: str, agent: bool, now: Callable[[], float]) -> None:
        """``now``: monotonic seconds, asked in the thread of ``put``."""
        self.identity = identity
        self.agent = agent
        self.loud = False
        """Something was said since this was last set to False."""
        self.started = False
        self.dry = 0
        """Ticks for which there was no frame, while there had been some."""
        self.dropped = 0
        self._now = now
        self._frames: deque[tuple[float, Samples]] = deque()
        self._slack = Slack()

    def put(self, frame: Samples) -> None:
        """20 ms that came."""
        self._frames.append((self._now(), frame))

    @property
    def depth(self) -> int:
        """Frames that wait."""
        return len(self._frames)

    def take(self) -> Samples | None:
        """What is due in this tick."""
        frames = self._frames
        while len(frames) > MOST:
            frames.popleft()
            self.dropped += 1
        age = self._now() - frames[1][0] if len(frames) > 1 else None
        if self._slack.spare(age):
            frames.popleft()
            self.dropped += 1
        if not frames:
            self.dry += self.started
            return None
        self.started = True
        _, frame = frames.popleft()
        if not self.loud and max(int(frame.max()), -int(frame.min())) >= LOUD:
            self.loud = True
        return frame

    def clear(self) -> None:
        """What waits is not said."""
        self._frames.clear()


class Voices:
    """The tracks of one room, by their stream."""

    def __init__(self, frame: int) -> None:
        """``frame``: samples of 20 ms."""
        self._frame = frame
        self._voices: dict[str, Voice] = {}
        self._gain = np.ones(1, np.float32)
        self.agents_heard = True
        """Whether the caller hears agents; their frames are taken and let go where not."""
        self.dropped = 0
        self.dry = 0

    def add(self, key: str, voice: Voice) -> None:
        self._voices[key] = voice

    def remove(self, key: str) -> Voice | None:
        """The voice that was there. Counters stay."""
        voice = self._voices.pop(key, None)
        if voice is not None:
            self.dropped += voice.dropped
            self.dry += voice.dry
        return voice

    def get(self, key: str) -> Voice | None:
        return self._voices.get(key)

    def items(self) -> list[tuple[str, Voice]]:
        return list(self._voices.items())

    @property
    def depth(self) -> int:
        """Frames that wait in the deepest queue."""
        return max((voice.depth for voice in self._voices.values()), default=0)

    def counted(self) -> tuple[int, int]:
        """Frames let go, and ticks without a frame."""
        voices = self._voices.values()
        return (
            self.dropped + sum(voice.dropped for voice in voices),
            self.dry + sum(voice.dry for voice in voices),
        )

    def take(self) -> Samples | None:
        """The sum of what is due, limited; None where nobody says anything. One voice alone
        passes bit for bit."""
        frames = [
            frame
            for voice in self._voices.values()
            if (frame := voice.take()) is not None
            and (self.agents_heard or not voice.agent)
            and frame.shape == (self._frame,)
        ]
        if not frames:
            return None
        if len(frames) == 1 and self._gain[0] == 1:
            return frames[0]
        total = np.zeros((1, self._frame), np.int32)
        for frame in frames:
            total[0] += frame
        mixed: Samples = limit(total, self._gain)[0]
        return mixed

    def clear(self) -> None:
        """What waits is not said."""
        for voice in self._voices.values():
            voice.clear()
