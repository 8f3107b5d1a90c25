"""G.722 against two other implementations, against the Recommendation, and lane against lane."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telephony.audio import g722
from tests.unit.audio import g722_scalar

VECTORS = Path(__file__).parents[2] / "vectors" / "g722"
FRAME = g722.SAMPLES
T = np.arange(FRAME * 10) / 16000


def encode(samples: np.ndarray) -> np.ndarray:
    """(lanes, samples) through one encoder, frame by frame."""
    encoder = g722.Encoder(len(samples))
    frames = np.split(samples, samples.shape[1] // FRAME, axis=1)
    return np.concatenate([encoder.encode(frame) for frame in frames], axis=1)


def decode(codes: np.ndarray) -> np.ndarray:
    decoder = g722.Decoder(len(codes))
    frames = np.split(codes, codes.shape[1] // g722.STEPS, axis=1)
    return np.concatenate([decoder.decode(frame) for frame in frames], axis=1)


def clipped(samples: np.ndarray) -> np.ndarray:
    return np.clip(samples, -32768, 32767).astype(np.int16)


def mixed(seed: int, lanes: int, frames: int) -> np.ndarray:
    """Noise that comes and goes, a louder one each lane."""
    noise = np.random.default_rng(seed).normal(0, 1, (lanes, frames * FRAME))
    swell = 1.1 + np.sin(np.arange(frames * FRAME) / 700)
    return clipped(noise * swell * np.geomspace(3, 20000, lanes)[:, None])


@pytest.mark.parametrize("name", ["speech", "sweep"])
def test_octets_and_sound_are_those_of_another_codec(name: str) -> None:
    pcm = np.fromfile(VECTORS / f"{name}.pcm", "<i2")[None]
    octets = np.fromfile(VECTORS / f"{name}.g722", np.uint8)[None]
    assert np.array_equal(encode(pcm), octets)
    assert np.array_equal(decode(octets)[0], np.fromfile(VECTORS / f"{name}.decoded", "<i2"))


OVERLOAD = {
    "square": 32767 * np.sign(np.sin(2 * np.pi * 200 * T)),
    "top": np.full(len(T), 32767.0),
    "bottom": np.full(len(T), -32768.0),
    "noise": np.random.default_rng(3).normal(0, 25000, len(T)),
    "chirp": 32767 * np.sin(2 * np.pi * 20000 * T * T),
    "silence then square": np.where(T < 0.1, 0, 32767 * np.sign(np.sin(2 * np.pi * 90 * T))),
}


def test_every_clip_is_where_the_recommendation_has_it() -> None:
    sound = clipped(np.stack(list(OVERLOAD.values())))
    expected = np.stack([g722_scalar.encode(lane) for lane in sound])
    assert np.array_equal(encode(sound), expected)
    assert np.array_equal(decode(expected), np.stack([g722_scalar.decode(c) for c in expected]))


def test_octets_of_no_encoder_decode_as_the_recommendation_says() -> None:
    rng = np.random.default_rng(5)
    wild = rng.integers(0, 256, (4, 800)).astype(np.uint8)
    stuck = np.repeat(np.array([0, 3, 4, 32, 63, 128, 196, 255], np.uint8)[:, None], 800, axis=1)
    codes = np.concatenate([wild, stuck])
    assert np.array_equal(decode(codes), np.stack([g722_scalar.decode(c) for c in codes]))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), peak=st.floats(1, 60000), hertz=st.floats(20, 7900))
def test_any_sound_is_coded_as_the_recommendation_says(
    seed: int, peak: float, hertz: float
) -> None:
    n = np.arange(2 * FRAME)
    noise = np.random.default_rng(seed).normal(0, peak / 8, len(n))
    sound = clipped(peak * np.sin(2 * np.pi * hertz * n / 16000) + noise)[None]
    octets = encode(sound)
    assert np.array_equal(octets[0], g722_scalar.encode(sound[0]))
    assert np.array_equal(decode(octets)[0], g722_scalar.decode(octets[0]))


def test_a_lane_of_a_batch_is_the_same_lane_alone() -> None:
    sound = mixed(7, 9, 6)
    together = encode(sound)
    heard = decode(together)
    for lane in range(len(sound)):
        alone = encode(sound[lane : lane + 1])
        assert np.array_equal(alone[0], together[lane])
        assert np.array_equal(decode(alone)[0], heard[lane])


def test_a_lane_that_joins_or_leaves_changes_no_other() -> None:
    sound = mixed(11, 4, 8)
    frames = np.split(sound, 8, axis=1)
    alone = encode(sound)
    heard_alone = decode(alone)
    encoder, decoder = g722.Encoder(2), g722.Decoder(2)
    octets, heard = [], []
    for tick, frame in enumerate(frames):
        if tick == 3:
            encoder.grow(4)
            decoder.grow(4)
        if tick == 5:  # lane 1 leaves, and another begins in its row
            encoder.clear(1)
            decoder.clear(1)
        count = 2 if tick < 3 else 4
        octets.append(encoder.encode(frame[:count]))
        heard.append(decoder.decode(octets[-1]))
    assert np.array_equal(np.concatenate([o[0] for o in octets]), alone[0])
    assert np.array_equal(np.concatenate([h[0] for h in heard]), heard_alone[0])
    late = encode(sound[:, 3 * FRAME :])
    assert np.array_equal(np.concatenate([o[2] for o in octets[3:]]), late[2])
    assert np.array_equal(np.concatenate([h[2] for h in heard[3:]]), decode(late)[2])
    second = encode(sound[:, 5 * FRAME :])
    assert np.array_equal(np.concatenate([o[1] for o in octets[5:]]), second[1])
    assert np.array_equal(np.concatenate([h[1] for h in heard[5:]]), decode(second)[1])


def test_a_lane_that_waits_keeps_its_state() -> None:
    sound = mixed(13, 2, 4)
    octets = encode(sound)
    heard = decode(octets)
    encoder, decoder = g722.Encoder(2), g722.Decoder(2)
    noise = np.random.default_rng(1)
    parts, codes = [], []
    for tick in range(4):
        now = slice(tick * FRAME, tick * FRAME + FRAME)
        order = np.array([1, 0])
        codes.append(encoder.encode(sound[::-1, now], order)[::-1])
        parts.append(decoder.decode(codes[-1][::-1], order)[::-1])
        if tick == 1:  # lane 1 waits while lane 0 begins anew with something else
            sound[0, 2 * FRAME :] = noise.integers(-9000, 9000, 2 * FRAME)
            encoder.encode(sound[:1, : 2 * FRAME : 2], np.array([0]))
            decoder.decode(octets[:1, :70], np.array([0]))
    assert np.array_equal(np.concatenate(codes, axis=1)[1], octets[1])
    assert np.array_equal(np.concatenate(parts, axis=1)[1], heard[1])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 240), min_size=1, max_size=5))
def test_octets_may_come_in_pieces_of_any_length(lengths: list[int]) -> None:
    octets = encode(mixed(17, 2, 8))
    whole = decode(octets)
    decoder, at = g722.Decoder(2), 0
    for length in lengths:
        part = decoder.decode(octets[:, at : at + length])
        assert np.array_equal(part, whole[:, 2 * at : 2 * (at + length)])
        at += length


def test_lanes_may_take_unlike_numbers_of_octets() -> None:
    octets = encode(mixed(19, 4, 4))
    lengths = np.array([160, 0, 113, 197])
    together, alone = g722.Decoder(4), g722.Decoder(4)
    for at in (np.zeros(4, np.int64), lengths):
        codes = np.stack([octets[n, start : start + 200] for n, start in enumerate(at)])
        found = together.decode(codes, np.arange(4), lengths)
        for lane, length in enumerate(lengths.tolist()):
            part = alone.decode(codes[lane : lane + 1, :length], np.array([lane]))
            assert np.array_equal(found[lane, : 2 * length], part[0])
    rest = [octets[n, 2 * k : 2 * k + 100] for n, k in enumerate(lengths)]
    assert np.array_equal(together.decode(np.stack(rest)), alone.decode(np.stack(rest)))


def test_what_lies_above_four_kilohertz_passes() -> None:
    tone = clipped(8000 * np.sin(2 * np.pi * 5000 * T))[None]
    heard = decode(encode(tone))[0, FRAME:].astype(float)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert abs(np.argmax(spectrum) * 16000 / len(heard) - 5000) < 10
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(8000 / np.sqrt(2), rel=0.06)


def test_no_lanes_are_nothing() -> None:
    assert g722.Encoder(0).encode(np.zeros((0, FRAME), np.int16)).shape == (0, g722.STEPS)
    assert g722.Decoder(0).decode(np.zeros((0, g722.STEPS), np.uint8)).shape == (0, FRAME)
