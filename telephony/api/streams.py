"""GET /v1/sessions/{id}/stream: a session as it happens (contract section 3.4)."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta

from aiohttp import web

from telephony.api.calls import find
from telephony.api.feeds import END, ROTATE, Listener
from telephony.api.routes import Ask, Route
from telephony.api.wire.sessions import StreamQuery

PING_SECONDS = 15.0
"""Proxies and clients give up on a connection that says nothing for half a minute."""
ROTATE_SECONDS = 600.0
"""Clients wait 15 minutes for a stream's end; it comes before, and they go on with their cursor."""
OVERLAP = timedelta(seconds=2)
"""Events are read again from so long before the cursor: clients drop ids that they have."""
PING = b": ping\n\n"

_CURSOR = re.compile(r"(-?\d{1,9}):(\d{1,15})")


def read_cursor(text: str | None) -> tuple[int, datetime]:
    """(last turn, time of the last event less the overlap); what is no cursor is the start."""
    found = _CURSOR.fullmatch(text or "")
    if found is None:
        return -1, datetime.fromtimestamp(0, UTC)
    try:
        last = datetime.fromtimestamp(int(found[2]) / 1000, UTC)
        return int(found[1]), last - OVERLAP
    except (OverflowError, ValueError, OSError):
        return -1, datetime.fromtimestamp(0, UTC)


async def stream(ask: Ask) -> web.StreamResponse:
    """GET /v1/sessions/{id}/stream: status, turns and events as server-sent events."""
    call = await find(ask)
    turn, since = read_cursor(ask.request.query.get("cursor"))
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    ask.prepare(response)
    if ask.request.method == "HEAD":
        # Nobody listens: its headers are all there is to a stream.
        return response
    listener = await ask.deps.feeds.join(ask.organization, call.id, turn, since)
    try:
        await response.prepare(ask.request)
        try:
            await _pass_on(listener, response)
            await response.write_eof()
        except ConnectionError:
            # The client is gone; nobody is left to be told.
            pass
        return response
    finally:
        ask.deps.feeds.leave(ask.organization, call.id, listener)


async def _pass_on(listener: Listener, response: web.StreamResponse) -> None:
    loop = asyncio.get_running_loop()
    rotate = loop.time() + ROTATE_SECONDS
    while True:
        wait = min(PING_SECONDS, rotate - loop.time())
        if wait <= 0:
            await response.write(ROTATE)
            return
        try:
            frame = await asyncio.wait_for(listener.frames.get(), wait)
        except TimeoutError:
            if loop.time() < rotate:
                await response.write(PING)
            continue
        if frame is None:
            return
        parts = [frame]
        while frame not in (END, ROTATE, None) and not listener.frames.empty():
            frame = listener.frames.get_nowait()
            parts.append(frame or b"")
        await response.write(b"".join(parts))
        if frame in (END, ROTATE, None):
            return


def routes() -> list[Route]:
    return [Route("GET", "/v1/sessions/{id}/stream", stream, query=StreamQuery, streams=True)]
