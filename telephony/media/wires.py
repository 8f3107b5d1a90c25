"""Sockets of the lanes: one datagram a ready socket and pass, straight into the receive matrix."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from telephony.base.clock import Clock
from telephony.base.errors import MediaFailed
from telephony.base.trace import Action, Trace
from telephony.media.columns import Codes, Floats
from telephony.media.latch import Latch, Verdict, canonical, is_ambiguous
from telephony.media.ports import PortPairs
from telephony.media.terms import Address, Terms

WIDTH = 640
"""Octets of a row: 60 ms of G.711 with a long header extension. What fills a row was longer and
is dropped."""
COMFORT_NOISE = 13
"""Static payload type (RFC 3389), never negotiated by those who send it."""
MAX_RTCP = 1500
MAX_DISCARDED = 512
"""Datagrams thrown away when a lane starts or latches; the receive buffer holds fewer."""
SIOCGSTAMP = 0x8906


class Batch:
    """What was received: row ``k`` of ``matrix`` belongs to lane ``lanes[k]``."""

    def __init__(self, capacity: int) -> None:
        self.lanes: list[int] = []
        self.sizes: list[int] = []
        self.grow(capacity)

    def grow(self, capacity: int) -> None:
        """Room for so many datagrams; what is there is lost."""
        self.clear()
        self.matrix: Codes = np.zeros((capacity, WIDTH), np.uint8)
        self.views = [memoryview(row) for row in self.matrix]

    @property
    def room(self) -> int:
        """Datagrams that still fit."""
        return len(self.views) - len(self.lanes)

    def clear(self) -> None:
        self.lanes.clear()
        self.sizes.clear()


class Wire(Protocol):
    """One lane's pair of ports."""

    @property
    def local(self) -> Address: ...

    @property
    def send(self) -> Callable[[Any], object]:
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

    def receive(self, batch: Batch) -> int:
        """One pass: at most one datagram a lane behind what the batch holds, no more than it has
        room for; how many."""
        ...

    def arrivals(self, rows: Iterable[int]) -> Floats:
        """Seconds at which the last datagram of each of these lanes came in; NaN where unknown."""
        ...

    def receive_rtcp(self) -> list[tuple[int, bytes]]:
        """What came on the odd ports: (lane, datagram), at most one a lane."""
        ...


class UdpWires:
    """Real sockets, polled by epoll: level-triggered, so that a pass needs no call that fails."""

    def __init__(self, ports: PortPairs, clock: Clock, trace: Trace, probation: int = 3) -> None:
        self.ports = ports
        self.clock = clock
        self.trace = trace
        self.probation = probation
        self.counts: Counter[str] = Counter()
        self.rtp = select.epoll()
        self.rtcp = select.epoll()
        self.receivers: dict[int, Callable[[memoryview], int]] = {}
        self.rows: dict[int, int] = {}
        self.controls: dict[int, UdpWire] = {}
        self.descriptors: dict[int, int] = {}
        self._stamp = bytearray(16)

    def open(self, row: int, host: str, changed: Callable[[], None]) -> UdpWire:
        rtp, rtcp = self.ports.take(host, self.clock.monotonic())
        return UdpWire(self, row, rtp, rtcp, changed)

    def receive(self, batch: Batch) -> int:
        lanes, sizes, views = batch.lanes, batch.sizes, batch.views
        receivers, rows = self.receivers, self.rows
        before = count = len(lanes)
        for descriptor, _ in self.rtp.poll(0, batch.room):
            try:
                size = receivers[descriptor](views[count])
            except OSError:
                # ECONNREFUSED: the far end does not listen yet, or no longer. BYE ends calls.
                self.counts["refused"] += 1
                continue
            lanes.append(rows[descriptor])
            sizes.append(size)
            count += 1
        return count - before

    def arrivals(self, rows: Iterable[int]) -> Floats:
        stamp, unpack, found = self._stamp, struct.Struct("ll").unpack, []
        for row in rows:
            try:
                fcntl.ioctl(self.descriptors[row], SIOCGSTAMP, stamp, True)
            except (OSError, KeyError):
                found.append(np.nan)
                continue
            seconds, micros = unpack(stamp)
            found.append(seconds + micros * 1e-6)
        return np.array(found, np.float64)

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
        self.rtp.close()
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
        self.send: Callable[[Any], object] = _nowhere
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
            self._watch(None)
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
        self._watch(None)
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
        self._watch(self.receive_carefully)

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
        self._watch(self._rtp.recv_into)
        now = self._wires.clock.monotonic()
        self._wires.trace.add(now, Action.RTP_LATCHED, peer=peer[0], port=peer[1])

    def _watch(self, receiver: Callable[[memoryview], int] | None) -> None:
        descriptor = self._rtp.fileno()
        wires = self._wires
        if receiver is None:
            if self._watched:
                wires.rtp.unregister(descriptor)
                del wires.receivers[descriptor], wires.rows[descriptor]
                del wires.descriptors[self.row]
            self._watched = False
            return
        wires.receivers[descriptor] = receiver
        if not self._watched:
            wires.rows[descriptor] = self.row
            wires.descriptors[self.row] = descriptor
            wires.rtp.register(descriptor, select.EPOLLIN)
            self._watched = True
            try:
                # The first request only switches the kernel's stamps on.
                fcntl.ioctl(descriptor, SIOCGSTAMP, bytearray(16), True)
            except OSError:
                wires.counts["unstamped"] += 1

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
