"""WAV files as they are found, and as we write them."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.audio import g711, wav

SAMPLES = np.array([0, 1, -1, 1000, -1000, 32767, -32768], np.int16)


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    padding = b"\0" if len(body) % 2 else b""
    return name + struct.pack("<L", len(body) if size is None else size) + body + padding


def fmt(kind: int, channels: int, rate: int, bits: int, more: bytes = b"") -> bytes:
    frame = channels * bits // 8
    body = struct.pack("<HHLLHH", kind, channels, rate, rate * frame, frame, bits)
    return chunk(b"fmt ", body + more)


def riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<L", len(body)) + body


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_what_we_write_we_read(rate: int) -> None:
    stereo = np.stack([SAMPLES, SAMPLES[::-1]])
    found = wav.parse(wav.encode(stereo, rate))
    assert np.array_equal(found.samples, stereo)
    assert found.rate == rate
    assert wav.parse(wav.encode(SAMPLES, rate)).samples.shape == (1, 7)


def test_a_stream_with_an_open_length_reads_to_its_end_and_is_patched_to_the_same() -> None:
    body = SAMPLES.astype("<i2").tobytes()
    assert np.array_equal(wav.parse(wav.header(8000, 1) + body).samples[0], SAMPLES)
    written = bytearray(wav.header(8000, 1) + body)
    for offset, octets in wav.patches(len(body)):
        written[offset : offset + 4] = octets
    assert bytes(written) == wav.encode(SAMPLES, 8000)


@pytest.mark.parametrize(
    ("kind", "bits", "body", "expected"),
    [
        (1, 8, bytes([0, 128, 255]), [-32768, 0, 32512]),
        (1, 24, b"\xff\x34\x12\x00\x00\x80", [0x1234, -32768]),
        (1, 32, b"\xff\xff\x34\x12\x00\x00\x00\x80", [0x1234, -32768]),
        (3, 32, struct.pack("<3f", 0.5, -3.0, float("nan")), [16384, -32768, 0]),
        (3, 64, struct.pack("<2d", -0.5, 1.0), [-16384, 32767]),
        (6, 8, b"\xd5\x2a", [8, -8 * 4032]),
        (7, 8, b"\xff\x00", [0, -32124]),
    ],
)
def test_sample_formats(kind: int, bits: int, body: bytes, expected: list[int]) -> None:
    found = wav.parse(riff(fmt(kind, 1, 8000, bits), chunk(b"data", body)))
    if kind == 6:
        expected = g711.alaw_decode(np.frombuffer(body, np.uint8)).tolist()
    assert found.samples[0].tolist() == expected


def test_extensible_odd_chunks_and_order_of_channels() -> None:
    guid = struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    extension = struct.pack("<HHL", 22, 16, 3) + guid
    data = struct.pack("<4h", 1, 2, 3, 4)
    file = riff(
        chunk(b"LIST", b"odd"),
        fmt(0xFFFE, 2, 48000, 16, extension),
        chunk(b"fact", b"\0" * 5),
        chunk(b"data", data),
        chunk(b"cue ", b"x"),
    )
    assert wav.parse(file).samples.tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 1000, 6])
def test_data_that_ends_early_gives_what_is_there(size: int) -> None:
    file = riff(fmt(1, 2, 8000, 16), chunk(b"data", struct.pack("<3h", 1, 2, 3), size))
    assert wav.parse(file).samples.tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"", "RIFF"),
        (b"RIFX" + bytes(40), "RIFF"),
        (riff(), "'fmt '"),
        (riff(fmt(1, 1, 8000, 16)), "'data'"),
        (riff(chunk(b"data", b"ab")), "before chunk 'fmt '"),
        (riff(chunk(b"fmt ", b"short")), "'fmt ' has 5"),
        (riff(fmt(1, 0, 8000, 16), chunk(b"data", b"ab")), "0 channels"),
        (riff(fmt(1, 9, 8000, 16), chunk(b"data", b"ab")), "9 channels"),
        (riff(fmt(1, 1, 0, 16), chunk(b"data", b"ab")), "0 Hz"),
        (riff(fmt(1, 1, 8000, 12), chunk(b"data", b"ab")), "12 bit"),
        (riff(fmt(85, 1, 44100, 16), chunk(b"data", b"ab")), "0x0055"),
        (riff(fmt(0xFFFE, 1, 8000, 16), chunk(b"data", b"ab")), "extensible"),
    ],
)
def test_errors_name_the_chunk(file: bytes, words: str) -> None:
    with pytest.raises(wav.WavError, match=words):
        wav.parse(file)


def test_a_file_over_the_ceiling_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wav, "MAX_BYTES", 60)
    with pytest.raises(wav.WavError, match="ceiling 60"):
        wav.parse(wav.encode(np.zeros(9, np.int16), 8000))


@given(st.binary(max_size=200), st.integers(0, 60))
def test_damaged_files_are_refused_in_words(noise: bytes, at: int) -> None:
    file = bytearray(wav.encode(SAMPLES, 8000))
    file[at : at + len(noise)] = noise
    try:
        found = wav.parse(bytes(file))
    except wav.WavError:
        return
    assert found.samples.dtype == np.int16
