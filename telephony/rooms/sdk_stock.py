"""Sound to and from the LiveKit SDK by its public means: a task a track."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import structlog
from livekit import rtc

from telephony.audio.mix import Samples
from telephony.rooms.feed import QUEUE

log = structlog.get_logger("telephony.rooms")

FRAME_MS = 20
CAPACITY = 25
"""Frames that a stream keeps; without it the SDK's queue has no end."""
MOST = 16
"""Frames that wait to be captured."""

Put = Callable[[Samples], None]


def source(rate: int) -> rtc.AudioSource:
    # A queue of 0 would demand frames of exactly 10 ms; a long one never gets shorter again.
    return rtc.AudioSource(rate, 1, queue_size_ms=round(QUEUE * 1000))


class StockMouth:
    """One task that captures one frame after the other."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._source = source(rate)
        self.track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        self.failed = 0
        self._frames: asyncio.Queue[Samples] = asyncio.Queue()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def busy(self, now: float) -> bool:
        return self._frames.qsize() > MOST

    def speak(self, frames: list[Samples], now: float) -> None:
        for frame in frames:
            self._frames.put_nowait(frame)

    def clear(self) -> None:
        while not self._frames.empty():
            self._frames.get_nowait()
        self._source.clear_queue()

    def close(self) -> None:
        self._task.cancel()
        self._source._ffi_handle.dispose()

    async def _run(self) -> None:
        while True:
            frame = await self._frames.get()
            try:
                await self._source.capture_frame(
                    rtc.AudioFrame(frame.tobytes(), self._rate, 1, frame.size)
                )
            except Exception as error:
                self.failed += 1
                log.warning("rooms.not_captured", error=str(error)[:200])


class StockEar:
    """One task that takes one frame after the other."""

    def __init__(self, track: rtc.Track, rate: int, put: Put) -> None:
        self._stream = rtc.AudioStream(
            track, capacity=CAPACITY, sample_rate=rate, num_channels=1, frame_size_ms=FRAME_MS
        )
        self._put: Put | None = put
        self._task = asyncio.get_running_loop().create_task(self._run())

    def close(self) -> None:
        self._put = None
        self._closing = asyncio.get_running_loop().create_task(self._stream.aclose())

    async def _run(self) -> None:
        async for event in self._stream:
            if self._put is not None:
                self._put(np.frombuffer(event.frame.data, np.int16))
