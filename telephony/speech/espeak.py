"""The synthesiser as we see it: a child process, asked over a pipe, replaced when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

import structlog

from telephony.base.errors import SpeechUnavailable
from telephony.calls.ports import Sound
from telephony.speech import frames

log = structlog.get_logger("telephony.speech")

RATE = 8000


@dataclass(frozen=True, slots=True)
class EspeakConfig:
    """How the synthesiser is run."""

    timeout: float = 5.0
    """Seconds a text may take, start of the process included. A caller waits meanwhile."""
    max_text: int = 4000
    """Characters: five minutes of speech; more is a mistake in a dialplan."""
    max_waiting: int = 64
    """Texts asked for at once. Beyond, the fallback sounds sooner than the words would."""
    words_per_minute: int = 160
    """espeak's own 175 is hard to follow on a telephone."""
    backoff: float = 0.5
    """Seconds before a start after the second failure in a row, doubled each time …"""
    backoff_ceiling: float = 30.0
    """… up to this."""
    command: tuple[str, ...] = (sys.executable, "-m", "telephony.speech.espeak_worker")


class EspeakSynth:
    """espeak-ng in a process of its own. Started with the first text; ``close`` ends it."""

    def __init__(self, config: EspeakConfig | None = None) -> None:
        self.config = config or EspeakConfig()
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()
        self._waiting: dict[int, asyncio.Future[tuple[frames.Header, bytes]]] = {}
        self._numbers = itertools.count(1)
        self._failures = 0
        self._not_before = 0.0
        self._last_reply = 0.0
        self.engine_version = ""
        """What the library calls itself; empty before the first start."""

    @property
    def version(self) -> str:
        """What the cache keys sounds by; known without starting anything."""
        return f"espeak-ng {_package_version()} {self.config.words_per_minute}"

    @property
    def pid(self) -> int | None:
        """The child's process id while it lives."""
        return self._process.pid if self._process is not None else None

    async def synthesize(self, text: str, voice: str = "", language: str = "") -> Sound:
        """Speech as 8 kHz mono, its active level about -20 dBm0.

        An unknown ``voice`` gives that of the language, an unknown language American English.

        Raises:
            SpeechUnavailable: not installed, too slow, dead, or more text than the ceiling.
        """
        if len(text) > self.config.max_text:
            raise SpeechUnavailable(f"{len(text)} characters, ceiling {self.config.max_text}")
        request = {
            "do": "say",
            "text": text,
            "voice": voice,
            "language": language,
            "words": self.config.words_per_minute,
        }
        header, sound = await self._ask(request)
        if voice and header.get("voice") != voice:
            log.warning("speech.voice_unknown", voice=voice, used=header.get("voice"))
        return Sound(sound, RATE)

    async def voices(self) -> list[dict[str, str]]:
        """``name`` and ``language`` of every voice. Raises SpeechUnavailable."""
        header, _ = await self._ask({"do": "voices"})
        return list(header["voices"])

    async def close(self) -> None:
        """End the child; texts still waiting fail."""
        self._lose("the synthesiser is closed")
        await asyncio.gather(*self._ending)

    async def _ask(self, request: dict[str, Any]) -> tuple[frames.Header, bytes]:
        if len(self._waiting) >= self.config.max_waiting:
            raise SpeechUnavailable("too many texts wait for the synthesiser")
        number = next(self._numbers)
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        try:
            async with asyncio.timeout(self.config.timeout):
                process = await self._running()
                future = loop.create_future()
                self._waiting[number] = future
                assert process.stdin is not None
                process.stdin.write(frames.pack({"id": number, **request}))
                await process.stdin.drain()
                header, body = await future
        except TimeoutError as error:
            # Behind a long queue only this text is late; a worker silent for as long is stuck.
            if loop.time() - max(asked_at, self._last_reply) >= self.config.timeout * 0.9:
                self._fail("the synthesiser is stuck")
            raise SpeechUnavailable(f"no speech within {self.config.timeout} s") from error
        except OSError as error:
            raise SpeechUnavailable(f"the synthesiser's pipe broke: {error}") from error
        finally:
            self._waiting.pop(number, None)
        if "error" in header:
            raise SpeechUnavailable(f"espeak-ng: {header['error']}")
        return header, body

    async def _running(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is not None and self._process.returncode is None:
                return self._process
            wait = self._not_before - asyncio.get_running_loop().time()
            if wait > 0:
                raise SpeechUnavailable(f"the synthesiser failed; next start in {wait:.1f} s")
            return await self._start()

    async def _start(self) -> asyncio.subprocess.Process:
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        try:
            process = await asyncio.create_subprocess_exec(
                *self.config.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment,
            )
        except OSError as error:
            self._fail(f"the synthesiser does not start: {error}")
            raise SpeechUnavailable(f"the synthesiser does not start: {error}") from error
        self._process = process
        assert process.stdout is not None
        try:
            header, _ = await _read(process.stdout)
        except (asyncio.IncompleteReadError, frames.FrameError) as error:
            self._fail("the synthesiser died at its start")
            raise SpeechUnavailable("the synthesiser died at its start") from error
        except asyncio.CancelledError:
            self._fail("the synthesiser's start was given up")
            raise
        if not header.get("ready"):
            self._fail(str(header.get("error")))
            raise SpeechUnavailable(f"espeak-ng: {header.get('error')}")
        self.engine_version = str(header.get("version", ""))
        self._reader = asyncio.create_task(self._read_replies(process), name="espeak-replies")
        log.info("speech.started", pid=process.pid, version=self.engine_version)
        return process

    async def _read_replies(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        try:
            while True:
                header, body = await _read(process.stdout)
                self._failures = 0
                self._last_reply = asyncio.get_running_loop().time()
                future = self._waiting.get(header.get("id", 0))
                if future is not None and not future.done():
                    future.set_result((header, body))
        except (asyncio.IncompleteReadError, frames.FrameError, OSError):
            if self._process is process:
                self._fail("the synthesiser died")

    def _fail(self, reason: str) -> None:
        """The child is of no more use: end it, fail what waits, and say when the next may start."""
        self._failures += 1
        # The first death costs nothing: a child killed once should speak again at once.
        if self._failures > 1:
            pause = self.config.backoff * 2.0 ** min(self._failures - 2, 16)
            pause = min(pause, self.config.backoff_ceiling)
            self._not_before = asyncio.get_running_loop().time() + pause
        log.warning("speech.failed", reason=reason, failures=self._failures)
        self._lose(reason)

    def _lose(self, reason: str) -> None:
        process, self._process = self._process, None
        reader, self._reader = self._reader, None
        if process is not None:
            task = asyncio.create_task(_end(process, reader), name="espeak-end")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(SpeechUnavailable(reason))


async def _read(stream: asyncio.StreamReader) -> tuple[frames.Header, bytes]:
    whole, head = frames.sizes(await stream.readexactly(frames.PREFIX.size))
    return frames.unpack(await stream.readexactly(whole), head)


async def _end(process: asyncio.subprocess.Process, reader: asyncio.Task[None] | None) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await process.wait()
    if reader is not None:
        await reader


@cache
def _package_version() -> str:
    # Read once: it looks through the files of every package, and each prompt asks for it.
    try:
        return metadata.version("espeakng_loader")
    except metadata.PackageNotFoundError:
        return "missing"
