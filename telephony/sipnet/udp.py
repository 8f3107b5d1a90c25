"""One UDP socket for SIP, IPv4 or IPv6, with the errors that come back (RFC 3261 §18.4).

The socket is read straight from the loop's readiness callback: a tenth of the cost of asyncio's
datagram transport. Linux is asked to queue ICMP errors (IP_RECVERR) with the datagram that caused
them, so an unreachable gateway is known at once instead of after Timer B.

Deviation: RFC 3261 §18.1.1 sends requests above 1,300 bytes by TCP. They go out in fragments here,
for the many trunks that listen on UDP only and let a SYN run into silence.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable

from telephony.sip.addresses import Send, Source
from telephony.sip.limits import (
    MAX_DATAGRAMS_PER_WAKEUP,
    MAX_MESSAGE_PARSED,
    MAX_UDP_REMEMBERED,
    UDP_RECEIVE_BUFFER,
)

# linux/in.h, linux/in6.h, linux/errqueue.h; Python's socket module does not name them.
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_RECVERR = ((socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR))
_MSG_ERRQUEUE = 0x2000
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
_ORIGIN_LOCAL = 1

#: What NAT keep-alives of up to four bytes are made of; they are no messages and no faults.
_KEEP_ALIVES = frozenset(b"\r\n\x00 ")

Address = tuple[str, int]


class UdpEndpoint:
    """A bound UDP socket. `receive(data, source)` and `failed(send)` are called from the loop.

    `local` is the numeric (host, port) bound to. Counters: `received`, `sent`, `dropped` (the
    kernel's buffer was full; SIP sends again by itself).
    """

    def __init__(
        self,
        receive: Callable[[bytes, Source], None],
        failed: Callable[[Send], None],
    ) -> None:
        self._receive = receive
        self._failed = failed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket: socket.socket | None = None
        self._family = socket.AF_INET
        self._recent: OrderedDict[bytes, Send] = OrderedDict()
        self._watching_again = False
        self.local: Address = ("", 0)
        self.received = self.sent = self.dropped = 0

    def open(self, host: str, port: int, loop: asyncio.AbstractEventLoop) -> None:
        """Bind a numeric host; port 0 takes a free one. OSError when that cannot be."""
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            if self._family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            else:
                made.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_RECEIVE_BUFFER)
            made.bind((host, port))
        except OSError:
            made.close()
            raise
        name = made.getsockname()
        self.local = (name[0], name[1])
        self._socket = made
        self._loop = loop
        loop.add_reader(made, self._readable)

    def close(self) -> None:
        """Stop reading and close the socket. May be called twice."""
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
        self._socket = None
        self._recent.clear()

    def send(self, send: Send) -> bool:
        """Send one datagram; False when it can be told now that it will not arrive."""
        if self._socket is None:
            return False
        if send.key:
            self._remember(send)
        for attempt in (1, 2):
            try:
                self._socket.sendto(send.data, send.destination.address)
            except (BlockingIOError, InterruptedError):
                self.dropped += 1
                return True
            except OSError:
                # An error queued by an earlier datagram is reported by the next call, whatever
                # its destination: clear it, tell whom it concerns, and try once more.
                if attempt == 1 and self._read_errors():
                    continue
                self._recent.pop(send.data, None)
                return False
            except (OverflowError, TypeError, ValueError):
                # A host that is no number or a port that is none.
                return False
            self.sent += 1
            return True
        return False

    def _remember(self, send: Send) -> None:
        self._recent[send.data] = send
        self._recent.move_to_end(send.data)
        if len(self._recent) > MAX_UDP_REMEMBERED:
            self._recent.popitem(last=False)

    def _readable(self) -> None:
        sock = self._socket
        for _ in range(MAX_DATAGRAMS_PER_WAKEUP):
            if sock is None or sock is not self._socket:
                return
            try:
                data, address = sock.recvfrom(MAX_MESSAGE_PARSED)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                if not self._read_errors():
                    break
                continue
            if len(data) <= 4 and _KEEP_ALIVES.issuperset(data):
                continue
            self.received += 1
            self._receive(data, Source((address[0], address[1]), "UDP", self.local))
        # A queued error wakes us without anything to read.
        self._read_errors()

    def _read_errors(self) -> bool:
        """Drain the error queue; whether there was anything in it."""
        found = False
        while self._socket is not None:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(MAX_MESSAGE_PARSED, 512, _MSG_ERRQUEUE)
            except OSError:
                break
            found = True
            if any(self._is_fatal(level, kind, blob) for level, kind, blob in ancillary):
                self._report(data)
        if found and not self._watching_again and self._loop is not None:
            self._watching_again = True
            self._loop.call_soon(self._watch_again)
        return found

    def _watch_again(self) -> None:
        """uvloop stops watching a socket that had an error, after the callback it gives for it."""
        self._watching_again = False
        if self._socket is not None and self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._loop.add_reader(self._socket, self._readable)

    def _is_fatal(self, level: int, kind: int, blob: bytes) -> bool:
        """Whether an error means unreachable: TTL exceeded and the like are ignored (§18.4)."""
        known = (level, kind) in _RECVERR
        if not known or len(blob) < _EXTENDED_ERROR.size:
            return False
        _, origin, icmp_type, code, _, _, _ = _EXTENDED_ERROR.unpack_from(blob)
        if origin == _ORIGIN_LOCAL:
            return True
        if self._family == socket.AF_INET6:
            return bool(icmp_type == 1)
        # Fragmentation needed (code 4) is path MTU discovery at work.
        return bool(icmp_type == 3 and code != 4)

    def _report(self, data: bytes) -> None:
        # An ICMP error may carry only the beginning of the datagram.
        sent = self._recent.pop(data, None)
        if sent is None and len(data) >= 64:
            key = next((known for known in self._recent if known.startswith(data)), None)
            sent = None if key is None else self._recent.pop(key)
        if sent is not None:
            self._failed(sent)
