"""Sockets of the lanes: who is listened to, and where sound goes."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import struct
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from telephony.base.clock import Clock
from telephony.base.errors import MediaFailed
from telephony.base.trace import Action, Trace
from telephony.media.columns import Codes, Rows
from telephony.media.datagrams import Batch, EpollSockets, Send
from telephony.media.latch import Latch, Verdict, canonical, is_ambiguous
from telephony.media.ports import PortSource
from telephony.media.ring import RingSockets
from telephony.media.terms import Address, Terms

COMFORT_NOISE = 13
"""Static payload type (RFC 3389), never negotiated by those who send it."""
MAX_RTCP = 1500
MAX_DISCARDED = 512
"""Datagrams thrown away when a lane starts or latches; the receive buffer holds fewer."""


class Wire(Protocol):
    """One lane's pair of ports."""

    @property
    def local(self) -> Address: ...

    @property
    def send(self) -> Send:
        """Sends one RTP datagram; raises OSError. Another callable after ``aim`` and a latch."""
        ...

    def aim(self, terms: Terms) -> None:
        """Talk to the negotiated far end from now on."""
        ...

    def send_rtcp(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class Wires(Protocol):
    """The wires of a bank."""

    def open(self, row: int, host: str, changed: Callable[[], None]) -> Wire:
        """``changed`` is called when ``Wire.send`` is another one. Raises Busy, MediaFailed."""
        ...

    def receive(self, tick: int) -> list[Batch]:
        """What came in since the last tick; some may stay behind where one lane had a lot."""
        ...

    def send(self, rows: Rows, packets: Codes, size: int) -> None:
        """The first ``size`` octets of ``packets[row]`` for each of ``rows``.

        The same array object again means the same wires and packets again. What a socket does not
        take is counted, not told.
        """
        ...

    @property
    def unsent(self) -> int:
        """Datagrams of ``send`` that the kernel did not take."""
        ...

    def receive_rtcp(self) -> list[tuple[int, bytes]]:
        """What came on the odd ports: (lane, datagram), at most one a lane."""
        ...


class UdpWires:
    """Real sockets: settled ones through io_uring where the kernel has it, all others by epoll."""

    def __init__(
        self,
        ports: PortSource,
        clock: Clock,
        trace: Trace,
        probation: int = 3,
        ring: RingSockets | None = None,
    ) -> None:
        self.ports = ports
        self.clock = clock
        self.trace = trace
        self.probation = probation
        self.counts: Counter[str] = Counter()
        self.plain = EpollSockets(clock)
        self.ring = ring
        self.rtcp = select.epoll()
        self.controls: dict[int, UdpWire] = {}
        self.by_row: dict[int, UdpWire] = {}
        self._rows: Rows | None = None
        self._ring_rows = self._plain_rows = _NO_ROWS

    @property
    def unsent(self) -> int:
        return self.plain.unsent + (self.ring.unsent if self.ring is not None else 0)

    @property
    def refused(self) -> int:
        """Times that a far end was heard not to listen."""
        return self.plain.refused + (self.ring.refused if self.ring is not None else 0)

    def open(self, row: int, host: str, changed: Callable[[], None]) -> UdpWire:
        rtp, rtcp = self.ports.take(host, self.clock.monotonic())
        wire = self.by_row[row] = UdpWire(self, row, rtp, rtcp, changed)
        return wire

    def receive(self, tick: int) -> list[Batch]:
        batches = self.plain.receive(tick) if len(self.plain) else []
        if self.ring is not None:
            batches += self.ring.receive()
        return batches

    def send(self, rows: Rows, packets: Codes, size: int) -> None:
        if rows is not self._rows:
            self._rows = self._plain_rows = rows
            self._ring_rows = _NO_ROWS
            if self.ring is not None:
                here = self.ring.has(rows)
                self._ring_rows, self._plain_rows = rows[here], rows[~here]
        if self.ring is not None and self._ring_rows.size:
            self.ring.send(self._ring_rows, packets, size)
        if self._plain_rows.size:
            self.plain.send(self._plain_rows, packets, size, self._sender)

    def _sender(self, row: int) -> Send:
        return self.by_row[row].send

    def receive_rtcp(self) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        for descriptor, _ in self.rtcp.poll(0, 256):
            wire = self.controls[descriptor]
            data = wire.receive_rtcp()
            if data:
                found.append((wire.row, data))
        return found

    def shut(self) -> None:
        """After the last wire was closed."""
        self.plain.close()
        if self.ring is not None:
            self.ring.close()
        self.rtcp.close()


class UdpWire:
    """Two sockets of one lane, and who is listened to."""

    def __init__(
        self,
        wires: UdpWires,
        row: int,
        rtp: socket.socket,
        rtcp: socket.socket,
        changed: Callable[[], None],
    ) -> None:
        self.row = row
        self.peer: Address | None = None
        """Where the kernel lets RTP come from; None before a source has latched."""
        self.send: Send = _nowhere
        self._wires = wires
        self._rtp = rtp
        self._rtcp = rtcp
        self._changed = changed
        self._latch: Latch | None = None
        self._remote: Address | None = None
        self._rtcp_remote: Address | None = None
        self._watched = False
        self._patient = False
        self._told: set[str] = set()
        host, port = rtp.getsockname()[:2]
        self._local = (str(host), int(port))
        wires.rtcp.register(rtcp, select.EPOLLIN)
        wires.controls[rtcp.fileno()] = self

    @property
    def local(self) -> Address:
        return self._local

    def aim(self, terms: Terms) -> None:
        remote = canonical(terms.remote) if terms.remote is not None else None
        self._patient = terms.patient
        if remote is None:
            self._remote = self.peer = None
            self._unwatch()
            self.send = _nowhere
        elif is_ambiguous(terms):
            self._open_up(remote, terms)
        elif remote != self.peer or not self._watched:
            self._settle(remote)
            self._remote = remote
        self._rtcp_remote = canonical(terms.rtcp_remote) if terms.rtcp_remote is not None else None
        self._changed()

    def receive_carefully(self, view: memoryview) -> int:
        """A datagram of whoever the latch believes; 0 where it is somebody else's."""
        size, source = self._rtp.recvfrom_into(view)
        address = (str(source[0]), int(source[1]))
        verdict = Verdict.DROP if self._latch is None else self._latch.judge(address, view[:size])
        if verdict is Verdict.DROP:
            self._wires.counts["foreign"] += 1
            self._tell("source", address)
            return 0
        if verdict is Verdict.LATCH:
            try:
                self._settle(address)
            except MediaFailed:
                self._wires.counts["unreachable"] += 1
                return 0
            self._changed()
        return size

    def send_rtcp(self, data: bytes) -> None:
        if self._rtcp_remote is None or (self._patient and not self._is_peer(self._rtcp_remote)):
            return
        try:
            self._rtcp.sendto(data, self._rtcp_remote)
        except OSError:
            self._wires.counts["rtcp_unsent"] += 1

    def receive_rtcp(self) -> bytes:
        """A datagram from the far end's host, empty where it is somebody else's."""
        try:
            data, source = self._rtcp.recvfrom(MAX_RTCP)
        except OSError:
            return b""
        hosts = {a[0] for a in (self.peer, self._rtcp_remote) if a is not None}
        return data if source[0] in hosts else b""

    def close(self) -> None:
        self._unwatch()
        del self._wires.by_row[self.row]
        self._wires.rtcp.unregister(self._rtcp)
        self._wires.controls.pop(self._rtcp.fileno(), None)
        self._rtp.close()
        self._rtcp.close()
        self._wires.ports.give_back(self._local[1], self._wires.clock.monotonic())
        self.send = _nowhere

    # -- inside ---------------------------------------------------------------------------------

    def _is_peer(self, address: Address) -> bool:
        return self.peer is not None and self.peer[0] == address[0]

    def _open_up(self, remote: Address, terms: Terms) -> None:
        """Listen to several until one latches; sound goes where it went before, or to the SDP."""
        types = {terms.payload_type, COMFORT_NOISE}
        if terms.dtmf_payload_type is not None:
            types.add(terms.dtmf_payload_type)
        known = self.peer if remote == self._remote else None
        assert terms.trusted_ip is not None
        self._latch = Latch(
            remote, known, terms.trusted_ip, frozenset(types), self._wires.probation
        )
        self._remote = remote
        target = known or remote
        if self.peer is not None:
            _disconnect(self._rtp)
            self.peer = None
        sendto = self._rtp.sendto
        unheard = terms.patient and known is None
        self.send = _nowhere if unheard else lambda data: sendto(data, target)
        if not self._watched:
            self._discard()
        self._watch_carefully()

    def _settle(self, peer: Address) -> None:
        try:
            self._rtp.connect(peer)
        except OSError as error:
            raise MediaFailed(f"no RTP to {peer[0]}: {error}") from error
        # The kernel filters what comes from now on; what had come before may be anybody's.
        self._discard()
        self.peer = peer
        self._latch = None
        self.send = self._rtp.send
        self._watch()
        now = self._wires.clock.monotonic()
        self._wires.trace.add(now, Action.RTP_LATCHED, peer=peer[0], port=peer[1])

    def _watch(self) -> None:
        self._watched = True
        if self._wires.ring is None:
            self._wires.plain.watch(self.row, self._rtp.fileno(), self._rtp.recv_into)
        else:
            self._wires.plain.unwatch(self.row)
            self._wires.ring.watch(self.row, self._rtp)

    def _watch_carefully(self) -> None:
        self._watched = True
        if self._wires.ring is not None:
            self._wires.ring.unwatch(self.row)
        self._wires.plain.watch(self.row, self._rtp.fileno(), self.receive_carefully)

    def _unwatch(self) -> None:
        self._watched = False
        self._wires.plain.unwatch(self.row)
        if self._wires.ring is not None:
            self._wires.ring.unwatch(self.row)

    def _discard(self) -> None:
        for _ in range(MAX_DISCARDED):
            try:
                self._rtp.recv(1)
            except BlockingIOError:
                return
            except OSError:
                continue

    def _tell(self, reason: str, source: Address) -> None:
        # Once a lane and reason: a flood must not wash everything else out of the trace.
        if reason not in self._told:
            self._told.add(reason)
            now = self._wires.clock.monotonic()
            self._wires.trace.add(now, Action.RTP_DROPPED, reason=reason, peer=source[0])


def _nowhere(data: Any) -> object:
    return None


def _disconnect(connected: socket.socket) -> None:
    """Undo ``connect``: Python has no address of the family AF_UNSPEC (connect(2))."""
    nobody = struct.pack("H14x", socket.AF_UNSPEC)
    if _LIBC.connect(connected.fileno(), nobody, len(nobody)) != 0:
        code = ctypes.get_errno()
        raise MediaFailed(f"an RTP socket cannot be opened again: {os.strerror(code)}")


_LIBC = ctypes.CDLL(None, use_errno=True)
_NO_ROWS: Rows = np.empty(0, np.int64)
