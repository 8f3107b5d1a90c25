"""Who may speak in LiveKit's name: token, body hash, ceilings; and nothing secret in the log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import ClientSession, web
from structlog.testing import capture_logs

from telephony.base.errors import TelephonyError
from telephony.carriers.hook import Hook
from telephony.carriers.livekit.config import LiveKitConfig
from telephony.carriers.livekit.hooks import MAX_BODY, Webhook
from telephony.carriers.livekit.wire import Notice
from telephony.testing.livekit_sip import KEY, SECRET, LiveKitStandIn, signed, token_for

SERVER = LiveKitStandIn()
Ask = Callable[..., Awaitable[tuple[int, str]]]


class Door:
    """The hook behind aiohttp, its errors by their codes."""

    def __init__(self) -> None:
        self.told: list[Notice] = []
        config = LiveKitConfig(url="http://127.0.0.1:1", key=KEY, secret=SECRET)
        (self.hook,) = Webhook(config, self.told.append).routes()
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        hook: Hook = self.hook
        try:
            return await hook.handle(request)
        except TelephonyError as error:
            return web.json_response({"code": error.code}, status=400)

    async def post(self, body: Any, token: str | None = None, **headers: str) -> tuple[int, str]:
        if token is not None:
            headers["Authorization"] = token
        async with (
            ClientSession() as session,
            session.post(self.url, data=body, headers=headers) as reply,
        ):
            text = await reply.text()
            return reply.status, json.loads(text)["code"] if text else ""


@pytest.fixture
async def door() -> Any:
    one = Door()
    app = web.Application(client_max_size=4 * MAX_BODY)
    app.router.add_post(one.hook.path, one.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    one.url = f"http://{host}:{port}{one.hook.path}"
    yield one
    await runner.cleanup()


LONG = timedelta(hours=3)
"""Tokens are made as this file is read, and used when the tests before it are over."""
BODY, _ = signed(SERVER.event("room_started", "sip-in_x"))
TOKEN = token_for(BODY, ttl=LONG)


async def test_what_livekit_signed_is_taken(door: Door) -> None:
    assert await door.post(BODY, TOKEN) == (200, "")
    assert await door.post(*signed(SERVER.event("room_finished", "r")), extra="1") == (200, "")
    assert [(n.event, n.room) for n in door.told] == [
        ("room_started", "sip-in_x"),
        ("room_finished", "r"),
    ]


async def test_a_bearer_is_understood_too(door: Door) -> None:
    assert await door.post(BODY, f"Bearer {TOKEN}") == (200, "")


@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        "Bearer",
        "x",
        "x" * 20_000,
        token_for(BODY, secret="another secret of more than thirty-two characters", ttl=LONG),
        token_for(BODY, key="another", ttl=LONG),
        token_for(BODY, ttl=timedelta(minutes=-10)),
        token_for(BODY + b" ", ttl=LONG),
        # alg none
        "eyJhbGciOiJub25lIn0.eyJpc3MiOiJkZXZrZXkiLCJzaGEyNTYiOiJ4IiwiZXhwIjo5OTk5OTk5OTk5fQ.",
    ],
)
async def test_what_is_not_signed_is_refused(door: Door, token: str | None) -> None:
    if token is not None and len(token) > 8190:
        token = token[:8100]
    assert await door.post(BODY, token) == (400, "UNAUTHORIZED")
    assert door.told == []


async def test_a_token_without_a_hash_is_refused(door: Door) -> None:
    from livekit.api import AccessToken

    assert await door.post(b"", AccessToken(KEY, SECRET).to_jwt()) == (400, "UNAUTHORIZED")


async def test_a_token_whose_claims_are_no_claims_is_refused(door: Door) -> None:
    import jwt

    for claims in ({"sha256": 7}, {"sha256": "?"}, {"video": "x"}, {"sip": ["a"]}, {"metadata": 1}):
        token = jwt.encode({"iss": KEY, "exp": 9_999_999_999, **claims}, SECRET, "HS256")
        assert await door.post(BODY, token) == (400, "UNAUTHORIZED")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"7", b"\xff\xfe", b'{"event": 7}', b'{"createdAt": "x"}', b"[" * 100_000],
)
async def test_a_signed_body_that_is_no_event(door: Door, body: bytes) -> None:
    assert await door.post(body, token_for(body)) == (400, "VALIDATION_ERROR")


async def test_an_event_with_what_is_not_known_yet_is_taken(door: Door) -> None:
    body = b'{"event":"participant_moved","room":{"name":"r","later":{"a":1}},"more":[1]}'
    assert await door.post(body, token_for(body)) == (200, "")
    assert [n.event for n in door.told] == ["participant_moved"]


async def test_a_body_in_which_there_is_no_event_concerns_nobody(door: Door) -> None:
    # LiveKit's own reader takes these for events without members.
    for body in (b"[]", b'{"room": "x"}', b"{}"):
        assert await door.post(body, token_for(body)) == (200, "")
    assert door.told == []


async def test_an_event_without_a_room_concerns_nobody(door: Door) -> None:
    body = b'{"event":"egress_started","id":"EV_x"}'
    assert await door.post(body, token_for(body)) == (200, "")
    assert door.told == []


async def test_too_large(door: Door) -> None:
    body = b"x" * (MAX_BODY + 1)
    assert await door.post(body, token_for(body)) == (400, "BODY_TOO_LARGE")

    async def parts() -> Any:
        for _ in range(MAX_BODY // 65_536 + 1):
            yield b"x" * 65_536

    assert await door.post(parts(), token_for(body)) == (400, "BODY_TOO_LARGE")


async def test_the_same_event_is_told_once(door: Door) -> None:
    for _ in range(3):
        assert await door.post(BODY, TOKEN) == (200, "")
    assert len(door.told) == 1


async def test_what_a_room_s_body_holds_is_never_logged(door: Door) -> None:
    event = SERVER.event("participant_joined", "sip-in_+12025550188_x")
    event.participant.attributes["sip.phoneNumber"] = "+12025550188"
    body, token = signed(event)
    assert b"do not log this" in body
    with capture_logs() as logs:
        assert await door.post(body, token) == (200, "")
        assert (await door.post(body[:-5], token))[0] == 400
        await asyncio.sleep(0)
    assert logs
    said = repr(logs)
    for secret in ("do not log this", "turnPassword", "2025550188", token, SECRET):
        assert secret not in said
