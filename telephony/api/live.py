"""Into a live call: a colleague's browser, and texts for the agent."""

from __future__ import annotations

from aiohttp import web

from telephony.api.body import read_object
from telephony.api.browser import rooms_of
from telephony.api.calls import find
from telephony.api.routes import Ask, Route
from telephony.api.wire.base import parse, render
from telephony.api.wire.live import JoinBody, JoinReply, MessageBody, MessageReply

JOIN_SECONDS = 300
"""How long a token lets a browser begin to join; who is in stays in."""


async def web_join(ask: Ask) -> web.StreamResponse:
    """POST /v1/calls/{id}/web-join: every time another identity, as often as one likes."""
    call = await find(ask)
    body = parse(JoinBody, await read_object(ask.request))
    deps = ask.deps
    found = await deps.dialler.join(call, f"web_{deps.ids.call()}", JOIN_SECONDS)
    tokens = rooms_of(ask)
    name = body.display_name or ""
    token = tokens.mint(found.room_name, found.identity, JOIN_SECONDS, name)
    return render(JoinReply.of(found, token, tokens.url))


async def message(ask: Ask) -> web.StreamResponse:
    """POST /v1/calls/{id}/messages."""
    call = await find(ask)
    body = parse(MessageBody, await read_object(ask.request))
    made = await ask.deps.dialler.tell(call, body.text, body.mode or "respond")
    return render(MessageReply(message_id=made))


def routes() -> list[Route]:
    return [
        Route(
            "POST",
            "/v1/calls/{id}/web-join",
            web_join,
            body=JoinBody,
            reply=JoinReply,
            problems=(409,),
        ),
        Route(
            "POST",
            "/v1/calls/{id}/messages",
            message,
            body=MessageBody,
            reply=MessageReply,
            problems=(409,),
        ),
    ]
