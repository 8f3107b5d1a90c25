"""Sounds that were made before: a bounded memory, and files that outlive the process."""

from __future__ import annotations

import os
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import structlog

from telephony.audio import pcm, wav
from telephony.calls.ports import Sound

log = structlog.get_logger("telephony.speech")

MEMORY_BYTES = 64 * 1024 * 1024
DISK_BYTES = 512 * 1024 * 1024


class SoundCache:
    """By key (hex of a content hash). The newest stay in memory; ``read`` and ``write`` touch
    files and belong in a thread. A disk that fails costs the cache, never the sound."""

    def __init__(
        self,
        directory: Path | None,
        memory_bytes: int = MEMORY_BYTES,
        disk_bytes: int = DISK_BYTES,
    ) -> None:
        self._directory = directory
        self._memory_ceiling = memory_bytes
        self._disk_ceiling = disk_bytes
        self._memory: OrderedDict[str, Sound] = OrderedDict()
        self._memory_bytes = 0
        self._disk_bytes: int | None = None
        self._complained = False

    @property
    def memory_bytes(self) -> int:
        return self._memory_bytes

    def recall(self, key: str) -> Sound | None:
        """From memory only."""
        sound = self._memory.get(key)
        if sound is not None:
            self._memory.move_to_end(key)
        return sound

    def remember(self, key: str, sound: Sound) -> None:
        """Into memory; the least used leave. What is larger than the whole is not kept."""
        self._forget(key)
        if len(sound.pcm) > self._memory_ceiling:
            return
        self._memory[key] = sound
        self._memory_bytes += len(sound.pcm)
        while self._memory_bytes > self._memory_ceiling:
            self._forget(next(iter(self._memory)))

    def read(self, key: str) -> Sound | None:
        """From disk; a file that cannot be read counts as absent and is removed."""
        if self._directory is None:
            return None
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        try:
            found = wav.parse(content)
        except wav.WavError:
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)
        return Sound(pcm.to_bytes(found.samples[0]), found.rate)

    def write(self, key: str, sound: Sound) -> None:
        """To disk, whole or not at all: a reader never sees half a file."""
        if self._directory is None:
            return
        content = wav.encode(np.frombuffer(sound.pcm, "<i2"), sound.rate)
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._directory, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                os.replace(name, self._path(key))
            except OSError:
                with suppress(OSError):
                    os.unlink(name)
                raise
            self._make_room(len(content))
        except OSError as error:
            if not self._complained:
                log.warning("speech.cache_unwritable", error=str(error))
            self._complained = True

    def _make_room(self, added: int) -> None:
        if self._disk_bytes is None:
            self._disk_bytes = sum(size for _, size, _ in self._files())
        else:
            self._disk_bytes += added
        if self._disk_bytes <= self._disk_ceiling:
            return
        for _, size, path in sorted(self._files()):
            with suppress(OSError):
                path.unlink()
                self._disk_bytes -= size
            # Down to three quarters, or every further sound would sort the whole folder again.
            if self._disk_bytes <= self._disk_ceiling * 3 // 4:
                return

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        assert self._directory is not None
        for path in self._directory.iterdir():
            with suppress(OSError):
                stat = path.stat()
                yield stat.st_mtime, stat.st_size, path

    def _path(self, key: str) -> Path:
        assert self._directory is not None
        return self._directory / f"{key}.wav"

    def _forget(self, key: str) -> None:
        sound = self._memory.pop(key, None)
        if sound is not None:
            self._memory_bytes -= len(sound.pcm)
