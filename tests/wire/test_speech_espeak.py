"""The real synthesiser in its real process, and what becomes of its failures."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from telephony.audio import g711, level, pcm, wav
from telephony.audio.tones import sine
from telephony.base.errors import MediaFailed, SpeechUnavailable
from telephony.calls.ports import Sound
from telephony.speech.cache import SoundCache
from telephony.speech.espeak import EspeakConfig, EspeakSynth
from telephony.speech.prompts import Prompts
from telephony.testing.words import recognise

GREETING = (
    "Thank you for calling the front desk. This call may be recorded. For our opening hours, "
    "press one. To leave a message, press two. To be called back, press three."
)
HOURS = "We are open Monday to Friday, from nine in the morning until five in the afternoon."
GOODBYE = "Thank you for calling. Goodbye."
PHRASES = [GREETING, HOURS, GOODBYE]
TIMEOUT = 30.0  # of a machine that runs other tests meanwhile


@pytest.fixture
async def synth() -> AsyncIterator[EspeakSynth]:
    made = EspeakSynth(EspeakConfig(timeout=TIMEOUT))
    yield made
    await made.close()


def samples(sound: Sound) -> np.ndarray:
    return pcm.from_bytes(sound.pcm)


def on_the_telephone(sound: Sound) -> np.ndarray:
    return g711.ulaw_decode(g711.ulaw_encode(samples(sound)))


async def test_speech_has_the_rate_and_level_of_a_telephone(synth: EspeakSynth) -> None:
    sound = await synth.synthesize(HOURS)
    assert sound.rate == 8000
    assert 3000 < sound.duration_ms < 9000
    assert level.active_dbm0(samples(sound)) == pytest.approx(-20, abs=1.5)
    assert level.peak(samples(sound)) < 32000
    assert abs(int(samples(sound)[0])) < 50
    assert synth.engine_version.startswith("1.")


async def test_what_is_said_is_understood_over_mu_law(synth: EspeakSynth) -> None:
    spoken = {phrase: on_the_telephone(await synth.synthesize(phrase)) for phrase in PHRASES}
    for phrase, sound in spoken.items():
        assert recognise(sound, PHRASES) == phrase
    # A prompt cut by a key: the caller heard its beginning only.
    assert recognise(spoken[GREETING][: 3 * 8000], [GREETING, HOURS]) == GREETING
    assert recognise(spoken[HOURS][: 3 * 8000], [GREETING, HOURS]) == HOURS
    assert recognise(spoken[HOURS], [GREETING, GOODBYE]) is None
    assert recognise(spoken[GREETING], [HOURS]) is None
    assert recognise(sine(440, 2000), PHRASES) is None
    assert recognise(np.zeros(16000, np.int16), PHRASES) is None


async def test_voices_languages_and_unknown_ones(synth: EspeakSynth) -> None:
    voices = await synth.voices()
    assert {"en-us", "de", "fr-fr"} <= {v["language"] for v in voices}
    german = await synth.synthesize("Guten Tag", language="de-DE")
    english = await synth.synthesize("Guten Tag")
    unknown = await synth.synthesize("Guten Tag", voice="no-such-voice", language="xx")
    hostile = await synth.synthesize("Guten Tag", voice="../../../etc/passwd")
    # The sound itself differs a little each time: espeak's noise goes on where it was.
    near = pytest.approx(english.duration_ms, abs=15)
    assert german.duration_ms != near
    assert unknown.duration_ms == near
    assert hostile.duration_ms == near


@pytest.mark.parametrize("text", ["", "   ", "\0", "<speak>hi</speak>", "[[h@'loU]]", "日本語 🎉"])
async def test_odd_texts_are_no_failure(synth: EspeakSynth, text: str) -> None:
    assert (await synth.synthesize(text)).rate == 8000


async def test_many_at_once_are_each_answered(synth: EspeakSynth) -> None:
    texts = ["word " * n for n in range(1, 21)]
    together = await asyncio.gather(*(synth.synthesize(t) for t in texts))
    lengths = [sound.duration_ms for sound in together]
    assert lengths == sorted(set(lengths))


async def test_too_much_text_and_too_many_waiting() -> None:
    synth = EspeakSynth(EspeakConfig(max_text=10, max_waiting=0))
    with pytest.raises(SpeechUnavailable, match="ceiling 10"):
        await synth.synthesize("x" * 11)
    with pytest.raises(SpeechUnavailable, match="too many"):
        await synth.synthesize("x")
    await synth.close()


async def test_a_killed_process_is_replaced(synth: EspeakSynth) -> None:
    before = await synth.synthesize("Hello")
    first = synth.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    while synth.pid == first:
        await asyncio.sleep(0.01)
    assert (await synth.synthesize("Hello")).duration_ms == pytest.approx(
        before.duration_ms, abs=15
    )
    assert synth.pid not in (None, first)


def worker(tmp_path: Path, code: str) -> EspeakConfig:
    script = tmp_path / "worker.py"
    script.write_text("import sys, time\nfrom telephony.speech import frames\n" + code)
    return EspeakConfig(timeout=TIMEOUT, backoff=60.0, command=(sys.executable, str(script)))


READY = "sys.stdout.buffer.write(frames.pack({'ready': True})); sys.stdout.flush()\n"


async def test_a_stuck_process_is_ended_and_its_text_fails(tmp_path: Path) -> None:
    config = worker(tmp_path, READY + "time.sleep(600)\n")
    synth = EspeakSynth(EspeakConfig(timeout=2.0, backoff=60.0, command=config.command))
    with pytest.raises(SpeechUnavailable, match="within"):
        await synth.synthesize("Hello")
    assert synth.pid is None
    await synth.close()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "died at its start"),
        ("sys.stdout.write('x' * 4000)\n", "died at its start"),
        ("sys.stdout.buffer.write(frames.pack({'ready': False, 'error': 'gone'}))\n", "gone"),
        (READY + "sys.stdin.buffer.read(9)\n", "died"),
        (READY + "sys.stdin.buffer.read(9); sys.stdout.write('x' * 99)\n", "died"),
    ],
)
async def test_a_process_that_fails_again_is_left_alone_for_a_while(
    tmp_path: Path, code: str, reason: str
) -> None:
    synth = EspeakSynth(worker(tmp_path, code))
    for _ in range(2):
        with pytest.raises(SpeechUnavailable, match=reason):
            await synth.synthesize("Hello")
    with pytest.raises(SpeechUnavailable, match="next start in"):
        await synth.synthesize("Hello")
    await synth.close()


async def test_no_such_program() -> None:
    synth = EspeakSynth(EspeakConfig(command=("/nonexistent/speaker",)))
    with pytest.raises(SpeechUnavailable, match="does not start"):
        await synth.synthesize("Hello")
    await synth.close()


async def test_without_the_extra_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "espeakng_loader.py").write_text("raise ImportError('not installed')\n")
    command = (
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
        "from telephony.speech.espeak_worker import main; main()",
    )
    synth = EspeakSynth(EspeakConfig(timeout=TIMEOUT, command=command))
    with pytest.raises(SpeechUnavailable, match="not installed"):
        await synth.synthesize("Hello")
    await synth.close()


class Counting:
    """Speaks a tone and counts; ``gate`` holds it back."""

    version = "counting 1"

    def __init__(self) -> None:
        self.spoken: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = False

    async def synthesize(self, text: str, voice: str = "", language: str = "") -> Sound:
        await self.gate.wait()
        if self.broken:
            raise SpeechUnavailable("broken")
        self.spoken.append(text)
        return Sound(pcm.to_bytes(sine(440, 100)), 8000)


async def test_spoken_once_kept_in_memory_and_on_disk(tmp_path: Path) -> None:
    synth = Counting()
    prompts = Prompts(synth, tmp_path)
    first = await prompts.render("Hello")
    assert await prompts.render("Hello") is first
    assert await Prompts(synth, tmp_path).render("Hello") == first
    assert synth.spoken == ["Hello"]
    await prompts.render("Hello", language="de")
    assert synth.spoken == ["Hello", "Hello"]
    assert {p.suffix for p in tmp_path.iterdir()} == {".wav"}


async def test_a_broken_synthesiser_does_not_matter_for_what_was_said_before(
    tmp_path: Path,
) -> None:
    synth = Counting()
    await Prompts(synth, tmp_path).render("Hello")
    synth.broken = True
    later = Prompts(synth, tmp_path)
    assert (await later.render("Hello")).duration_ms == 100
    with pytest.raises(SpeechUnavailable):
        await later.render("Never said")
    synth.broken = False
    assert (await later.render("Never said")).duration_ms == 100


async def test_two_calls_wait_for_one_text_and_one_hangs_up(tmp_path: Path) -> None:
    synth = Counting()
    synth.gate.clear()
    prompts = Prompts(synth, tmp_path)
    first, second = (asyncio.create_task(prompts.render("Hello")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    synth.gate.set()
    assert (await second).duration_ms == 100
    assert synth.spoken == ["Hello"]


async def test_damaged_files_of_the_cache_are_made_again(tmp_path: Path) -> None:
    synth = Counting()
    await Prompts(synth, tmp_path).render("Hello")
    for path in tmp_path.iterdir():
        path.write_bytes(b"RIFF")
    assert (await Prompts(synth, tmp_path).render("Hello")).duration_ms == 100
    assert synth.spoken == ["Hello", "Hello"]


async def test_a_folder_that_cannot_be_written_costs_the_cache_only(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert (await Prompts(Counting(), blocked).render("Hello")).duration_ms == 100


def test_ceilings_of_memory_and_disk(tmp_path: Path) -> None:
    cache = SoundCache(tmp_path, memory_bytes=2500, disk_bytes=5000)
    for number in range(10):
        sound = Sound(bytes(1000), 8000)
        cache.remember(str(number), sound)
        cache.write(str(number), sound)
    assert cache.memory_bytes == 2000
    assert cache.recall("9") is not None
    assert cache.recall("7") is None
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 5000
    cache.remember("huge", Sound(bytes(3000), 8000))
    assert cache.recall("huge") is None


async def test_wav_prompts_of_any_rate(tmp_path: Path) -> None:
    path = tmp_path / "prompt.wav"
    stereo = np.stack([sine(440, 500, rate=44100)] * 2)
    path.write_bytes(wav.encode(stereo, 44100))
    prompts = Prompts(Counting())
    sound = await prompts.load(path)
    assert (sound.rate, sound.duration_ms) == (8000, 500)
    assert await prompts.load(path) is sound
    path.write_bytes(wav.encode(sine(440, 200), 8000))
    assert (await prompts.load(path)).duration_ms == 200
    path.write_bytes(b"no sound")
    with pytest.raises(MediaFailed, match=r"prompt\.wav.*RIFF"):
        await prompts.load(path)
    with pytest.raises(MediaFailed, match=r"absent\.wav"):
        await prompts.load(tmp_path / "absent.wav")


def test_tones_have_names() -> None:
    prompts = Prompts(Counting())
    assert prompts.tone("ringback").duration_ms == 6000
    assert prompts.tone("beep") is prompts.tone("beep")
    with pytest.raises(MediaFailed, match="no tone"):
        prompts.tone("trumpet")
