"""RTP packets (RFC 3550 §5.1): one at a time for tests and tools, by the matrix for the engine.

The engine never makes ``Packet`` objects: it reads a whole tick's datagrams with ``parse_headers``
and writes them with ``write_headers``, both without a Python step a packet.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

HEADER_BYTES = 12
VERSION = 2

HEADER = np.dtype(
    [("flags", "u1"), ("type", "u1"), ("sequence", ">u2"), ("timestamp", ">u4"), ("ssrc", ">u4")]
)
"""The fixed header as a row of a structured array, in network order."""


# Slots and not frozen: a frozen one costs four times as much to build, and there are 50 a second.
@dataclass(slots=True)
class Packet:
    """One RTP packet. ``payload`` is without padding; ``extension`` is (profile, data)."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes = b""
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension: tuple[int, bytes] | None = None
    padding: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Packet | None:
        """The packet in a datagram, or None where it is none (RFC 3550 §5.1, A.1); never raises."""
        size = len(data)
        if size < HEADER_BYTES or data[0] >> 6 != VERSION:
            return None
        flags, kind, sequence, timestamp, ssrc = struct.unpack_from("!BBHLL", data)
        start = HEADER_BYTES + 4 * (flags & 0x0F)
        if start > size:
            return None
        csrcs = struct.unpack_from(f"!{flags & 0x0F}L", data, HEADER_BYTES)
        extension = None
        if flags & 0x10:
            if start + 4 > size:
                return None
            profile, words = struct.unpack_from("!HH", data, start)
            start += 4
            if start + 4 * words > size:
                return None
            extension = (profile, data[start : start + 4 * words])
            start += 4 * words
        padding = 0
        if flags & 0x20:
            padding = data[-1]
            if padding == 0 or start + padding > size:
                return None
        return cls(
            payload_type=kind & 0x7F,
            sequence=sequence,
            timestamp=timestamp,
            ssrc=ssrc,
            payload=data[start : size - padding],
            marker=bool(kind & 0x80),
            csrcs=csrcs,
            extension=extension,
            padding=padding,
        )

    def __bytes__(self) -> bytes:
        flags = VERSION << 6 | len(self.csrcs)
        if self.padding:
            flags |= 0x20
        if self.extension is not None:
            flags |= 0x10
        parts = [
            struct.pack(
                "!BBHLL",
                flags,
                self.marker << 7 | self.payload_type,
                self.sequence,
                self.timestamp,
                self.ssrc,
            ),
            struct.pack(f"!{len(self.csrcs)}L", *self.csrcs),
        ]
        if self.extension is not None:
            profile, content = self.extension
            parts.append(struct.pack("!HH", profile, len(content) // 4) + content)
        parts.append(self.payload)
        if self.padding:
            parts.append(bytes(self.padding - 1) + bytes([self.padding]))
        return b"".join(parts)


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram on a shared port is RTCP by its second octet (RFC 5761 §4)."""
    return len(data) >= 2 and 192 <= data[1] <= 223


@dataclass(slots=True)
class Headers:
    """The headers of ``n`` datagrams as arrays of shape (n,); fields of invalid rows mean nothing.

    The payload of row ``i`` is ``buf[i, offset[i] : offset[i] + length[i]]``, without padding.
    """

    valid: npt.NDArray[np.bool_]
    payload_type: npt.NDArray[np.uint8]
    marker: npt.NDArray[np.bool_]
    sequence: npt.NDArray[np.uint16]
    timestamp: npt.NDArray[np.uint32]
    ssrc: npt.NDArray[np.uint32]
    offset: npt.NDArray[np.int32]
    length: npt.NDArray[np.int32]


def parse_headers(buf: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int32]) -> Headers:
    """Read the headers of a whole batch (RFC 3550 §5.1).

    Args:
        buf: uint8 (n, width), a datagram a row from column 0; ``width`` at least 12.
        lengths: int32 (n,), octets received in each row, at most ``width``.

    Rows that are no RTP (too short, wrong version, a CSRC list, extension or padding that does not
    fit) have ``valid`` False, ``length`` 0 and ``offset`` 0. RTCP is not sorted out here:
    its types are payload types 64 to 95, which no session agrees on.
    """
    head = buf[:, :HEADER_BYTES].view(HEADER)[:, 0]
    flags = head["flags"]
    kind = head["type"]
    offset = ((flags & 0x0F).astype(np.int32) << 2) + HEADER_BYTES
    valid = (lengths >= offset) & (flags >> 6 == VERSION)
    _skip_extensions(buf, lengths, flags, offset, valid)
    length = lengths - offset
    _strip_padding(buf, lengths, flags, length, valid)
    valid &= length >= 0
    return Headers(
        valid=valid,
        payload_type=np.bitwise_and(kind, 0x7F, dtype=np.uint8),
        marker=kind > 0x7F,
        sequence=head["sequence"].astype(np.uint16),
        timestamp=head["timestamp"].astype(np.uint32),
        ssrc=head["ssrc"].astype(np.uint32),
        offset=offset * valid,
        length=length * valid,
    )


def _skip_extensions(
    buf: npt.NDArray[np.uint8],
    lengths: npt.NDArray[np.int32],
    flags: npt.NDArray[np.uint8],
    offset: npt.NDArray[np.int32],
    valid: npt.NDArray[np.bool_],
) -> None:
    rows = np.flatnonzero((flags & 0x10 != 0) & valid)
    if not rows.size:
        return
    fits = offset[rows] + 4 <= lengths[rows]
    valid[rows[~fits]] = False
    rows = rows[fits]
    at = offset[rows]
    words = buf[rows, at + 2].astype(np.int32) << 8 | buf[rows, at + 3]
    offset[rows] = at + 4 + 4 * words


def _strip_padding(
    buf: npt.NDArray[np.uint8],
    lengths: npt.NDArray[np.int32],
    flags: npt.NDArray[np.uint8],
    length: npt.NDArray[np.int32],
    valid: npt.NDArray[np.bool_],
) -> None:
    rows = np.flatnonzero((flags & 0x20 != 0) & valid)
    if not rows.size:
        return
    padding = buf[rows, lengths[rows] - 1]
    length[rows] -= padding
    valid[rows[padding == 0]] = False


def write_headers(
    out: npt.NDArray[np.uint8],
    payload_type: npt.ArrayLike,
    marker: npt.ArrayLike,
    sequence: npt.ArrayLike,
    timestamp: npt.ArrayLike,
    ssrc: npt.ArrayLike,
) -> None:
    """Write plain 12-octet headers into columns 0 to 11 of ``out`` (uint8 (n, width)).

    Each field is a scalar or shape (n,); ``marker`` is bool. Sequence and timestamp must already be
    reduced (uint16 and uint32 arrays wrap by themselves).
    """
    head = out[:, :HEADER_BYTES].view(HEADER)[:, 0]
    head["flags"] = VERSION << 6
    head["type"] = np.asarray(payload_type, np.uint8) | (np.asarray(marker, np.uint8) << 7)
    head["sequence"] = sequence
    head["timestamp"] = timestamp
    head["ssrc"] = ssrc
