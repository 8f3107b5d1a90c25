"""Far ends that break every rule, each in its own way: the tick goes on, nobody else hears it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from telephony.media.lane import Lane
from telephony.rtp import rtcp
from telephony.rtp.packet import Packet

from .conftest import TYPES, Rig
from .test_media_rows import CODECS, Company, encoded

SIZES = (0, 1, 7, 79, 80, 81, 160, 161, 240, 480, 639, 640, 700, 1500)
Datagrams = Iterator[list[bytes]]


def _numbers(rng: random.Random) -> tuple[int, int, int]:
    return rng.randrange(1 << 16), rng.randrange(1 << 32), rng.randrange(1 << 32)


def _voice(codes: bytes, at: int, size: int) -> bytes:
    at %= len(codes) - size
    return codes[at : at + size]


def sizes(rng: random.Random, kind: int, codes: bytes) -> Datagrams:
    """Payloads of any length, numbered as if all was well."""
    sequence, timestamp, ssrc = _numbers(rng)
    while True:
        size = rng.choice(SIZES)
        payload = rng.randbytes(size)
        yield [bytes(Packet(kind, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc, payload))]
        sequence, timestamp = sequence + 1, timestamp + rng.choice([size, 160, 0, 1])


def ptimes(rng: random.Random, kind: int, codes: bytes) -> Datagrams:
    """Packets of another length every second."""
    sequence, timestamp, ssrc = _numbers(rng)
    at = due = 0
    while True:
        size = rng.choice([80, 160, 240, 480])
        for _ in range(50):
            found = []
            while at <= due:
                payload = _voice(codes, at, size)
                numbers = sequence & 0xFFFF, (timestamp + at) & 0xFFFFFFFF, ssrc
                found.append(bytes(Packet(kind, *numbers, payload)))
                sequence, at = sequence + 1, at + size
            due += 160
            yield found


def jumps(rng: random.Random, kind: int, codes: bytes) -> Datagrams:
    """Numbers, times and sources that leap, and markers all over."""
    sequence, timestamp, ssrc = _numbers(rng)
    at = 0
    while True:
        if rng.random() < 0.1:
            sequence += rng.choice([1, -1, 2, -99, -101, 2999, 3001, 32768, -32768])
        if rng.random() < 0.1:
            timestamp += rng.choice([1, -1, 80, -160, 2400, -2401, 4000, -4800, 1 << 31, 480_000])
        if rng.random() < 0.05:
            ssrc = rng.randrange(1 << 32)
        payload = _voice(codes, at, 160)
        numbers = sequence & 0xFFFF, (timestamp + at) & 0xFFFFFFFF, ssrc
        yield [bytes(Packet(kind, *numbers, payload, marker=rng.random() < 0.5))]
        sequence, at = sequence + 1, at + 160


def pauses(rng: random.Random, kind: int, codes: bytes) -> Datagrams:
    """A second of sound, then nothing for long, with and without a jump of the timestamp."""
    sequence, timestamp, ssrc = _numbers(rng)
    at = 0
    while True:
        for _ in range(rng.randrange(1, 20)):
            payload = _voice(codes, at, 160)
            numbers = sequence & 0xFFFF, (timestamp + at) & 0xFFFFFFFF, ssrc
            yield [bytes(Packet(kind, *numbers, payload))]
            sequence, at = sequence + 1, at + 160
        for _ in range(rng.randrange(1, 30)):
            yield []
        at += rng.choice([0, 160, 480_000, 160 * 25])
        sequence += rng.choice([0, 0, 1, 25, 3000])


def two_sources(rng: random.Random, kind: int, codes: bytes) -> Datagrams:
    """Two streams at once."""
    one, other = jumps(rng, kind, codes), ptimes(rng, kind, codes)
    while True:
        yield next(one) + next(other)


def flood(rng: random.Random, kind: int, codes: bytes) -> Datagrams:
    """Far more than can be played, doubled and out of order."""
    source = jumps(rng, kind, codes)
    while True:
        found = [data for _ in range(20) for data in next(source)]
        rng.shuffle(found)
        yield found + found


def oddities(rng: random.Random, kind: int, codes: bytes) -> Datagrams:
    """Comfort noise and keys of rubbish between sound."""
    sequence, timestamp, ssrc = _numbers(rng)
    while True:
        choice = rng.choice([kind, kind, 13, 101])
        size = 160 if choice == kind else rng.choice([0, 1, 2, 3, 4, 5, 11, 160, 600])
        payload = rng.randbytes(size)
        numbers = sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc
        yield [bytes(Packet(choice, *numbers, payload, marker=rng.random() < 0.3))]
        sequence, timestamp = sequence + 1, timestamp + 160


def report(rng: random.Random, ssrc: int) -> bytes:
    """RTCP that is nearly right."""
    any32 = rng.choice([0, ssrc, 0xFFFFFFFF, rng.randrange(1 << 32)])
    block = rtcp.ReportBlock(
        ssrc, rng.randrange(256), rng.randrange(-0x800000, 0x800000), any32, any32, any32, any32
    )
    parts: list[rtcp.RtcpPacket] = [
        rtcp.SenderReport(any32, rng.randrange(1 << 64), any32, any32, any32, (block,) * 3),
        rtcp.SourceDescription.cname(any32, "x" * rng.randrange(200)),
        rtcp.Goodbye((any32,)),
    ]
    data = bytearray(rtcp.compound(*parts))
    for _ in range(rng.choice([0, 1, 3, 10])):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data[: rng.choice([len(data), len(data), rng.randrange(len(data))])])


MANNERS = (sizes, ptimes, jumps, pauses, two_sources, flood, oddities)


class Strangers:
    """A lane for each manner, all of them with everything switched on."""

    def __init__(self, rig: Rig, rng: random.Random, folder: Path) -> None:
        self.rig, self.rng = rig, rng
        self.lanes: list[Lane] = []
        self.sources: list[Datagrams] = []
        for index, manner in enumerate(MANNERS):
            codec = rng.choice(CODECS)
            lane = rig.lane(codec, dtmf=rng.choice([None, 101]), comfort_noise=rng.random() < 0.5)
            lane.record_call(folder / f"{index}.wav", lambda made: None)
            lane.watch_answer(lambda heard: None, seconds=4)
            self.lanes.append(lane)
            self.sources.append(manner(rng, TYPES[codec], encoded(codec, index % 4)))
        self.lanes[0].bridge(self.lanes[1])
        for lane in self.lanes[2:5]:
            lane.enter("strangers")

    def move(self) -> None:
        for lane, source in zip(self.lanes, self.sources, strict=True):
            wire = self.rig.wire(lane)
            for data in next(source):
                wire.arrive(data)
            if self.rng.random() < 0.2:
                wire.rtcp_inbox.append(report(self.rng, int(self.rig.bank.streams.ssrc[lane.row])))


@pytest.mark.parametrize("seed", range(3))
def test_nobody_else_hears_what_strangers_do(seed: int, tmp_path: Path) -> None:
    alone, among = Rig(), Rig()
    strangers = Strangers(among, random.Random(seed), tmp_path)
    first = Company(alone, seed, tmp_path / "alone.wav")
    second = Company(among, seed, tmp_path / "among.wav")
    for _ in range(Company.TICKS):
        strangers.move()
        for company in (first, second):
            company.move()
            company.rig.tick()
    outcomes = first.outcome(), second.outcome()
    counts = [lane.close() for lane in strangers.lanes]
    among.tick()
    for index, (mine, theirs) in enumerate(zip(*outcomes, strict=True)):
        assert mine == theirs, index
    for count in counts:
        assert count.lost >= 0
        assert count.duplicated <= count.packets_received
        assert 1.0 <= (count.mos or 1.0) <= 4.5
        assert count.buffer_ms <= 620
