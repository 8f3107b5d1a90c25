"""What the media engine is told once. Every field says what goes wrong without it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from telephony.base.errors import ConfigError

RATE = 8000
"""Samples a second of the narrow-band bank."""
TICK_MS = 20
FRAME = RATE * TICK_MS // 1000
"""Samples a lane and tick."""
SPARE_DESCRIPTORS = 256
"""Beside the lanes: SIP, the API, the store, recordings being closed, pipes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaConfig:
    """Ceilings and times of the engine.

    host: numeric address that RTP is bound to where a lane is not told otherwise.
    ports: first and last port; RTP takes even ones, RTCP the odd one above (RFC 3550 §11).
    drain_seconds: a port rests this long before it is used again, because the far end of the call
        before may still be sending, and a new call must not hear it.
    max_lanes: legs at once.
    depth_ms: play-out delay that a lane begins with. 20 is all there is to tell early from late.
    max_depth_ms: play-out delay that nothing exceeds; what lies deeper is dropped.
    first_packet_seconds, silence_seconds: the media time-outs before and after the first packet;
        every negotiation begins them anew.
    rtcp_seconds: mean time between reports (RFC 3550 §6.2: at least 5).
    probation: packets in order from a source that is not the negotiated one before it latches.
    tone_seconds: how long after each negotiation ringing, busy, SIT, fax tones and beeps are
        listened for; every lane in that time costs as much as all its other detectors twice.
    max_queued: sounds that may wait on one lane.
    prompt_bytes: memory of all prompts, 16 bit; the least used leave first.
    writer_bytes: sound on its way to disk; over it the recording fails, never the tick.
    hold_music: a WAV file that a lane hears, round and round, whose other party has put us on hold.
        Without it music of our own.
    max_message_seconds: longest message, whatever was asked.
    max_rooms, max_room_members: of one process.
    io: ``auto`` is io_uring where the kernel allows it (6.1 or newer; containers often forbid it),
        else epoll; ``epoll`` is epoll.
    """

    host: str = "127.0.0.1"
    ports: tuple[int, int] = (20000, 29999)
    drain_seconds: float = 5.0
    max_lanes: int = 4000
    depth_ms: int = 20
    max_depth_ms: int = 200
    first_packet_seconds: float = 30.0
    silence_seconds: float = 15.0
    rtcp_seconds: float = 5.0
    probation: int = 3
    tone_seconds: float = 30.0
    max_queued: int = 64
    prompt_bytes: int = 256 * 1024 * 1024
    writer_bytes: int = 128 * 1024 * 1024
    hold_music: Path | None = None
    max_message_seconds: float = 600.0
    max_rooms: int = 1000
    max_room_members: int = 200
    io: Literal["auto", "epoll"] = "auto"

    def __post_init__(self) -> None:
        first, last = self.ports
        if not (0 < first < last < 65536):
            raise ConfigError(f"ports {first}-{last} are no range", field="ports")
        if self.depth_ms % TICK_MS or self.max_depth_ms % TICK_MS:
            raise ConfigError("depths are multiples of 20 ms", field="depth_ms")
        if not TICK_MS <= self.depth_ms <= self.max_depth_ms <= 400:
            raise ConfigError("20 ≤ depth_ms ≤ max_depth_ms ≤ 400", field="depth_ms")
        if self.max_lanes < 1:
            raise ConfigError("max_lanes is at least 1", field="max_lanes")


def descriptors_needed(max_lanes: int) -> int:
    """File descriptors for so many legs with a recording each; RLIMIT_NOFILE must allow them."""
    return 3 * max_lanes + SPARE_DESCRIPTORS
