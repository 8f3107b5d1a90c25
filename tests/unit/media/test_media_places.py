"""Which row a lane gets, whatever the order of coming and going."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from telephony.media.places import Places


@given(st.lists(st.integers(-1, 40), max_size=300))
def test_the_lowest_free_row_is_taken_and_the_height_fits(steps: list[int]) -> None:
    places, taken = Places(), set[int]()
    for step in steps:
        if step < 0 or not taken:
            row = places.take()
            assert row == min(set(range(len(taken) + 1)) - taken)
            taken.add(row)
        else:
            row = sorted(taken)[step % len(taken)]
            places.give(row)
            taken.remove(row)
        assert places.height == 1 + max(taken, default=-1)
