"""Keys of each lane, in and out (RFC 4733): few packets, so each is looked at by itself."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from telephony.rtp.telephone_event import DIGITS, EventPacket, Receiver, plan

MAX_QUEUED_PACKETS = 2000
"""Packets of keys that may wait on one lane: about 200 keys."""
PAUSES = ",wW"


def keys_only(digits: str) -> str:
    """The characters that can be sent."""
    return "".join(c for c in digits if c.upper() in DIGITS or c in PAUSES)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A key's packet that is due now; ``timestamp`` is that of the key's beginning."""

    payload: bytes
    timestamp: int
    marker: bool


@dataclass(slots=True)
class _Dialling:
    packets: deque[EventPacket]
    tick: int = 0
    key_timestamp: int = 0
    last: int = 0
    """The tick after the last packet that was planned, and its gap."""


class Keypads:
    """Receivers and senders, made when a lane first needs one."""

    def __init__(self) -> None:
        self._receivers: dict[int, Receiver] = {}
        self._dialling: dict[int, _Dialling] = {}

    def heard(self, row: int, payload: bytes, timestamp: int, ssrc: int, now: float) -> str | None:
        """An event packet came in: the key where it is the first of one."""
        receiver = self._receivers.get(row)
        if receiver is None:
            receiver = self._receivers[row] = Receiver()
        key = receiver.receive(payload, timestamp, ssrc, now)
        receiver.take_released()
        return key.digit if key is not None else None

    def dial(self, row: int, digits: str) -> None:
        """Send keys behind those that are being sent."""
        dialling = self._dialling.get(row)
        start = max(dialling.tick, dialling.last) if dialling is not None else 0
        planned = plan(digits)
        if dialling is None:
            dialling = self._dialling[row] = _Dialling(deque())
        for packet in planned[: MAX_QUEUED_PACKETS - len(dialling.packets)]:
            dialling.packets.append(
                EventPacket(
                    packet.tick + start,
                    packet.start + start,
                    packet.digit,
                    packet.marker,
                    packet.payload,
                )
            )
        if dialling.packets:
            dialling.last = dialling.packets[-1].tick + _GAP_TICKS
        else:
            del self._dialling[row]

    @property
    def rows(self) -> list[int]:
        """Lanes that are sending keys."""
        return list(self._dialling)

    def due(self, row: int, timestamp: int) -> Outgoing | None:
        """A tick of a sending lane passes: the packet that takes the place of its sound, if any.

        ``timestamp`` is that of this tick.
        """
        dialling = self._dialling[row]
        tick = dialling.tick
        dialling.tick += 1
        if not dialling.packets or dialling.packets[0].tick > tick:
            return None
        packet = dialling.packets.popleft()
        if packet.start == packet.tick:
            dialling.key_timestamp = timestamp
        if not dialling.packets:
            del self._dialling[row]
        return Outgoing(packet.payload, dialling.key_timestamp, packet.marker)

    def forget(self, row: int) -> None:
        """The lane is closed."""
        self._receivers.pop(row, None)
        self._dialling.pop(row, None)


_GAP_TICKS = 4
