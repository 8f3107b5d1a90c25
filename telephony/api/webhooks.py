"""Webhook endpoints, and what was sent to them. Sending is no part of this."""

from __future__ import annotations

import secrets

from aiohttp import web

from telephony.accounts.webhooks import SECRET_BYTES, SecretSource, WebhookEndpoint, write_secret
from telephony.api.body import read_object
from telephony.api.checks import known_agent
from telephony.api.routes import Ask, Route
from telephony.api.wire.base import parse, parse_query, render
from telephony.api.wire.webhooks import (
    DeliveryDetail,
    DeliveryPage,
    DeliveryQuery,
    DeliveryRow,
    OptionRow,
    WebhookCreate,
    WebhookList,
    WebhookMade,
    WebhookPatch,
    WebhookRow,
)
from telephony.base.errors import NotFound


async def _find(ask: Ask) -> WebhookEndpoint:
    endpoint = await ask.deps.webhooks.get(ask.organization, ask.params["id"])
    if endpoint is None:
        raise NotFound("not found")
    return endpoint


def _known(ask: Ask, agents: list[str] | None) -> None:
    for agent in agents or ():
        known_agent(ask.deps, ask.organization, agent)


async def every(ask: Ask) -> web.StreamResponse:
    """GET /v1/webhooks."""
    found = await ask.deps.webhooks.find(ask.organization)
    return render(WebhookList(data=[WebhookRow.of(endpoint) for endpoint in found]))


async def create(ask: Ask) -> web.StreamResponse:
    """POST /v1/webhooks: with the organization's secret where this is what made it."""
    deps, now = ask.deps, ask.deps.clock.now()
    body = parse(WebhookCreate, await read_object(ask.request))
    _known(ask, body.agent_ids)
    endpoint = body.row(deps.ids.make("whe"), ask.organization, now)
    shown = None
    if endpoint.secret_source is SecretSource.WORKSPACE:
        made = write_secret(secrets.token_bytes(SECRET_BYTES))
        if await deps.webhooks.keep_secret(ask.organization, made, now) == made:
            shown = made
    await deps.webhooks.add(endpoint)
    return render(WebhookMade.of(endpoint, signingSecret=shown), 201)


async def get(ask: Ask) -> web.StreamResponse:
    """GET /v1/webhooks/{id}."""
    return render(WebhookRow.of(await _find(ask)))


async def patch(ask: Ask) -> web.StreamResponse:
    """PATCH /v1/webhooks/{id}: partial; secrets that are not sent stay. An agent's hook is
    changed with the agent."""
    body = parse(WebhookPatch, await read_object(ask.request))
    endpoint = (await _find(ask)).own()
    _known(ask, body.agent_ids)
    changed = body.changed(endpoint, ask.deps.clock.now())
    await ask.deps.webhooks.replace(changed)
    return render(WebhookRow.of(changed))


async def remove(ask: Ask) -> web.StreamResponse:
    """DELETE /v1/webhooks/{id}: nothing to say. An agent's hook is deleted with the agent."""
    endpoint = (await _find(ask)).own()
    now = ask.deps.clock.now()
    if not await ask.deps.webhooks.remove(ask.organization, endpoint.id, now):
        raise NotFound("not found")
    return web.Response(status=204)


async def deliveries(ask: Ask) -> web.StreamResponse:
    """GET /v1/webhook-deliveries, newest first."""
    query = parse_query(DeliveryQuery, ask.request)
    store = ask.deps.deliveries
    found, cursor = await store.page(ask.organization, query.filter(), query.limit, query.cursor)
    options = await store.endpoints(ask.organization)
    return render(
        DeliveryPage(
            data=[DeliveryRow.of(row) for row in found],
            next_cursor=cursor,
            endpoint_options=[OptionRow.of(option) for option in options],
        )
    )


async def delivery(ask: Ask) -> web.StreamResponse:
    """GET /v1/webhook-deliveries/{id}: with every request that was made."""
    found = await ask.deps.deliveries.get(ask.organization, ask.params["id"])
    if found is None:
        raise NotFound("not found")
    return render(DeliveryDetail.of(found))


def routes() -> list[Route]:
    return [
        Route("GET", "/v1/webhooks", every, reply=WebhookList),
        Route(
            "POST",
            "/v1/webhooks",
            create,
            body=WebhookCreate,
            reply=WebhookMade,
            status=201,
            problems=(404,),
        ),
        Route("GET", "/v1/webhooks/{id}", get, reply=WebhookRow),
        Route(
            "PATCH",
            "/v1/webhooks/{id}",
            patch,
            body=WebhookPatch,
            reply=WebhookRow,
            problems=(409,),
        ),
        Route("DELETE", "/v1/webhooks/{id}", remove, status=204, problems=(409,)),
        Route("GET", "/v1/webhook-deliveries", deliveries, query=DeliveryQuery, reply=DeliveryPage),
        Route("GET", "/v1/webhook-deliveries/{id}", delivery, reply=DeliveryDetail),
    ]
