"""Keys in the sound: what must be found and what refused (ITU-T Q.24, Bellcore), alone and in
batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from telephony.audio import wav
from telephony.audio.pcm import silence
from telephony.audio.tones import dtmf
from telephony.media.detect import Detectors

VECTORS = Path(__file__).parents[2] / "vectors" / "rtp" / "dtmf-inband"
NAMES = {"pound": "#", "star": "*"}


def keys(lanes: npt.NDArray[np.int16]) -> list[str]:
    """What is found in int16 (lanes, samples), whole frames, a string a lane."""
    detectors = Detectors(lanes.shape[0])
    for row in range(lanes.shape[0]):
        detectors.listen_for_keys(row, True)
    found = [""] * lanes.shape[0]
    for tick in range(lanes.shape[1] // 160):
        detectors.hear(lanes[:, 160 * tick : 160 * tick + 160], tick * 0.02)
        for row, key in detectors.take_keys():
            found[row] += key
    return found


def padded(*parts: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """One lane of whole frames, with silence behind."""
    sound = np.concatenate((*parts, silence(60)))
    return np.pad(sound, (0, -sound.size % 160))[None]


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.wav")), ids=lambda path: path.stem)
def test_a_recorded_key_is_found_once(path: Path) -> None:
    name = path.stem.removeprefix("dtmf-")
    assert keys(padded(wav.parse(path.read_bytes()).samples[0])) == [NAMES.get(name, name)]


def test_keys_in_a_row_are_found_in_order() -> None:
    assert keys(padded(dtmf("0123456789*#ABCD", 50, 45))) == ["0123456789*#ABCD"]
    assert keys(padded(dtmf("1111", 60, 45))) == ["1111"]
