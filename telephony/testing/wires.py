"""RTP ports without a network: what a test puts in is received, what is sent is kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from telephony.media.terms import Address, Terms
from telephony.media.wires import Batch
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

    def open(self, row: int, host: str, changed: Callable[[], None]) -> MemoryWire:
        wire = self.wires[row] = MemoryWire(row, host, changed)
        return wire

    def receive(self, batch: Batch) -> int:
        before = len(batch.lanes)
        for row, wire in self.wires.items():
            if wire.inbox and batch.room:
                data = wire.inbox.popleft()[: batch.matrix.shape[1]]
                batch.views[len(batch.lanes)][: len(data)] = data
                batch.lanes.append(row)
                batch.sizes.append(len(data))
        return len(batch.lanes) - before

    def arrivals(self, rows: Iterable[int]) -> npt.NDArray[np.float64]:
        return np.array([self.stamps.get(row, np.nan) for row in rows], np.float64)

    def receive_rtcp(self) -> list[tuple[int, bytes]]:
        return [(r, w.rtcp_inbox.popleft()) for r, w in self.wires.items() if w.rtcp_inbox]
