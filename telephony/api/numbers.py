"""Phone numbers: buy, import, list, get, patch, delete."""

from __future__ import annotations

from dataclasses import replace

from aiohttp import web

from telephony.accounts.model import NumberDirection, NumberSource, PhoneNumber
from telephony.accounts.routing import find_trunk, setup_status
from telephony.api.body import read_object
from telephony.api.checks import known_agent, known_dialplan, known_trunk
from telephony.api.routes import Ask, Route
from telephony.api.wire.base import parse, parse_query, render, render_all
from telephony.api.wire.numbers import (
    AvailableQuery,
    AvailableRow,
    NumberBuy,
    NumberImport,
    NumberPatch,
    NumberRow,
    Released,
)
from telephony.base.errors import NotFound


def _row(ask: Ask, number: PhoneNumber) -> NumberRow:
    deps = ask.deps
    trunks = deps.directory.trunks(number.organization)
    agent = deps.directory.agent(number.organization, number.agent) if number.agent else None
    unfit = deps.unfit(agent, number) if agent is not None else None
    setup = setup_status(number, trunks, deps.dialplans, deps.default_dialplan, agent, unfit)
    trunk = find_trunk(trunks, number.trunk) if number.trunk else None
    # A trunk that registers is told where we are; any other must be told by hand, and who runs
    # the pool has done so for its numbers.
    forward = (
        number.source is NumberSource.SIP_TRUNK
        and number.direction is not NumberDirection.OUTBOUND
        and trunk is not None
        and not trunk.register
    )
    return NumberRow.of(number, setup, f"sip:{number.e164}@{deps.sip_address}" if forward else None)


async def _find(ask: Ask) -> PhoneNumber:
    number = await ask.deps.numbers.get(ask.organization, ask.params["id"])
    if number is None:
        raise NotFound("not found")
    return number


async def every(ask: Ask) -> web.StreamResponse:
    """GET /v1/phone-numbers."""
    numbers = await ask.deps.numbers.find(ask.organization)
    return render_all([_row(ask, number) for number in numbers])


async def available(ask: Ask) -> web.StreamResponse:
    """GET /v1/phone-numbers/available."""
    query = parse_query(AvailableQuery, ask.request)
    found = await ask.deps.shop.provider.available(query.area_code, query.locality, query.limit)
    return render_all([AvailableRow.of(offer) for offer in found])


async def buy(ask: Ask) -> web.StreamResponse:
    """POST /v1/phone-numbers."""
    deps, now = ask.deps, ask.deps.clock.now()
    body = parse(NumberBuy, await read_object(ask.request))
    known_agent(ask.deps, ask.organization, body.agent_id)
    known_dialplan(deps, body.dialplan)
    item = deps.ids.make("num")
    number = await deps.shop.buy(
        ask.organization,
        body.e164,
        lambda offer: body.row(item, ask.organization, offer, now),
        now,
    )
    return render(_row(ask, number))


async def add(ask: Ask) -> web.StreamResponse:
    """POST /v1/phone-numbers/import."""
    deps = ask.deps
    body = parse(NumberImport, await read_object(ask.request))
    trunk = known_trunk(deps, ask.organization, body.trunk, body.trunk_field)
    known_agent(ask.deps, ask.organization, body.agent_id)
    known_dialplan(deps, body.dialplan)
    number = body.row(deps.ids.make("num"), ask.organization, deps.clock.now())
    number = replace(number, trunk=trunk)
    await deps.shop.add(number)
    return render(_row(ask, number))


async def get(ask: Ask) -> web.StreamResponse:
    """GET /v1/phone-numbers/{id}."""
    return render(_row(ask, await _find(ask)))


async def patch(ask: Ask) -> web.StreamResponse:
    """PATCH /v1/phone-numbers/{id}."""
    body = parse(NumberPatch, await read_object(ask.request))
    number = await _find(ask)
    known_agent(ask.deps, ask.organization, body.agent_id)
    known_dialplan(ask.deps, body.dialplan)
    changed = body.changed(number, ask.deps.clock.now())
    await ask.deps.numbers.replace(changed)
    return render(_row(ask, changed))


async def remove(ask: Ask) -> web.StreamResponse:
    """DELETE /v1/phone-numbers/{id}: a JSON object is mandatory."""
    if not await ask.deps.shop.release(ask.organization, ask.params["id"]):
        raise NotFound("not found")
    return render(Released())


def routes() -> list[Route]:
    return [
        Route("GET", "/v1/phone-numbers", every, reply=NumberRow, many=True),
        Route(
            "POST",
            "/v1/phone-numbers",
            buy,
            body=NumberBuy,
            reply=NumberRow,
            problems=(402, 404, 409),
        ),
        Route(
            "GET",
            "/v1/phone-numbers/available",
            available,
            query=AvailableQuery,
            reply=AvailableRow,
            many=True,
        ),
        Route(
            "POST",
            "/v1/phone-numbers/import",
            add,
            body=NumberImport,
            reply=NumberRow,
            problems=(404, 409),
        ),
        Route("GET", "/v1/phone-numbers/{id}", get, reply=NumberRow),
        Route(
            "PATCH",
            "/v1/phone-numbers/{id}",
            patch,
            body=NumberPatch,
            reply=NumberRow,
            problems=(409,),
        ),
        Route("DELETE", "/v1/phone-numbers/{id}", remove, reply=Released, problems=(409,)),
    ]
