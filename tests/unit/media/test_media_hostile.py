"""Whatever arrives, the tick goes on: seeded rubbish, storms and jumps."""

from __future__ import annotations

import random

import numpy as np
import pytest

from telephony.media.datagrams import MAX_PASSES
from telephony.media.jitter import SIZE
from telephony.rtp.packet import Packet

from .conftest import Rig


def rubbish(rng: random.Random) -> bytes:
    """A datagram: anything, or RTP with every field on the edge of something."""
    if rng.random() < 0.2:
        return rng.randbytes(rng.choice([0, 1, 11, 12, 13, 172, 639, 640]))
    sequence = rng.choice([0, 1, 65535, 32768, rng.randrange(65536)])
    timestamp = rng.choice([0, 2**31, 2**32 - 1, 160, rng.randrange(2**32)])
    packet = Packet(
        rng.choice([0, 0, 0, 8, 13, 101, 101, 96, 72]),
        sequence,
        timestamp,
        rng.choice([1, 1, 1, 2, rng.randrange(2**32)]),
        rng.randbytes(rng.choice([0, 1, 3, 4, 79, 80, 160, 160, 240, 480, 600])),
        marker=rng.random() < 0.1,
        csrcs=tuple(range(rng.choice([0, 0, 0, 1, 15]))),
        extension=rng.choice([None, None, (1, bytes(4 * rng.randrange(4)))]),
        padding=rng.choice([0, 0, 0, 4]),
    )
    data = bytearray(bytes(packet))
    if rng.random() < 0.1 and data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


@pytest.mark.parametrize("seed", range(8))
def test_rubbish_breaks_nothing(seed: int) -> None:
    rng, rig = random.Random(seed), Rig()
    lanes = [rig.lane("PCMA" if n % 3 == 0 else "PCMU") for n in range(9)]
    lanes[0].bridge(lanes[1])
    for lane in lanes[2:6]:
        lane.enter("lobby")
    for _ in range(300):
        for lane in lanes:
            for _ in range(rng.choice([0, 1, 1, 1, 2, 12])):
                rig.wire(lane).arrive(rubbish(rng))
            if rng.random() < 0.3:
                rig.wire(lane).rtcp_inbox.append(rng.randbytes(rng.randrange(80)))
        rig.tick()
    rings = rig.bank.playout.rings
    for lane in lanes:
        quality = lane.quality()
        assert len(rig.wire(lane).sent) == 300
        assert quality.lost >= 0
        assert quality.duplicated <= quality.packets_received
        assert 1.0 <= (quality.mos or 1.0) <= 4.5
        assert int(rings.top[lane.row] - rings.cursor[lane.row]) <= SIZE


@pytest.mark.parametrize("seed", range(6))
def test_play_out_never_runs_backwards_by_more_than_it_waits(seed: int) -> None:
    """An honest stream through a network that delays, loses, doubles and reorders."""
    rng, rig = random.Random(seed), Rig()
    lane = rig.lane()
    arrivals: list[list[bytes]] = [[] for _ in range(700)]
    for number in range(500):
        payload = bytes([number % 256]) * 160
        data = bytes(Packet(0, number % 65536, 160 * number, 5, payload))
        for _ in range(rng.choices([0, 1, 2], [0.05, 0.9, 0.05])[0]):
            delay = rng.choice([0, 0, 0, 1, 2, rng.randrange(12)])
            arrivals[number + delay].append(data)
    rings = rig.bank.playout.rings
    before = None
    for arriving in arrivals:
        for data in arriving:
            rig.wire(lane).arrive(data)
        rig.tick()
        if rings.playing[lane.row]:
            cursor = int(rings.cursor[lane.row])
            if before is not None:
                assert -rig.config.max_depth_ms * 8 <= cursor - before <= SIZE
            before = cursor
    quality = lane.quality()
    assert quality.packets_received <= 600
    assert quality.concealed >= quality.lost // 2


def test_a_storm_is_taken_a_few_a_tick_and_then_left_behind() -> None:
    rig = Rig()
    lane, calm = rig.lane(), rig.lane()
    for number in range(2000):
        rig.wire(lane).arrive(Packet(0, number, 160 * number, 5, bytes(160)))
    for number in range(100):
        rig.wire(calm).arrive(Packet(0, number, 160 * number, 6, b"\x20" * 160))
        rig.tick()
    assert len(rig.wire(lane).inbox) >= 2000 - 100 * MAX_PASSES
    assert (calm.quality().lost, calm.quality().concealed) == (0, 0)
    assert np.all(rig.bank.playout.rings.top - rig.bank.playout.rings.cursor <= SIZE)
