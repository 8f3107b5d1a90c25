"""One thread that writes all recordings, behind a queue with a ceiling.

The tick hands chunks over and never waits. A disk that is full or too slow ends the recording,
not the call: what was written stays, with a header that fits it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt
import structlog

from telephony.audio import wav
from telephony.calls.ports import Recorded
from telephony.media.config import RATE

log = structlog.get_logger("telephony.media.writer")

MANY = 12
"""Jobs that wake the thread at once."""
EVERY = 5
"""Ticks after which any job does."""

Post = Callable[[Callable[[], None]], object]
"""Runs a callback on the loop's thread, from any thread."""


class File(Protocol):
    """What the writer needs of a raw binary file; ``write`` may take only a part."""

    def write(self, data: Any, /) -> int | None: ...

    def seek(self, offset: int, /) -> int: ...

    def truncate(self, size: int, /) -> int: ...

    def close(self) -> None: ...


def open_file(path: Path) -> File:
    """A new file in a folder that is made where it is not there. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("wb", buffering=0)


@dataclass(slots=True, eq=False)
class Take:
    """One recording on its way to disk. ``written`` counts octets of sound."""

    path: Path
    channels: int
    done: Callable[[Recorded], None]
    failed: Callable[[Take], None]
    """Called on the loop's thread when the disk said no, before ``done``: no chunk is wanted."""
    file: File | None = None
    written: int = 0
    error: str = ""
    over: bool = False
    header: bytes = field(default=b"", repr=False)


class Writer:
    """``begin``, ``write`` and ``end`` are called on the loop's thread and only queue; ``wake``
    sets the thread to work."""

    def __init__(self, ceiling_bytes: int, opener: Callable[[Path], File] = open_file) -> None:
        self._ceiling = ceiling_bytes
        self._opener = opener
        self._jobs: deque[Callable[[], None]] = deque()
        self._ready = threading.Condition()
        self._queued = 0
        self._ticks = 0
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._post: Post = lambda callback: callback()

    @property
    def queued_bytes(self) -> int:
        """Sound that waits for the disk."""
        return self._queued

    def start(self, post: Post) -> None:
        """Start the thread; results are posted through ``post``."""
        self._post = post
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="recordings", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is queued and end the thread. Blocks: not for the loop's thread."""
        thread, self._thread = self._thread, None
        with self._ready:
            self._stopping = True
            self._ready.notify()
        if thread is not None:
            thread.join()

    def begin(
        self,
        path: Path,
        channels: int,
        done: Callable[[Recorded], None],
        failed: Callable[[Take], None],
    ) -> Take:
        """Open a file; ``done`` comes once, after ``end`` or when it failed."""
        take = Take(path, channels, done, failed)
        self._put(partial(self._open, take))
        return take

    def write(self, take: Take, chunk: npt.NDArray[Any]) -> None:
        """Queue sound as it goes to disk; nobody changes it any more."""
        if self._queued + chunk.nbytes > self._ceiling:
            self._put(partial(self._fail, take, "the disk is too slow"))
            return
        with self._ready:
            self._queued += chunk.nbytes
        self._put(partial(self._append, take, chunk))

    def end(self, take: Take, reason: str) -> None:
        """No chunk follows."""
        self._put(partial(self._close, take, reason))

    def wake(self) -> None:
        """Let the thread do what is queued. Called when a tick is over, so that the two do not
        take the interpreter lock from one another at each system call of the tick. A few jobs
        wait for more: to wake a thread costs as much as a tick of fifty lanes."""
        self._ticks += 1
        if self._jobs and (len(self._jobs) >= MANY or self._ticks % EVERY == 0):
            with self._ready:
                self._ready.notify()

    def run_queued(self) -> None:
        """Do what is queued now, in the caller's thread (tests, and the writer's own)."""
        while self._jobs:
            try:
                self._jobs.popleft()()
            except Exception:
                # A fault of ours in one recording must not end all others.
                log.exception("writer.job_failed")

    # -- the writer's thread --------------------------------------------------------------------

    def _put(self, job: Callable[[], None]) -> None:
        self._jobs.append(job)

    def _run(self) -> None:
        while True:
            with self._ready:
                while not self._jobs and not self._stopping:
                    self._ready.wait()
                if not self._jobs:
                    return
            self.run_queued()

    def _open(self, take: Take) -> None:
        try:
            take.file = self._opener(take.path)
            _write_all(take.file, wav.header(RATE, take.channels))
        except OSError as error:
            self._fail(take, _words(error))

    def _append(self, take: Take, chunk: npt.NDArray[Any]) -> None:
        with self._ready:
            self._queued -= chunk.nbytes
        if take.over or take.file is None:
            return
        rest = memoryview(chunk.data).cast("B")
        try:
            while rest:
                count = take.file.write(rest) or 0
                take.written += count
                rest = rest[count:]
        except OSError as error:
            self._fail(take, _words(error))

    def _fail(self, take: Take, error: str) -> None:
        if take.over:
            return
        take.error = error
        log.warning("recording.failed", path=str(take.path), error=error)
        self._post(partial(take.failed, take))
        self._close(take, "failed")

    def _close(self, take: Take, reason: str) -> None:
        if take.over:
            return
        take.over = True
        width = 2 * take.channels
        sound = take.written - take.written % width
        size = 0
        if take.file is not None:
            size = wav.HEADER_BYTES + sound
            try:
                take.file.truncate(size)
                for offset, octets in wav.patches(sound):
                    take.file.seek(offset)
                    _write_all(take.file, octets)
            except OSError as error:
                reason, take.error = "failed", take.error or _words(error)
            try:
                take.file.close()
            except OSError as error:
                reason, take.error = "failed", take.error or _words(error)
        duration = sound // width * 1000 // RATE
        result = Recorded(take.path, duration, size, reason, take.error)
        self._post(partial(take.done, result))


def _write_all(file: File, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) or 0 :]


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
