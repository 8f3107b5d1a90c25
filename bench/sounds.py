"""What the far ends say: a second of a wavering tone in each codec, with marks to find again.

A mark is a loud burst in the middle of every 25th frame. Where its codes come back out of the
system under test, the same sample has come back. Nothing of ours is used to make them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

FRAMES = 50
OCTETS = 160
MARK_EVERY, MARK_AT = 25, 12
TONE, MARK = 1200, 24000
LOUD = 9000
"""A code that means more than this is a mark's, whatever filters and codecs it went through."""
SILENCE = b"\xff" * OCTETS


@dataclass(frozen=True, slots=True)
class Voice:
    """A codec as the generator speaks it.

    Attributes:
        payload_type: the static one of RFC 3551; the clock is 8000 a second in each case.
        name: as SDP writes it.
        frames: 50 frames of 160 octets, one after another.
        loud: 256 octets, 1 for a code that only a mark has; all 0 where codes alone say nothing.
    """

    payload_type: int
    name: str
    frames: bytes
    loud: bytes


def ulaw(sample: int) -> int:
    """ITU-T G.711 section 3, µ-law."""
    sign = 0x80 if sample < 0 else 0
    value = min(abs(sample), 32635) + 132
    exponent = max(0, value.bit_length() - 8)
    return ~(sign | exponent << 4 | (value >> (exponent + 3)) & 0x0F) & 0xFF


def alaw(sample: int) -> int:
    """ITU-T G.711 section 3, A-law, even bits inverted."""
    value = sample >> 3 if sample >= 0 else -(sample >> 3) - 1
    exponent = max(0, value.bit_length() - 5)
    code = exponent << 4 | (value >> max(1, exponent)) & 0x0F
    return code ^ (0xD5 if sample >= 0 else 0x55)


def wave(rate: int) -> list[int]:
    """The second as samples at ``rate`` Hz, marks included."""
    samples = [
        int(TONE * math.sin(2 * math.pi * 310 * n / rate) * (1.2 + math.sin(7 * n / rate)))
        for n in range(rate)
    ]
    frame, burst = rate // FRAMES, rate // 1000
    for first in range(MARK_AT, FRAMES, MARK_EVERY):
        begin = first * frame + frame // 2 - burst
        for n in range(2 * burst):
            samples[begin + n] = int(MARK * math.sin(2 * math.pi * 1000 * n / rate))
    return samples


def companded(payload_type: int, name: str, law: Callable[[int], int]) -> Voice:
    least: dict[int, int] = {}
    for sample in range(-32768, 32768, 8):
        code = law(sample)
        least[code] = min(least.get(code, 32768), abs(sample))
    loud = bytes(least.get(code, 0) > LOUD for code in range(256))
    return Voice(payload_type, name, bytes(map(law, wave(8000))), loud)


def wideband() -> Voice | None:
    """G.722 as FFmpeg writes it; nothing without PyAV."""
    try:
        import av  # type: ignore[import-not-found]
        import numpy as np
    except ImportError:
        return None
    encoder = av.CodecContext.create("g722", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 16000, "mono", "s16"
    coded = b""
    # Twice round, the second kept, so that the loop has no seam.
    for _ in range(2):
        samples = np.array(wave(16000), np.int16).reshape(FRAMES, 1, 320)
        for block in samples:
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate = 16000
            coded += b"".join(bytes(packet) for packet in encoder.encode(frame))
    return Voice(9, "G722", coded[-FRAMES * OCTETS :], bytes(256))


def paused(voice: Voice, frames: int) -> Voice:
    """A µ-law voice that is silent for the last ``frames`` of each 50."""
    said = (FRAMES - frames) * OCTETS
    return replace(voice, frames=voice.frames[:said] + SILENCE * frames)


def opus() -> list[bytes]:
    """The second as Opus packets of 20 ms, 24 kbit/s.

    Raises:
        ImportError: PyAV is not there.
    """
    import av
    import numpy as np

    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48000, "mono", "s16"
    encoder.bit_rate = 24000
    packets: list[bytes] = []
    for _ in range(2):
        for block in np.array(wave(48000), np.int16).reshape(FRAMES, 1, 960):
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate = 48000
            packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets[-FRAMES:]


def voices() -> dict[str, Voice]:
    """The codecs that can be spoken here, by name."""
    found = [companded(0, "PCMU", ulaw), companded(8, "PCMA", alaw), wideband()]
    return {voice.name: voice for voice in found if voice is not None}
