"""What the caller says goes out whole, and what it is behind is made up for in pauses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from telephony.media.seats import Seats
from telephony.rooms.feed import FILL, HOLD, LEAD, Feed

FRAME = 480
TICK = 0.02


def word(number: int) -> np.ndarray:
    """A loud frame that says which one it is."""
    frame = np.full(FRAME, 3000, np.int16)
    frame[::2] *= -1
    frame[0] = number
    return frame


QUIET = np.zeros(FRAME, np.int16)


def numbers(frames: list[np.ndarray]) -> list[int]:
    return [int(frame[0]) for frame in frames if frame[1]]


class Ticks:
    """A feed and its clock."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.now = 100.0
        self.out: list[np.ndarray] = []

    def run(self, frames: list[np.ndarray] | Iterator[np.ndarray]) -> None:
        for frame in frames:
            self.now += TICK
            self.feed.push(frame)
            self.out += self.feed.due(self.now)


def test_first_words_wait_for_whoever_comes_and_none_is_lost() -> None:
    ticks = Ticks()
    ticks.run([QUIET] * 40 + [word(n) for n in range(1, 101)])
    assert ticks.out == []
    ticks.feed.open()
    ticks.run([word(n) for n in range(101, 121)] + [QUIET] * 200)
    assert numbers(ticks.out) == list(range(1, 121))
    assert ticks.feed.lost == 0
    # Of the quiet before the first word, only its end.
    assert sum(1 for frame in ticks.out[: LEAD + 1] if not frame[1]) <= LEAD


def test_what_it_is_behind_is_made_up_for_in_pauses_only() -> None:
    ticks = Ticks()
    ticks.run([word(n) for n in range(1, 51)])
    ticks.feed.open()
    ticks.run([word(n) for n in range(51, 101)])
    assert ticks.feed.behind >= 0.9, "nothing is left out while somebody speaks"
    ticks.run([QUIET] * 100)
    assert ticks.feed.behind <= 0.061
    ticks.run([word(200), QUIET])
    assert numbers(ticks.out[-3:]) == [200], "in time again"
    assert numbers(ticks.out) == [*range(1, 101), 200]


def test_a_short_pause_inside_of_a_word_stays() -> None:
    ticks = Ticks()
    ticks.run([word(n) for n in range(1, 31)])
    ticks.feed.open()
    ticks.run([QUIET] * 4 + [word(31)] + [QUIET] * 60)
    at = next(i for i, frame in enumerate(ticks.out) if frame[1] and frame[0] == 31)
    assert [bool(frame[1]) for frame in ticks.out[at - 4 : at]] == [False] * 4


def test_nobody_comes_and_memory_is_bounded() -> None:
    ticks = Ticks()
    ticks.run(word(n % 30_000) for n in range(HOLD + 300))
    assert ticks.feed.lost == 300
    ticks.feed.open()
    ticks.run([QUIET] * (2 * HOLD))
    # One more made room for the first tick of quiet.
    assert numbers(ticks.out) == list(range(301, HOLD + 300))


def test_the_sdks_queue_is_never_overfilled_after_a_standstill() -> None:
    ticks = Ticks()
    ticks.feed.open()
    ticks.run([word(n) for n in range(1, 11)])
    # Twenty ticks at once: the loop stood still for 0.4 s.
    ticks.now += 0.4
    before = len(ticks.out)
    for number in range(11, 31):
        ticks.feed.push(word(number))
        ticks.out += ticks.feed.due(ticks.now)
    assert (len(ticks.out) - before) * TICK <= FILL + 1e-9
    ticks.run([word(n) for n in range(31, 41)] + [QUIET] * 100)
    assert numbers(ticks.out) == list(range(1, 41))
    assert ticks.feed.behind <= 0.061


def test_noise_on_the_line_is_a_pause_too() -> None:
    rng = np.random.default_rng(7)
    hiss = [(rng.standard_normal(FRAME) * 120).astype(np.int16) for _ in range(150)]
    ticks = Ticks()
    ticks.run([word(n) for n in range(1, 51)])
    ticks.feed.open()
    ticks.run(hiss)
    assert ticks.feed.behind <= 0.061
    assert ticks.feed.skipped > 0


def test_what_is_said_while_the_room_is_away_is_kept() -> None:
    ticks = Ticks()
    ticks.feed.open()
    ticks.run([word(1)])
    ticks.feed.close()
    ticks.run([word(n) for n in range(2, 20)])
    assert numbers(ticks.out) == [1]
    ticks.feed.open()
    ticks.run([word(20)] + [QUIET] * 30)
    assert numbers(ticks.out) == list(range(1, 21))


@pytest.mark.parametrize("late", [0.004, 0.012])
def test_a_tick_that_is_late_now_and_then_leaves_nothing_out(late: float) -> None:
    ticks = Ticks()
    ticks.feed.open()
    for number in range(1, 501):
        ticks.now += TICK
        ticks.feed.push(word(number))
        ticks.out += ticks.feed.due(ticks.now + (late if number % 7 == 0 else 0))
    assert numbers(ticks.out) == list(range(1, 501))
    assert ticks.feed.behind < 0.08


def test_from_the_seat_to_the_sdk_no_sample_is_lost_or_changed() -> None:
    rng = np.random.default_rng(3)
    seats = Seats()
    seat = seats.take(0, 24_000)
    twin = Seats()
    other = twin.take(0, 24_000)
    ticks = Ticks()
    heard = []
    for tick in range(300):
        row = (rng.standard_normal((1, 160)) * 4000).astype(np.int16)
        seats.hear(row)
        twin.hear(row)
        frame, same = seat.read(), other.read()
        assert frame is not None and same is not None
        heard.append(same)
        # Somebody listens from the third second on.
        if tick == 150:
            ticks.feed.open()
        ticks.run([frame])
    for _ in range(160):
        ticks.run([QUIET])
    out = np.concatenate(ticks.out)
    whole = np.concatenate(heard)
    assert np.array_equal(out[: whole.size], whole)
