"""RTCP (RFC 3550 §6): reading compound packets from anybody, writing ours.

Reading never raises: what does not hold together gives an empty result, as RFC 3550 A.2 asks.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from telephony.rtp.packet import VERSION
from telephony.rtp.xr import XR, ExtendedReport

SR, RR, SDES, BYE, APP = 200, 201, 202, 203, 204
CNAME = 1
MAX_REPORTS = 31
MAX_PACKETS = 32
"""Packets read of one compound; more in a datagram is nobody's honest report."""
NTP_EPOCH = 2_208_988_800
"""Seconds from 1900 to 1970."""


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """How one source is heard (RFC 3550 §6.4.1). ``fraction_lost`` in 256ths, ``jitter`` in
    timestamp units, ``last_sr`` the middle 32 bits of NTP time, ``delay`` in 1/65536 s."""

    ssrc: int
    fraction_lost: int
    cumulative_lost: int
    highest_sequence: int
    jitter: int
    last_sr: int
    delay: int

    @classmethod
    def parse(cls, data: bytes, at: int) -> ReportBlock:
        """The 24 octets at ``at``; the caller has checked that they are there."""
        ssrc, loss, highest, jitter, last_sr, delay = struct.unpack_from("!6L", data, at)
        lost = loss & 0xFFFFFF
        lost -= (lost & 0x800000) << 1
        return cls(ssrc, loss >> 24, lost, highest, jitter, last_sr, delay)

    def __bytes__(self) -> bytes:
        return struct.pack(
            "!6L",
            self.ssrc,
            self.fraction_lost << 24 | self.cumulative_lost & 0xFFFFFF,
            self.highest_sequence,
            self.jitter,
            self.last_sr,
            self.delay,
        )


@dataclass(frozen=True, slots=True)
class SenderReport:
    """SR (RFC 3550 §6.4.1). ``ntp`` is 32.32 fixed point since 1900."""

    ssrc: int
    ntp: int
    timestamp: int
    packets: int
    octets: int
    reports: tuple[ReportBlock, ...] = ()

    def __bytes__(self) -> bytes:
        body = struct.pack("!LQLLL", self.ssrc, self.ntp, self.timestamp, self.packets, self.octets)
        return _wrap(SR, len(self.reports), body + b"".join(map(bytes, self.reports)))


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """RR (RFC 3550 §6.4.2)."""

    ssrc: int
    reports: tuple[ReportBlock, ...] = ()

    def __bytes__(self) -> bytes:
        body = struct.pack("!L", self.ssrc) + b"".join(map(bytes, self.reports))
        return _wrap(RR, len(self.reports), body)


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """SDES (RFC 3550 §6.5): chunks of (source, ((item, text), …))."""

    chunks: tuple[tuple[int, tuple[tuple[int, bytes], ...]], ...]

    @classmethod
    def cname(cls, ssrc: int, name: str) -> SourceDescription:
        """One chunk with the canonical name every compound must carry."""
        return cls(((ssrc, ((CNAME, name.encode()[:255]),)),))

    def __bytes__(self) -> bytes:
        body = b""
        for ssrc, items in self.chunks:
            chunk = struct.pack("!L", ssrc)
            chunk += b"".join(bytes((kind, len(text))) + text for kind, text in items)
            body += chunk + bytes(4 - len(chunk) % 4)
        return _wrap(SDES, len(self.chunks), body)


@dataclass(frozen=True, slots=True)
class Goodbye:
    """BYE (RFC 3550 §6.6)."""

    sources: tuple[int, ...]
    reason: bytes = b""

    def __bytes__(self) -> bytes:
        body = struct.pack(f"!{len(self.sources)}L", *self.sources)
        if self.reason:
            text = bytes([len(self.reason)]) + self.reason
            body += text + bytes(-len(text) % 4)
        return _wrap(BYE, len(self.sources), body)


RtcpPacket = SenderReport | ReceiverReport | SourceDescription | Goodbye | ExtendedReport


class _Malformed(ValueError):
    """Stays in this file: the reader's way out of nested fields."""


def parse(data: bytes) -> list[RtcpPacket]:
    """The packets of a compound, in order; empty where it is not valid as a whole.

    APP, feedback and unknown types are passed over. Every packet must be of version 2 and their
    lengths must add up to the datagram (RFC 3550 A.2). Deviation: a compound need not begin with
    a report, because phones send a BYE alone (as RFC 5506 allows later).
    """
    try:
        return _parse_compound(data)
    except _Malformed:
        return []


def _parse_compound(data: bytes) -> list[RtcpPacket]:
    packets: list[RtcpPacket] = []
    at, size = 0, len(data)
    for _ in range(MAX_PACKETS):
        if at == size:
            return packets
        if at + 4 > size or data[at] >> 6 != VERSION:
            raise _Malformed
        flags, kind, words = struct.unpack_from("!BBH", data, at)
        end = at + 4 + 4 * words
        if end > size or not 192 <= kind <= 223:
            raise _Malformed
        padding = 0
        if flags & 0x20:
            # RFC 3550 §6.4.1: only the last packet of a compound may be padded.
            padding = data[end - 1]
            if end != size or padding == 0 or padding % 4 or padding > 4 * words:
                raise _Malformed
        packet = _parse_one(kind, flags & 0x1F, data[at + 4 : end - padding])
        if packet is not None:
            packets.append(packet)
        at = end
    raise _Malformed


def _parse_one(kind: int, count: int, body: bytes) -> RtcpPacket | None:
    if kind in (SR, RR):
        start = 24 if kind == SR else 4
        _need(len(body) >= start + 24 * count)
        reports = tuple(ReportBlock.parse(body, start + 24 * i) for i in range(count))
        if kind == RR:
            return ReceiverReport(struct.unpack_from("!L", body)[0], reports)
        ssrc, ntp, timestamp, packets, octets = struct.unpack_from("!LQLLL", body)
        return SenderReport(ssrc, ntp, timestamp, packets, octets, reports)
    if kind == BYE:
        _need(len(body) >= 4 * count)
        sources = struct.unpack_from(f"!{count}L", body)
        rest = body[4 * count :]
        _need(not rest or rest[0] < len(rest))
        return Goodbye(sources, rest[1 : 1 + rest[0]] if rest else b"")
    if kind == XR:
        extended = ExtendedReport.parse(body)
        _need(extended is not None)
        return extended
    return _parse_sdes(count, body) if kind == SDES else None


def _parse_sdes(count: int, body: bytes) -> SourceDescription:
    chunks: list[tuple[int, tuple[tuple[int, bytes], ...]]] = []
    at = 0
    for _ in range(count):
        _need(at + 5 <= len(body))
        (ssrc,) = struct.unpack_from("!L", body, at)
        at += 4
        items: list[tuple[int, bytes]] = []
        while body[at]:
            _need(at + 2 < len(body) and at + 2 + body[at + 1] < len(body))
            items.append((body[at], body[at + 2 : at + 2 + body[at + 1]]))
            at += 2 + body[at + 1]
        at += 4 - at % 4
        _need(at <= len(body))
        chunks.append((ssrc, tuple(items)))
    return SourceDescription(tuple(chunks))


def _need(condition: bool) -> None:
    if not condition:
        raise _Malformed


def compound(*packets: RtcpPacket) -> bytes:
    """The octets of a datagram; the caller puts the report first (RFC 3550 §6.1)."""
    return b"".join(bytes(packet) for packet in packets)


def ntp_time(unix: float) -> int:
    """32.32 fixed-point NTP time of seconds since 1970."""
    return int((unix + NTP_EPOCH) * 4294967296) & 0xFFFFFFFFFFFFFFFF


def middle(ntp: int) -> int:
    """The middle 32 bits, as ``last_sr`` carries them."""
    return ntp >> 16 & 0xFFFFFFFF


def round_trip(block: ReportBlock, now_ntp: int) -> float | None:
    """Seconds to the far end and back (RFC 3550 §6.4.1), None before it has heard an SR of ours.

    A far end that lies or a clock that stepped gives nonsense: over a minute is None.
    """
    if block.last_sr == 0:
        return None
    elapsed = (middle(now_ntp) - block.last_sr - block.delay) & 0xFFFFFFFF
    seconds = elapsed / 65536
    return seconds if seconds < 60 else None


def _wrap(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", VERSION << 6 | count, kind, len(body) // 4) + body
