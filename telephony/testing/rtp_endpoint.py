"""One call's sound in plain asyncio: a socket, 50 frames a second out, everything in kept.

G.722 is 16 kHz, with a clock and as many octets as the others: what is played and heard then is
320 samples a frame.

It shares the codecs and the packet format with the service and nothing of its engine, so that
what a test hears was really on the wire.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from telephony.audio import g711, g722
from telephony.rtp.packet import Packet, is_rtcp
from telephony.rtp.telephone_event import EventPacket, Key, Receiver, plan

Samples = npt.NDArray[np.int16]

FRAME = 160
"""Steps of the clock in 20 ms."""
TICK = 0.02
MAX_FRAMES = 90_000
"""Half an hour of what is heard."""
LAWS = {"PCMU": (g711.ulaw_encode, g711.ulaw_decode), "PCMA": (g711.alaw_encode, g711.alaw_decode)}
TYPES = {0: "PCMU", 8: "PCMA", 9: "G722"}


@dataclass(frozen=True, slots=True)
class Frame:
    """What one packet brought. ``at`` is ``time.monotonic()`` of its arrival."""

    at: float
    timestamp: int
    samples: Samples


@dataclass(frozen=True, slots=True)
class Towards:
    """Where sound goes and how. ``dtmf_type`` None: the far end takes no telephone-events."""

    host: str
    port: int
    codec: str
    payload_type: int
    dtmf_type: int | None
    sends: bool = True


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, endpoint: RtpEndpoint) -> None:
        self._endpoint = endpoint

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._endpoint.receive(data)


class RtpEndpoint:
    """Open it, ``start`` it towards the far end, and play, press and listen."""

    def __init__(self, rng: random.Random, receive_dtmf_type: int = 101) -> None:
        self._rng = rng
        self._receive_dtmf_type = receive_dtmf_type
        self._transport: asyncio.DatagramTransport | None = None
        self._rtcp: asyncio.DatagramTransport | None = None
        self._task: asyncio.Task[None] | None = None
        self._towards: Towards | None = None
        self._sequence = rng.getrandbits(15)
        self._timestamp = rng.getrandbits(31)
        self._ssrc = rng.getrandbits(32)
        self._playing: deque[tuple[Samples, asyncio.Future[None]]] = deque()
        self._pressing: deque[tuple[EventPacket, int]] = deque()
        self._pressed: asyncio.Future[None] | None = None
        self._keys = Receiver()
        self._encoder, self._decoder = g722.Encoder(1), g722.Decoder(1)
        self._started = False
        self._closed = False
        self.host, self.port = "", 0
        self.frames: list[Frame] = []
        self.keys: list[Key] = []
        self.key_sent_at: list[float] = []
        self.received = 0
        self.sent = 0

    async def open(self, host: str) -> None:
        """Bind an even port and the odd one above it (RFC 3550 §11)."""
        loop = asyncio.get_running_loop()
        for _ in range(50):
            rtp, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(host, 0)
            )
            port = rtp.get_extra_info("sockname")[1]
            if port % 2 == 0 and port < 0xFFFF:
                try:
                    rtcp, _ = await loop.create_datagram_endpoint(
                        asyncio.DatagramProtocol, local_addr=(host, port + 1)
                    )
                except OSError:
                    rtp.close()
                    continue
                self._transport, self._rtcp = rtp, rtcp
                self.host, self.port = host, port
                if self._closed:
                    # The call ended while its ports were being opened.
                    await self.close()
                return
            rtp.close()
        raise OSError("no pair of ports is free")

    def start(self, towards: Towards) -> None:
        """Send there from now on; called again it changes course."""
        self._towards = towards
        if self._task is None and not self._closed:
            self._task = asyncio.ensure_future(self._run())

    async def close(self) -> None:
        """Stop; what waits for playing or pressing is told."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for transport in (self._transport, self._rtcp):
            if transport is not None:
                transport.close()
        self._let_go()

    # -- out --------------------------------------------------------------------------------------

    def play(self, samples: Samples) -> asyncio.Future[None]:
        """Queue mono samples at ``rate``; the future is done when they have left."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._playing.append((np.asarray(samples, np.int16), done))
        return done

    def press(self, digits: str, duration_ms: int = 100, gap_ms: int = 100) -> asyncio.Future[None]:
        """Press keys as RFC 4733 events; done when the last one is up."""
        packets = plan(digits, duration_ms=duration_ms, gap_ms=gap_ms)
        self._pressing = deque((packet, packet.tick) for packet in packets)
        self._base: int | None = None
        self._ticks = 0
        self._pressed = asyncio.get_running_loop().create_future()
        if not packets:
            self._pressed.set_result(None)
        return self._pressed

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            self._tick()
            due += TICK
            behind = time.monotonic() - due
            if behind > 1.0:
                due += behind
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _tick(self) -> None:
        towards = self._towards
        frame = self._next_frame()
        if towards is not None and towards.sends and self._transport is not None:
            event = self._next_event()
            if event is not None and towards.dtmf_type is not None:
                stamp = ((self._base or 0) + event.start * FRAME) & 0xFFFFFFFF
                if event.marker:
                    self.key_sent_at.append(time.monotonic())
                self._send(towards.dtmf_type, stamp, event.payload, marker=event.marker)
            else:
                payload = self._encode(towards.codec, frame)
                self._send(towards.payload_type, self._timestamp, payload, marker=not self._started)
                self._started = True
        self._timestamp = (self._timestamp + FRAME) & 0xFFFFFFFF

    @property
    def rate(self) -> int:
        """Of what is played and heard, samples a second."""
        wide = self._towards is not None and self._towards.codec == "G722"
        return 16000 if wide else 8000

    def _encode(self, codec: str, frame: Samples) -> bytes:
        wide = codec == "G722"
        codes = self._encoder.encode(frame[None])[0] if wide else LAWS[codec][0](frame)
        return bytes(codes.tobytes())

    def _decode(self, codec: str, payload: bytes) -> Samples:
        codes = np.frombuffer(payload, np.uint8)
        if codec == "G722":
            return np.asarray(self._decoder.decode(codes[None])[0])
        return LAWS[codec][1](codes)

    def _next_frame(self) -> Samples:
        size = self.rate // 50
        frame = np.zeros(size, np.int16)
        if self._playing:
            samples, done = self._playing.popleft()
            part = samples[:size]
            frame[: len(part)] = part
            if len(samples) > size:
                self._playing.appendleft((samples[size:], done))
            elif not done.done():
                done.set_result(None)
        return frame

    def _next_event(self) -> EventPacket | None:
        if not self._pressing:
            return None
        if self._base is None:
            self._base = self._timestamp
        packet, tick = self._pressing[0]
        found = None
        if tick <= self._ticks:
            self._pressing.popleft()
            found = packet
        self._ticks += 1
        if not self._pressing and self._pressed is not None and not self._pressed.done():
            self._pressed.set_result(None)
        return found

    def _send(self, kind: int, timestamp: int, payload: bytes, *, marker: bool) -> None:
        assert self._towards is not None
        assert self._transport is not None
        packet = Packet(kind, self._sequence, timestamp, self._ssrc, payload, marker)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._transport.sendto(bytes(packet), (self._towards.host, self._towards.port))
        self.sent += 1

    def _let_go(self) -> None:
        for _, done in self._playing:
            if not done.done():
                done.set_result(None)
        self._playing.clear()
        if self._pressed is not None and not self._pressed.done():
            self._pressed.set_result(None)

    # -- in ---------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """A datagram; what is no RTP is passed over."""
        packet = None if is_rtcp(data) else Packet.parse(data)
        if packet is None:
            return
        self.received += 1
        now = time.monotonic()
        if packet.payload_type == self._receive_dtmf_type:
            key = self._keys.receive(packet.payload, packet.timestamp, packet.ssrc, now)
            if key is not None:
                self.keys.append(key)
            return
        codec = TYPES.get(packet.payload_type)
        if codec is None or len(self.frames) >= MAX_FRAMES:
            return
        self.frames.append(Frame(now, packet.timestamp, self._decode(codec, packet.payload)))

    def heard(self, since: float = 0.0, until: float = float("inf")) -> Samples:
        """What arrived between two times (``time.monotonic()``), by its RTP timestamps.

        Silence stands where nothing came; a jump of more than ten seconds is left out.
        """
        chosen = [f for f in self.frames if since <= f.at < until]
        step = self.rate // 8000
        parts: list[Samples] = []
        expected: int | None = None
        for frame in chosen:
            if expected is not None:
                gap = (frame.timestamp - expected) & 0xFFFFFFFF
                if 0 < gap < 80_000:
                    parts.append(np.zeros(gap * step, np.int16))
            parts.append(frame.samples)
            expected = (frame.timestamp + len(frame.samples) // step) & 0xFFFFFFFF
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)

    def last_loud(self, level: int = 200) -> float:
        """When the last frame arrived that holds a sample above ``level``; 0.0 for never."""
        for frame in reversed(self.frames):
            if len(frame.samples) and int(np.abs(frame.samples.astype(np.int32)).max()) > level:
                return frame.at
        return 0.0
