"""A recording that a dead process left is playable as far as it was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from telephony.audio import wav
from telephony.media.salvage import salvage


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("torn", [0, 1, 3])
def test_what_was_written_is_kept(tmp_path: Path, channels: int, torn: int) -> None:
    path = tmp_path / "call.wav"
    sound = np.arange(8000 * channels, dtype="<i2").tobytes()
    path.write_bytes(wav.header(8000, channels) + sound[: len(sound) - torn])
    found = salvage(path)
    assert (found.error, found.reason) == ("", "interrupted")
    assert 999 <= found.duration_ms <= 1000
    assert found.size == path.stat().st_size
    again = wav.parse(path.read_bytes())
    assert again.samples.shape[0] == channels
    assert again.samples.shape[1] >= 7998


def test_what_was_never_written_is_said(tmp_path: Path) -> None:
    assert salvage(tmp_path / "missing.wav").error
    empty = tmp_path / "empty.wav"
    empty.write_bytes(wav.header(8000, 2))
    assert "nothing" in salvage(empty).error
    junk = tmp_path / "junk.wav"
    junk.write_bytes(b"\0" * 20)
    assert salvage(junk).error
