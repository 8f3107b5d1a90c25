"""io_uring by hand: two rings shared with the kernel, seen as numpy arrays (io_uring(7)).

Orders (SQE) for a thousand sockets are one array copy and one system call; results (CQE) are read
as an array. Nothing here knows of RTP.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

SQE = np.dtype(
    [
        ("opcode", np.uint8),
        ("flags", np.uint8),
        ("ioprio", np.uint16),
        ("fd", np.int32),
        ("offset", np.uint64),
        ("address", np.uint64),
        ("length", np.uint32),
        ("op_flags", np.uint32),
        ("user_data", np.uint64),
        ("group", np.uint16),
        ("personality", np.uint16),
        ("file_index", np.int32),
        ("address3", np.uint64),
        ("pad", np.uint64),
    ]
)
CQE = np.dtype([("user_data", np.uint64), ("result", np.int32), ("flags", np.uint32)])
_BUFFER = np.dtype(
    [("address", np.uint64), ("length", np.uint32), ("id", np.uint16), ("tail", np.uint16)]
)

OP_RECVMSG, OP_ASYNC_CANCEL, OP_SEND = 10, 14, 26
BUFFER_SELECT, SKIP_SUCCESS = 1 << 5, 1 << 6
"""SQE flags: the kernel picks a buffer; only a failure leaves a CQE."""
MULTISHOT = 1 << 1
"""``ioprio`` of a receive that goes on until it fails."""
HAS_BUFFER, HAS_MORE = 1 << 0, 1 << 1
"""CQE flags: the upper 16 bits name a buffer; the multishot goes on."""

_SETUP, _ENTER, _REGISTER = 425, 426, 427
"""System calls; the same numbers on every architecture."""
_CQSIZE, _CLAMP, _SUBMIT_ALL = 1 << 3, 1 << 4, 1 << 7
_SINGLE_ISSUER, _DEFER_TASKRUN = 1 << 12, 1 << 13
_GETEVENTS, _EXT_ARG = 1 << 0, 1 << 3
_REGISTER_PBUF_RING = 22
_OFF_SQES = 0x10000000
_LIBC = ctypes.CDLL(None, use_errno=True)


class Ring:
    """A pair of rings. Used by the thread that made it and no other.

    Raises:
        OSError: the kernel has no io_uring, an older one than 6.1, or forbids it (containers do).
    """

    def __init__(self, entries: int, completions: int) -> None:
        params = bytearray(120)
        # Completions are worked on when we ask for them and at no other time: a datagram that
        # comes in wakes nobody.
        flags = _CQSIZE | _CLAMP | _SUBMIT_ALL | _SINGLE_ISSUER | _DEFER_TASKRUN
        struct.pack_into("3I", params, 0, entries, completions, flags)
        self._fd = _call(_SETUP, entries, (ctypes.c_char * 120).from_buffer(params))
        self.entries, count = struct.unpack_from("2I", params)
        submit, complete = (
            struct.unpack_from("10I", params, 40),
            struct.unpack_from("10I", params, 80),
        )
        size = max(submit[6] + 4 * self.entries, complete[5] + CQE.itemsize * count)
        try:
            self._shared = _map(self._fd, size, 0)
            self._orders = _map(self._fd, SQE.itemsize * self.entries, _OFF_SQES)
        except OSError:
            os.close(self._fd)
            raise
        words = np.frombuffer(self._shared, np.uint32, size // 4)
        words[submit[6] // 4 : submit[6] // 4 + self.entries] = np.arange(self.entries)
        self._submit_tail = words[submit[1] // 4 : submit[1] // 4 + 1]
        self._complete_head = words[complete[0] // 4 : complete[0] // 4 + 1]
        self._complete_tail = words[complete[1] // 4 : complete[1] // 4 + 1]
        self._results = np.frombuffer(self._shared, CQE, count, complete[5])
        self._sqes = np.frombuffer(self._orders, SQE, self.entries)
        self._tail = self._head = 0
        self._no_wait = np.zeros(2, np.int64)
        self._argument = np.array([0, 0, self._no_wait.ctypes.data], np.uint64)

    @property
    def descriptor(self) -> int:
        return self._fd

    def submit(self, orders: npt.NDArray[Any]) -> None:
        """Hand over SQEs of any number; those that need not wait are carried out at once.

        Raises:
            OSError: the kernel took none of them.
        """
        for start in range(0, len(orders), self.entries):
            part = orders[start : start + self.entries]
            _put(self._sqes, self._tail, part)
            self._tail = (self._tail + len(part)) & 0xFFFFFFFF
            self._submit_tail[0] = self._tail
            _call(_ENTER, self._fd, len(part), 0, 0, None, ctypes.c_size_t(0))

    def work(self, most: int) -> None:
        """Let the kernel work on what came in, up to about ``most`` results."""
        # With nothing to wait for the kernel would stop after 20; with a wait of no time it goes
        # on to ``most`` and then says ETIME.
        argument = ctypes.c_void_p(self._argument.ctypes.data)
        _LIBC.syscall(
            _ENTER, self._fd, 0, most, _GETEVENTS | _EXT_ARG, argument, ctypes.c_size_t(24)
        )

    def results(self) -> npt.NDArray[Any]:
        """All CQEs there are; they are taken."""
        tail = int(self._complete_tail[0])
        count = (tail - self._head) & 0xFFFFFFFF
        found = _get(self._results, self._head, count)
        self._head = tail
        self._complete_head[0] = tail
        return found

    def close(self) -> None:
        """End every order; the sockets of receives are let go."""
        os.close(self._fd)
        self._fd = -1
        # A mapping holds a descriptor of its own, and is held by the arrays over it.
        del self._submit_tail, self._complete_head, self._complete_tail, self._results, self._sqes
        self._shared.close()
        self._orders.close()


class Buffers:
    """Rows of one matrix that the kernel fills: ``pool`` uint8 (count, width), given back by id.

    They are used first in, first out, so no more are given than are needed: those that lie still
    in the processor's cache are used again.
    """

    def __init__(self, ring: Ring, count: int, width: int, group: int = 0) -> None:
        """``count`` is a power of two, 32768 at most. Raises OSError."""
        self.pool: npt.NDArray[np.uint8] = np.zeros((count, width), np.uint8)
        self._shared = mmap.mmap(-1, count * _BUFFER.itemsize)
        self._ring = np.frombuffer(self._shared, _BUFFER)
        self._ring["length"] = width
        # The ring's tail lies in the first entry's unused field.
        self._shown_tail = np.frombuffer(self._shared, np.uint16)[7:8]
        self._tail = self.given = 0
        register = struct.pack("QIHHQQQ", self._ring.ctypes.data, count, group, 0, 0, 0, 0)
        _call(_REGISTER, ring.descriptor, _REGISTER_PBUF_RING, ctypes.c_char_p(register), 1)

    def provide(self, wanted: int) -> None:
        """Have so many in use, as far as there are."""
        more = np.arange(self.given, min(wanted, self.pool.shape[0]))
        if more.size:
            self.given += more.size
            self.give_back(more)

    def give_back(self, ids: npt.NDArray[np.int64]) -> None:
        """What was in them has been copied."""
        count, width = self.pool.shape
        places = (self._tail + np.arange(ids.size)) % count
        self._ring["address"][places] = self.pool.ctypes.data + ids * width
        self._ring["id"][places] = ids
        self._tail = (self._tail + ids.size) & 0xFFFF
        self._shown_tail[0] = self._tail


def _put(ring: npt.NDArray[Any], tail: int, items: npt.NDArray[Any]) -> None:
    at = tail % len(ring)
    first = min(len(items), len(ring) - at)
    ring[at : at + first] = items[:first]
    ring[: len(items) - first] = items[first:]


def _get(ring: npt.NDArray[Any], head: int, count: int) -> npt.NDArray[Any]:
    at = head % len(ring)
    if at + count <= len(ring):
        return ring[at : at + count].copy()
    first = ring[at:]
    return np.concatenate([first, ring[: count - len(first)]])


def _map(descriptor: int, size: int, offset: int) -> mmap.mmap:
    flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
    return mmap.mmap(descriptor, size, flags, mmap.PROT_READ | mmap.PROT_WRITE, offset=offset)


def _call(number: int, *arguments: Any) -> int:
    while True:
        result = int(_LIBC.syscall(number, *arguments))
        if result >= 0:
            return result
        code = ctypes.get_errno()
        if code != 4:  # EINTR
            raise OSError(code, os.strerror(code))
