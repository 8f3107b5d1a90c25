"""The rings against the plainest model of one: a dictionary of octets a lane."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from telephony.media.config import FRAME
from telephony.media.jitter import FAR_AHEAD, LONGEST, SIZE, START, JitterRings

LANES = 3

packets = st.tuples(
    st.lists(st.integers(0, LANES - 1), min_size=1, max_size=LANES, unique=True),
    st.lists(st.integers(-6, 24), min_size=LANES, max_size=LANES),
    st.sampled_from([80, 160, 240, 480]),
    st.integers(0, 79),
)
steps = st.one_of(packets, st.integers(1, 700))


class Plain:
    """One lane: what is there by its position, and how far it was played."""

    def __init__(self) -> None:
        self.cursor = START
        self.octets: dict[int, int] = {}

    def store(self, position: int, payload: bytes) -> None:
        end = position + len(payload)
        if end <= self.cursor or position < self.cursor - LONGEST:
            return
        if position - self.cursor >= FAR_AHEAD:
            return
        for number, octet in enumerate(payload):
            if position + number >= self.cursor:
                self.octets[position + number] = octet

    def play(self, count: int) -> None:
        self.cursor += count
        self.octets = {at: octet for at, octet in self.octets.items() if at >= self.cursor}

    @property
    def filled(self) -> int:
        at = self.cursor
        while at in self.octets:
            at += 1
        return at


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, max_size=30), st.randoms(use_true_random=False))
def test_what_is_there_and_what_it_says_is_what_came(script: list[Any], chance: Random) -> None:
    rings = JitterRings(LANES)
    everybody = np.arange(LANES)
    rings.begin(everybody, np.full(LANES, START))
    plain = [Plain() for _ in range(LANES)]
    for step in script:
        if isinstance(step, int):
            rings.cursor += step
            rings.pass_holes(everybody)
            for lane in plain:
                lane.play(step)
        else:
            lanes, places, length, shift = step
            rows = np.array(sorted(lanes))
            position = np.array([plain[row].cursor + places[row] * 80 + shift for row in rows])
            payload = np.frombuffer(chance.randbytes(len(rows) * length), np.uint8)
            payload = payload.reshape(len(rows), length)
            rings.store(rows, position, payload)
            for row, at, octets in zip(rows, position, payload, strict=True):
                plain[row].store(int(at), octets.tobytes())
        there, found = rings.there(everybody), rings.read(everybody, FRAME)
        for row, lane in enumerate(plain):
            wanted = range(lane.cursor, lane.cursor + FRAME)
            assert there[row].tolist() == [at in lane.octets for at in wanted]
            heard = {at: found[row, at - lane.cursor] for at in wanted if at in lane.octets}
            assert heard == {at: lane.octets[at] for at in heard}
            assert max(int(rings.filled[row]), lane.cursor) == lane.filled
            # A mark that stays behind would be somebody's sound 600 ms later.
            marked = np.flatnonzero(rings.marks[row])
            held = {at % SIZE for at in lane.octets if at >= lane.filled}
            assert set(marked.tolist()) == held
