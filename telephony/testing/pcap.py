"""UDP payloads out of a capture file: pcap and pcapng, Ethernet, BSD loopback and Linux cooked."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_NULL, _ETHERNET, _RAW, _COOKED = 0, 1, 101, 113
_LINK_HEADER = {_NULL: 4, _ETHERNET: 14, _RAW: 0, _COOKED: 16}


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP datagram. ``at`` is seconds since 1970; ports tell streams apart."""

    at: float
    source: tuple[str, int]
    destination: tuple[str, int]
    payload: bytes


def read(data: bytes) -> list[Datagram]:
    """Every UDP datagram over IPv4 in a capture, in order; anything else is passed over.

    Raises:
        ValueError: neither pcap nor pcapng.
    """
    frames = _pcapng(data) if data[:4] == b"\x0a\x0d\x0d\x0a" else _pcap(data)
    return [found for at, link, frame in frames if (found := _udp(at, link, frame)) is not None]


def _pcap(data: bytes) -> Iterator[tuple[float, int, bytes]]:
    orders = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}
    order = orders.get(data[:4])
    if order is None:
        raise ValueError("neither pcap nor pcapng")
    (link,) = struct.unpack_from(order + "L", data, 20)
    at = 24
    while at + 16 <= len(data):
        seconds, micros, size, _ = struct.unpack_from(order + "4L", data, at)
        yield seconds + micros / 1e6, link, data[at + 16 : at + 16 + size]
        at += 16 + size


def _pcapng(data: bytes) -> Iterator[tuple[float, int, bytes]]:
    links: list[int] = []
    order = "<" if data[8:12] == b"\x4d\x3c\x2b\x1a" else ">"
    at = 0
    while at + 12 <= len(data):
        kind, size = struct.unpack_from(order + "LL", data, at)
        if kind == 1:
            links.append(struct.unpack_from(order + "H", data, at + 8)[0])
        elif kind == 6:
            number, high, low, length = struct.unpack_from(order + "4L", data, at + 8)
            yield (high << 32 | low) / 1e6, links[number], data[at + 28 : at + 28 + length]
        at += size


def _udp(at: float, link: int, frame: bytes) -> Datagram | None:
    start = _LINK_HEADER.get(link)
    if start is None or len(frame) < start + 28:
        return None
    packet = frame[start:]
    if packet[0] >> 4 != 4 or packet[9] != 17:
        return None
    header = 4 * (packet[0] & 0x0F)
    source_port, port, size = struct.unpack_from("!3H", packet, header)
    source, target = (".".join(map(str, packet[i : i + 4])) for i in (12, 16))
    return Datagram(at, (source, source_port), (target, port), packet[header + 8 : header + size])
