"""Somebody in a LiveKit room: an agent, a browser or a SIP caller, as tests need them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from livekit import rtc

Samples = npt.NDArray[np.int16]

FRAME_MS = 20


@dataclass(frozen=True, slots=True)
class Packet:
    """Data that came out of the room. Without ``sender`` it is the server's, or somebody's who is
    not announced yet: who publishes nothing is announced in batches every 3 s."""

    sender: str
    topic: str
    data: bytes
    reliable: bool


class Participant:
    """Joins with ``async with``, keeps what it hears of each other participant, and leaves.

    Attributes:
        rate: of what is heard, in Hz; the SDK resamples.
        room: the SDK's own object, for what is not here.
        packets: data of others, in the order it came.
        keys: digits that SIP participants sent.
        comings: ``+identity`` and ``-identity`` of others, in order.
        over: why the room is over for this participant; none while it is in.
    """

    def __init__(self, url: str, token: str, rate: int = 16_000, subscribe: bool = True) -> None:
        self.rate = rate
        self.room = rtc.Room()
        self.packets: list[Packet] = []
        self.keys: list[str] = []
        self.comings: list[str] = []
        self.over: str | None = None
        self._url = url
        self._token = token
        self._options = rtc.RoomOptions(auto_subscribe=subscribe)
        self._source: rtc.AudioSource | None = None
        self._source_rate = 0
        self._publication: rtc.LocalTrackPublication | None = None
        self._sound: dict[str, bytearray] = {}
        self._listeners: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self.room.on("track_subscribed", self._subscribed)
        self.room.on("data_received", self._data)
        self.room.on("sip_dtmf_received", self._key)
        self.room.on("participant_connected", lambda who: self._note(f"+{who.identity}"))
        self.room.on("participant_disconnected", lambda who: self._note(f"-{who.identity}"))
        self.room.on("disconnected", self._disconnected)

    async def __aenter__(self) -> Self:
        """Join.

        Raises:
            rtc.ConnectError: not let in.
        """
        await self.room.connect(self._url, self._token, self._options)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.leave()

    @property
    def identity(self) -> str:
        return self.room.local_participant.identity

    async def leave(self) -> None:
        """Go, as somebody who closes the page. Idempotent."""
        await self.room.disconnect()
        for listener in list(self._listeners):
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener
        if self._source is not None:
            await self._source.aclose()
            self._source = None

    async def publish(self, rate: int = 24_000, queue_ms: int = 200) -> None:
        """Have a microphone: what ``say`` is given is heard from here on."""
        self._source_rate = rate
        self._source = rtc.AudioSource(rate, 1, queue_size_ms=queue_ms)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        self._publication = await self.room.local_participant.publish_track(track, options)

    async def unpublish(self) -> None:
        """The microphone is gone; the participant stays."""
        if self._publication is not None:
            await self.room.local_participant.unpublish_track(self._publication.sid)
            self._publication = None
        if self._source is not None:
            await self._source.aclose()
            self._source = None

    async def say(self, samples: Samples) -> None:
        """Say int16 (samples,) at the microphone's rate; returns when the last is played.

        Raises:
            RuntimeError: there is no microphone.
        """
        if self._source is None:
            raise RuntimeError("publish first")
        size = self._source_rate * FRAME_MS // 1000
        padded = np.pad(samples, (0, -len(samples) % size)).astype(np.int16)
        for frame in padded.reshape(-1, size):
            await self._source.capture_frame(
                rtc.AudioFrame(frame.tobytes(), self._source_rate, 1, size)
            )
        await self._source.wait_for_playout()

    def hush(self) -> None:
        """What was given to ``say`` and is not played yet never is."""
        if self._source is not None:
            self._source.clear_queue()

    async def send(self, data: bytes, topic: str = "", reliable: bool = True) -> None:
        await self.room.local_participant.publish_data(data, reliable=reliable, topic=topic)

    def heard(self, identity: str) -> Samples:
        """All that came of somebody so far: int16 (samples,) at ``rate``, silence and all."""
        return np.frombuffer(bytes(self._sound.get(identity, b"")), np.int16)

    async def hears(self, identity: str, seconds: float = 10.0) -> None:
        """Wait for the first frame of somebody, silent as it may be: what he says from then on is
        heard from its beginning.

        Raises:
            TimeoutError: none comes.
        """
        await self.until(lambda: self._sound.get(identity), seconds)

    def forget(self) -> None:
        """What was heard until now does not count."""
        for sound in self._sound.values():
            sound.clear()

    async def until(self, true: Callable[[], object], seconds: float = 10.0) -> None:
        """Wait for something that this participant hears, gets or sees.

        Raises:
            TimeoutError: it does not come true.
        """
        async with asyncio.timeout(seconds):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    def _note(self, coming: str) -> None:
        self.comings.append(coming)
        self._changed.set()

    def _subscribed(
        self,
        track: rtc.Track,
        publication: rtc.RemoteTrackPublication,
        who: rtc.RemoteParticipant,
    ) -> None:
        if track.kind != rtc.TrackKind.KIND_AUDIO:
            return
        listener = asyncio.get_running_loop().create_task(self._listen(track, who.identity))
        self._listeners.add(listener)
        listener.add_done_callback(self._listeners.discard)

    async def _listen(self, track: rtc.Track, identity: str) -> None:
        sound = self._sound.setdefault(identity, bytearray())
        stream = rtc.AudioStream(
            track, sample_rate=self.rate, num_channels=1, frame_size_ms=FRAME_MS, capacity=50
        )
        try:
            async for event in stream:
                sound += event.frame.data.tobytes()
                self._changed.set()
        finally:
            await stream.aclose()

    def _data(self, packet: rtc.DataPacket) -> None:
        sender = packet.participant.identity if packet.participant else ""
        reliable = packet.kind == rtc.DataPacketKind.KIND_RELIABLE
        self.packets.append(Packet(sender, packet.topic or "", bytes(packet.data), reliable))
        self._changed.set()

    def _key(self, key: rtc.SipDTMF) -> None:
        self.keys.append(key.digit)
        self._changed.set()

    def _disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self.over = rtc.DisconnectReason.Name(reason)
        self._changed.set()
