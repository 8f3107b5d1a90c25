"""What clients do that a server must tolerate, and what strangers may not (contract section 18)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from telephony.accounts.keys import digest_key, make_pepper
from telephony.accounts.model import DEFAULT_ORGANIZATION, Scope
from telephony.api import auth, later, server
from telephony.api.routes import Route

from .conftest import SECRET

KEY = "sk_live_" + "a" * 32
FOREIGN_KEY = "sk_live_" + "c" * 32


def _path(route: Route) -> str:
    return "/".join("x" if part.startswith("{") else part for part in route.path.split("/"))


@pytest.mark.parametrize("route", later.routes(), ids=lambda r: f"{r.method} {r.path}")
async def test_what_comes_later_is_501_and_never_404(api: Any, route: Route) -> None:
    reply = await api.ask(route.method, _path(route))
    assert (reply.status, reply.body["code"]) == (501, "NOT_IMPLEMENTED")
    assert (await api.ask(route.method, _path(route), key=None)).status == 401


def test_the_whole_index_of_the_contract_is_in_the_table() -> None:
    # 94 rows of the index: 25 of SMS, less four that a reply's own URL names (50, 66, 92, 94),
    # and six that only official tools call.
    ours = ("/v1/trunks", "/v1/phones")
    rows = [r for r in server.routes() if r.path.startswith("/v1/") and not r.path.startswith(ours)]
    # POST /v1/callbacks and GET /v1/agents/{id}/knowledge are our own additions.
    assert len(rows) == 94 - 4 + 7 + 2


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic abc",
        "Bearer sk_live_wrong",
        KEY,
        "Bearer " + "x" * 300,
    ],
)
async def test_without_a_good_key_it_is_401(api: Any, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    reply = await api.get("/v1/sessions", key=None, headers=headers)
    assert reply.status == 401
    assert reply.body == {"error": "Unauthorized", "code": "UNAUTHORIZED"}


async def test_the_scheme_is_written_as_one_likes(api: Any) -> None:
    headers = {"Authorization": f"bearer   {KEY}"}
    assert (await api.get("/v1/sessions", key=None, headers=headers)).status == 200


async def test_the_last_use_is_written_once_a_minute(api: Any) -> None:
    await api.get("/v1/sessions")
    first = (await api.store.keys.find())[0].last_used_at
    assert first is not None
    api.clock.advance(auth.CACHE_SECONDS + 1)
    await api.get("/v1/sessions")
    assert (await api.store.keys.find())[0].last_used_at == first
    api.clock.advance(60)
    await api.get("/v1/sessions")
    assert (await api.store.keys.find())[0].last_used_at > first


async def test_a_revoked_key_opens_for_seconds_at_most(api: Any) -> None:
    assert (await api.get("/v1/sessions")).status == 200
    (key, *_) = await api.store.keys.find()
    await api.store.keys.remove(key.id)
    api.clock.advance(auth.CACHE_SECONDS + 0.1)
    assert (await api.get("/v1/sessions")).status == 401


async def test_while_the_store_is_away_a_known_key_still_ends_calls(api: Any) -> None:
    assert (await api.get("/v1/sessions")).status == 200
    api.clock.advance(60)
    api.store.down = True
    reply = await api.post("/v1/calls/x/end")
    assert reply.status == 404
    reply = await api.get("/v1/sessions")
    assert (reply.status, reply.body["code"]) == (503, "STORE_UNAVAILABLE")
    assert reply.headers["Retry-After"] == "5"
    assert (await api.get("/v1/sessions", key=FOREIGN_KEY)).status == 503


async def test_no_route_shows_what_belongs_to_another_organization(api: Any) -> None:
    hook = {"name": "CRM", "url": "https://crm.example/", "events": ["call.report"]}
    call = await api.ended_call(recorded=True)
    made = [
        (await api.post("/v1/callbacks", {"to": "+12025550123"})).body["id"],
        (await api.post("/v1/phone-numbers/import", {"e164": "+12025550100"})).body["id"],
        (await api.post("/v1/trunks", {"name": "main", "gateways": ["gw"]})).body["id"],
        (await api.post("/v1/phones", {"user": "1000", "password": "pw"})).body["id"],
        (await api.post("/v1/webhooks", hook)).body["id"],
    ]
    agent, base, below = await an_agent(api)
    made += [agent, base]
    for route in server.routes():
        if route.public or route.handler is later.later or "{id}" not in route.path:
            continue
        # A key may ask only so often.
        api.clock.advance(1)
        for item in (call.id, *made):
            path = route.path.replace("{id}", item)
            for name, value in below.items():
                path = path.replace(f"{{{name}}}", value)
            reply = await api.ask(route.method, path, key=FOREIGN_KEY)
            assert reply.status == 404, path
    for path in ("agents", "knowledge-bases", "phone-numbers", "trunks", "phones"):
        assert (await api.get(f"/v1/{path}", key=FOREIGN_KEY)).body == []
    assert (await api.get("/v1/sessions", key=FOREIGN_KEY)).body["entries"] == []
    assert (await api.get("/v1/callbacks", key=FOREIGN_KEY)).body["callbacks"] == []


async def an_agent(api: Any) -> tuple[str, str, dict[str, str]]:
    """Its id, that of its knowledge base, and those of what is below either."""
    agent = (await api.agent()).id
    (base,) = await api.store.knowledge.bases(DEFAULT_ORGANIZATION, agent)
    tool = {"name": "bye", "description": "d", "parameters": {}, "source": {"kind": "inline"}}
    document = {"filename": "a.md", "contentType": "text/markdown", "sizeBytes": 1}
    made = (await api.post(f"/v1/knowledge-bases/{base.id}/documents", document)).body
    tool = (await api.post(f"/v1/agents/{agent}/tools", tool)).body
    return agent, base.id, {"tool": tool["id"], "document": made["document"]["id"]}


async def with_key(api: Any, text: str, **members: Any) -> str:
    (known, *_) = await api.store.keys.find()
    digest = digest_key(text, make_pepper(SECRET))
    await api.store.keys.add(replace(known, id=f"key_{text}", digest=digest, **members))
    return text


async def test_a_key_goes_as_far_as_its_scopes(api: Any) -> None:
    reads = await with_key(api, "sk_live_reads", scopes=frozenset({Scope.READ}))
    dials = await with_key(api, "sk_live_dials", scopes=frozenset({Scope.DIAL}))
    trunk = {"name": "main", "gateways": ["gw"]}
    assert (await api.get("/v1/trunks", key=reads)).status == 200
    for key in (reads, dials):
        reply = await api.post("/v1/trunks", trunk, key=key)
        assert (reply.status, reply.body["code"]) == (403, "INSUFFICIENT_SCOPE")
        assert "admin" in reply.body["error"]
    dial = {"to": "+12025550123", "dialplan": "front-desk"}
    assert (await api.post("/v1/sessions/phone", dial, key=reads)).status == 403
    assert (await api.post("/v1/sessions/phone", dial, key=dials)).status == 200
    assert (await api.get("/v1/sessions", key=dials)).status == 403


async def test_a_key_that_asks_too_often_is_told_when_to_come_back(api: Any) -> None:
    slow = await with_key(api, "sk_live_slow", requests_per_second=0.5)
    assert (await api.get("/v1/organization", key=slow)).status == 200
    reply = await api.get("/v1/organization", key=slow)
    assert (reply.status, reply.body["code"]) == (429, "RATE_LIMITED")
    assert reply.headers["Retry-After"] == "2"
    # Others are not kept waiting, and neither is it for longer than it was told.
    assert (await api.get("/v1/organization")).status == 200
    api.clock.advance(2)
    assert (await api.get("/v1/organization", key=slow)).status == 200


async def test_an_organization_has_a_name(api: Any) -> None:
    reply = await api.get("/v1/organization")
    assert reply.body == {"id": "org_default", "name": "org_default", "createdAt": None}
    await api.store.start(api.clock.now())
    body = (await api.get("/v1/organization")).body
    assert (body["name"], body["createdAt"][-1]) == ("Default", "Z")


# --- paths ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/v1/sessions/",
        "//v1/sessions",
        "/v1//sessions",
        "///v1///sessions///",
        "/v1/sessions/?limit=1",
    ],
)
async def test_slashes_too_many_are_served_and_not_redirected(api: Any, path: str) -> None:
    reply = await api.get(path)
    assert reply.status == 200
    assert "entries" in reply.body


async def test_an_id_is_decoded_once_after_routing(api: Any) -> None:
    call, events = api.a_call()
    for name, path in (("a/b", "a%2Fb"), ("a%2Fb", "a%252Fb"), ("é:1", "%C3%A9%3A1"), ("+", "+")):
        await api.keep(replace(call, id=name), events)
        reply = await api.get(f"/v1/calls/{path}")
        assert reply.status == 200, path
        assert reply.body["id"] == name
    assert (await api.get("/v1/calls/a/b")).status == 404
    assert (await api.get("/v1/calls/a%00b")).body["code"] == "NOT_FOUND"
    assert (await api.get("/v1/calls/%FF")).body["code"] == "SESSION_NOT_FOUND"


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v2/sessions", "/v1/nothing", "/v1/sessions/a/b", "/x.html"]
)
async def test_an_unknown_route_is_404_in_json(api: Any, path: str) -> None:
    reply = await api.get(path, key=None)
    assert (reply.status, reply.body) == (404, {"error": "not found", "code": "NOT_FOUND"})


async def test_a_method_that_a_path_has_not_is_405(api: Any) -> None:
    reply = await api.ask("PUT", "/v1/sessions")
    assert (reply.status, reply.body["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert reply.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert (await api.ask("TRACE", "/v1/sessions")).status == 405


async def test_head_is_get_without_a_body(api: Any) -> None:
    reply = await api.ask("HEAD", "/v1/sessions")
    assert (reply.status, reply.raw) == (200, b"")


async def test_unknown_ids_are_told_apart(api: Any) -> None:
    for path in ("/v1/calls/x", "/v1/calls/x/events", "/v1/calls/x/report", "/v1/sessions/x",
                 "/v1/sessions/x/transcript"):  # fmt: skip
        reply = await api.get(path)
        assert (reply.status, reply.body["code"]) == (404, "SESSION_NOT_FOUND"), path
    for path in ("/v1/calls/x/recording", "/v1/sessions/x/recording"):
        reply = await api.get(path)
        assert (reply.status, reply.body["code"]) == (404, "RECORDING_NOT_AVAILABLE"), path
    for path in ("/v1/callbacks/x", "/v1/phone-numbers/x", "/v1/trunks/x", "/v1/phones/x"):
        assert (await api.get(path)).body == {"error": "not found", "code": "NOT_FOUND"}, path


# --- bodies that are not there -------------------------------------------------------------


@pytest.mark.parametrize("raw", [None, b"", b"{}", b"  ", b"not json"])
async def test_end_asks_for_no_body(api: Any, raw: bytes | None) -> None:
    headers = {"Content-Type": "application/json"}
    reply = await api.ask("POST", "/v1/calls/x/end", raw=raw, headers=headers)
    assert reply.status == 404


async def test_get_with_a_content_type_is_not_parsed(api: Any) -> None:
    headers = {"Content-Type": "application/json"}
    assert (await api.get("/v1/sessions", headers=headers)).status == 200
    assert (await api.ask("DELETE", "/v1/trunks/x", headers=headers)).status == 404


# --- CORS ----------------------------------------------------------------------------------


async def test_a_preflight_needs_no_key(api: Any) -> None:
    headers = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-speko-intent",
    }
    reply = await api.ask("OPTIONS", "/v1/sessions/phone", key=None, headers=headers)
    assert (reply.status, reply.raw) == (204, b"")
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    allowed = reply.headers["Access-Control-Allow-Headers"]
    for name in ("authorization", "content-type", "idempotency-key", "x-speko-intent"):
        assert name in allowed
    assert "PATCH" in reply.headers["Access-Control-Allow-Methods"]


async def test_an_error_can_be_read_by_a_page_too(api: Any) -> None:
    reply = await api.get("/v1/sessions", key=None, headers={"Origin": "https://app.example"})
    assert reply.status == 401
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert "retry-after" in reply.headers["Access-Control-Expose-Headers"]


async def test_origins_can_be_named(start: Any) -> None:
    api = await start(cors_origins=("https://app.example",))
    good = await api.get("/v1/sessions", headers={"Origin": "https://app.example"})
    assert good.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert good.headers["Vary"] == "Origin"
    bad = await api.get("/v1/sessions", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in bad.headers


async def test_metrics_are_not_for_pages(api: Any) -> None:
    reply = await api.get("/metrics", key=None, headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in reply.headers


# --- the protocol itself -------------------------------------------------------------------


async def test_every_answer_has_an_id(api: Any) -> None:
    given = await api.get("/v1/sessions", headers={"X-Request-ID": "abc-1"})
    assert given.headers["X-Request-ID"] == "abc-1"
    made = await api.get("/nothing", headers={"X-Request-ID": "bad id"})
    assert made.headers["X-Request-ID"].startswith("req_")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET /v1/sessions HTTP/1.1\r\nBad Header: x\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 10_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 200 + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    ],
    ids=range(7),
)
async def test_what_is_no_http_is_answered_in_json(api: Any, request_bytes: bytes) -> None:
    answer = await api.bytes(request_bytes)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] == b"400"
    assert b"application/json" in head
    assert body == b'{"error":"bad request","code":"BAD_REQUEST"}'


async def test_expectations(api: Any) -> None:
    head = (
        b"POST /v1/sessions/phone HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
        b"Connection: close\r\nExpect: %s\r\nContent-Length: %d\r\n\r\n"
    )
    key = KEY.encode()
    answer = await api.bytes(head % (key, b"100-continue", 2) + b"{}")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 ")
    answer = await api.bytes(head % (key, b"100-continue", 50_000_000))
    assert answer.startswith(b"HTTP/1.1 413 ")
    answer = await api.bytes(head % (key, b"tea", 2) + b"{}")
    assert answer.startswith(b"HTTP/1.1 417 ")
    assert b'"code":"EXPECTATION_FAILED"' in answer


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telephony.api.body.BODY_SECONDS", 0.05)
    request = (
        b"POST /v1/sessions/phone HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
        b"Content-Length: 100\r\n\r\n{" % KEY.encode()
    )
    answer = await api.bytes(request)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"REQUEST_TIMEOUT"' in answer


async def test_a_request_that_never_ends_is_closed(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telephony.api.server.KEEPALIVE_SECONDS", 0.1)
    api = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_connections_have_a_ceiling(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telephony.api.server.MAX_CONNECTIONS", 1)
    api = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.read(1000)).startswith(b"HTTP/1.1 200 ")
    answer = await api.bytes(b"")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"CAPACITY"' in answer
    writer.close()


# --- health --------------------------------------------------------------------------------


async def test_health_and_readiness(api: Any) -> None:
    assert (await api.get("/healthz", key=None)).body == {"status": "ok"}
    assert (await api.get("/readyz", key=None)).body == {"status": "ready"}
    api.problems.extend(["the store does not take events", "draining"])
    reply = await api.get("/readyz", key=None)
    assert reply.status == 503
    assert reply.body == {
        "error": "the store does not take events; draining",
        "code": "NOT_READY",
        "problems": ["the store does not take events", "draining"],
    }
    assert (await api.get("/healthz", key=None)).status == 200


async def test_metrics_are_open_to_this_machine_only(start: Any) -> None:
    api = await start()
    reply = await api.get("/metrics", key=None)
    assert (reply.status, reply.raw) == (200, b"telephony_calls_live 0.0\n")
    # A proxy on this machine speaks for somebody elsewhere.
    forwarded = {"X-Forwarded-For": "198.51.100.7"}
    assert (await api.get("/metrics", key=None, headers=forwarded)).status == 401
    assert (await api.get("/metrics", headers=forwarded)).status == 200
    behind = await start(trusted_proxies=(ip_network("127.0.0.0/8"),))
    assert (await behind.get("/metrics", key=None, headers=forwarded)).status == 401
    local = {"X-Forwarded-For": "127.0.0.1"}
    assert (await behind.get("/metrics", key=None, headers=local)).status == 200
