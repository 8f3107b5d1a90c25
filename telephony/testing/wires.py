"""RTP ports without a network: what a test puts in is received, what is sent is kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from telephony.media.datagrams import MAX_PASSES, WIDTH, Batch
from telephony.media.terms import Address, Terms
from telephony.rtp.packet import Packet


class MemoryWire:
    """One lane's ports: ``arrive`` a packet, look at ``sent``."""

    def __init__(self, row: int, host: str, changed: Callable[[], None]) -> None:
        self.row = row
        self.local: Address = (host, 20000 + 2 * row)
        self.inbox: deque[bytes] = deque()
        self.rtcp_inbox: deque[bytes] = deque()
        self.sent: list[bytes] = []
        self.rtcp_sent: list[bytes] = []
        self.terms: Terms | None = None
        self.error: OSError | None = None
        self.closed = False
        self._changed = changed

    @property
    def send(self) -> Callable[[Any], object]:
        return self._send

    def aim(self, terms: Terms) -> None:
        self.terms = terms
        self._changed()

    def send_rtcp(self, data: bytes) -> None:
        self.rtcp_sent.append(data)

    def close(self) -> None:
        self.closed = True

    def arrive(self, packet: Packet | bytes) -> None:
        """The far end's datagram lies ready for the next tick."""
        self.inbox.append(bytes(packet))

    def packets(self) -> list[Packet]:
        """What was sent, parsed, oldest first."""
        return [p for p in map(Packet.parse, self.sent) if p is not None]

    def _send(self, data: Any) -> object:
        if self.error is not None:
            raise self.error
        self.sent.append(bytes(data))
        return len(data)


class MemoryWires:
    """The wires of a bank in a test. ``stamps`` are the arrival times that it is told."""

    def __init__(self) -> None:
        self.wires: dict[int, MemoryWire] = {}
        self.stamps: dict[int, float] = {}
        self.unsent = 0

    def open(self, row: int, host: str, changed: Callable[[], None]) -> MemoryWire:
        wire = self.wires[row] = MemoryWire(row, host, changed)
        return wire

    def receive(self, tick: int) -> list[Batch]:
        batches = []
        for _ in range(MAX_PASSES):
            waiting = [(row, w.inbox.popleft()) for row, w in self.wires.items() if w.inbox]
            if not waiting:
                break
            rows = np.array([row for row, _ in waiting], np.int64)
            sizes = np.array([min(len(data), WIDTH) for _, data in waiting], np.int32)
            matrix = np.zeros((len(waiting), WIDTH), np.uint8)
            for line, (_, data) in zip(matrix, waiting, strict=True):
                line[: len(data)] = np.frombuffer(data[:WIDTH], np.uint8)
            stamps = np.array([self.stamps.get(row, np.nan) for row, _ in waiting], np.float64)
            batches.append(Batch(rows, sizes, matrix, stamps))
        return batches

    def send(self, rows: npt.NDArray[np.int64], packets: npt.NDArray[np.uint8], size: int) -> None:
        for row in rows.tolist():
            try:
                self.wires[row].send(packets[row, :size])
            except OSError:
                self.unsent += 1

    def receive_rtcp(self) -> list[tuple[int, bytes]]:
        return [(r, w.rtcp_inbox.popleft()) for r, w in self.wires.items() if w.rtcp_inbox]
