"""Callbacks: list, get, cancel, and our own create."""

from __future__ import annotations

from datetime import timedelta

from aiohttp import web

from telephony.api.body import read_object
from telephony.api.checks import known_agent, known_dialplan
from telephony.api.idempotency import Prepare, once
from telephony.api.routes import Ask, Route
from telephony.api.wire.base import parse, parse_query, render
from telephony.api.wire.callbacks import (
    CallbackCancel,
    CallbackCreate,
    CallbackList,
    CallbackQuery,
    CallbackRow,
)
from telephony.base.errors import NotFound


async def find(ask: Ask) -> web.StreamResponse:
    """GET /v1/callbacks."""
    query = parse_query(CallbackQuery, ask.request)
    rows = await ask.deps.callbacks.find(
        ask.organization, query.limit, query.status, query.source_session_id
    )
    return render(CallbackList(callbacks=[CallbackRow.of(row) for row in rows]))


async def get(ask: Ask) -> web.StreamResponse:
    """GET /v1/callbacks/{id}."""
    row = await ask.deps.callbacks.get(ask.organization, ask.params["id"])
    if row is None:
        raise NotFound("not found")
    return render(CallbackRow.of(row))


async def create(ask: Ask) -> web.StreamResponse:
    """POST /v1/callbacks, our own."""
    data = await read_object(ask.request)
    body = parse(CallbackCreate, data)
    known_agent(ask.deps, ask.organization, body.agent_id)
    known_dialplan(ask.deps, body.dialplan)

    async def work(prepare: Prepare) -> web.Response:
        deps = ask.deps
        now = deps.clock.now()
        due = body.scheduled_at or now + timedelta(seconds=body.delay_seconds or 0)
        row = body.row(deps.ids.make("cb"), ask.organization, due, now)
        response = render(CallbackRow.of(row), 201)
        await prepare(row.id, response)
        await deps.callback_queue.add(row)
        deps.nudge()
        return response

    return await once(ask, data, work)


async def cancel(ask: Ask) -> web.StreamResponse:
    """POST /v1/callbacks/{id}/cancel; 409 once it is being dialed or is over."""
    body = parse(CallbackCancel, await read_object(ask.request))
    row = await ask.deps.callback_queue.cancel(
        ask.organization, ask.params["id"], body.reason, ask.deps.clock.now()
    )
    if row is None:
        raise NotFound("not found")
    return render(CallbackRow.of(row))


def routes() -> list[Route]:
    return [
        Route("GET", "/v1/callbacks", find, query=CallbackQuery, reply=CallbackList),
        Route(
            "POST",
            "/v1/callbacks",
            create,
            body=CallbackCreate,
            reply=CallbackRow,
            status=201,
            problems=(404, 409),
        ),
        Route("GET", "/v1/callbacks/{id}", get, reply=CallbackRow),
        Route(
            "POST",
            "/v1/callbacks/{id}/cancel",
            cancel,
            body=CallbackCancel,
            reply=CallbackRow,
            problems=(409,),
        ),
    ]
