"""What a dialplan says, as sound: spoken text and WAV files, each made once."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from telephony.audio import music, pcm, tones, wav
from telephony.audio.resample import resample
from telephony.base.errors import ConfigError, MediaFailed
from telephony.calls.ports import Sound
from telephony.speech.cache import SoundCache

RATE = 8000

_TONES: dict[str, Callable[[], pcm.Samples]] = {
    "beep": tones.beep,
    "ringback": tones.ringback,
    "busy": tones.busy,
    "hold": music.hold_music,
    "fallback": tones.fallback,
}


class SpeechSynth(Protocol):
    """Something that speaks."""

    @property
    def version(self) -> str:
        """Part of the cache's key: another version may sound different."""
        ...

    async def synthesize(self, text: str, voice: str = "", language: str = "") -> Sound:
        """8 kHz mono. Raises ``SpeechUnavailable``."""
        ...


class Prompts:
    """The ``Speech`` port: text through a synthesiser, files through the rate converter."""

    def __init__(
        self,
        synth: SpeechSynth,
        cache_dir: Path | None = None,
        cache: SoundCache | None = None,
        *,
        hold_music: Path | None = None,
    ) -> None:
        """``hold_music``: a WAV file for the tone ``hold``, else music of our own.

        Raises:
            ConfigError: it cannot be read.
        """
        self._synth = synth
        self._cache = cache or SoundCache(cache_dir)
        self._making: dict[str, asyncio.Task[Sound]] = {}
        self._hold_music: Sound | None = None
        if hold_music is not None:
            try:
                self._hold_music = load_wav(hold_music)
            except (OSError, wav.WavError) as fault:
                said = f"hold_music: {hold_music}: {fault}"
                raise ConfigError(said, field="hold_music") from fault

    async def render(self, text: str, voice: str = "", language: str = "") -> Sound:
        """Spoken text, 8 kHz mono.

        Raises:
            SpeechUnavailable: it was never spoken before and the synthesiser cannot now.
        """
        key = _key(["text", self._synth.version, text, voice, language])
        known = self._cache.recall(key)
        if known is not None:
            return known
        task = self._making.get(key)
        if task is None:
            task = asyncio.create_task(self._make(key, text, voice, language))
            self._making[key] = task
            task.add_done_callback(lambda done: self._made(key, done))
        # Two calls may wait for one text; the one that hangs up must not take it from the other.
        return await asyncio.shield(task)

    async def load(self, path: Path) -> Sound:
        """A WAV file of any rate and channels as 8 kHz mono, at its own level.

        Raises:
            MediaFailed: it cannot be read.
        """
        try:
            stat = await asyncio.to_thread(path.stat)
            key = _key(["file", str(path.absolute()), stat.st_mtime_ns, stat.st_size])
            known = self._cache.recall(key)
            if known is None:
                known = await asyncio.to_thread(load_wav, path)
                self._cache.remember(key, known)
        except (OSError, wav.WavError) as error:
            raise MediaFailed(f"{path.name}: {error}") from error
        return known

    def tone(self, name: str) -> Sound:
        """``beep``, one cadence of ``ringback`` or ``busy``, a round of ``hold`` music, or
        ``fallback`` for missing words.

        Raises:
            MediaFailed: no such tone.
        """
        if name not in _TONES:
            raise MediaFailed(f"no tone {name!r}; there are {', '.join(_TONES)}")
        if name == "hold" and self._hold_music is not None:
            return self._hold_music
        key = _key(["tone", name])
        known = self._cache.recall(key)
        if known is None:
            known = Sound(pcm.to_bytes(_TONES[name]()), RATE)
            self._cache.remember(key, known)
        return known

    async def _make(self, key: str, text: str, voice: str, language: str) -> Sound:
        sound = await asyncio.to_thread(self._cache.read, key)
        if sound is None:
            sound = await self._synth.synthesize(text, voice, language)
            await asyncio.to_thread(self._cache.write, key, sound)
        self._cache.remember(key, sound)
        return sound

    def _made(self, key: str, task: asyncio.Task[Sound]) -> None:
        self._making.pop(key, None)
        # Its caller may have gone; an error nobody fetches is a complaint at interpreter exit.
        if not task.cancelled():
            task.exception()


def load_wav(path: Path) -> Sound:
    """Read and convert a file; blocks.

    Raises:
        OSError: no such file. WavError: it is no WAV we read.
    """
    if path.stat().st_size > wav.MAX_BYTES:
        raise wav.WavError(f"a file of {path.stat().st_size} octets, ceiling {wav.MAX_BYTES}")
    found = wav.parse(path.read_bytes())
    return Sound(pcm.to_bytes(resample(pcm.mono(found.samples), found.rate, RATE)), RATE)


def _key(parts: list[str | int]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
