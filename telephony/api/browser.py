"""POST /v1/sessions: a browser meets an agent in a room."""

from __future__ import annotations

from aiohttp import web

from telephony.api.body import read_object
from telephony.api.checks import known_agent
from telephony.api.idempotency import Prepare, once
from telephony.api.routes import Ask, Route
from telephony.api.wire.base import parse, render
from telephony.api.wire.browser import SessionBody, SessionReply
from telephony.base.errors import TelephonyError, Unavailable
from telephony.calls.orders import RoomResult
from telephony.calls.ports import RoomTokens


class NotYet(TelephonyError):
    """Of the contract, and not implemented yet."""

    code = "NOT_IMPLEMENTED"


def rooms_of(ask: Ask) -> RoomTokens:
    """What browsers join with. Raises Unavailable (ROOMS_NOT_CONFIGURED)."""
    if ask.deps.tokens is None:
        raise Unavailable(
            "no LiveKit server is configured (LIVEKIT_URL)", code="ROOMS_NOT_CONFIGURED"
        )
    return ask.deps.tokens


async def create(ask: Ask) -> web.StreamResponse:
    """POST /v1/sessions: a room, and a token with which the browser joins it."""
    data = await read_object(ask.request)
    body = parse(SessionBody, data)
    if body.mode == "s2s":
        raise NotYet("mode: speech to speech is not implemented yet")
    agent = known_agent(ask.deps, ask.organization, body.agent_id)
    if body.mode is None and agent is not None and agent.run_mode == "s2s":
        raise NotYet("agentId: this agent speaks by itself (runMode s2s), which is not here yet")
    deps = ask.deps
    tokens = rooms_of(ask)
    order = body.order(ask.organization, f"user_{deps.ids.call()}")

    def reply(result: RoomResult) -> web.Response:
        token = tokens.mint(result.room_name, result.identity, order.ttl_seconds)
        return render(SessionReply.of(result, token, tokens.url), 201)

    async def work(prepare: Prepare) -> web.Response:
        async def before(result: RoomResult) -> None:
            await prepare(result.session_id, reply(result))

        return reply(await deps.dialler.open(order, before))

    return await once(ask, data, work)


def routes() -> list[Route]:
    return [
        Route(
            "POST",
            "/v1/sessions",
            create,
            body=SessionBody,
            reply=SessionReply,
            status=201,
            problems=(402, 404, 409, 501),
            fault="SESSION_CREATE_FAILED",
        )
    ]
