"""WAV as bytes: reading what people upload, writing recordings whose length is known at the end."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from telephony.audio import g711, pcm
from telephony.audio.resample import MAX_RATE, MIN_RATE
from telephony.base.errors import BadInput

MAX_BYTES = 64 * 1024 * 1024
MAX_CHANNELS = 8
MAX_CHUNKS = 1000
HEADER_BYTES = 44
UNKNOWN = 0xFFFFFFFF
"""Size in the header of a file that is still being written; readers take what is there."""

_PCM, _FLOAT, _ALAW, _ULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


class WavError(BadInput):
    """No WAV file, or one we cannot read; the message names the chunk."""

    code = "WAV_ERROR"


@dataclass(frozen=True, slots=True)
class Wav:
    """``samples`` is int16 (channels, samples)."""

    samples: npt.NDArray[np.int16]
    rate: int

    @property
    def seconds(self) -> float:
        return float(self.samples.shape[1] / self.rate)


@dataclass(frozen=True, slots=True)
class _Format:
    kind: int
    channels: int
    rate: int
    bits: int

    @property
    def frame(self) -> int:
        """Octets of one sample of all channels."""
        return self.channels * self.bits // 8


def parse(data: bytes) -> Wav:
    """Read a file: PCM of 8, 16, 24 and 32 bit, float of 32 and 64 bit, A-law, µ-law.

    A data chunk that ends early, or whose size was never written, gives what is there.

    Raises:
        WavError: anything else.
    """
    if len(data) > MAX_BYTES:
        raise WavError(f"a file of {len(data)} octets, ceiling {MAX_BYTES}")
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise WavError("no RIFF header with the type WAVE")
    at, found = 12, None
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(data):
            break
        name, size = data[at : at + 4], struct.unpack_from("<L", data, at + 4)[0]
        start = at + 8
        if name == b"fmt ":
            found = _format(data[start : start + size])
        elif name == b"data":
            if found is None:
                raise WavError("chunk 'data' stands before chunk 'fmt '")
            # A writer that died leaves 0 or all ones: the rest of the file is the sound.
            end = len(data) if size in (0, UNKNOWN) else min(start + size, len(data))
            return Wav(_samples(data[start:end], found), found.rate)
        # RIFF: chunks begin at even offsets; the padding octet is not in the size.
        at = start + size + size % 2
    raise WavError("no chunk 'data'" if found is not None else "no chunk 'fmt '")


def _format(chunk: bytes) -> _Format:
    if len(chunk) < 16:
        raise WavError(f"chunk 'fmt ' has {len(chunk)} octets, at least 16 are needed")
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHLLHH", chunk)
    if kind == _EXTENSIBLE:
        if len(chunk) < 40 or chunk[26:40] != _GUID_TAIL:
            raise WavError("chunk 'fmt ' is extensible with a format unknown to us")
        kind = struct.unpack_from("<H", chunk, 24)[0]
    allowed = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64), _ALAW: (8,), _ULAW: (8,)}
    if bits not in allowed.get(kind, ()):
        raise WavError(f"chunk 'fmt ': format {kind:#06x} of {bits} bit is not one we read")
    if not 1 <= channels <= MAX_CHANNELS:
        raise WavError(f"chunk 'fmt ': {channels} channels, 1 to {MAX_CHANNELS} are read")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise WavError(f"chunk 'fmt ': {rate} Hz, {MIN_RATE} to {MAX_RATE} are read")
    return _Format(kind, channels, rate, bits)


def _samples(data: bytes, fmt: _Format) -> npt.NDArray[np.int16]:
    data = data[: len(data) // fmt.frame * fmt.frame]
    octets = np.frombuffer(data, np.uint8)
    if fmt.kind == _ULAW:
        flat = g711.ulaw_decode(octets)
    elif fmt.kind == _ALAW:
        flat = g711.alaw_decode(octets)
    elif fmt.kind == _FLOAT:
        flat = pcm.from_float(octets.view("<f4" if fmt.bits == 32 else "<f8"))
    elif fmt.bits == 8:
        flat = (octets.astype(np.int16) - 128) << 8
    elif fmt.bits == 16:
        flat = octets.view("<i2").astype(np.int16)
    else:
        # The two upper octets; what is below is 90 dB under full scale.
        wide = octets.reshape(-1, fmt.bits // 8)[:, -2:]
        flat = np.ascontiguousarray(wide).view("<i2")[:, 0].astype(np.int16)
    return np.ascontiguousarray(flat.reshape(-1, fmt.channels).T)


def header(rate: int, channels: int, data_bytes: int | None = None) -> bytes:
    """The 44 octets before 16-bit PCM; without ``data_bytes`` the length is still open."""
    size = UNKNOWN if data_bytes is None else data_bytes
    riff = min(size + HEADER_BYTES - 8, UNKNOWN)
    return struct.pack(
        "<4sL4s4sLHHLLHH4sL",
        b"RIFF",
        riff,
        b"WAVE",
        b"fmt ",
        16,
        _PCM,
        channels,
        rate,
        rate * channels * 2,
        channels * 2,
        16,
        b"data",
        min(size, UNKNOWN),
    )


def patches(data_bytes: int) -> tuple[tuple[int, bytes], tuple[int, bytes]]:
    """What to write over an open header, as (offset in the file, octets), once the sound ended."""
    riff = struct.pack("<L", min(data_bytes + HEADER_BYTES - 8, UNKNOWN))
    return (4, riff), (40, struct.pack("<L", min(data_bytes, UNKNOWN)))


def encode(samples: npt.NDArray[np.int16], rate: int) -> bytes:
    """A whole file of int16 (samples,) or (channels, samples)."""
    channels = np.atleast_2d(samples)
    body = np.ascontiguousarray(channels.T).astype("<i2", copy=False).tobytes()
    return header(rate, channels.shape[0], len(body)) + body
