"""All settled RTP sockets of a bank through io_uring: two system calls a tick.

A multishot ``recvmsg`` a socket puts each datagram, with the kernel's arrival time, into a buffer
that the kernel chooses; sends are an array of orders of which only failures are reported.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

import numpy as np
import numpy.typing as npt

from telephony.base.clock import Clock
from telephony.media.columns import Codes, Flags, Rows
from telephony.media.datagrams import Batch
from telephony.media.uring import (
    BUFFER_SELECT,
    HAS_BUFFER,
    HAS_MORE,
    MULTISHOT,
    OP_ASYNC_CANCEL,
    OP_RECVMSG,
    OP_SEND,
    SKIP_SUCCESS,
    SQE,
    Buffers,
    Ring,
)

SO_TIMESTAMPNS = 35
_HEAD, _CONTROL = 16, 32
"""Octets before the datagram: struct io_uring_recvmsg_out, then room for one SCM_TIMESTAMPNS."""
_SECONDS = (_HEAD + 16) // 8
"""Word of the timespec: behind the control message's header."""
_START = _HEAD + _CONTROL
_STRIDE = 704
"""Octets of a buffer: the above and ``WIDTH``, in whole cache lines."""
SPARE = 256
ORDERS = 4096
MOST_OF_A_LANE = 32
"""Datagrams of one lane that are looked at in a tick, the newest: over half a second of a stream,
which may come at once after a stall. More is a flood, and no lane may keep the others waiting."""
GAIN = 4
"""Datagrams by which a lane's allowance grows a tick: twice what a stream of 10 ms has. Who floods
on has no more; each datagram of a lane in a tick costs as much as one of all lanes."""
_SEND, _CANCEL = np.uint64(1 << 62), np.uint64(1 << 63)
_ROW = np.uint64(0xFFFFFFFF)
_GOOD = HAS_BUFFER | HAS_MORE
"""Bits of ``user_data``; a receive has the socket's generation in bits 32 to 61 and its row."""


class RingSockets:
    """Connected sockets, by row.

    Raises:
        OSError: this kernel, or whoever forbids it, does not let us. ``EpollSockets`` does then.
    """

    def __init__(self, clock: Clock, lanes: int) -> None:
        """``lanes``: most that are expected; a bank with seats has rows beyond them."""
        self.unsent = 0
        self.refused = 0
        self.flooded = 0
        """Datagrams dropped because their lane had more than enough in a tick."""
        self._clock = clock
        most = 1 << min(15, (2 * lanes + SPARE - 1).bit_length())
        self._ring = Ring(ORDERS, max(ORDERS, 2 * most))
        self._buffers = Buffers(self._ring, most, _STRIDE)
        self._message = np.zeros(7, np.uint64)
        # struct msghdr: no name, no vector, room for control data.
        self._message[5] = _CONTROL
        self._descriptors = np.full(lanes, -1, np.int32)
        self._generation = np.zeros(lanes, np.int64)
        self._allowance = np.full(lanes, MOST_OF_A_LANE, np.int64)
        self._idle: list[int] = []
        self._count = self._armed = 0
        self._roster = np.zeros(0, SQE)
        self._roster_rows: Rows | None = None
        self._prove()

    def __len__(self) -> int:
        return self._count

    def has(self, rows: Rows) -> Flags:
        """Which rows' sockets are here."""
        inside = rows < self._descriptors.size
        inside[inside] = self._descriptors[rows[inside]] >= 0
        return inside

    def watch(self, row: int, sock: socket.socket) -> None:
        """Receive from a connected socket, and send through it."""
        self.unwatch(row)
        if row >= self._descriptors.size:
            more = row + 1
            self._descriptors = np.concatenate([self._descriptors, np.full(more, -1, np.int32)])
            self._generation = np.concatenate([self._generation, np.zeros(more, np.int64)])
            self._allowance = np.concatenate([self._allowance, np.zeros(more, np.int64)])
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._descriptors[row] = sock.fileno()
        self._allowance[row] = MOST_OF_A_LANE
        self._generation[row] = (self._generation[row] + 1) & 0x3FFFFFFF
        self._count += 1
        self._buffers.provide(2 * self._count + SPARE)
        self._idle.append(row)

    def unwatch(self, row: int) -> None:
        """No longer; the kernel lets go of the socket before this returns."""
        if row >= self._descriptors.size or self._descriptors[row] < 0:
            return
        order = np.zeros(1, SQE)
        order["opcode"], order["fd"] = OP_ASYNC_CANCEL, -1
        order["address"] = self._name(row)
        order["user_data"] = _CANCEL
        self._ring.submit(order)
        self._ring.work(2 * self._buffers.given)
        self._descriptors[row] = -1
        self._generation[row] = (self._generation[row] + 1) & 0x3FFFFFFF
        self._count -= 1

    def receive(self) -> list[Batch]:
        """What came in since the last call."""
        if self._idle:
            self._arm()
        if not self._count:
            return []
        np.minimum(self._allowance + GAIN, MOST_OF_A_LANE, out=self._allowance)
        self._ring.work(2 * self._buffers.given)
        results = self._ring.results()
        names = results["user_data"]
        others = names >= _SEND
        if others.any():
            self.unsent += int(np.count_nonzero(names[others] == _SEND))
            results = results[~others]
            names = results["user_data"]
        if not results.size:
            return []
        rows = (names & _ROW).astype(np.int64)
        flags, sizes = results["flags"], results["result"]
        ids = (flags >> 16).astype(np.int64)
        good = (flags & _GOOD) == _GOOD
        good &= names >> np.uint64(32) == self._generation[rows].view(np.uint64)
        if not good.all():
            rows, ids, sizes = self._sort_out(results, rows, ids)
        batch = self._copy(rows, ids, sizes)
        return [batch] if batch.rows.size else []

    def send(self, rows: Rows, packets: Codes, size: int) -> None:
        """The first ``size`` octets of ``packets[row]`` for each of ``rows``, all sockets of here.

        The same array object again means the same sockets and packets again.
        """
        if rows is not self._roster_rows:
            self._roster_rows = rows
            self._roster = orders = np.zeros(rows.size, SQE)
            orders["opcode"], orders["flags"] = OP_SEND, SKIP_SUCCESS
            orders["fd"] = self._descriptors[rows]
            orders["address"] = packets.ctypes.data + rows * packets.strides[0]
            orders["length"] = size
            # A full socket must fail: later the packet's memory holds another one.
            orders["op_flags"] = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
            orders["user_data"] = _SEND
        self._ring.submit(self._roster)

    def close(self) -> None:
        """After the last socket."""
        self._ring.close()

    # -- inside ---------------------------------------------------------------------------------

    def _name(self, row: int) -> int:
        return int(self._generation[row]) << 32 | row

    def _arm(self) -> None:
        rows = np.array([row for row in self._idle if self._descriptors[row] >= 0], np.int64)
        self._idle = []
        rows = np.unique(rows)
        orders = np.zeros(rows.size, SQE)
        orders["opcode"], orders["flags"], orders["ioprio"] = OP_RECVMSG, BUFFER_SELECT, MULTISHOT
        orders["fd"] = self._descriptors[rows]
        orders["address"] = self._message.ctypes.data
        orders["length"] = 1
        orders["user_data"] = (self._generation[rows] << 32) | rows
        self._ring.submit(orders)

    def _sort_out(
        self, results: npt.NDArray[Any], rows: Rows, ids: Rows
    ) -> tuple[Rows, Rows, npt.NDArray[np.int32]]:
        """Where receives ended, or are those of a socket before: (rows, ids, sizes) to take."""
        flags, sizes = results["flags"], results["result"]
        generation = (results["user_data"] >> np.uint64(32)).astype(np.int64)
        current = generation == self._generation[rows]
        ended = current & (flags & HAS_MORE == 0)
        # They begin again with the next tick.
        self._idle += rows[ended].tolist()
        self.refused += int(np.count_nonzero(sizes[ended] == -errno.ECONNREFUSED))
        filled = (flags & HAS_BUFFER) != 0
        wanted = current & filled & (sizes >= _START)
        self._buffers.give_back(ids[filled & ~wanted])
        return rows[wanted], ids[wanted], sizes[wanted]

    def _copy(self, rows: Rows, ids: Rows, results: npt.NDArray[np.int32]) -> Batch:
        pool = self._buffers.pool
        sizes = results - _START
        width = int(sizes.max(initial=12))
        matrix = pool[ids, _START : _START + max(width, 12)]
        heads = pool[ids, :_START].view(np.int64)
        self._buffers.give_back(ids)
        offset = self._clock.now().timestamp() - self._clock.monotonic()
        arrived = heads[:, _SECONDS] + heads[:, _SECONDS + 1] * 1e-9 - offset
        # The upper half of the first word is the length of the control data.
        arrived[heads[:, 0] >> 32 < _CONTROL] = np.nan
        batch = Batch(rows, sizes, matrix, arrived)
        counts = np.bincount(rows, minlength=self._allowance.size)
        if (counts > self._allowance).any():
            batch = self._without_floods(batch)
        self._allowance -= np.minimum(counts, self._allowance)
        return batch

    def _without_floods(self, batch: Batch) -> Batch:
        order = np.argsort(batch.rows[::-1], kind="stable")
        ranked = batch.rows[::-1][order]
        rank = np.arange(ranked.size) - np.searchsorted(ranked, ranked)
        kept = np.zeros(ranked.size, np.bool_)
        kept[ranked.size - 1 - order] = rank < self._allowance[ranked]
        self.flooded += int((~kept).sum())
        return Batch(batch.rows[kept], batch.sizes[kept], batch.matrix[kept], batch.arrived[kept])

    def _prove(self) -> None:
        """One datagram to ourselves: an old or a crippled io_uring is found out now."""
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
        ):
            for each in (one, other):
                each.bind(("127.0.0.1", 0))
            one.connect(other.getsockname())
            other.connect(one.getsockname())
            self.watch(0, one)
            self.receive()
            packet = np.frombuffer(b"is it there?", np.uint8)[None]
            other.send(packet.tobytes())
            found = self.receive()
            self.send(np.zeros(1, np.int64), packet, packet.shape[1])
            other.setblocking(False)
            echoed = other.recv(64)
            self.unwatch(0)
            self._roster_rows = None
        if not found or found[0].matrix.tobytes() != packet.tobytes() or echoed != packet.tobytes():
            self._ring.close()
            raise OSError(errno.ENOSYS, "io_uring is there and does not do what it should")
