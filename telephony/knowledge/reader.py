"""Documents read by a process apart, one at a time: nothing of a file is touched in this one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

from telephony.accounts.knowledge import Chunk, Form

SECONDS = 60.0
"""Until a reader that says nothing more is ended."""
MAX_LINE = 64 * 1024


class ReadingFailed(Exception):
    """Why a document has no text, in words for whoever sent it."""


async def read_document(
    form: Form,
    path: Path,
    seconds: float = SECONDS,
    command: tuple[str, ...] = (sys.executable, "-m", "telephony.knowledge.worker"),
) -> list[Chunk]:
    """Its pieces.

    Raises:
        ReadingFailed: no text, damaged, or more than a document may take.
        OSError: no process could be started.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        form.value,
        str(path),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=MAX_LINE,
        # Ctrl-C reaches the whole group: what is read then is read again after the next start.
        start_new_session=True,
        env={name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
    )
    try:
        async with asyncio.timeout(seconds):
            return await _pieces(process)
    except TimeoutError:
        raise ReadingFailed(f"it could not be read within {seconds:g} seconds") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()


async def _pieces(process: asyncio.subprocess.Process) -> list[Chunk]:
    assert process.stdout is not None
    found: list[Chunk] = []
    # A line at a time, so that a long document never holds the loop.
    async for line in process.stdout:
        said = json.loads(line)
        if isinstance(said, list):
            found.append(Chunk(*said))
        elif "error" in said:
            raise ReadingFailed(said["error"])
        else:
            return found
    raise ReadingFailed("reading it takes more time or memory than a document may")
