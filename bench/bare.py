"""LiveKit's SDK alone, as its documentation has it: what our bridge is measured against.

One process, a room for each call, on uvloop as our service. Each room publishes the callers' sound
as frames of 20 ms at 24 kHz, with the options of our bridge, and takes what the agent says; nothing
is done with either. A line on stdin is answered by one of JSON: what was counted so far.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass

import numpy as np
import uvloop
from livekit import rtc

from bench.sounds import FRAMES, wave

RATE = 24_000
FRAME = RATE // FRAMES
STEP = 1 / FRAMES
QUEUE_MS = 200


@dataclass
class Counts:
    """Frames of 20 ms, of all rooms.

    Attributes:
        late: of those given more than a frame after their time.
        lost: never given, because their time was over by more than the SDK's queue.
    """

    rooms: int = 0
    given: int = 0
    late: int = 0
    lost: int = 0
    taken: int = 0


def second(pause: int) -> list[bytes]:
    """A second of the callers' sound, its last ``pause`` frames silent."""
    samples = np.array(wave(RATE), np.int16).reshape(FRAMES, FRAME)
    samples[FRAMES - pause :] = 0
    return [frame.tobytes() for frame in samples]


class Room:
    """One call's room."""

    def __init__(self, counts: Counts, sound: list[bytes]) -> None:
        self._counts = counts
        self._sound = sound
        self._room = rtc.Room()
        self._tasks: list[asyncio.Task[None]] = []

    async def enter(self, url: str, token: str) -> None:
        self._room.on("track_subscribed", self._subscribed)
        await self._room.connect(url, token, rtc.RoomOptions(auto_subscribe=True, dynacast=False))
        self._source = rtc.AudioSource(RATE, 1, queue_size_ms=QUEUE_MS)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_MICROPHONE, red=False, dtx=True
        )
        await self._room.local_participant.publish_track(track, options)
        self._tasks.append(asyncio.create_task(self._give()))
        self._counts.rooms += 1

    def _subscribed(self, track: rtc.Track, *rest: object) -> None:
        self._tasks.append(asyncio.create_task(self._take(track)))

    async def leave(self) -> None:
        await self._room.disconnect()
        for task in self._tasks:
            task.cancel()

    async def _give(self) -> None:
        due, turn = time.monotonic(), 0
        while True:
            now = time.monotonic()
            if now < due:
                await asyncio.sleep(due - now)
                now = time.monotonic()
            frame = self._sound[turn % FRAMES]
            if now - due > QUEUE_MS / 1000:
                self._counts.lost += 1
            else:
                await self._source.capture_frame(rtc.AudioFrame(frame, RATE, 1, FRAME))
                self._counts.given += 1
                self._counts.late += now - due > STEP
            due, turn = due + STEP, turn + 1

    async def _take(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(
            track, sample_rate=RATE, num_channels=1, frame_size_ms=20, capacity=10
        )
        async for _ in stream:
            self._counts.taken += 1


async def run(url: str, tokens: list[str], pause: int) -> None:
    counts, sound = Counts(), second(pause)
    rooms = [Room(counts, sound) for _ in tokens]
    for room, token in zip(rooms, tokens, strict=True):
        await room.enter(url, token)
    print("ready", flush=True)
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while await lines.readline():
        print(json.dumps(asdict(counts)), flush=True)
    await asyncio.gather(*(room.leave() for room in rooms))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--pause", type=int, default=0, help="silent frames of each 50")
    a = parser.parse_args()
    # Tokens by the first line: what is on a command line everybody can read.
    uvloop.run(run(a.url, json.loads(sys.stdin.readline()), a.pause))


if __name__ == "__main__":
    main()
