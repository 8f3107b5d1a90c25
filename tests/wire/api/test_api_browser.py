"""POST /v1/sessions: what a browser is told, and what is refused before anything is kept."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from telephony.base.errors import TelephonyError, Unavailable
from telephony.rooms.tokens import LiveKitTokens

SECRET = "a secret of the LiveKit server, long enough"
INTENT = {"intent": {"language": "en"}}


@pytest.fixture
async def rooms(start: Any) -> Any:
    return await start(tokens=LiveKitTokens("https://rooms.example.com", "lk_key", SECRET))


async def test_without_a_server_of_rooms_nothing_is_kept(api: Any) -> None:
    reply = await api.post("/v1/sessions", INTENT)
    assert (reply.status, reply.body["code"]) == (503, "ROOMS_NOT_CONFIGURED")
    assert api.board.rooms == []


async def test_both_names_of_token_and_url_are_said(rooms: Any) -> None:
    reply = await rooms.post("/v1/sessions", INTENT | {"identity": "anna", "ttlSeconds": 60})
    assert reply.status == 201
    body = reply.body
    assert body["transportToken"] == body["conversationToken"]
    assert body["transportUrl"] == body["livekitUrl"] == "wss://rooms.example.com"
    assert body["transport"] == "livekit"
    assert body["identity"] == "anna"
    assert body["expiresAt"].endswith("Z")
    token = jwt.decode(
        body["transportToken"], SECRET, algorithms=["HS256"], options={"verify_exp": False}
    )
    assert (token["sub"], token["iss"]) == ("anna", "lk_key")
    assert token["exp"] - token["nbf"] == 60
    assert token["video"]["room"] == body["roomName"] == f"call-{body['sessionId']}"
    grants = {"roomJoin", "canPublish", "canSubscribe", "canPublishData"}
    assert all(token["video"][name] is True for name in grants)
    (order,) = rooms.board.rooms
    assert (order.ttl_seconds, order.language) == (60, "en")


async def test_what_is_not_said_has_a_usual_value(rooms: Any) -> None:
    body = INTENT | {
        "firstMessage": None,
        "metadata": {"crm": 1},
        "maxDurationSeconds": 5,
        "intent": {"language": "de-DE", "vertical": "general"},
        "mode": "cascade",
        "somethingNew": {"x": 1},
    }
    reply = await rooms.post("/v1/sessions", body)
    assert reply.status == 201
    assert reply.body["identity"].startswith("user_")
    (order,) = rooms.board.rooms
    assert (order.ttl_seconds, order.max_duration_seconds) == (900, 30)
    assert (order.language, order.metadata) == ("de-DE", {"crm": 1})


async def test_the_same_key_gets_the_same_session(rooms: Any) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await rooms.post("/v1/sessions", INTENT, headers=headers)
    again = await rooms.post("/v1/sessions", INTENT, headers=headers)
    assert first.body == again.body
    assert len(rooms.board.rooms) == 1


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "agentId"),
        (INTENT | {"ttlSeconds": 0}, "ttlSeconds"),
        (INTENT | {"ttlSeconds": 86401}, "ttlSeconds"),
        (INTENT | {"identity": ""}, "identity"),
        (INTENT | {"identity": "x" * 129}, "identity"),
        (INTENT | {"firstMessage": "x" * 2001}, "firstMessage"),
        (INTENT | {"mode": "duplex"}, "mode"),
        (INTENT | {"webhookTags": {"a": "b"}}, "webhookTags"),
        (INTENT | {"variables": {"system.now": "x"}}, "variables"),
        (INTENT | {"llm": {"temperature": 3}}, "llm.temperature"),
    ],
)
async def test_what_is_wrong_is_named(rooms: Any, body: Any, path: str) -> None:
    reply = await rooms.post("/v1/sessions", body)
    assert (reply.status, reply.body["code"]) == (400, "VALIDATION_ERROR")
    assert reply.body["issues"][0]["path"].startswith(path)
    assert rooms.board.rooms == []


async def test_speech_to_speech_comes_later(rooms: Any) -> None:
    # The official client sends neither an agent nor an intent here.
    for body in ({"mode": "s2s"}, INTENT | {"mode": "s2s", "agentId": "agent_nobody"}):
        reply = await rooms.post("/v1/sessions", body)
        assert (reply.status, reply.body["code"]) == (501, "NOT_IMPLEMENTED")


async def test_an_unknown_agent_is_404(rooms: Any) -> None:
    reply = await rooms.post("/v1/sessions", {"agentId": "agent_nobody"})
    assert (reply.status, reply.body["code"]) == (404, "NOT_FOUND")


async def test_where_the_agent_cannot_be_called_the_key_is_free_again(rooms: Any) -> None:
    headers = {"Idempotency-Key": "k2"}
    rooms.board.failure = TelephonyError("no worker", code="SESSION_CREATE_FAILED")
    reply = await rooms.post("/v1/sessions", INTENT, headers=headers)
    assert (reply.status, reply.body["code"]) == (500, "SESSION_CREATE_FAILED")
    rooms.board.failure = Unavailable("the conference server does not answer")
    reply = await rooms.post("/v1/sessions", INTENT, headers=headers)
    assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
    rooms.board.failure = None
    assert (await rooms.post("/v1/sessions", INTENT, headers=headers)).status == 201


async def test_a_page_of_any_origin_may_mint_its_own_session(rooms: Any) -> None:
    headers = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-speko-client",
    }
    asked = await rooms.ask("OPTIONS", "/v1/sessions", key=None, headers=headers)
    assert asked.status == 204
    assert asked.headers["Access-Control-Allow-Origin"] == "*"
    allowed = asked.headers["Access-Control-Allow-Headers"].split(", ")
    assert {"authorization", "content-type", "x-speko-client"} <= set(allowed)
    reply = await rooms.post("/v1/sessions", INTENT, headers={"Origin": "https://shop.example"})
    assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (201, "*")
