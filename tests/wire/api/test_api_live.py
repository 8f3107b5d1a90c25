"""Into a live call: a colleague's browser, and texts for the agent."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from telephony.rooms.tokens import LiveKitTokens

SECRET = "a secret of the LiveKit server, long enough"


@pytest.fixture
async def rooms(start: Any) -> Any:
    return await start(tokens=LiveKitTokens("https://rooms.example.com", "lk_key", SECRET))


async def live(api: Any) -> str:
    """A call that is under way; its id."""
    return str((await api.keep(*api.a_call())).id)


async def test_each_join_is_somebody_else_with_a_token_of_its_own(rooms: Any) -> None:
    call = await live(rooms)
    first = await rooms.post(f"/v1/calls/{call}/web-join", {"displayName": "Ada"})
    again = await rooms.post(f"/v1/calls/{call}/web-join")
    assert first.status == again.status == 200
    assert first.body.keys() == {"token", "url", "identity", "roomName", "expiresAt"}
    assert first.body["identity"] != again.body["identity"]
    assert first.body["url"] == "wss://rooms.example.com"
    assert first.body["expiresAt"].endswith("Z")
    token = jwt.decode(
        first.body["token"], SECRET, algorithms=["HS256"], options={"verify_exp": False}
    )
    assert (token["sub"], token["name"]) == (first.body["identity"], "Ada")
    assert token["video"]["room"] == first.body["roomName"] == f"call-{call}"
    assert token["exp"] - token["nbf"] == 300


async def test_a_body_need_not_be_there(rooms: Any) -> None:
    call = await live(rooms)
    assert (await rooms.post(f"/v1/calls/{call}/web-join", raw=b"")).status == 200
    null = await rooms.post(f"/v1/calls/{call}/web-join", {"displayName": None, "x": 1})
    assert null.status == 200


async def test_nobody_joins_a_call_that_is_over_or_that_nobody_knows(rooms: Any) -> None:
    call = (await rooms.ended_call()).id
    for path, body in (("web-join", {}), ("messages", {"text": "Hi"})):
        over = await rooms.post(f"/v1/calls/{call}/{path}", body)
        assert (over.status, over.body["code"]) == (409, "CALL_NOT_LIVE")
        unknown = await rooms.post(f"/v1/calls/nobody/{path}", body)
        assert (unknown.status, unknown.body["code"]) == (404, "SESSION_NOT_FOUND")


async def test_without_a_server_of_rooms_there_is_no_token(api: Any) -> None:
    reply = await api.post(f"/v1/calls/{await live(api)}/web-join")
    assert (reply.status, reply.body["code"]) == (503, "ROOMS_NOT_CONFIGURED")


async def test_a_text_is_handed_on_as_it_is(rooms: Any) -> None:
    call = await live(rooms)
    path = f"/v1/calls/{call}/messages"
    text = "Grüße " + "x" * 15_994
    assert (await rooms.post(path, {"text": text, "mode": "context"})).body == {
        "message_id": "msg_1"
    }
    reply = await rooms.post(path, {"text": "Answer me"})
    assert (reply.status, reply.body) == (200, {"message_id": "msg_2"})
    assert rooms.board.texts == [(call, text, "context"), (call, "Answer me", "respond")]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("web-join", {"displayName": "x" * 129}, "displayName"),
        ("web-join", {"displayName": 7}, "displayName"),
        ("messages", {}, "text"),
        ("messages", {"text": ""}, "text"),
        ("messages", {"text": "x" * 16_001}, "text"),
        ("messages", {"text": "x", "mode": "shout"}, "mode"),
    ],
)
async def test_what_is_wrong_is_named(rooms: Any, path: str, body: Any, field: str) -> None:
    reply = await rooms.post(f"/v1/calls/{await live(rooms)}/{path}", body)
    assert (reply.status, reply.body["code"]) == (400, "VALIDATION_ERROR")
    assert reply.body["issues"][0]["path"] == field
    assert rooms.board.texts == []
