"""Comfort noise: the packets of RFC 3389, and noise as loud and as coloured as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.audio import noise


@pytest.mark.parametrize("level", [-20.0, -45.0, -70.0])
@pytest.mark.parametrize("factor", [1, 2])
def test_noise_is_as_loud_as_was_said(level: float, factor: int) -> None:
    white = noise.table(np.random.default_rng(1))
    shapes = noise.shape(noise.Sid(level))[None]
    parts = [noise.frames(white, np.array([160 * k]), shapes, 160, factor)[0] for k in range(200)]
    rms = np.sqrt((np.concatenate(parts).astype(np.float64) ** 2).mean())
    assert 20 * np.log10(rms / 32768) == pytest.approx(level, abs=0.3)


def test_a_walk_through_the_table_has_no_seams() -> None:
    """A low-pass sound: steps between frames are no larger than within."""
    white = noise.table(np.random.default_rng(1))
    shapes = noise.shape(noise.Sid(-30.0, (-0.95,)))[None]
    parts = [noise.frames(white, np.array([160 * k]), shapes, 160)[0] for k in range(100)]
    whole = np.concatenate(parts)
    steps = np.abs(np.diff(whole))
    seams = steps[159::160]
    assert seams.mean() < 1.3 * steps.mean()
    spectrum = np.abs(np.fft.rfft(whole)) ** 2
    assert spectrum[:2000].sum() > 20 * spectrum[-2000:].sum()


def test_a_packet_says_level_and_coefficients() -> None:
    sid = noise.parse(bytes([0x80 | 40, 127, 200, 20]))
    assert sid is not None
    assert sid.level == -40
    assert sid.reflection == pytest.approx((0.0, 73 * 258 / 32768, -107 * 258 / 32768))
    assert noise.parse(b"") is None
    assert noise.write(-40.4) == b"\x28"
    assert (noise.write(3.0), noise.write(-200.0)) == (b"\x00", b"\x7f")


@given(st.binary(max_size=40))
def test_whatever_a_packet_holds_the_noise_is_finite_and_no_louder(payload: bytes) -> None:
    sid = noise.parse(payload)
    if sid is None:
        return
    white = noise.table(np.random.default_rng(1))
    shapes = noise.shape(sid)[None]
    made = noise.frames(white, np.array([0]), shapes, 160)
    assert np.isfinite(made).all()
