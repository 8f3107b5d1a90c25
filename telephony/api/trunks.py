"""Our own /v1/trunks: live without a restart; passwords are written and never read."""

from __future__ import annotations

from aiohttp import web

from telephony.accounts.model import Trunk
from telephony.api.body import read_object
from telephony.api.routes import Ask, Route
from telephony.api.wire.accounts import TrunkCreate, TrunkPatch, TrunkRow
from telephony.api.wire.base import Deleted, parse, render, render_all
from telephony.base.errors import NotFound


async def _find(ask: Ask) -> Trunk:
    trunk = await ask.deps.trunks.get(ask.organization, ask.params["id"])
    if trunk is None:
        raise NotFound("not found")
    return trunk


async def every(ask: Ask) -> web.StreamResponse:
    """GET /v1/trunks."""
    return render_all([TrunkRow.of(t) for t in await ask.deps.trunks.find(ask.organization)])


async def create(ask: Ask) -> web.StreamResponse:
    """POST /v1/trunks."""
    deps = ask.deps
    body = parse(TrunkCreate, await read_object(ask.request))
    trunk = body.row(deps.ids.make("trunk"), ask.organization, deps.clock.now())
    await deps.trunks.add(trunk)
    return render(TrunkRow.of(trunk), 201)


async def get(ask: Ask) -> web.StreamResponse:
    """GET /v1/trunks/{id}."""
    return render(TrunkRow.of(await _find(ask)))


async def patch(ask: Ask) -> web.StreamResponse:
    """PATCH /v1/trunks/{id}: null clears, absent stays."""
    body = parse(TrunkPatch, await read_object(ask.request))
    changed = body.changed(await _find(ask), ask.deps.clock.now())
    await ask.deps.trunks.replace(changed)
    return render(TrunkRow.of(changed))


async def remove(ask: Ask) -> web.StreamResponse:
    """DELETE /v1/trunks/{id}."""
    if not await ask.deps.trunks.remove(ask.organization, ask.params["id"]):
        raise NotFound("not found")
    return render(Deleted())


def routes() -> list[Route]:
    return [
        Route("GET", "/v1/trunks", every, reply=TrunkRow, many=True),
        Route(
            "POST",
            "/v1/trunks",
            create,
            body=TrunkCreate,
            reply=TrunkRow,
            status=201,
            problems=(409,),
        ),
        Route("GET", "/v1/trunks/{id}", get, reply=TrunkRow),
        Route("PATCH", "/v1/trunks/{id}", patch, body=TrunkPatch, reply=TrunkRow, problems=(409,)),
        Route("DELETE", "/v1/trunks/{id}", remove, reply=Deleted, problems=(409,)),
    ]
