"""The voice that needs no model: the service's synthesiser, in a process of its own.

espeak-ng is under the GPL and keeps its state in globals, so it is never loaded here: the program
``telephony.speech.espeak_worker`` of the same installation speaks over a pipe. What goes over it:
two lengths (of all that follows, of the header; 32 bit, big-endian), a JSON header, octets.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import struct
import subprocess
import sys
import threading
from typing import IO, Any

from telephony.base.errors import SpeechUnavailable

log = logging.getLogger("telephony.agents")

RATE = 8000
MAX_FRAME = 16 * 1024 * 1024
WORDS_PER_MINUTE = 160
COMMAND = (sys.executable, "-m", "telephony.speech.espeak_worker")

_PREFIX = struct.Struct("!LL")


class Voice:
    """Text to int16 PCM at 8 kHz. Thread-safe; a child that dies is replaced at the next text."""

    def __init__(self, command: tuple[str, ...] = COMMAND, timeout: float = 10.0) -> None:
        self._command = command
        self._timeout = timeout
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the child now, so that the first words need not wait. Raises SpeechUnavailable."""
        with self._lock:
            self._running()

    async def say(
        self, text: str, voice: str = "", language: str = "", speed: float = 1.0
    ) -> bytes:
        """The sound of ``text``. Raises SpeechUnavailable."""
        return await asyncio.to_thread(self.speak, text, voice, language, speed)

    def speak(self, text: str, voice: str = "", language: str = "", speed: float = 1.0) -> bytes:
        """As ``say``, for threads."""
        request = {
            "do": "say",
            "text": text,
            "voice": voice,
            "language": language,
            "words": round(WORDS_PER_MINUTE * speed),
        }
        with self._lock:
            child = self._running()
            # A read of a pipe knows no time-out: the child is ended instead, and the read with it.
            alarm = threading.Timer(self._timeout, child.kill)
            alarm.start()
            try:
                assert child.stdin is not None and child.stdout is not None
                child.stdin.write(_pack(request))
                child.stdin.flush()
                header, sound = _read(child.stdout)
            except (OSError, ValueError) as error:
                self._end()
                raise SpeechUnavailable(f"the synthesiser died or is stuck: {error}") from error
            finally:
                alarm.cancel()
        if "error" in header:
            raise SpeechUnavailable(f"espeak-ng: {header['error']}")
        return sound

    def close(self) -> None:
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._end()
        try:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_plain_environment(),
            )
            alarm = threading.Timer(self._timeout, self._child.kill)
            alarm.start()
            try:
                assert self._child.stdout is not None
                header, _ = _read(self._child.stdout)
            finally:
                alarm.cancel()
        except (OSError, ValueError) as error:
            self._end()
            raise SpeechUnavailable(f"the synthesiser does not start: {error}") from error
        if not header.get("ready"):
            self._end()
            raise SpeechUnavailable(f"espeak-ng: {header.get('error')}")
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        child.kill()
        child.wait()


def _plain_environment() -> dict[str, str]:
    """Ours without its keys: what speaks needs none."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TELEPHONY_", "LIVEKIT_"))}
    return kept | {"OPENBLAS_NUM_THREADS": "1"}


def _pack(header: dict[str, Any]) -> bytes:
    text = json.dumps(header).encode()
    return _PREFIX.pack(len(text), len(text)) + text


def _read(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    prefix = pipe.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size:
        raise ValueError("the pipe is closed")
    whole, head = _PREFIX.unpack(prefix)
    if whole > MAX_FRAME or head > whole:
        raise ValueError(f"a frame of {whole} octets with a header of {head}")
    content = pipe.read(whole)
    if len(content) < whole:
        raise ValueError("the pipe is closed")
    header = json.loads(content[:head])
    if not isinstance(header, dict):
        raise ValueError("a header that is no object")
    return header, content[head:]
