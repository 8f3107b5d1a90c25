"""What answers a call: greetings of people and of machines, made from voices, noises and a seed.

Speech is espeak-ng's in its own process; everything else is arithmetic. The same seed gives the
same samples. A third of each kind (``final``) has words and voices of its own: it is for the last
count only, and nothing is ever tuned on it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from telephony.audio import g711, level, pcm, tones
from telephony.speech import frames
from telephony.testing.greeting_texts import FINAL, TUNING, Script

Samples = npt.NDArray[np.int16]
Wave = npt.NDArray[np.float64]

RATE = 8000
SECONDS = 14.0
"""How long each line is listened to: past the longest greeting's beep."""
SEED = 20
NOISES = ("quiet", "hum", "hiss", "babble", "street")
BEEPS = ("plain", "low", "high", "long", "double", "us", "square")


@dataclass(frozen=True, slots=True)
class Greeting:
    """One answered line from its answer on, int16 (samples,) at 8 kHz, through G.711.

    ``human``: who it is. ``final``: kept for the last count. ``noise``: one of ``NOISES``.
    ``sound_at``: seconds at which the first tone, music or word begins; ``voice_ends`` those at
    which the last word ends.
    ``beep_at``: seconds at which the beep begins, None where there is none.
    """

    name: str
    human: bool
    final: bool
    noise: str
    samples: Samples
    sound_at: float
    voice_ends: float
    beep_at: float | None


class Speaker:
    """espeak-ng, one text after another."""

    def __init__(self, pipe: subprocess.Popen[bytes]) -> None:
        self._pipe = pipe
        self._chatter: dict[str, Wave] = {}
        self._read()

    def say(self, text: str, voice: str, words: int = 170) -> Samples:
        """Speech at about -20 dBm0, without silence before and after it."""
        assert self._pipe.stdin is not None
        request = {"id": 1, "do": "say", "text": text, "voice": voice, "words": words}
        self._pipe.stdin.write(frames.pack(request))
        self._pipe.stdin.flush()
        header, body = self._read()
        if header.get("voice") != voice:
            raise ValueError(f"espeak-ng has no voice {voice!r}: {header}")
        sound = pcm.from_bytes(body)
        loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > 100)
        return sound[: int(loud[-1]) + 1]

    def chatter(self, voice: str) -> Wave:
        """Somebody who talks on in the background."""
        if voice not in self._chatter:
            self._chatter[voice] = self.say(_CHATTER, voice).astype(np.float64)
        return self._chatter[voice]

    def _read(self) -> tuple[frames.Header, bytes]:
        assert self._pipe.stdout is not None
        whole, head = frames.sizes(self._pipe.stdout.read(frames.PREFIX.size))
        return frames.unpack(self._pipe.stdout.read(whole), head)


@contextmanager
def speaker() -> Iterator[Speaker]:
    """The synthesiser's process for as long as it is needed."""
    command = [sys.executable, "-m", "telephony.speech.espeak_worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as pipe:
        yield Speaker(pipe)
        assert pipe.stdin is not None
        pipe.stdin.close()


@cache
def corpus(seed: int = SEED) -> tuple[Greeting, ...]:
    """Every greeting, people and machines, those of the final count last."""
    with speaker() as speech:
        return tuple(
            _line(speech, script, index, np.random.default_rng([seed, final, index]), bool(final))
            for final, scripts in enumerate((TUNING, FINAL))
            for index, script in enumerate(scripts)
        )


# -- one line ---------------------------------------------------------------------------------


def _line(
    speech: Speaker, script: Script, index: int, rng: np.random.Generator, final: bool
) -> Greeting:
    noise = NOISES[(index + final) % len(NOISES)]
    loudness = rng.uniform(-30, -14)
    line: Wave = np.zeros(round(SECONDS * RATE))
    at = script.lead if script.lead is not None else rng.uniform(0.05, 1.2)
    sound_at = at if script.parts else at + script.beep_after
    if script.human and rng.random() < 0.4:
        _put(line, rng.uniform(0.0, 0.1), _handset(rng))
    if script.before == "sit":
        at = _put(line, at, _sit()) + 0.2
    elif script.before == "music":
        at = _put(line, at, _music(rng, 3.0)) + 0.3
    elif script.before == "ring":
        at = _put(line, at, pcm.gain(tones.ringback()[:RATE], -4)) + 0.6
    began = ended = at
    for index_of, part in enumerate(script.parts):
        if isinstance(part, float):
            at += part
            continue
        if index_of == 0:
            began = at
        words = int(script.words * rng.uniform(0.92, 1.08))
        said = pcm.gain(speech.say(part, script.voice, words), loudness - level.SPEECH_DBM0)
        at = ended = _put(line, at, said)
    beep_at = None
    if script.beep:
        beep_at = at + script.beep_after
        _put(line, beep_at, pcm.gain(_beep(script.beep), loudness - level.SPEECH_DBM0 - 2))
    if not script.human and script.hiss:
        # A recording brings its own noise, which is gone when it has been played.
        last = round(((beep_at or ended) + 0.1) * RATE)
        start = round(max(0.0, began - 0.1) * RATE)
        line[start:last] += _coloured(rng, last - start, 0.4) * level.amplitude(loudness - 28)
    background = _background(speech, noise, rng)
    below = rng.uniform(14, 26) if noise in ("babble", "street") else rng.uniform(20, 34)
    if noise != "quiet":
        line += background * level.amplitude(loudness - below)
    law = index % 2
    encode, decode = (
        (g711.ulaw_encode, g711.ulaw_decode) if law else (g711.alaw_encode, g711.alaw_decode)
    )
    return Greeting(
        name=f"{script.name} ({script.voice}, {noise})",
        human=script.human,
        final=final,
        noise=noise,
        samples=decode(encode(pcm.saturate(line))),
        sound_at=sound_at,
        voice_ends=ended,
        beep_at=beep_at,
    )


def _put(line: Wave, at: float, sound: Samples) -> float:
    """Add a sound at ``at`` seconds; where it ends."""
    first = round(at * RATE)
    part = sound[: max(0, line.size - first)]
    line[first : first + part.size] += part
    return at + sound.size / RATE


# -- noises, of about unit power --------------------------------------------------------------


def _background(speech: Speaker, noise: str, rng: np.random.Generator) -> Wave:
    size = round(SECONDS * RATE)
    t = np.arange(size) / RATE
    if noise == "hum":
        base = rng.choice([50.0, 60.0])
        waves = [np.sin(2 * np.pi * base * k * t + k) / k for k in (1, 2, 3, 5, 7)]
        return np.asarray(np.sum(waves, axis=0))
    if noise == "hiss":
        return np.asarray(rng.standard_normal(size))
    if noise == "babble":
        return _babble(speech, rng, size)
    if noise == "street":
        slow = np.interp(t, np.arange(0, SECONDS + 1), rng.uniform(0.4, 1.6, int(SECONDS) + 1))
        return _coloured(rng, size, 0.92) * slow
    return np.zeros(size)


def _babble(speech: Speaker, rng: np.random.Generator, size: int) -> Wave:
    """Six people at other tables."""
    table: Wave = np.zeros(size)
    for other in ("en-us+f3", "en-us+m4", "de+f2", "fr+m3", "es+f1", "en-us+m6"):
        said = speech.chatter(other)
        table += np.resize(np.roll(said, int(rng.integers(said.size))), size)
    return np.asarray(table / np.sqrt(np.mean(table**2)))


_CHATTER = (
    "and then she told me that the train was late again, so we went for a coffee and talked about "
    "the garden, the children, the weather and what to do about the roof before the winter"
)


def _coloured(rng: np.random.Generator, size: int, pole: float) -> Wave:
    """White noise through one pole, made of a truncated response so that no loop is needed."""
    response = pole ** np.arange(64)
    sound = np.convolve(rng.standard_normal(size), response)[:size]
    return np.asarray(sound / np.sqrt(np.sum(response**2)))


# -- other sounds -----------------------------------------------------------------------------


def _handset(rng: np.random.Generator) -> Samples:
    """A receiver that is picked up: two short knocks."""
    knock = rng.standard_normal(160) * np.exp(-np.arange(160) / 30)
    gap = np.zeros(int(rng.integers(300, 900)))
    return pcm.saturate(np.concatenate([knock, gap, 0.5 * knock]) * level.amplitude(-22))


def _sit() -> Samples:
    """Special information tones (ITU-T E.180 supplement 2): 330 ms each, rising."""
    return np.concatenate([tones.sine(hertz, 330, -17.0) for hertz in (950.0, 1400.0, 1800.0)])


def _music(rng: np.random.Generator, seconds: float) -> Samples:
    """Chords, four a second, each struck and decaying."""
    parts = []
    for _ in range(int(seconds * 4)):
        root = 220.0 * 2 ** (int(rng.integers(0, 12)) / 12)
        chord = tuple(root * ratio * k for ratio in (1, 1.26, 1.5) for k in (1, 2))
        note = tones.sine(chord, 250, -26.0)
        parts.append(pcm.saturate(note * np.exp(-np.arange(note.size) / 1600)))
    return np.concatenate(parts)


def _beep(kind: str) -> Samples:
    """A machine's tone at about -16 dBm0."""
    if kind == "double":
        one = tones.sine(1400.0, 180, -18.0)
        return np.concatenate([one, pcm.silence(120, RATE), one])
    if kind == "us":
        return tones.sine((1400.0,), 400, -18.0)
    if kind == "square":
        t = np.arange(RATE * 3 // 10)
        wave = np.sign(np.sin(2 * np.pi * 800 * t / RATE)) * level.amplitude(-22.0)
        return pcm.fade(pcm.saturate(wave), 40, 40)
    hertz, ms = {"plain": (1000, 400), "low": (440, 500), "high": (2000, 250), "long": (850, 900)}[
        kind
    ]
    return tones.sine(float(hertz), ms, -18.0)


def named(greetings: Sequence[Greeting], name: str) -> Greeting:
    """The one whose name begins so."""
    return next(one for one in greetings if one.name.startswith(name))
