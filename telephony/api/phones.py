"""Our own /v1/phones: live without a restart; passwords are written and never read."""

from __future__ import annotations

from aiohttp import web

from telephony.accounts.model import Phone
from telephony.api.body import read_object
from telephony.api.routes import Ask, Route
from telephony.api.wire.accounts import PhoneCreate, PhonePatch, PhoneRow
from telephony.api.wire.base import Deleted, parse, render, render_all
from telephony.base.errors import NotFound


async def _find(ask: Ask) -> Phone:
    phone = await ask.deps.phones.get(ask.organization, ask.params["id"])
    if phone is None:
        raise NotFound("not found")
    return phone


async def every(ask: Ask) -> web.StreamResponse:
    """GET /v1/phones."""
    return render_all([PhoneRow.of(p) for p in await ask.deps.phones.find(ask.organization)])


async def create(ask: Ask) -> web.StreamResponse:
    """POST /v1/phones."""
    deps = ask.deps
    body = parse(PhoneCreate, await read_object(ask.request))
    phone = body.row(deps.ids.make("phone"), ask.organization, deps.clock.now())
    await deps.phones.add(phone)
    return render(PhoneRow.of(phone), 201)


async def get(ask: Ask) -> web.StreamResponse:
    """GET /v1/phones/{id}."""
    return render(PhoneRow.of(await _find(ask)))


async def patch(ask: Ask) -> web.StreamResponse:
    """PATCH /v1/phones/{id}: null clears, absent stays."""
    body = parse(PhonePatch, await read_object(ask.request))
    changed = body.changed(await _find(ask), ask.deps.clock.now())
    await ask.deps.phones.replace(changed)
    return render(PhoneRow.of(changed))


async def remove(ask: Ask) -> web.StreamResponse:
    """DELETE /v1/phones/{id}."""
    if not await ask.deps.phones.remove(ask.organization, ask.params["id"]):
        raise NotFound("not found")
    return render(Deleted())


def routes() -> list[Route]:
    return [
        Route("GET", "/v1/phones", every, reply=PhoneRow, many=True),
        Route(
            "POST",
            "/v1/phones",
            create,
            body=PhoneCreate,
            reply=PhoneRow,
            status=201,
            problems=(409,),
        ),
        Route("GET", "/v1/phones/{id}", get, reply=PhoneRow),
        Route("PATCH", "/v1/phones/{id}", patch, body=PhonePatch, reply=PhoneRow, problems=(409,)),
        Route("DELETE", "/v1/phones/{id}", remove, reply=Deleted, problems=(409,)),
    ]
