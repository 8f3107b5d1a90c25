"""Exact to the ITU sweep, and where ``audioop`` is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from telephony.audio import g711

VECTORS = Path(__file__).parents[2] / "vectors" / "g711"
EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)
EVERY_CODE = np.arange(256, dtype=np.uint8)


def words(name: str) -> np.ndarray:
    return np.fromfile(VECTORS / "itu-stl" / name, "<i2")


@pytest.mark.parametrize(("law", "name"), [(g711.ULAW, "ulaw"), (g711.ALAW, "alaw")])
def test_encodes_every_sample_as_itu_does(law: int, name: str) -> None:
    expected = np.fromfile(VECTORS / f"encode_{name}_itu.bin", np.uint8)
    assert np.array_equal(g711.encode(law, EVERY_SAMPLE), expected)


@pytest.mark.parametrize(("law", "suffix"), [(g711.ULAW, "u"), (g711.ALAW, "a")])
def test_the_itu_sweep_itself(law: int, suffix: str) -> None:
    source = words("sweep.src").astype(np.int16)
    codes = words(f"sweep-r.{suffix}").astype(np.uint8)
    assert np.array_equal(g711.encode(law, source), codes)
    assert np.array_equal(g711.decode(law, codes), words(f"sweep-r.re{suffix}"))


@pytest.mark.parametrize(("law", "column"), [(g711.ULAW, 1), (g711.ALAW, 2)])
def test_decodes_all_256_codes(law: int, column: int) -> None:
    table = np.loadtxt(VECTORS / "decode_table.tsv", skiprows=1, dtype=np.int64)
    assert np.array_equal(g711.decode(law, EVERY_CODE), table[:, column])


def test_audioop_differs_on_the_508_samples_it_is_known_to() -> None:
    audioop = np.fromfile(VECTORS / "encode_ulaw_audioop.bin", np.uint8)
    ours = g711.ulaw_encode(EVERY_SAMPLE)
    assert np.count_nonzero(ours != audioop) == 508
    assert np.abs(ours.astype(int) - audioop.astype(int)).max() == 1


def test_code_to_sample_to_code_is_the_identity_but_for_negative_zero() -> None:
    assert np.array_equal(g711.alaw_encode(g711.alaw_decode(EVERY_CODE)), EVERY_CODE)
    back = g711.ulaw_encode(g711.ulaw_decode(EVERY_CODE))
    assert np.flatnonzero(back != EVERY_CODE).tolist() == [0x7F]
    assert back[0x7F] == 0xFF


def test_any_shape_and_in_place() -> None:
    matrix = EVERY_SAMPLE.reshape(256, 256)
    out = np.empty(matrix.shape, np.uint8)
    assert g711.ulaw_encode(matrix, out) is out
    assert np.array_equal(out.ravel(), g711.ulaw_encode(EVERY_SAMPLE))
    assert g711.ulaw_encode(matrix[:, ::2]).shape == (256, 128)


def test_silence_is_the_code_of_zero() -> None:
    for law, code in g711.SILENCE.items():
        assert g711.encode(law, np.zeros(1, np.int16))[0] == code


@pytest.mark.parametrize("law", [g711.ULAW, g711.ALAW])
def test_codes_are_decoded_alike_in_pairs_alone_and_with_gaps(law: int) -> None:
    codes = np.random.default_rng(1).integers(0, 256, (64, 162)).astype(np.uint8)
    expected = np.take(g711.DECODE_TABLES[law], codes)
    assert np.array_equal(g711.decode(law, codes), expected)
    for part in (np.s_[:, :161], np.s_[:, 1:], np.s_[:, ::2], np.s_[3], np.s_[3, :5], np.s_[3, 7]):
        assert np.array_equal(g711.decode(law, codes[part]), expected[part])
    whole, gaps = np.empty((64, 162), np.int16), np.empty((64, 324), np.int16)
    assert g711.decode(law, codes, whole) is whole
    g711.decode(law, codes, gaps[:, ::2])
    assert np.array_equal(whole, expected)
    assert np.array_equal(gaps[:, ::2], expected)
