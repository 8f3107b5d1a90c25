"""SIP over TCP: connections that come in, connections we open, and what ends them.

Each connection has a number, its flow, which is never used twice. A response goes back on the flow
of its request (RFC 3261 §18.2.2); a request takes an open connection to its address if there is
one, else opens one (§18.1.1). A peer can hold a limited number of connections, must say something
soon, must finish what he began, and must read what he is sent: see `sip/limits.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Protocol, cast

from telephony.base.trace import Action, Trace
from telephony.sip.addresses import Send, Source
from telephony.sip.framing import KeepAlive, StreamFramer
from telephony.sip.limits import (
    MAX_STREAM_BACKLOG,
    MAX_STREAM_CONNECTING,
    MAX_STREAM_WRITE_BUFFER,
    MAX_STREAMS,
    MAX_STREAMS_PER_SOURCE,
    STREAM_CONNECT_SECONDS,
    STREAM_FIRST_BYTE_SECONDS,
    STREAM_IDLE_SECONDS,
    STREAM_MESSAGE_SECONDS,
)
from telephony.sip.message import Request, Response
from telephony.sip.parser import Malformed

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """Deadlines and ceilings; the reasons stand in `sip/limits.py`. Times are in seconds."""

    first_byte: float = STREAM_FIRST_BYTE_SECONDS
    whole_message: float = STREAM_MESSAGE_SECONDS
    idle: float = STREAM_IDLE_SECONDS
    connect: float = STREAM_CONNECT_SECONDS
    per_source: int = MAX_STREAMS_PER_SOURCE
    total: int = MAX_STREAMS
    write_buffer: int = MAX_STREAM_WRITE_BUFFER
    sweep: float = 0.5


class StreamUser(Protocol):
    """Whoever takes what the streams bring: the driver."""

    def received(self, message: Request | Response | Malformed, source: Source) -> None:
        """A message, or the reason why its connection will be closed."""

    def failed(self, send: Send) -> None:
        """A message that could not be delivered."""

    def closed(self, flow: int) -> None:
        """A connection is gone."""


class Connection(asyncio.Protocol):
    """One TCP connection, in either direction."""

    def __init__(self, streams: Streams, flow: int, *, inbound: bool) -> None:
        self._streams = streams
        self.flow = flow
        self.inbound = inbound
        self.peer: Address = ("", 0)
        self.local: Address = ("", 0)
        self.framer = StreamFramer()
        self.transport: asyncio.Transport | None = None
        self.opened = self.heard = self.spoke = 0.0
        self.began: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if peer is None or local is None:
            # The peer reset the connection before it was accepted.
            self.transport.abort()
            return
        self.peer, self.local = (peer[0], peer[1]), (local[0], local[1])
        _keep_alive(transport.get_extra_info("socket"))
        self._streams.opened(self)

    def data_received(self, data: bytes) -> None:
        self._streams.data(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._streams.lost(self)

    @property
    def usable(self) -> bool:
        """Whether a message may be written."""
        return self.transport is not None and not self.transport.is_closing()

    def write(self, data: bytes, ceiling: int) -> bool:
        """Write; False, and the end of the connection, when the peer does not read."""
        if self.transport is None or self.transport.is_closing():
            return False
        self.transport.write(data)
        if self.transport.get_write_buffer_size() > ceiling:
            self.transport.abort()
            return False
        return True


def _keep_alive(sock: socket.socket | None) -> None:
    """Have the kernel find dead peers, as no SIP message might for the length of a call."""
    if sock is None:
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)


@dataclass(slots=True)
class _Opening:
    """A connection being opened, and what waits for it."""

    task: asyncio.Task[None]
    waiting: list[Send] = field(default_factory=list)


class Streams:
    """All TCP connections of one driver: listeners, flows, and the way to an address."""

    def __init__(
        self,
        user: StreamUser,
        clock: Callable[[], float],
        config: StreamConfig,
        trace: Trace | None = None,
        trusted: Callable[[str], bool] | None = None,
    ) -> None:
        """`trace` gets an entry for each connection that we refuse or end, with the reason.
        `trusted` says of a numeric host whether it may hold any number of connections; without it
        those of this machine may."""
        self._user = user
        self._trace = trace
        self._trusted = trusted or _is_loopback
        self._clock = clock
        self._config = config
        self._flows: dict[int, Connection] = {}
        self._by_peer: dict[Address, Connection] = {}
        self._sources: Counter[str] = Counter()
        self._opening: dict[Address, _Opening] = {}
        self._servers: list[asyncio.Server] = []
        self._last_flow = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self.refused = 0

    async def listen(self, host: str, port: int) -> Address:
        """Accept connections on a numeric address; the (host, port) bound. OSError."""
        loop = self._loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        server = await loop.create_server(self._accept, host, port, family=family, backlog=512)
        self._servers.append(server)
        name = server.sockets[0].getsockname()
        return name[0], name[1]

    async def close(self) -> None:
        """Close listeners and connections; nothing is reported any more."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        tasks = [opening.task for opening in self._opening.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._servers:
            server.close()
        for connection in list(self._flows.values()):
            if connection.transport is not None:
                connection.transport.close()
        self._flows.clear()
        self._by_peer.clear()
        # One turn of the loop lets the transports run their connection_lost.
        await asyncio.sleep(0)

    def __len__(self) -> int:
        """Open connections."""
        return len(self._flows)

    def send(self, send: Send) -> bool:
        """Write on the flow, else on an open connection to the address, else open one.

        False when it has failed already; a later failure is reported to the user.
        """
        destination = send.destination
        connection = self._flows.get(destination.flow)
        if connection is None or not connection.usable:
            connection = self._by_peer.get(destination.address)
        if connection is not None and connection.usable:
            connection.spoke = self._clock()
            return self._write(connection, send.data)
        return self._connect(send)

    def _connect(self, send: Send) -> bool:
        address = send.destination.address
        opening = self._opening.get(address)
        if opening is None:
            if self._closed or len(self._opening) >= MAX_STREAM_CONNECTING or not address[1]:
                return False
            opening = _Opening(asyncio.ensure_future(self._open(address, send.local)))
            self._opening[address] = opening
        if len(opening.waiting) >= MAX_STREAM_BACKLOG:
            return False
        opening.waiting.append(send)
        return True

    async def _open(self, address: Address, local: Address | None) -> None:
        """Connect and send what waits; all of it fails when that cannot be."""
        loop = self._loop = asyncio.get_running_loop()
        connection = None
        try:
            async with asyncio.timeout(self._config.connect):
                _, connection = await loop.create_connection(
                    lambda: Connection(self, self._next_flow(), inbound=False),
                    *address,
                    local_addr=_from_address(address, local),
                )
        except (OSError, TimeoutError, ValueError, OverflowError) as error:
            self._note(Action.TRANSPORT_FAILED, f"connect: {type(error).__name__}", address[0])
        finally:
            # Also when the task is cancelled: then nobody is told, the streams are closing.
            waiting = self._opening.pop(address).waiting
        for send in waiting:
            if connection is None or not self._write(connection, send.data):
                self._user.failed(send)

    def _accept(self) -> Connection:
        return Connection(self, self._next_flow(), inbound=True)

    def _next_flow(self) -> int:
        self._last_flow += 1
        return self._last_flow

    # -- called by connections ---------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """A connection is up: count it, or cut it off when there are too many."""
        host = connection.peer[0]
        full = len(self._flows) >= self._config.total or (
            self._sources[host] >= self._config.per_source and not self._trusted(host)
        )
        if self._closed or (connection.inbound and full):
            self.refused += 1
            self._note(Action.TRANSPORT_CLOSED, "too many connections", host)
            if connection.transport is not None:
                connection.transport.abort()
            return
        connection.opened = connection.heard = connection.spoke = self._clock()
        self._flows[connection.flow] = connection
        self._by_peer[connection.peer] = connection
        if connection.inbound:
            self._sources[host] += 1
        self._arm()

    def data(self, connection: Connection, data: bytes) -> None:
        """Bytes have come: hand up what they complete."""
        if self._closed or connection.flow not in self._flows:
            return
        connection.heard = self._clock()
        framer = connection.framer
        for item in framer.feed(data):
            if isinstance(item, KeepAlive):
                self._write(connection, b"\r\n")
            else:
                connection.began = None
                source = Source(connection.peer, "TCP", connection.local, connection.flow)
                self._user.received(item, source)
        if framer.failed:
            self._end(connection, framer.failed)
        elif not framer.mid_message:
            connection.began = None
        elif connection.began is None:
            connection.began = connection.heard

    def lost(self, connection: Connection) -> None:
        """A connection has ended, by either side."""
        if self._flows.pop(connection.flow, None) is None:
            return
        host = connection.peer[0]
        if connection.inbound:
            self._sources[host] -= 1
            if self._sources[host] <= 0:
                del self._sources[host]
        if self._by_peer.get(connection.peer) is connection:
            del self._by_peer[connection.peer]
        if not self._closed:
            self._user.closed(connection.flow)

    # -- deadlines ---------------------------------------------------------------------------------

    def _arm(self) -> None:
        if self._sweeper is None and self._loop is not None and not self._closed:
            self._sweeper = self._loop.call_later(self._config.sweep, self._sweep)

    def _sweep(self) -> None:
        """One timer for all connections: which of them have waited too long?"""
        self._sweeper = None
        now = self._clock()
        for connection in list(self._flows.values()):
            late = self._lateness(connection, now)
            if late:
                self._end(connection, late)
        if self._flows:
            self._arm()

    def _lateness(self, connection: Connection, now: float) -> str:
        """Which deadline has passed; "" for none."""
        config = self._config
        if connection.began is not None:
            return "message not whole" if now - connection.began > config.whole_message else ""
        if connection.inbound and connection.heard == connection.opened:
            return "nothing sent" if now - connection.opened > config.first_byte else ""
        return "idle" if now - max(connection.heard, connection.spoke) > config.idle else ""

    def _write(self, connection: Connection, data: bytes) -> bool:
        """Write; False, and the end of the connection, when the peer does not read."""
        if connection.write(data, self._config.write_buffer):
            return True
        self._note(Action.TRANSPORT_CLOSED, "peer does not read", connection.peer[0])
        return False

    def _note(self, action: Action, reason: str, host: str) -> None:
        if self._trace is not None:
            self._trace.add(self._clock(), action, reason=reason, peer=host, transport="TCP")

    def _end(self, connection: Connection, reason: str) -> None:
        """Close after what was written is sent; at once when the peer takes nothing."""
        if connection.transport is None or connection.transport.is_closing():
            return
        self._note(Action.TRANSPORT_CLOSED, reason, connection.peer[0])
        if connection.transport.get_write_buffer_size():
            connection.transport.close()
            if self._loop is not None:
                self._loop.call_later(self._config.sweep, connection.transport.abort)
        else:
            connection.transport.close()


def _is_loopback(host: str) -> bool:
    return ip_address(host.partition("%")[0]).is_loopback


def _from_address(address: Address, local: Address | None) -> Address | None:
    """Our address for an outgoing connection: that of the socket the peer knows, any port."""
    if local is None or local[0] in ("0.0.0.0", "::") or (":" in local[0]) != (":" in address[0]):
        return None
    return local[0], 0
