"""Admission: a ceiling, a bucket, and when to come again."""

from __future__ import annotations

import pytest

from telephony.base.errors import Busy
from telephony.switchboard.admission import Admission


def test_the_ceiling_is_exact_and_places_come_back() -> None:
    gate = Admission(max_calls=2, rate=100)
    gate.enter(0.0)
    gate.enter(0.0)
    with pytest.raises(Busy, match="2 calls"):
        gate.enter(0.0)
    gate.leave()
    gate.enter(0.0)
    assert gate.live == 2


def test_the_rate_is_kept_and_refills_with_time() -> None:
    gate = Admission(max_calls=1000, rate=10)
    for _ in range(10):
        gate.enter(5.0)
    with pytest.raises(Busy) as busy:
        gate.enter(5.0)
    assert busy.value.retry_after == 1
    gate.enter(5.11)
    with pytest.raises(Busy):
        gate.enter(5.11)
    assert gate.live == 11


def test_a_refusal_takes_no_place() -> None:
    gate = Admission(max_calls=1, rate=1)
    gate.enter(0.0)
    for _ in range(5):
        with pytest.raises(Busy):
            gate.enter(10.0)
    assert gate.live == 1
