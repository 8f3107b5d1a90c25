"""A carrier's own HTTP handlers, as ``app.py`` mounts them in the API's server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Hook:
    """One path that a carrier calls. ``handle`` proves who asks: no key of ours is looked at."""

    method: str
    path: str
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]]
