"""Play-out against simulated lines: depth, tempo, drift, holes, and that lanes are their own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telephony.audio import g711
from telephony.media.config import FRAME
from telephony.media.jitter import SIZE
from telephony.media.playout import Playout
from telephony.media.playout_voice import Voice
from telephony.testing.line import play

PTIME = 0.02


def even(lanes: int, packets: int, phase: float = 0.012) -> npt.NDArray[np.float64]:
    return np.tile(np.arange(packets) * PTIME + phase, (lanes, 1))


def vowel(seconds: float, pitch: float = 125.0, level: int = 4000) -> npt.NDArray[np.int16]:
    """A voiced sound: five harmonics."""
    at = np.arange(round(seconds * 8000)) / 8000
    wave = np.sum([np.sin(2 * np.pi * pitch * n * at + n) / n for n in range(1, 6)], axis=0)
    return np.asarray(wave * level, np.int16)


def coded(sound: npt.NDArray[np.int16], lanes: int = 1) -> npt.NDArray[np.uint8]:
    return np.tile(g711.ulaw_encode(sound), (lanes, 1))


def largest_step(sound: npt.NDArray[np.int16]) -> int:
    return int(np.abs(np.diff(sound.astype(np.int64))).max())


def test_a_clean_line_settles_at_the_minimum_and_loses_nothing_to_our_own_lateness() -> None:
    rng = np.random.default_rng(1)
    phases = np.linspace(0.001, 0.019, 19)[:, None]
    arrivals = even(19, 500, 0.0) + phases + rng.random((19, 500)) * 0.0005
    late = rng.random(520) * 0.006
    late[0] = 0
    heard = play(coded(vowel(10), 19), arrivals, ticks=500, late=late)
    playout = heard.playout
    assert not playout.late.any()
    assert not playout.concealed.any()
    assert (playout.delays.target == 40).all()
    # From the arrival of a packet to the tick that plays its first octet: two ticks and the phase
    # at first, and less by what play-out has moved since.
    moved = heard.shift[:, 480] - heard.shift[:, 10]
    waits = 0.04 - phases[:, 0] - moved / 8000
    assert waits.max() <= 0.028
    assert waits.min() >= 0.005


@pytest.mark.parametrize(("jitter", "least", "most"), [(0.01, 10, 20), (0.04, 38, 60)])
def test_the_target_follows_the_jitter(jitter: float, least: int, most: int) -> None:
    rng = np.random.default_rng(2)
    arrivals = even(20, 1500) + rng.random((20, 1500)) * jitter
    playout = play(coded(vowel(30), 20), arrivals, ticks=1500).playout
    targets = playout.delays.target / 8
    assert targets.min() >= least
    assert targets.max() <= most
    assert playout.late.mean() <= 1.0


def test_the_target_never_exceeds_the_ceiling() -> None:
    rng = np.random.default_rng(3)
    arrivals = even(8, 1000) + rng.random((8, 1000)) * 0.5
    heard = play(coded(vowel(20), 8), arrivals, ticks=1000)
    assert heard.playout.delays.target.max() <= 1600
    assert heard.depth.max() <= 1600 + 2 * FRAME


def test_an_hour_of_drift_adds_no_delay_and_costs_no_speech() -> None:
    """Far ends 200 ppm fast and slow against our clock."""
    packets = 90_000
    sent = np.arange(packets) * 0.04
    rng = np.random.default_rng(4)
    drift = np.array([[1 / (1 + 200e-6)], [1 / (1 - 200e-6)]])
    arrivals = sent * drift + 0.012 + rng.random((2, packets)) * 0.0005
    talk = np.concatenate([vowel(0.8), np.zeros(3200, np.int16)])
    codes = np.tile(g711.ulaw_encode(np.resize(talk, 8000)), (2, 3600))
    heard = play(codes, arrivals, ptime=320, ticks=179_900)
    playout = heard.playout
    assert not playout.late.any()
    assert not playout.concealed.any()
    assert not playout.dropped.any()
    assert heard.depth[:, 500:].max() <= 80 * 8
    # What the clocks differ by in an hour is what was left out or said more, and little else.
    moved = heard.shift[:, -1] - heard.shift[:, 500]
    assert moved[0] / 8 == pytest.approx(720, abs=25)
    assert moved[1] / 8 == pytest.approx(-720, abs=25)


def test_tempo_changes_are_smooth() -> None:
    """The line becomes slower and faster by 60 ms: voiced sound is stretched without a step."""
    for moved in (0.06, -0.06):
        arrivals = even(1, 2200, 0.08)
        arrivals[:, 300:] += np.minimum(np.arange(1900) * 0.0001, abs(moved)) * np.sign(moved)
        sound = vowel(44)
        heard = play(coded(sound), arrivals, ticks=2200)
        assert heard.playout.scaled[0] >= 30 * 8
        assert not heard.playout.concealed.any()
        assert largest_step(heard.sound[0, 8000:]) <= 1.15 * largest_step(sound)


def test_a_hole_is_filled_with_the_same_pitch_and_led_over() -> None:
    arrivals = even(1, 100)
    arrivals[0, 50] = np.inf
    sound = vowel(2)
    heard = play(coded(sound), arrivals, ticks=100)
    assert heard.playout.concealed[0] == FRAME
    assert largest_step(heard.sound[0, 3200:]) <= 1.2 * largest_step(sound)
    start = int(np.flatnonzero(heard.sound[0])[0])
    lag = start - int(np.flatnonzero(sound)[0])
    clean = np.zeros(heard.sound.shape[1])
    clean[lag:] = sound[: clean.size - lag]
    hole = slice(50 * FRAME + lag, 51 * FRAME + lag)
    error = heard.sound[0, hole] - clean[hole]
    assert (error**2).mean() < 0.1 * (clean[hole] ** 2).mean()


def test_a_long_hole_fades_to_silence_after_sixty_milliseconds() -> None:
    arrivals = even(1, 100)
    arrivals[0, 50:60] = np.inf
    heard = play(coded(vowel(2)), arrivals, ticks=100)
    start = int(np.flatnonzero(heard.sound[0])[0]) // FRAME * FRAME + 50 * FRAME
    levels = [np.abs(heard.sound[0, start + k * 80 : start + k * 80 + 80]).max() for k in range(18)]
    assert levels[0] > 0.8 * levels[1]
    assert levels[4] < 0.6 * levels[0]
    assert not any(levels[6:])


networks = st.tuples(
    st.integers(0, 2**32 - 1),
    st.sampled_from([80, 160, 200, 240, 320, 480, 37]),
    st.floats(0, 0.3),
    st.floats(0, 0.25),
)


@settings(max_examples=12, deadline=None)
@given(networks)
def test_a_lane_sounds_the_same_alone_and_among_others(
    network: tuple[int, int, float, float],
) -> None:
    seed, ptime, loss, jitter = network
    rng = np.random.default_rng(seed)
    lanes, packets = 5, 24000 // ptime
    arrivals = np.arange(packets) * (ptime / 8000) + rng.random((lanes, 1)) * 0.02
    arrivals = arrivals + rng.random((lanes, packets)) * jitter * rng.random((lanes, 1))
    arrivals[rng.random((lanes, packets)) < loss] = np.inf
    talk = np.concatenate([vowel(0.5, 90 + seed % 100), np.zeros(1500, np.int16)])
    codes = np.stack([np.roll(np.resize(g711.ulaw_encode(talk), 24000), 977 * n) for n in range(5)])
    ticks = 150
    together = play(codes, arrivals, ptime=ptime, ticks=ticks)
    for row in range(lanes):
        one = slice(row, row + 1)
        alone = play(codes[one], arrivals[one], ptime=ptime, ticks=ticks)
        for name in ("late", "concealed", "underruns", "scaled", "dropped", "shift"):
            assert getattr(alone.playout, name)[0] == getattr(together.playout, name)[row]
        assert np.array_equal(alone.sound[0], together.sound[row])


def counting(rows: object, codes: npt.NDArray[np.uint8], out: object = None) -> object:
    """A decoder of anything."""
    found = (codes.astype(np.int16) - 128) * 64
    if out is None:
        return found
    out[...] = found  # type: ignore[index]
    return out


packets_of_rubbish = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.one_of(st.integers(-2000, 4000), st.integers(0, 2**32 - 1)),
        st.sampled_from([1, 1, 1, 2, 5, 0, -1, -40]),
        st.sampled_from([1, 37, 79, 80, 160, 160, 160, 240, 480, 600, 640]),
        st.floats(-1, 3),
    ),
    max_size=60,
)


@settings(max_examples=40, deadline=None)
@given(packets_of_rubbish)
def test_whatever_arrives_play_out_never_runs_backwards_and_never_grows(
    packets: list[tuple[int, int, int, int, float]],
) -> None:
    playout = Playout(4, counting, 20, 200)  # type: ignore[arg-type]
    rings = playout.rings
    line = np.zeros(4, np.int64)
    spoken = np.zeros(4, np.int64)
    for number, (row, stamp, step, size, age) in enumerate(packets):
        playout.start(number * 0.02)
        line[row] += size
        rows = np.array([row])
        playout.put(
            rows,
            np.array([(line[row] + stamp) % 2**32], np.uint32),
            np.array([step]),
            np.full((1, size), number % 256, np.uint8),
            np.array([age]),
        )
        if playout.delays.age[row] > 1:
            # Back over a hole at most, never over sound that was played.
            assert max(rings.cursor[row], playout.opens[row]) >= spoken[row]
        before, shift = rings.cursor.copy(), playout.shift.copy()
        out = playout.take(4)
        assert out.shape == (4, FRAME)
        spoken = np.where(playout.hole > 0, rings.erased, rings.cursor)
        moved = rings.cursor - before
        assert (moved[rings.playing] >= 40).all()
        assert (moved <= 280).all()
        assert ((rings.cursor - playout.shift) - (before - shift) <= FRAME).all()
        assert (rings.top - rings.cursor <= SIZE).all()
        assert (rings.filled - rings.cursor <= SIZE).all()
        assert (rings.marks.any(axis=1) <= rings.ragged).all()
    assert rings.codes.shape == (4, SIZE)


def test_a_stage_for_wide_sound_is_told_each_code_once_and_in_order() -> None:
    told: list[npt.NDArray[np.uint8]] = []

    def decode(
        rows: object,
        codes: npt.NDArray[np.uint8],
        out: object = None,
        lengths: npt.NDArray[np.int64] | None = None,
    ) -> npt.NDArray[np.int16]:
        told.append(codes[:, : None if lengths is None else int(lengths[0])].copy())
        return np.repeat(g711.ulaw_decode(codes), 2, axis=1)

    playout = Playout(2, counting, 20, 200)  # type: ignore[arg-type]
    wide = Voice(2, decode, factor=2, stateless=False)
    playout.attach(wide)
    playout.assign(1, wide)
    sound = vowel(4)
    arrivals = even(2, 200, 0.001)
    arrivals[:, 100:] -= 0.0005
    heard = play(coded(sound, 2), arrivals, ticks=195, playout=playout)
    assert wide.frame.shape == (2, 320)
    assert np.abs(wide.frame[1]).max() > 1000
    codes = np.concatenate([part[0] for part in told if part.shape[0]])
    sent = coded(sound)[0]
    begin = int(np.flatnonzero(codes != codes[0])[0]) - int(np.flatnonzero(sent != sent[0])[0])
    assert np.array_equal(codes[begin : begin + 28000], sent[:28000])
    assert heard.playout.scaled[1] > 0
