"""The machine: its clocks, its randomness, its log.

Made by what starts a process (``app``, a media worker) and handed to the rest, which reads none.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

MAX_SAID = 2000
"""Characters of what a library says."""


class SystemClock:
    """The machine's clocks. Nothing else in the project reads one."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class BufferedRandom(random.SystemRandom):
    """The system's randomness, drawn 4 KiB at a time.

    ``os.urandom`` lets go of the interpreter lock, and on a busy machine every drop of it is a
    chance to wait for another thread; a call draws some twenty numbers.
    """

    BLOCK = 4096

    def __init__(self) -> None:
        self._block = b""
        self._at = 0
        super().__init__()

    def randbytes(self, n: int) -> bytes:
        if n > self.BLOCK:
            return os.urandom(n)
        if self._at + n > len(self._block):
            self._block = os.urandom(self.BLOCK)
            self._at = 0
        self._at += n
        return self._block[self._at - n : self._at]

    def getrandbits(self, k: int) -> int:
        if k < 0:
            raise ValueError("number of bits must be non-negative")
        octets = (k + 7) // 8
        return int.from_bytes(self.randbytes(octets)) >> (octets * 8 - k)

    def random(self) -> float:
        """[0, 1) with 53 bits."""
        return (int.from_bytes(self.randbytes(7)) >> 3) * 2.0**-53


def calm_collector() -> None:
    """Let the garbage collector stop the calls rarely, and never for what lives for good.

    Modules, tables and dialplans are 160,000 objects: a full collection that visits them stops
    every call for 0.1 s. What a call leaves is freed by its reference counts, so that there is
    little to find: the young are looked through in small portions (2 ms), the old seldom.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(1_000, 2, 1_000)


def configure_logging(level: str, form: str) -> None:
    """One event a line: for people on a terminal, or JSON."""
    renderers: list[Callable[..., object]] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if form == "json"
        else [
            # The one it would choose shows what the variables held: tokens, numbers, sound.
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            *renderers,  # type: ignore[list-item]
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            getattr(logging, level.upper(), logging.INFO)
        ),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    libraries = logging.getLogger()
    libraries.handlers = [_Libraries(logging.WARNING)]


class _Libraries(logging.Handler):
    """What libraries say through Python's own logging, as lines of our log."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            said = record.getMessage()[:MAX_SAID]
        except Exception:
            said = str(record.msg)[:MAX_SAID]
        # LiveKit's SDK calls an error what every room does when it is closed.
        fault = record.levelno >= logging.ERROR and not record.name.startswith("livekit")
        log = structlog.get_logger(record.name)
        (log.error if fault else log.warning)(
            "a library says", library=record.name, said=said, exc_info=record.exc_info
        )
