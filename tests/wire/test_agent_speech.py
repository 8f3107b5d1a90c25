"""The worker's voice and ears: the real synthesiser in its process, the real recogniser."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest

from telephony.agents import hearing
from telephony.agents.hearing import FRAME, RATE, Endpointer, Mark, Recogniser, Samples
from telephony.agents.voice import Voice
from telephony.audio import g711
from telephony.audio.resample import resample
from telephony.base.errors import SpeechUnavailable

PHRASES = ["when are you open", "please call me back", "let me talk to a person", "goodbye"]


@pytest.fixture(scope="module")
def voice() -> Iterator[Voice]:
    made = Voice(timeout=30)
    yield made
    made.close()


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser()


def spoken(voice: Voice, text: str) -> Samples:
    """As a telephone brings it: 8 kHz, µ-law, 16 kHz."""
    sound = np.frombuffer(voice.speak(text), "<i2")
    return np.asarray(resample(g711.ulaw_decode(g711.ulaw_encode(sound)), 8000, RATE))


def marks(ear: Endpointer, sound: Samples) -> list[tuple[int, Mark]]:
    """What each frame made of it, with its time in milliseconds."""
    frames = np.pad(sound, (0, -len(sound) % FRAME)).astype(np.int16).reshape(-1, FRAME)
    made = [(n * 20, ear.feed(frame)) for n, frame in enumerate(frames)]
    return [(at, mark) for at, mark in made if mark is not None]


@pytest.mark.parametrize("phrase", PHRASES)
def test_what_is_said_is_understood(voice: Voice, recogniser: Recogniser, phrase: str) -> None:
    recogniser.expect(PHRASES)
    ear = Endpointer()
    sound = np.concatenate([np.zeros(RATE // 2, np.int16), spoken(voice, phrase)])
    found = marks(ear, np.concatenate([sound, np.zeros(RATE, np.int16)]))
    assert [mark for _, mark in found] == [Mark.BEGAN, Mark.PAUSED, Mark.ENDED]
    assert recogniser.understand(ear.utterance) == phrase


def test_what_is_not_expected_is_nothing(voice: Voice, recogniser: Recogniser) -> None:
    recogniser.expect(PHRASES)
    for odd in ("the quick brown fox jumps over the lazy dog", "seventeen elephants in the garden"):
        assert recogniser.understand(spoken(voice, odd)) == ""
    noise = np.random.default_rng(1).normal(0, 3000, 2 * RATE).astype(np.int16)
    assert recogniser.understand(noise) == ""
    assert recogniser.understand(np.zeros(100, np.int16)) == ""
    recogniser.expect(["goodbye"])
    assert recogniser.understand(spoken(voice, "goodbye")) == "goodbye"
    # Nothing but words that no dictionary has: nothing to listen for.
    recogniser.expect(["xyzzyx"])
    assert recogniser.understand(spoken(voice, "goodbye")) == ""


def test_a_voice_begins_within_60_ms_and_a_click_is_none() -> None:
    loud = (np.sin(np.arange(RATE) / 5) * 8000).astype(np.int16)
    quiet = np.zeros(RATE, np.int16)
    found = marks(Endpointer(), np.concatenate([quiet, loud, quiet]))
    assert found == [(1040, Mark.BEGAN), (2180, Mark.PAUSED), (2480, Mark.ENDED)]
    click = np.concatenate([quiet, loud[: 2 * FRAME], quiet])
    assert marks(Endpointer(), click) == []


def test_a_breath_is_not_the_end_and_endless_speech_is_cut() -> None:
    loud = (np.sin(np.arange(RATE) / 5) * 8000).astype(np.int16)
    breath = np.zeros(int(0.3 * RATE), np.int16)
    quiet = np.zeros(RATE, np.int16)
    ear = Endpointer()
    found = marks(ear, np.concatenate([quiet, loud, breath, loud, quiet]))
    assert [mark for _, mark in found] == [
        Mark.BEGAN,
        Mark.PAUSED,
        Mark.RESUMED,
        Mark.PAUSED,
        Mark.ENDED,
    ]
    assert ear.utterance.size / RATE == pytest.approx(2.3 + 0.5 + 0.24, abs=0.05)
    first = marks(Endpointer(), np.tile(loud, 21))
    assert [mark for _, mark in first][:2] == [Mark.BEGAN, Mark.ENDED]
    assert first[1][0] < 20_100


def test_steady_noise_is_not_a_voice_but_a_voice_over_it_is() -> None:
    noise = np.random.default_rng(2).normal(0, 300, 6 * RATE)
    assert marks(Endpointer(), noise.astype(np.int16)) == []
    loud = np.concatenate([np.zeros(3 * RATE), np.sin(np.arange(RATE) / 5) * 8000])
    both = noise + np.pad(loud, (0, 2 * RATE))
    found = [mark for _, mark in marks(Endpointer(), both.astype(np.int16))]
    assert found == [Mark.BEGAN, Mark.PAUSED, Mark.ENDED]


def test_forgotten_speech_begins_anew() -> None:
    loud = (np.sin(np.arange(RATE) / 5) * 8000).astype(np.int16)
    ear = Endpointer()
    assert marks(ear, loud)
    ear.forget()
    assert ear.utterance.size == 0
    assert marks(ear, loud)[0][1] is Mark.BEGAN


def test_a_voice_that_dies_speaks_again(voice: Voice) -> None:
    assert len(voice.speak("Hello")) > 8000
    assert voice._child is not None
    voice._child.kill()
    voice._child.wait()
    assert len(voice.speak("Hello")) > 8000


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "does not start"),
        ("print('x' * 100)", "does not start"),
        ("import sys; sys.stdout.buffer.write(bytes(8)); sys.stdin.read()", "does not start"),
        ("import time; time.sleep(60)", "does not start"),
    ],
)
def test_a_program_that_is_no_synthesiser(code: str, reason: str) -> None:
    broken = Voice((sys.executable, "-c", code), timeout=1.0)
    with pytest.raises(SpeechUnavailable, match=reason):
        broken.speak("Hello")
    broken.close()


def test_no_program() -> None:
    with pytest.raises(SpeechUnavailable, match="does not start"):
        Voice(("/nonexistent/speaker",)).start()


async def test_a_text_that_takes_too_long() -> None:
    ready = (
        "import sys, time, struct; h = b'{\"ready\": true}';"
        "sys.stdout.buffer.write(struct.pack('!LL', len(h), len(h)) + h);"
        "sys.stdout.flush(); time.sleep(60)"
    )
    stuck = Voice((sys.executable, "-c", ready), timeout=1.0)
    with pytest.raises(SpeechUnavailable, match="stuck"):
        await stuck.say("Hello")
    stuck.close()


def test_without_the_recogniser_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(SpeechUnavailable, match="pocketsphinx"):
        hearing.Recogniser()
