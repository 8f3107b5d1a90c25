"""Datagrams of a whole tick: what came in as arrays, and the plain way to get them.

Two ways lead to the sockets. ``EpollSockets``, here, makes a system call a datagram; it works
everywhere and also takes sockets whose sources must be looked at. ``RingSockets`` (``ring.py``)
makes one or two system calls a tick where the kernel has io_uring.
"""

from __future__ import annotations

import fcntl
import select
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from telephony.base.clock import Clock
from telephony.media.columns import Codes, Floats, Rows

WIDTH = 640
"""Octets kept of a datagram: 60 ms of G.711 with a long header extension. What fills a row was
longer and is dropped."""
SIOCGSTAMP = 0x8906
PASSES = 2
"""Looks at the sockets in a tick: the second finds lanes that had two datagrams waiting."""
MAX_PASSES = 8
"""Looks in every eighth tick, and while an eighth of all lanes had one more: datagrams that one
lane may have taken in a tick. The rest waits in the kernel."""
STAMP_EVERY = 16
"""Arrival is asked of two neighbouring ticks of so many: a system call a packet less."""

Send = Callable[[Any], object]
"""Sends one datagram; raises OSError."""
Receive = Callable[[memoryview], int]
"""Takes one datagram into the view, its size, 0 for none; raises OSError."""


@dataclass(slots=True)
class Batch:
    """``n`` datagrams, those of one lane in the order they came.

    ``rows`` int64 (n,): whose. ``sizes`` int32 (n,), ``WIDTH`` at most. ``matrix`` uint8
    (n, WIDTH or less): each from column 0. ``arrived`` float64 (n,): when the kernel got it, on
    the monotonic clock; NaN where unknown. Valid until the next call of ``receive``.
    """

    rows: Rows
    sizes: npt.NDArray[np.int32]
    matrix: Codes
    arrived: Floats


class EpollSockets:
    """Sockets polled by epoll: level-triggered, so that a pass needs no call that fails."""

    def __init__(self, clock: Clock) -> None:
        self.unsent = 0
        """Datagrams that the kernel did not take."""
        self.refused = 0
        """Times that a far end was heard not to listen."""
        self._clock = clock
        self._epoll = select.epoll()
        self._receivers: dict[int, Receive] = {}
        self._rows: dict[int, int] = {}
        self._descriptors: dict[int, int] = {}
        self._stamp = bytearray(16)
        self._matrix: Codes = np.zeros((0, WIDTH), np.uint8)
        self._views: list[memoryview] = []
        self._roster: list[tuple[Send, memoryview]] = []
        self._roster_rows: Rows | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def watch(self, row: int, descriptor: int, receive: Receive) -> None:
        """Take the datagrams of a lane's socket from now on."""
        self._receivers[descriptor] = receive
        if descriptor in self._rows:
            return
        self._rows[descriptor] = row
        self._descriptors[row] = descriptor
        self._epoll.register(descriptor, select.EPOLLIN)
        # The first request only switches the kernel's stamps on.
        self._stamped(row)
        if 2 * len(self._rows) > len(self._views):
            # Between ticks: nothing is in the matrix.
            size = max(64, 4 * len(self._rows))
            self._matrix = np.zeros((size, WIDTH), np.uint8)
            self._views = [memoryview(line) for line in self._matrix]

    def unwatch(self, row: int) -> None:
        """No longer; nothing where it was not watched."""
        descriptor = self._descriptors.pop(row, None)
        if descriptor is not None:
            self._epoll.unregister(descriptor)
            del self._receivers[descriptor], self._rows[descriptor]

    def receive(self, tick: int) -> list[Batch]:
        """What lies ready, in passes of one datagram a lane."""
        batches: list[Batch] = []
        lanes: list[int] = []
        sizes: list[int] = []
        enough, thorough = len(self._rows) // 8, tick % MAX_PASSES == 0
        for number in range(1, MAX_PASSES + 1):
            found = self._pass(lanes, sizes)
            if not found or (number >= PASSES and found <= enough and not thorough):
                break
            if len(lanes) == len(self._views):
                break
        if lanes:
            rows = np.array(lanes, np.int64)
            arrived = np.full(rows.size, np.nan)
            if tick % STAMP_EVERY < 2:
                arrived = self._arrivals(lanes)
            kept = self._matrix[: len(lanes)]
            batches.append(Batch(rows, np.array(sizes, np.int32), kept, arrived))
        return batches

    def send(self, rows: Rows, packets: Codes, size: int, senders: Callable[[int], Send]) -> None:
        """The first ``size`` octets of ``packets[row]`` for each of ``rows``.

        The same array object again means the same sockets and packets again.
        """
        if rows is not self._roster_rows:
            self._roster = [
                (senders(row), memoryview(packets[row])[:size]) for row in rows.tolist()
            ]
            self._roster_rows = rows
        failures = 0
        for send, packet in self._roster:
            try:
                send(packet)
            except OSError:
                # Refused: the far end does not listen yet. Full: what is late need not go out.
                failures += 1
        self.unsent += failures

    def close(self) -> None:
        """After the last socket."""
        self._epoll.close()

    def _pass(self, lanes: list[int], sizes: list[int]) -> int:
        views, receivers, rows = self._views, self._receivers, self._rows
        before = count = len(lanes)
        if count == len(views):
            return 0
        for descriptor, _ in self._epoll.poll(0, len(views) - count):
            row = rows[descriptor]
            try:
                size = receivers[descriptor](views[count])
            except OSError:
                # ECONNREFUSED: the far end does not listen yet, or no longer. BYE ends calls.
                self.refused += 1
                continue
            lanes.append(row)
            sizes.append(size)
            count += 1
        return count - before

    def _arrivals(self, lanes: list[int]) -> Floats:
        # A socket tells the time of its last datagram only: earlier ones of this tick have none.
        last = {row: index for index, row in enumerate(lanes)}
        found = np.full(len(lanes), np.nan)
        for row, index in last.items():
            found[index] = self._stamped(row)
        return found - (self._clock.now().timestamp() - self._clock.monotonic())

    def _stamped(self, row: int) -> float:
        try:
            fcntl.ioctl(self._descriptors[row], SIOCGSTAMP, self._stamp, True)
        except (OSError, KeyError):
            return float("nan")
        seconds, micros = _TIMEVAL.unpack(self._stamp)
        return float(seconds + micros * 1e-6)


_TIMEVAL = struct.Struct("ll")
