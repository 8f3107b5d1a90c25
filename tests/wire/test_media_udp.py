"""The media engine on real sockets: latching, ports, both families, and time."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from telephony.audio import g711, wav
from telephony.base.clock import ManualClock
from telephony.base.errors import Busy, MediaFailed
from telephony.base.trace import Action, Trace
from telephony.calls.ports import Recorded, Sound
from telephony.media.bank import Bank
from telephony.media.config import MediaConfig
from telephony.media.engine import Engine
from telephony.media.lane import Lane
from telephony.media.ports import PortPairs
from telephony.media.ring import RingSockets
from telephony.media.wires import UdpWires
from telephony.media.writer import Writer
from telephony.rtp import rtcp
from telephony.rtp.packet import Packet
from telephony.rtp.telephone_event import Event
from telephony.testing.audio import heard, tone

from .conftest import has_ring

# Below the kernel's ephemeral ports, where other programs' sockets are found.
PORTS = (30500, 30599)


class Far:
    """A far end: one socket, its own numbering."""

    def __init__(self, to: tuple[str, int], host: str = "127.0.0.1", ssrc: int = 5) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.setblocking(False)
        self.address: tuple[str, int] = self.socket.getsockname()[:2]
        self.to, self.ssrc, self.sequence = to, ssrc, 0

    def say(self, payload: bytes = b"\x20" * 160, kind: int = 0) -> None:
        packet = Packet(kind, self.sequence, 160 * self.sequence, self.ssrc, payload)
        self.sequence += 1
        self.socket.sendto(bytes(packet), self.to)

    def received(self) -> list[Packet]:
        found = []
        while True:
            try:
                packet = Packet.parse(self.socket.recv(2048))
            except BlockingIOError:
                return found
            assert packet is not None
            found.append(packet)


class Net:
    """A bank on real sockets whose time the test moves."""

    def __init__(self, config: MediaConfig | None = None, *, ring: bool = False) -> None:
        self.config = config or MediaConfig(ports=PORTS)
        self.clock, self.trace = ManualClock(), Trace()
        rng = random.Random(time.monotonic_ns())
        pairs = PortPairs(self.config.ports, self.config.drain_seconds, rng)
        fast = RingSockets(self.clock, self.config.max_lanes) if ring else None
        self.wires = UdpWires(pairs, self.clock, self.trace, ring=fast)
        self.bank = Bank(self.config, self.clock, self.wires, Writer(1 << 20), rng)
        self.fars: list[Far] = []

    def far(self, lane: Lane, host: str = "127.0.0.1", ssrc: int = 5) -> Far:
        far = Far(lane.local_address, host, ssrc)
        self.fars.append(far)
        return far

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.advance(0.02)
            self.bank.tick(self.clock.monotonic())
            for fact in self.bank.take_facts():
                fact()

    def close(self) -> None:
        self.bank.close_all()
        self.wires.shut()
        for far in self.fars:
            far.socket.close()


@pytest.fixture(params=["epoll", "io_uring"] if has_ring() else ["epoll"])
def net(request: pytest.FixtureRequest) -> Iterator[Net]:
    made = Net(ring=request.param == "io_uring")
    yield made
    made.close()


def exchange(net: Net, far: Far, count: int = 1) -> None:
    for _ in range(count):
        far.say()
        net.tick()


def test_sound_goes_both_ways_with_the_negotiated_far_end(net: Net) -> None:
    lane = net.bank.open("127.0.0.1")
    assert lane.local_address[1] % 2 == 0
    far = net.far(lane)
    lane.start(remote=far.address)
    exchange(net, far, 10)
    assert lane.quality().packets_received == 10
    assert len(far.received()) == 10
    assert [e.facts["port"] for e in net.trace.entries(Action.RTP_LATCHED)] == [far.address[1]]


def test_strangers_are_not_heard_and_hear_nothing(net: Net) -> None:
    lane = net.bank.open("127.0.0.1")
    far, stranger = net.far(lane), net.far(lane, ssrc=99)
    # What lay there before the session was agreed on is anybody's.
    for _ in range(20):
        stranger.say()
    lane.start(remote=far.address, trusted_ip="127.0.0.1")
    for _ in range(10):
        stranger.say()
        exchange(net, far)
        stranger.say()
    quality = lane.quality()
    assert (quality.packets_received, quality.lost, quality.duplicated) == (10, 0, 0)
    assert int(net.bank.sources.ssrc[lane.row]) == far.ssrc
    assert stranger.received() == []


def test_strangers_from_another_address_are_not_heard(net: Net) -> None:
    lane = net.bank.open("0.0.0.0")
    port = lane.local_address[1]
    far, stranger = net.far(lane), net.far(lane, "127.0.0.2")
    far.to, stranger.to = ("127.0.0.1", port), ("127.0.0.1", port)
    lane.start(remote=far.address, trusted_ip="127.0.0.1")
    for _ in range(10):
        stranger.say()
        exchange(net, far)
    assert lane.quality().packets_received == 10
    assert stranger.received() == []


def test_behind_nat_the_host_that_signalled_latches_after_probation(net: Net) -> None:
    lane = net.bank.open("127.0.0.1")
    phone, stranger = net.far(lane), net.far(lane, "127.0.0.2")
    lane.start(remote=("10.255.255.254", 4000), trusted_ip="127.0.0.1")
    for _ in range(5):
        stranger.say()
        exchange(net, phone)
    # The third packet in order latches and is heard.
    assert lane.quality().packets_received == 3
    assert len(phone.received()) == 3
    assert stranger.received() == []
    assert net.wires.counts["foreign"] >= 2
    assert net.trace.counts[(Action.RTP_DROPPED, "source")] == 1
    before = net.wires.counts["foreign"]
    other = net.far(lane, ssrc=6)
    for _ in range(10):
        exchange(net, other)
    assert lane.quality().packets_received == 3
    assert net.wires.counts["foreign"] == before


def test_another_source_latches_after_a_renegotiation_only(net: Net) -> None:
    lane = net.bank.open("127.0.0.1")
    terms = {"remote": ("10.255.255.254", 4000), "trusted_ip": "127.0.0.1"}
    lane.start(**terms)  # type: ignore[arg-type]
    first, second = net.far(lane), net.far(lane, ssrc=6)
    exchange(net, first, 5)
    exchange(net, second, 5)
    assert lane.quality().packets_received == 3
    lane.renegotiate(**terms)  # type: ignore[arg-type]
    first.received()
    net.tick(3)
    assert len(first.received()) == 3
    exchange(net, first, 2)
    assert lane.quality().packets_received == 5
    net.tick(5)
    first.received()
    exchange(net, second, 8)
    assert int(net.bank.sources.ssrc[lane.row]) == 6
    assert len(second.received()) >= 5
    first.received()
    net.tick(3)
    assert first.received() == []


def test_a_renegotiated_address_is_the_only_one_from_then_on(net: Net) -> None:
    lane = net.bank.open("127.0.0.1")
    first, second = net.far(lane), net.far(lane, ssrc=6)
    lane.start(remote=first.address)
    exchange(net, first, 5)
    lane.renegotiate(remote=second.address)
    net.tick(4)
    first.received()
    for _ in range(10):
        first.say()
        exchange(net, second)
    assert first.received() == []
    assert len(second.received()) >= 10
    assert int(net.bank.sources.ssrc[lane.row]) == 6


def test_hold_and_unhold_at_the_same_address(net: Net) -> None:
    lane = net.bank.open("127.0.0.1")
    far = net.far(lane)
    lane.start(remote=far.address)
    exchange(net, far, 5)
    lane.renegotiate(remote=far.address, can_send=False)
    far.received()
    exchange(net, far, 5)
    assert far.received() == []
    lane.renegotiate(remote=None)
    net.tick(5)
    lane.renegotiate(remote=far.address)
    exchange(net, far, 5)
    assert len(far.received()) == 5
    assert lane.quality().packets_received == 15


def test_a_far_end_that_is_not_there_yet_is_no_fault(net: Net) -> None:
    lane = net.bank.open("127.0.0.1")
    far = net.far(lane)
    host, port = far.address
    far.socket.close()
    lane.start(remote=(host, port))
    net.tick(10)
    assert net.bank.unsent + net.wires.refused > 0
    far.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    far.socket.bind((host, port))
    far.socket.setblocking(False)
    exchange(net, far, 10)
    assert lane.quality().packets_received == 10
    assert len(far.received()) >= 9


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_both_families(net: Net, host: str) -> None:
    lane = net.bank.open(host)
    far = net.far(lane, host)
    lane.start(remote=far.address, trusted_ip=host)
    exchange(net, far, 5)
    assert lane.quality().packets_received == 5
    assert len(far.received()) == 5


def test_ports_run_out_rest_and_come_back() -> None:
    net = Net(MediaConfig(ports=(30600, 30607), drain_seconds=5))
    try:
        lanes = [net.bank.open("127.0.0.1") for _ in range(4)]
        assert sorted(lane.local_address[1] for lane in lanes) == [30600, 30602, 30604, 30606]
        with pytest.raises(Busy):
            net.bank.open("127.0.0.1")
        lanes[2].close()
        with pytest.raises(Busy):
            net.bank.open("127.0.0.1")
        net.clock.advance(5.1)
        assert net.bank.open("127.0.0.1").local_address == lanes[2].local_address
    finally:
        net.close()


def test_a_port_that_somebody_else_holds_is_passed_over() -> None:
    net = Net(MediaConfig(ports=(30610, 30613)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as squatter:
        squatter.bind(("127.0.0.1", 30611))
        try:
            assert net.bank.open("127.0.0.1").local_address[1] == 30612
            with pytest.raises(Busy):
                net.bank.open("127.0.0.1")
        finally:
            net.close()


def test_an_address_that_is_not_ours_is_a_failure(net: Net) -> None:
    with pytest.raises(MediaFailed):
        net.bank.open("192.0.2.1")
    assert net.bank.count == 0


def test_reports_are_taken_from_the_far_ends_host_only(net: Net) -> None:
    lane = net.bank.open("127.0.0.1")
    far = net.far(lane)
    lane.start(remote=far.address)
    exchange(net, far)
    ssrc = int(net.bank.streams.ssrc[lane.row])
    block = rtcp.ReportBlock(ssrc, 0, 42, 1, 0, 0, 0)
    data = rtcp.compound(rtcp.ReceiverReport(9, (block,)))
    control = (lane.local_address[0], lane.local_address[1] + 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.2", 0))
        stranger.sendto(data, control)
        net.tick(5)
        assert net.bank.reports.remote(lane.row) is None
    far.socket.sendto(data, control)
    net.tick(5)
    told = net.bank.reports.remote(lane.row)
    assert told is not None
    assert told.lost == 42


def test_closing_frees_every_descriptor(net: Net) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    lanes = [net.bank.open("127.0.0.1") for _ in range(20)]
    for lane in lanes:
        lane.start(remote=("127.0.0.1", 9))
    net.tick()
    for lane in lanes:
        lane.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# --- in real time --------------------------------------------------------------------------


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


async def test_a_prompt_stops_within_40_ms_of_the_key_and_all_is_recorded(tmp_path: Path) -> None:
    engine = Engine(MediaConfig(ports=(30700, 30799)), SystemClock(), rng=random.Random())
    await engine.start()
    lane = engine.open()
    far = Far(lane.local_address)
    recorded: list[Recorded] = []
    try:
        lane.start(remote=far.address, dtmf_payload_type=101)
        lane.on_digit = lambda digit, duration: lane.stop()
        lane.record_call(tmp_path / "call.wav", recorded.append)
        lane.play(Sound(tone(700, 5000).tobytes()), lambda played: None)
        await asyncio.sleep(0.4)
        assert heard(_sound(far.received()), 700)
        far.say(bytes(Event(5, False, 10, 160)), 101)
        await asyncio.sleep(0.2)
        out = _sound(far.received())
        assert heard(out, 700).present_ms <= 40
        assert 6 <= out.size // 160 <= 14
        assert engine.stats.ticks >= 25
    finally:
        lane.close()
        await engine.stop()
        far.socket.close()
    assert recorded[0].error == ""
    file = wav.parse((tmp_path / "call.wav").read_bytes())
    assert heard(file.samples[1], 700).present_ms >= 380


async def test_stopping_the_engine_ends_what_is_open(tmp_path: Path) -> None:
    engine = Engine(MediaConfig(ports=(30700, 30799)), SystemClock(), rng=random.Random())
    await engine.start()
    assert engine.ready() is None
    lane = engine.open()
    lane.start(remote=("127.0.0.1", 9))
    ended: list[object] = []
    lane.play(Sound(tone(700, 5000).tobytes()), ended.append)
    lane.record_call(tmp_path / "call.wav", ended.append)
    await asyncio.sleep(0.05)
    await engine.stop()
    await engine.stop()
    assert len(ended) == 2
    assert lane.closed
    assert engine.ready() is not None


def _sound(packets: list[Packet]) -> np.ndarray:  # type: ignore[type-arg]
    return g711.ulaw_decode(np.frombuffer(b"".join(p.payload for p in packets), np.uint8))
