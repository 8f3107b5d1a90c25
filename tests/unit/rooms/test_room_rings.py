"""Frames through shared memory: in order, bounded, and nobody waits."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest

from telephony.rooms.workers.rings import HEARD, ROWS, SAID, SLOTS, Rings


@pytest.fixture
def pair() -> Iterator[tuple[Rings, Rings]]:
    """The same memory twice, as two processes have it."""
    descriptor = Rings.make()
    one, two = Rings(descriptor), Rings(descriptor)
    os.close(descriptor)
    yield one, two
    one.close()
    two.close()


def frame(value: int, samples: int = 480) -> np.ndarray:
    return np.full(samples, value, np.int16)


def test_frames_come_out_as_they_went_in(pair: tuple[Rings, Rings]) -> None:
    here, there = pair
    for row in (0, ROWS - 1):
        for value in range(1, 40):
            here.write(row, HEARD, frame(value))
            there.write(row, SAID, frame(-value, 960))
            got = there.read(row, HEARD, 480)
            back = here.read(row, SAID, 960)
            assert got is not None and (got == value).all()
            assert back is not None and (back == -value).all()
        assert there.read(row, HEARD, 480) is None
    assert here.read(5, SAID, 480) is None


def test_what_nobody_reads_is_overwritten_and_never_torn(pair: tuple[Rings, Rings]) -> None:
    here, there = pair
    for value in range(100):
        here.write(3, HEARD, frame(value))
    assert there.waiting(3, HEARD) == 100
    values = []
    while (got := there.read(3, HEARD, 480)) is not None:
        assert (got == got[0]).all()
        values.append(int(got[0]))
    assert values == list(range(100 - SLOTS + 1, 100))


def test_a_frame_is_passed_over_and_a_row_begins_anew(pair: tuple[Rings, Rings]) -> None:
    here, there = pair
    for value in range(3):
        here.write(1, SAID, frame(value))
    there.skip(1, SAID)
    got = there.read(1, SAID, 480)
    assert got is not None and int(got[0]) == 1
    here.clear(1)
    assert there.read(1, SAID, 480) is None


def test_what_was_read_is_the_readers_own(pair: tuple[Rings, Rings]) -> None:
    here, there = pair
    here.write(2, HEARD, frame(7))
    got = there.read(2, HEARD, 480)
    for value in range(2 * SLOTS):
        here.write(2, HEARD, frame(value))
    assert got is not None and (got == 7).all()
