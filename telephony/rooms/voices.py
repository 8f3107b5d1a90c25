"""What a room says to its caller: a short queue for each voice, and the sum of those heard.

Frames come when the SDK has them and go when the tick comes: a queue runs dry once where the two
are out of step, and is one frame deep ever after. What is deeper for longer is let go.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from telephony.audio.mix import Samples, limit

MOST = 10
"""Frames of 20 ms that wait; the oldest leave first."""
DEEP = 2
"""Frames that wait beyond the one that is due ..."""
PATIENCE = 25
"""... in so many ticks in a row, before one is let go: half a second."""
LOUD = 120
"""Peak on the int16 scale from which something is said: -49 dBov. A track that nobody feeds
still brings frames, of silence or of a codec's last ripple."""


class Voice:
    """One track. ``put`` may be called in another thread: a deque is safe for that."""

    __slots__ = ("_deep", "_frames", "agent", "dropped", "dry", "identity", "loud", "started")

    def __init__(self, identity: str, agent: bool) -> None:
        self.identity = identity
        self.agent = agent
        self.loud = False
        """Something was said since this was last set to False."""
        self.started = False
        self.dry = 0
        """Ticks for which there was no frame, while there had been some."""
        self.dropped = 0
        self._frames: deque[Samples] = deque()
        self._deep = 0

    def put(self, frame: Samples) -> None:
        """20 ms that came."""
        self._frames.append(frame)

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
        self._deep = self._deep + 1 if len(frames) > DEEP else 0
        if self._deep > PATIENCE:
            self._deep = 0
            frames.popleft()
            self.dropped += 1
        if not frames:
            self.dry += self.started
            return None
        self.started = True
        frame = frames.popleft()
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
