"""Keys as RTP events (RFC 4733): a receiver that reports each key once, a plan for sending them."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass

from telephony.rtp.sequence import diff32

DIGITS = "0123456789*#ABCD"
"""Event codes 0 to 15 as keys (RFC 4733 §3.2)."""

MAX_DURATION = 0xFFFF
END_PACKETS = 3
"""The last packet of an event is sent three times in all (RFC 4733 §2.5.1.4)."""

HOLD_TIMEOUT = 0.5
"""Seconds without a packet after which a key whose end was lost counts as released."""
MEMORY_SECONDS = 1.0
"""How long a finished key is remembered. Longer, and sipp's replayed captures (the same timestamp
every time) would be one key; shorter, and a packet reordered by a second would be a second key."""
MEMORY_KEYS = 16
PAUSE_MS = 500
"""What ``,`` and ``w`` in a string of keys stand for."""


@dataclass(frozen=True, slots=True)
class Event:
    """The four octets of an event payload (RFC 4733 §2.3). ``duration`` is in timestamp units."""

    code: int
    end: bool
    volume: int
    duration: int

    @classmethod
    def parse(cls, payload: bytes) -> Event | None:
        """The event in a payload, or None where it is too short. Further octets are ignored."""
        if len(payload) < 4:
            return None
        code, flags, duration = struct.unpack_from("!BBH", payload)
        return cls(code, bool(flags & 0x80), flags & 0x3F, duration)

    def __bytes__(self) -> bytes:
        return struct.pack("!BBH", self.code, self.end << 7 | self.volume, self.duration)


@dataclass(frozen=True, slots=True)
class Key:
    """A key went down: reported once, with the first packet of it that arrives."""

    digit: str
    ssrc: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class Released:
    """The key went up, or its packets ceased (``timed_out``). ``duration`` in timestamp units."""

    digit: str
    duration: int
    timed_out: bool


@dataclass(slots=True)
class _Heard:
    ssrc: int
    code: int
    start: int
    segment: int
    duration: int
    last_at: float
    ended: bool = False


class Receiver:
    """One leg's incoming events. Feed every packet of the event payload type.

    A key is what shares a source, a code and a timestamp, whatever the sequence numbers say: some
    senders repeat one number on all end packets. ``now`` is monotonic seconds.
    """

    def __init__(self, hold_timeout: float = HOLD_TIMEOUT) -> None:
        self._hold_timeout = hold_timeout
        self._heard: deque[_Heard] = deque(maxlen=MEMORY_KEYS)
        self._held: _Heard | None = None
        self._released: list[Released] = []

    @property
    def held(self) -> str | None:
        """The key that is down now."""
        return DIGITS[self._held.code] if self._held is not None else None

    def receive(self, payload: bytes, timestamp: int, ssrc: int, now: float) -> Key | None:
        """Take one packet; the key if it is the first of one, else None. Never raises."""
        event = Event.parse(payload)
        if event is None or event.code >= len(DIGITS):
            return None
        self.expire(now)
        known = self._find(event, timestamp, ssrc, now)
        if known is not None:
            self._continue(known, event, timestamp, now)
            return None
        # Another key began, so the one before it is up even if all its end packets were lost.
        self._release(timed_out=True)
        heard = _Heard(ssrc, event.code, timestamp, timestamp, event.duration, now, event.end)
        self._heard.append(heard)
        self._held = heard
        if event.end:
            self._release(timed_out=False)
        return Key(DIGITS[event.code], ssrc, timestamp)

    def expire(self, now: float) -> None:
        """Release a key whose packets have ceased."""
        if self._held is not None and now - self._held.last_at >= self._hold_timeout:
            self._release(timed_out=True)

    def take_released(self) -> list[Released]:
        """Releases since the last call, oldest first."""
        released, self._released = self._released, []
        return released

    def _find(self, event: Event, timestamp: int, ssrc: int, now: float) -> _Heard | None:
        for heard in reversed(self._heard):
            if heard.code != event.code or heard.ssrc != ssrc:
                continue
            if now - heard.last_at > MEMORY_SECONDS:
                continue
            if heard.start == timestamp or heard.segment == timestamp:
                return heard
            # RFC 4733 §2.5.1.3: an event longer than the duration field goes on as a segment
            # whose timestamp follows where the field ran out. Senders round that to a packet.
            ahead = diff32(timestamp, heard.segment)
            if not heard.ended and MAX_DURATION - 0xFFF <= ahead <= MAX_DURATION + 1:
                return heard
        return None

    def _continue(self, heard: _Heard, event: Event, timestamp: int, now: float) -> None:
        heard.last_at = now
        if heard is not self._held:
            return
        if diff32(timestamp, heard.segment) > 0:
            heard.segment = timestamp
        total = diff32(timestamp, heard.start) + event.duration
        # A retransmitted or reordered packet carries an older, shorter duration.
        heard.duration = max(heard.duration, total)
        if event.end:
            self._release(timed_out=False)

    def _release(self, *, timed_out: bool) -> None:
        held, self._held = self._held, None
        if held is None:
            return
        held.ended = True
        self._released.append(Released(DIGITS[held.code], held.duration, timed_out))
        # Nobody may have asked for releases; they must not pile up.
        del self._released[:-MEMORY_KEYS]


@dataclass(frozen=True, slots=True)
class EventPacket:
    """One packet to send: ``tick`` counts packet times from now, and the RTP timestamp is that of
    tick ``start`` (the same for all packets of a key)."""

    tick: int
    start: int
    digit: str
    marker: bool
    payload: bytes


def plan(
    digits: str,
    *,
    duration_ms: int = 100,
    gap_ms: int = 100,
    volume: int = 10,
    ptime: int = 20,
    clock: int = 8000,
) -> list[EventPacket]:
    """The packets that send ``digits``, one a tick (RFC 4733 §2.5.1).

    Each key is ``duration_ms`` long with rising durations, its last packet sent three times, then
    at least ``gap_ms`` of nothing (the audio goes on in ticks without an event). ``,`` and ``w``
    wait half a second. ``volume`` is in -dBm0, 0 to 63; ``ptime`` in ms.

    Raises:
        ValueError: a character that is no key.
    """
    per_tick = clock * ptime // 1000
    steps = max(2, -(-duration_ms // ptime))
    rest = max(0, -(-gap_ms // ptime) - (END_PACKETS - 1))
    packets: list[EventPacket] = []
    tick = 0
    for char in digits.upper():
        if char in ",W":
            tick += -(-PAUSE_MS // ptime)
            continue
        code = DIGITS.find(char)
        if code < 0:
            raise ValueError(f"{char!r} is no key")
        start = tick
        for step in range(1, steps + END_PACKETS):
            elapsed = min(step, steps) * per_tick
            event = Event(code, step >= steps, volume, min(elapsed, MAX_DURATION))
            packets.append(EventPacket(tick, start, char, step == 1, bytes(event)))
            tick += 1
        tick += rest
    return packets
