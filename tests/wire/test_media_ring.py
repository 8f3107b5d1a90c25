"""RTP sockets through io_uring: bursts, floods, closing, and what happens where it is not there."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest

from telephony.base.clock import ManualClock
from telephony.media import ring as ring_module
from telephony.media.config import MediaConfig
from telephony.media.engine import Engine
from telephony.media.ring import GAIN, MOST_OF_A_LANE, RingSockets
from telephony.system import SystemClock

LANES = 40


class Pair:
    """A lane's connected socket and the far end's."""

    def __init__(self) -> None:
        self.near, self.far = bound(), bound()
        self.near.connect(self.far.getsockname())
        self.far.connect(self.near.getsockname())

    def close(self) -> None:
        self.near.close()
        self.far.close()


def bound(port: int = 0) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    made.bind(("127.0.0.1", port))
    return made


class Rig:
    def __init__(self) -> None:
        self.ring = RingSockets(SystemClock(), LANES)
        self.pairs = [Pair() for _ in range(LANES)]
        for row, pair in enumerate(self.pairs):
            self.ring.watch(row, pair.near)
        assert self.ring.receive() == []

    def received(self) -> list[tuple[int, bytes]]:
        """What one tick's call gives: (lane, datagram)."""
        found = []
        for batch in self.ring.receive():
            for row, size, line in zip(batch.rows, batch.sizes, batch.matrix, strict=True):
                found.append((int(row), line[:size].tobytes()))
        return found

    def close(self) -> None:
        for row, pair in enumerate(self.pairs):
            self.ring.unwatch(row)
            pair.close()
        self.ring.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.close()


def test_each_lane_gets_its_own_in_order(rig: Rig) -> None:
    for number in range(5):
        for row, pair in enumerate(rig.pairs):
            pair.far.send(b"%03d %d" % (row, number))
    found = rig.received()
    for row in range(LANES):
        assert [data for lane, data in found if lane == row] == [
            b"%03d %d" % (row, n) for n in range(5)
        ]


def test_datagrams_carry_the_time_they_came(rig: Rig) -> None:
    clock = SystemClock()
    for _ in range(3):
        before = clock.monotonic()
        rig.pairs[7].far.send(b"now")
        after = clock.monotonic()
        time.sleep(0.02)
        (batch,) = rig.ring.receive()
        # The wall clock and the monotonic one are read one after the other.
        assert before - 0.005 <= batch.arrived[0] <= after + 0.005


def test_a_flooded_lane_keeps_the_newest_and_takes_nothing_from_others(rig: Rig) -> None:
    for number in range(200):
        rig.pairs[3].far.send(b"%d" % number)
    for row in (2, 4):
        rig.pairs[row].far.send(b"calm")
    found = rig.received()
    flood = [data for row, data in found if row == 3]
    assert flood == [b"%d" % n for n in range(200 - MOST_OF_A_LANE, 200)]
    assert [(row, data) for row, data in found if row != 3] == [(2, b"calm"), (4, b"calm")]
    assert rig.ring.flooded == 200 - MOST_OF_A_LANE


def test_who_floods_on_has_little_of_each_tick_until_it_is_calm_again(rig: Rig) -> None:
    for _ in range(4):
        for number in range(50):
            rig.pairs[3].far.send(b"%d" % number)
        rig.pairs[2].far.send(b"calm")
        found = rig.received()
    assert found.count((2, b"calm")) == 1
    assert [data for row, data in found if row == 3] == [b"%d" % n for n in range(50 - GAIN, 50)]
    for _ in range(MOST_OF_A_LANE // GAIN):
        assert rig.received() == []
    for number in range(MOST_OF_A_LANE):
        rig.pairs[3].far.send(b"%d" % number)
    assert len(rig.received()) == MOST_OF_A_LANE


def test_more_than_there_are_buffers_comes_in_the_next_ticks(rig: Rig) -> None:
    total = 30
    for _ in range(total):
        for pair in rig.pairs:
            pair.far.send(b"x" * 172)
    found: list[int] = []
    for _ in range(12):
        found += [row for row, _ in rig.received()]
    assert np.bincount(found).tolist() == [total] * LANES
    # And the sockets are still listened to.
    rig.pairs[0].far.send(b"after")
    assert rig.received() == [(0, b"after")]


def test_a_closed_lane_frees_its_port_at_once_and_says_no_more(rig: Rig) -> None:
    pair = rig.pairs[5]
    port = pair.near.getsockname()[1]
    pair.far.send(b"before")
    rig.ring.unwatch(5)
    pair.near.close()
    bound(port).close()
    assert rig.received() == []


def test_a_row_taken_again_hears_its_new_socket_only(rig: Rig) -> None:
    old, new = rig.pairs[5], Pair()
    old.far.send(b"old")
    rig.ring.watch(5, new.near)
    new.far.send(b"new")
    assert rig.received() == [(5, b"new")]
    rig.pairs[5] = new
    old.close()


def test_sends_reach_each_far_end_whatever_their_number(rig: Rig) -> None:
    packets = np.zeros((LANES, 20), np.uint8)
    packets[:] = np.arange(LANES)[:, None]
    rows = np.arange(LANES)
    for _ in range(3):
        packets[:, 0] += 1
        rig.ring.send(rows, packets, 16)
        for row, pair in enumerate(rig.pairs):
            assert pair.far.recv(100) == bytes([packets[row, 0]]) + bytes([row]) * 15
    # More than the ring has places for.
    rig.ring.send(np.zeros(5000, np.int64), packets, 16)
    count = 0
    try:
        while rig.pairs[0].far.recv(100):
            count += 1
    except BlockingIOError:
        pass
    assert count > 500


def test_a_far_end_that_does_not_listen_is_counted_and_heard_when_it_does(rig: Rig) -> None:
    pair = rig.pairs[9]
    address = pair.far.getsockname()
    pair.far.close()
    packets, rows = np.zeros((LANES, 172), np.uint8), np.array([9])
    for _ in range(4):
        rig.ring.send(rows, packets, 172)
        assert rig.received() == []
    assert rig.ring.unsent + rig.ring.refused > 0
    pair.far = bound(address[1])
    pair.far.connect(pair.near.getsockname())
    pair.far.send(b"here I am")
    found: list[tuple[int, bytes]] = []
    for _ in range(3):
        found += rig.received()
    assert found == [(9, b"here I am")]


def test_what_is_too_long_is_cut_and_empty_ones_are_empty(rig: Rig) -> None:
    rig.pairs[1].far.send(b"")
    rig.pairs[2].far.send(b"y" * 5000)
    found = dict(rig.received())
    assert found[1] == b""
    assert 640 <= len(found[2]) <= 704


async def test_an_engine_without_io_uring_says_so_and_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*arguments: object) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(ring_module, "Ring", forbidden)
    engine = Engine(MediaConfig(max_lanes=2), ManualClock(), rng=random.Random(1))
    assert engine.io == "epoll"
    await engine.start()
    engine.open().close()
    await engine.stop()


async def test_seats_take_rows_too_and_every_lane_is_still_heard() -> None:
    """With as many lanes as there may be, the rows of some lie beyond that number."""
    config = MediaConfig(ports=(37100, 37198), max_lanes=3, drain_seconds=0.1)
    engine = Engine(config, SystemClock(), rng=random.Random(5))
    await engine.start()
    far = bound()
    try:
        engine.sit("room")
        lanes = [engine.open() for _ in range(3)]
        for lane in lanes:
            lane.start(remote=far.getsockname())
        assert lanes[-1].row == 3
        lanes[-1].close()
    finally:
        await engine.stop()
        far.close()
    assert engine.stats.failed == 0
