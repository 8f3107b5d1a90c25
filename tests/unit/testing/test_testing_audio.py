"""The ears of the tests must hear what is there and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from telephony.audio import g711, pcm, tones, wav
from telephony.audio.resample import resample
from telephony.testing.audio import find_dtmf, heard, segments, tone

VECTORS = Path(__file__).parents[2] / "vectors" / "rtp"


def test_a_tone_is_heard_in_a_mix_and_another_is_not() -> None:
    both = pcm.saturate(tone(440, 600).astype(int) + tone(1000, 600, -16))
    found = heard(both, 440)
    assert found
    assert found.dbm0 == pytest.approx(-10, abs=0.5)
    assert found.present_ms >= 560
    assert heard(both, 1000)
    assert not heard(both, 700)
    assert not heard(np.zeros(8000, np.int16), 440)
    assert not heard(np.zeros(10, np.int16), 440)


def test_noise_is_no_tone() -> None:
    noise = pcm.saturate(np.random.default_rng(3).normal(0, 3000, 16000))
    assert not heard(noise, 440)


def test_segments_to_a_block_and_short_pauses_bridged() -> None:
    sound = np.concatenate(
        [pcm.silence(200), tone(500, 300), pcm.silence(60), tone(500, 240), pcm.silence(400)]
    )
    found = segments(sound)
    assert [(s.sound, s.start_ms, s.end_ms) for s in found] == [
        (False, 0, 200),
        (True, 200, 800),
        (False, 800, 1200),
    ]
    assert found[1].length_ms == 600
    assert segments(np.zeros(0, np.int16)) == []


@pytest.mark.parametrize("name", [*"0123456789", "star", "pound"])
def test_recorded_keys(name: str) -> None:
    sound = wav.parse((VECTORS / "dtmf-inband" / f"dtmf-{name}.wav").read_bytes())
    assert find_dtmf(sound.samples[0]) == {"star": "*", "pound": "#"}.get(name, name)


@pytest.mark.parametrize("level", [-25.0, -8.0, 0.0])
def test_keys_through_mu_law(level: float) -> None:
    sound = tones.dtmf("1123456789*0#ABCD", 70, 70, level)
    assert find_dtmf(g711.ulaw_decode(g711.ulaw_encode(sound))) == "1123456789*0#ABCD"


def test_speech_is_no_key() -> None:
    for path in sorted((VECTORS / "speech-16k").glob("*.wav")):
        sound = wav.parse(path.read_bytes())
        assert find_dtmf(resample(sound.samples[0], sound.rate, 8000)) == ""
