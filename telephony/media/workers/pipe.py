"""One end of the stream between the service and a worker: messages and descriptors, never waiting.

A Unix stream socket. What cannot be sent at once waits in a queue with a ceiling; a side that lets
it fill has stopped to work.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import errno
import os
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from telephony.media.workers.messages import Message, Table

log = structlog.get_logger("telephony.media.pipe")

CEILING = 64 * 1024 * 1024
"""Octets that wait for the other side."""
RECEIVE = 256 * 1024
RECEIVE_BUFFER = 1024 * 1024
MAX_DESCRIPTORS = 32
"""Taken with one read; the kernel never joins two messages that carry some."""
GATHER = 64
RETRY = 0.01
READS = 8
"""Reads before the rest of the loop has its turn."""


@dataclass(slots=True)
class _Outgoing:
    data: memoryview
    descriptors: list[int]


class Pipe:
    """``take`` is called for each message, ``gone`` once when the other side is no more."""

    def __init__(
        self,
        end: socket.socket,
        incoming: Table,
        take: Callable[[Message], None],
        gone: Callable[[], None],
    ) -> None:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, RECEIVE_BUFFER)
        self._end = end
        self._incoming = incoming
        self._take = take
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._descriptors: deque[int] = deque()
        self._queue: deque[_Outgoing] = deque()
        self._queued = 0
        self._flushing = False
        self._writing = False
        self._open = True
        self._loop.add_reader(end.fileno(), self._readable)

    @property
    def queued(self) -> int:
        """Octets that wait."""
        return self._queued

    @property
    def open(self) -> bool:
        return self._open

    def send(self, message: bytes, descriptors: tuple[int, ...] = ()) -> None:
        """Queue one message. The descriptors are ours to close from now on."""
        if not self._open or self._queued + len(message) > CEILING:
            for descriptor in descriptors:
                os.close(descriptor)
            if self._open:
                log.error("media.worker_does_not_read", queued=self._queued)
                self._end_here()
            return
        self._queue.append(_Outgoing(memoryview(message), list(descriptors)))
        self._queued += len(message)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def descriptors(self) -> list[int]:
        """Those that came since the last time, the caller's to close. Where the kernel had no room
        for one, it is missing."""
        found = list(self._descriptors)
        self._descriptors.clear()
        return found

    async def drained(self, seconds: float) -> None:
        """Wait until all that is queued has left, or for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._queue and self._open:
                    await asyncio.sleep(0.005)

    def close(self) -> None:
        """No word more; ``gone`` is not called. Idempotent."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._end.fileno())
        if self._writing:
            self._loop.remove_writer(self._end.fileno())
        self._end.close()
        for item in self._queue:
            for descriptor in item.descriptors:
                os.close(descriptor)
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._queue.clear()
        self._descriptors.clear()

    # -- inside ---------------------------------------------------------------------------------

    def _end_here(self) -> None:
        self.close()
        # Not from within the order that found it out.
        self._loop.call_soon(self._gone)

    def _flush(self) -> None:
        self._flushing = False
        while self._queue and self._open:
            try:
                self._write()
            except BlockingIOError:
                if not self._writing:
                    self._writing = True
                    self._loop.add_writer(self._end.fileno(), self._flush)
                return
            except OSError as error:
                if error.errno == errno.ETOOMANYREFS:
                    # Too many descriptors on the way: the other side is taking them.
                    self._flushing = True
                    self._loop.call_later(RETRY, self._flush)
                    return
                self._end_here()
                return
        if self._writing and self._open:
            self._writing = False
            self._loop.remove_writer(self._end.fileno())

    def _write(self) -> None:
        """One system call. Descriptors go with the first octet of their message."""
        first, queue = self._queue[0], self._queue
        if first.descriptors:
            rights = array.array("i", first.descriptors)
            sent = self._end.sendmsg([first.data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            for descriptor in first.descriptors:
                os.close(descriptor)
            first.descriptors = []
        else:
            parts: list[memoryview] = []
            for item in queue:
                if item.descriptors or len(parts) == GATHER:
                    break
                parts.append(item.data)
            sent = self._end.sendmsg(parts)
        self._queued -= sent
        while sent:
            item = queue[0]
            if sent < len(item.data):
                item.data = item.data[sent:]
                return
            sent -= len(item.data)
            queue.popleft()

    def _readable(self) -> None:
        for _ in range(READS):
            if not self._open:
                return
            try:
                data, ancillary, _, _ = self._end.recvmsg(
                    RECEIVE,
                    socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize),
                    socket.MSG_CMSG_CLOEXEC,
                )
            except BlockingIOError:
                return
            except OSError:
                data, ancillary = b"", []
            for level, kind, octets in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    numbers = array.array("i")
                    numbers.frombytes(octets[: len(octets) - len(octets) % numbers.itemsize])
                    self._descriptors.extend(numbers)
            if not data:
                self._end_here()
                return
            self._received += data
            try:
                messages = self._incoming.take(self._received)
            except ValueError:
                log.exception("media.worker_message")
                self._end_here()
                return
            for message in messages:
                try:
                    self._take(message)
                except Exception:
                    # One order's fault must not end all other calls of the worker.
                    log.exception("media.worker_order", kind=message.row.name)
