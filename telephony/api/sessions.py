"""Sessions: dial, list, detail, transcript, recording."""

from __future__ import annotations

from aiohttp import web

from telephony.api.body import read_object
from telephony.api.calls import NO_SESSION, find, lines, recording_url, turns
from telephony.api.checks import known_agent
from telephony.api.idempotency import Prepare, once
from telephony.api.routes import Ask, Route
from telephony.api.wire.base import parse, parse_query, render
from telephony.api.wire.dial import DialBody, DialReply
from telephony.api.wire.sessions import (
    PostedTurns,
    SessionDetail,
    SessionEntry,
    SessionPage,
    SessionQuery,
    SessionTranscript,
    SessionTurn,
)
from telephony.base.errors import NotFound
from telephony.calls.orders import DialResult


async def dial(ask: Ask) -> web.StreamResponse:
    """POST /v1/sessions/phone."""
    data = await read_object(ask.request)
    body = parse(DialBody, data)
    assert ask.caller is not None
    known_agent(ask.deps, ask.organization, body.agent_id)
    order = body.order(ask.organization, live=ask.caller.live)

    async def work(prepare: Prepare) -> web.Response:
        async def before(result: DialResult) -> None:
            await prepare(result.session_id, render(DialReply.of(result)))

        return render(DialReply.of(await ask.deps.dialler.dial(order, before)))

    return await once(ask, data, work)


async def page(ask: Ask) -> web.StreamResponse:
    """GET /v1/sessions."""
    query = parse_query(SessionQuery, ask.request)
    calls, cursor = await ask.deps.calls.page(
        ask.organization, query.chosen(), query.limit, query.cursor
    )
    entries = [SessionEntry.of(call) for call in calls]
    return render(SessionPage(entries=entries, next_cursor=cursor))


async def detail(ask: Ask) -> web.StreamResponse:
    """GET /v1/sessions/{id}."""
    call = await find(ask)
    report = await ask.deps.calls.report(ask.organization, call.id)
    return render(SessionDetail.with_usage(call, await lines(ask, call, report)))


async def transcript(ask: Ask) -> web.StreamResponse:
    """GET /v1/sessions/{id}/transcript."""
    call = await find(ask)
    report = await ask.deps.calls.report(ask.organization, call.id)
    entries = [SessionTurn.of(turn) for turn in await turns(ask, call, report)]
    return render(SessionTranscript(entries=entries))


async def post_turns(ask: Ask) -> web.StreamResponse:
    """POST /v1/sessions/{id}/turns: a worker's transcript; the same index replaces."""
    call = await find(ask)
    body = parse(PostedTurns, await read_object(ask.request))
    if not await ask.deps.turns.put_turns(ask.organization, call.id, body.distinct()):
        raise NotFound("session not found", code=NO_SESSION)
    return web.Response(status=202)


async def recording(ask: Ask) -> web.StreamResponse:
    """GET /v1/sessions/{id}/recording: the one redirect of the contract."""
    return web.Response(status=302, headers={"Location": await recording_url(ask)})


def routes() -> list[Route]:
    return [
        Route(
            "POST",
            "/v1/sessions/phone",
            dial,
            body=DialBody,
            reply=DialReply,
            problems=(402, 404, 409),
            fault="SESSION_CREATE_FAILED",
        ),
        Route("GET", "/v1/sessions", page, query=SessionQuery, reply=SessionPage),
        Route("GET", "/v1/sessions/{id}", detail, reply=SessionDetail),
        Route("GET", "/v1/sessions/{id}/transcript", transcript, reply=SessionTranscript),
        Route("POST", "/v1/sessions/{id}/turns", post_turns, body=PostedTurns, status=202),
        Route("GET", "/v1/sessions/{id}/recording", recording, status=302),
    ]
