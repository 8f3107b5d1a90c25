"""Tasks of the store that live as long as it does, and how they end.

One that waits for PostgreSQL is not cancelled: the driver would then open another connection, to
tell the server of it, which nobody waits for and nobody closes.
"""

from __future__ import annotations

import asyncio
import contextlib

ENDS_SECONDS = 2.0


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until all is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


async def finish(task: asyncio.Task[None]) -> None:
    """Wait for a task that was told to end; one that does not is cancelled after all."""
    done, _ = await asyncio.wait({task}, timeout=ENDS_SECONDS)
    if not done:
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
