"""Whether the process lives, whether it takes calls, and its figures."""

from __future__ import annotations

from aiohttp import web

from telephony.api.errors import error_reply, json_reply
from telephony.api.peer import on_loopback
from telephony.api.routes import Ask, Route


async def healthz(ask: Ask) -> web.StreamResponse:
    """GET /healthz: the loop turns."""
    return json_reply({"status": "ok"})


async def readyz(ask: Ask) -> web.StreamResponse:
    """GET /readyz: 503 with the reasons while no call can be taken."""
    problems = ask.deps.ready()
    if problems:
        return error_reply(
            503, "NOT_READY", "; ".join(problems), headers={"Retry-After": "5"}, problems=problems
        )
    return json_reply({"status": "ready"})


async def metrics(ask: Ask) -> web.StreamResponse:
    """GET /metrics, in the text format of Prometheus."""
    return web.Response(
        body=ask.deps.metrics(),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


def open_to(ask: Ask) -> bool:
    """Whether /metrics needs no key of this peer: only on this machine."""
    return on_loopback(ask.request, ask.deps.trusted_proxies)


def routes() -> list[Route]:
    return [
        Route("GET", "/healthz", healthz, public=True),
        Route("GET", "/readyz", readyz, public=True),
        Route("GET", "/metrics", metrics),
    ]
