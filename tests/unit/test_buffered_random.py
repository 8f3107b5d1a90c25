"""The system's randomness in blocks is still randomness."""

from __future__ import annotations

import pytest

from telephony.system import BufferedRandom


def test_numbers_have_the_bits_asked_for_across_blocks() -> None:
    rng = BufferedRandom()
    for bits in (1, 7, 8, 62, 128):
        drawn = [rng.getrandbits(bits) for _ in range(2 * rng.BLOCK)]
        assert min(drawn) >= 0 and max(drawn) < 1 << bits
        # Each bit is set about half of the time.
        for bit in range(bits):
            share = sum(number >> bit & 1 for number in drawn) / len(drawn)
            assert 0.4 < share < 0.6
        assert bits < 62 or len(set(drawn)) == len(drawn)


def test_what_builds_on_it_stays_in_range() -> None:
    rng = BufferedRandom()
    assert {rng.randrange(3) for _ in range(200)} == {0, 1, 2}
    assert all(0.5 <= rng.uniform(0.5, 1.5) <= 1.5 for _ in range(2000))
    assert sorted(rng.sample(range(50), 50)) == list(range(50))
    assert len({rng.random() for _ in range(5000)}) == 5000


@pytest.mark.parametrize("size", [0, 1, 4096, 4097, 100_000])
def test_octets_of_any_number(size: int) -> None:
    assert len(BufferedRandom().randbytes(size)) == size


def test_a_negative_number_of_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        BufferedRandom().getrandbits(-1)
