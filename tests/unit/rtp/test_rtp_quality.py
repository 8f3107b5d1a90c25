"""The E-model at its known points."""

from __future__ import annotations

import numpy as np
import pytest

from telephony.rtp import quality


@pytest.mark.parametrize(
    ("r", "expected"), [(0, 1.0), (50, 2.58), (60, 3.10), (70, 3.60), (80, 4.03), (90, 4.34)]
)
def test_mos_of_g107_annex_b(r: float, expected: float) -> None:
    assert quality.mos(r) == pytest.approx(expected, abs=0.011)


def test_mos_never_leaves_its_scale() -> None:
    scores = [quality.mos(r / 10) for r in range(-50, 1100)]
    assert min(scores) == 1.0
    assert max(scores) == 4.5
    assert scores == sorted(scores)


def test_a_perfect_call_is_4_4_and_loss_and_delay_cost() -> None:
    assert quality.mos(quality.r_factor(0)) == pytest.approx(4.41, abs=0.01)
    assert quality.r_factor(0.02) == pytest.approx(93.2 - 95 * 2 / 27.1, abs=0.01)
    assert quality.r_factor(0.02, concealed=False) < quality.r_factor(0.02) - 20
    assert quality.r_factor(0, 100) == pytest.approx(93.2 - 2.4)
    assert quality.r_factor(0, 400) < 60
    assert quality.r_factor(1.0, 1000) == 0
    assert quality.r_factor(0.02, burst_ratio=2) < quality.r_factor(0.02)


def test_the_verdict_counts_late_as_lost_for_the_listener() -> None:
    found = quality.judge(expected=1000, lost=10, late=10, jitter_ms=3.0)
    assert (found.loss, found.late) == (0.01, 0.01)
    assert found.r == pytest.approx(quality.r_factor(0.02))
    assert quality.judge(expected=0, lost=0, late=0, jitter_ms=0).mos == 0
    assert quality.judge(expected=10, lost=30, late=30, jitter_ms=0).loss == 1.0


def test_jitter_of_many_streams_wraps() -> None:
    jitter = np.array([0.0, 16.0])
    transit = np.array([-(2**31), 100], np.int32)
    previous = np.array([2**31 - 1, 100], np.int32)
    assert quality.jitter_step(jitter, transit, previous).tolist() == [1 / 16, 15.0]
