"""What clients of the contract do that a server must take (its sections 17 and 18), row by row.

Most rows are asked of every route of the table, so that a new route is held to them as well.
"""

from __future__ import annotations

import asyncio
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from telephony.api import later, server
from telephony.api.routes import Route
from telephony.api.wire.base import Deleted
from telephony.api.wire.numbers import Released

from .conftest import KEY

ROUTES = [r for r in server.routes() if r.path.startswith("/v1/") and not r.public]
SERVED = [r for r in ROUTES if r.handler is not later.later]
TO = "+12025550123"


def ids(routes: list[Route]) -> Any:
    return pytest.mark.parametrize("route", routes, ids=lambda r: f"{r.method} {r.path}")


def filled(path: str, item: str = "nobody") -> str:
    """The path, with an id for each of its names."""
    return "/".join(item if part.startswith("{") else part for part in path.split("/"))


# --- what a body and a query may hold ---------------------------------------------------------


def shapes() -> Iterator[type[BaseModel]]:
    """Every shape of a request, and those inside of it."""
    waiting = [s for r in ROUTES for s in (r.body, r.query) if s is not None]
    seen: set[type[BaseModel]] = set()
    while waiting:
        shape = waiting.pop()
        if shape not in seen:
            seen.add(shape)
            yield shape
            for field in shape.model_fields.values():
                waiting += _models(field.annotation)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for part in typing.get_args(annotation) for model in _models(part)]


def _takes_null(annotation: Any) -> bool:
    if typing.get_origin(annotation) is typing.Annotated:
        return _takes_null(typing.get_args(annotation)[0])
    return annotation in (None, type(None), Any) or any(
        part is type(None) for part in typing.get_args(annotation)
    )


@pytest.mark.parametrize("shape", sorted(shapes(), key=lambda s: s.__name__))
def test_members_that_nobody_knows_are_ignored(shape: type[BaseModel]) -> None:
    assert shape.model_config.get("extra", "ignore") == "ignore"


@pytest.mark.parametrize(
    "shape",
    sorted({s for s in shapes() if "Query" not in s.__name__}, key=lambda s: s.__name__),
)
def test_a_null_is_taken_wherever_a_member_may_be_absent(shape: type[BaseModel]) -> None:
    bad = [
        name
        for name, field in shape.model_fields.items()
        if not field.is_required() and not _takes_null(field.annotation)
    ]
    assert bad == []


async def test_a_number_is_made_of_nulls_as_of_nothing(api: Any) -> None:
    nulls = dict.fromkeys(
        ["sipConnectionInstallationId", "sipTrunkId", "sipProviderName", "direction", "label",
         "dispatchMetadataTemplate", "agentId", "dialplan", "record"]
    )  # fmt: skip
    told = await api.post("/v1/phone-numbers/import", {"e164": "+12025550100", **nulls})
    plain = await api.post("/v1/phone-numbers/import", {"e164": "+12025550101", "new": {"a": 1}})
    assert (told.status, plain.status) == (200, 200)
    different = {"id", "e164", "createdAt", "updatedAt", "setup", "setupStatus"}
    assert {k: v for k, v in told.body.items() if k not in different} == {
        k: v for k, v in plain.body.items() if k not in different
    }


async def test_a_query_that_nobody_knows_is_ignored(api: Any) -> None:
    await api.ended_call()
    for path in ("/v1/sessions", "/v1/callbacks", "/v1/phone-numbers", "/v1/usage"):
        plain, more = (
            await api.get(path),
            await api.get(f"{path}?somethingNew=1&x[]=%2B&&y&z=%00%0A"),
        )
        assert (more.status, more.body) == (plain.status, plain.body) == (200, plain.body)


@pytest.mark.parametrize("language", ["en", "en-US", "zh-Hans-CN", "es-419", "sr-Latn"])
async def test_any_language_tag_and_any_region_are_taken(api: Any, language: str) -> None:
    intent = {"language": language, "region": "eu-west1", "vertical": "general"}
    reply = await api.post("/v1/sessions/phone", {"to": TO, "intent": intent, "firstMessage": None})
    assert reply.status == 200, reply.body
    assert api.board.orders[0].language == language


@pytest.mark.parametrize("spelt", ["s2s", "s2S"])
async def test_both_spellings_of_an_allow_list_are_taken(api: Any, spelt: str) -> None:
    constraints = {"allowedProviders": {spelt: ["openai"]}}
    reply = await api.post("/v1/sessions/phone", {"to": TO, "constraints": constraints})
    assert reply.status == 200, reply.body
    assert api.board.orders[0].pipeline["constraints"] == {"allowedProviders": {"s2s": ["openai"]}}


# --- bodies that are not there -------------------------------------------------------------------


def _asks(shape: type[BaseModel] | None) -> bool:
    return shape is not None and any(f.is_required() for f in shape.model_fields.values())


VERBS = [r for r in ROUTES if r.method == "POST" and "}/" in r.path and not _asks(r.body)]


async def test_a_verb_without_arguments_needs_no_body(api: Any) -> None:
    assert "/v1/calls/{id}/end" in {route.path for route in VERBS}
    for route in VERBS:
        for raw in (None, b"", b"{}"):
            for headers in ({}, {"Content-Type": "application/json"}):
                reply = await api.ask("POST", filled(route.path), raw=raw, headers=headers)
                assert reply.status == (404 if route in SERVED else 501), (route, raw, reply.body)


async def test_nothing_is_parsed_where_there_is_no_body(api: Any) -> None:
    headers = {"Content-Type": "application/json", "Accept": "*/*", "Accept-Language": "*"}
    for route in ROUTES:
        if route.method in ("GET", "DELETE"):
            plain = await api.ask(route.method, filled(route.path))
            reply = await api.ask(route.method, filled(route.path), headers=headers)
            assert reply.status == plain.status
            assert reply.status not in (400, 411, 415, 500), route


# --- what comes back ------------------------------------------------------------------------


@ids([r for r in SERVED if r.method == "DELETE"])
def test_a_delete_answers_an_object(route: Route) -> None:
    if route.path in ("/v1/webhooks/{id}", "/v1/sms/conversations/{id}"):
        assert route.status in (200, 204)
        return
    assert route.status == 200
    assert route.reply is not None and route.reply in (Deleted, Released)
    assert (route.reply is Released) == (route.path == "/v1/phone-numbers/{id}")


async def test_no_path_is_ever_redirected(api: Any) -> None:
    for route in ROUTES:
        if route.method not in ("GET", "DELETE"):
            continue
        plain = await api.ask(route.method, filled(route.path))
        for path in ("/" + filled(route.path), filled(route.path) + "/", f"{filled(route.path)}//"):
            reply = await api.ask(route.method, path)
            assert reply.status == plain.status, path
            assert "Location" not in reply.headers


@pytest.mark.parametrize("item", ["a%2Fb", "a%2fevents", "%2Fend", "a%3Ab", "%252F", "%C3%A9"])
async def test_a_slash_inside_an_id_makes_no_segment(api: Any, item: str) -> None:
    for route in SERVED:
        if "{id}" in route.path and route.method in ("GET", "DELETE"):
            plain = await api.ask(route.method, filled(route.path))
            reply = await api.ask(route.method, filled(route.path, item))
            assert (reply.status, reply.body) == (plain.status, plain.body), route
            assert reply.status == 404, route


async def test_every_failure_is_an_error_in_words_and_a_code(api: Any) -> None:
    api.board.failure = RuntimeError("a fault of ours")
    large = b'{"to": "' + b"x" * (1 << 20) + b'"}'
    asked = {
        400: api.post("/v1/sessions/phone", {"to": "x"}),
        401: api.get("/v1/callbacks", key="sk_live_nobody"),
        404: api.get("/v1/calls/nobody"),
        405: api.ask("PUT", "/v1/callbacks"),
        413: api.post("/v1/sessions/phone", raw=large),
        500: api.post("/v1/sessions/phone", {"to": TO}),
        501: api.get("/v1/sms/messages"),
    }
    for status, coming in asked.items():
        reply = await coming
        assert reply.status == status
        assert reply.headers["Content-Type"].startswith("application/json")
        assert all(isinstance(reply.body[name], str) and reply.body[name] for name in
                   ("error", "code")), reply.body  # fmt: skip
    assert "fault of ours" not in reply.body["error"]


# --- queries ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "since",
    [
        "2026-01-01T00%3A00%3A00.000Z",
        "2026-01-01T02%3A00%3A00%2B02%3A00",
        "2026-01-01T02:00:00%2B02:00",
        "2026-01-01T02:00:00+02:00",
        "2026-01-01",
    ],
)
async def test_a_time_is_read_however_it_was_encoded(api: Any, since: str) -> None:
    await api.ended_call()
    plain = await api.get("/v1/usage?from=2026-01-01T00:00:00Z")
    reply = await api.get(f"/v1/usage?from={since}")
    assert reply.status == 200, reply.body
    assert reply.body == plain.body


async def test_an_empty_filter_is_none(api: Any) -> None:
    await api.post("/v1/callbacks", {"to": TO, "scheduledAt": "2030-01-01"})
    for path in (
        "/v1/callbacks?status=&source_session_id=&limit=",
        "/v1/callbacks",
    ):
        reply = await api.get(path)
        assert len(reply.body["callbacks"]) == 1, path
    assert (await api.get("/v1/credits/ledger?limit=&cursor=&kind=")).body["entries"] == []


# --- the connection ---------------------------------------------------------------------------


async def test_a_stream_is_neither_compressed_nor_framed_otherwise(api: Any) -> None:
    call = await api.ended_call()
    headers = {"Accept-Encoding": "gzip, deflate", "Accept": "text/event-stream"}
    reply = await api.get(f"/v1/sessions/{call.id}/stream?cursor=-1:0", headers=headers)
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/event-stream")
    assert "Content-Encoding" not in reply.headers
    assert b"\r" not in reply.raw
    assert reply.raw.endswith(b"\n\n")
    last = reply.raw.strip().split(b"\n\n")[-1]
    assert b"event: end" in last and b"session_ended" in last


async def test_one_connection_carries_many_requests_of_whoever_it_is(api: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    try:
        for agent in ("", "User-Agent: \xff\r\n", "User-Agent: @spekoai/sdk/0.4.1\r\n"):
            text = (
                f"GET /v1/callbacks HTTP/1.1\r\nHost: x\r\n{agent}Authorization: Bearer {KEY}\r\n"
            )
            writer.write((text + "\r\n").encode("latin-1"))
            async with asyncio.timeout(5):
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200"), head
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                assert await reader.readexactly(length) == b'{"callbacks":[]}'
    finally:
        writer.close()
