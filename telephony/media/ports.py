"""Pairs of ports: RTP on an even one, RTCP on the odd one above (RFC 3550 §11)."""

from __future__ import annotations

import errno
import random
import socket
from collections import deque
from typing import Protocol

from telephony.base.errors import Busy, MediaFailed
from telephony.media.terms import Address

RECEIVE_BUFFER = 128 * 1024
"""Octets the kernel may hold for a lane: over a second of a stream, and no more of a flood."""


class PortSource(Protocol):
    """Where the lanes' sockets come from."""

    def take(self, host: str, now: float) -> tuple[socket.socket, socket.socket]: ...

    def give_back(self, port: int, now: float) -> None: ...


class PortPairs:
    """Hands out bound sockets. Ports that were given back rest before they are used again."""

    def __init__(self, ports: tuple[int, int], drain_seconds: float, rng: random.Random) -> None:
        first, last = ports
        first += first % 2
        self._pairs = deque(range(first, last, 2))
        # From a random place on: what a process before us left behind is not met by call one.
        if self._pairs:
            self._pairs.rotate(-rng.randrange(len(self._pairs)))
        self._drain = drain_seconds
        self._resting: deque[tuple[float, int]] = deque()

    def take(self, host: str, now: float) -> tuple[socket.socket, socket.socket]:
        """RTP and RTCP sockets on ``host``, non-blocking.

        Raises:
            Busy: no pair is free, or no file descriptor.
            MediaFailed: ``host`` is not an address of this machine.
        """
        while self._resting and self._resting[0][0] <= now:
            self._pairs.append(self._resting.popleft()[1])
        for _ in range(len(self._pairs)):
            port = self._pairs.popleft()
            try:
                return self._bind(host, port)
            except OSError as error:
                self._pairs.append(port)
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise Busy("no file descriptor for another call's sound") from error
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise MediaFailed(f"RTP cannot be bound to {host}: {error}") from error
        raise Busy("every RTP port pair is taken")

    def give_back(self, port: int, now: float) -> None:
        """The pair whose RTP port this is; its sockets are closed."""
        self._resting.append((now + self._drain, port))

    def _bind(self, host: str, port: int) -> tuple[socket.socket, socket.socket]:
        rtp = _socket((host, port))
        try:
            return rtp, _socket((host, port + 1))
        except OSError:
            rtp.close()
            raise


def _socket(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made
