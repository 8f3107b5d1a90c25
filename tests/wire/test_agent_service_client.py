"""The worker's side of the API on real sockets: what is repeated, what is not, what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from telephony.agents.service import PROVIDER, Declined, Said, ServiceClient
from telephony.base.errors import Unavailable

KEY = "sk_test_key"
Reply = web.StreamResponse
Client = Callable[..., Awaitable[ServiceClient]]


class Server:
    """Answers with ``replies`` in order, the last for ever, and notes what it was asked."""

    def __init__(self) -> None:
        self.replies: list[Callable[[], Reply]] = [lambda: web.json_response({})]
        self.asked: list[tuple[str, str, object, dict[str, str]]] = []
        self.queries: list[dict[str, str]] = []

    async def handle(self, request: web.Request) -> Reply:
        body = await request.json() if request.can_read_body else None
        self.queries.append(dict(request.query))
        self.asked.append((request.method, request.path, body, dict(request.headers)))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return reply()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[ServiceClient]:
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    made = ServiceClient(f"http://127.0.0.1:{port}/base/", KEY, "s/1", pause=0.001, timeout=2)
    async with made:
        yield made
    await runner.cleanup()


def status(number: int, /, **body: object) -> Callable[[], Reply]:
    return lambda: web.json_response(body, status=number)


async def test_turns_go_where_and_as_the_contract_says(
    server: Server, client: ServiceClient
) -> None:
    await client.post_turns([Said(0, "agent", "Hello" * 5000, "t0"), Said(1, "user", "x", "t1")])
    method, path, body, headers = server.asked[0]
    assert (method, path) == ("POST", "/base/v1/sessions/s/1/turns")
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert isinstance(body, dict)
    assert [turn["index"] for turn in body["turns"]] == [0, 1]
    assert len(body["turns"][0]["text"]) == 16_384
    assert body["turns"][1] == {
        "index": 1,
        "source": "user",
        "text": "x",
        "startedAt": "t1",
        "endedAt": None,
        "provider": PROVIDER,
    }


async def test_only_a_workers_turns_were_spoken_before(
    server: Server, client: ServiceClient
) -> None:
    mine = {"index": 4, "source": "user", "text": "hi", "startedAt": "t", "provider": PROVIDER}
    server.replies = [
        status(200, entries=[mine, mine | {"provider": None}, mine | {"index": "x"}, 5, None])
    ]
    assert await client.spoken_before() == [Said(4, "user", "hi", "t")]
    server.replies = [status(200, entries=None)]
    assert await client.spoken_before() == []


@pytest.mark.parametrize("code", [429, 500, 503])
async def test_what_passes_is_tried_again(server: Server, client: ServiceClient, code: int) -> None:
    server.replies = [status(code), status(code), status(200)]
    await client.end_call()
    assert len(server.asked) == 3


async def test_it_gives_up_and_says_why(server: Server, client: ServiceClient) -> None:
    server.replies = [status(503, error="the database is away", code="STORE_UNAVAILABLE")]
    with pytest.raises(Declined, match="database is away") as error:
        await client.end_call()
    assert (error.value.status, error.value.code) == (503, "STORE_UNAVAILABLE")
    assert len(server.asked) == 5


@pytest.mark.parametrize("code", [400, 401, 404, 409, 501])
async def test_a_no_is_final(server: Server, client: ServiceClient, code: int) -> None:
    server.replies = [status(code, error="no", code="NO")]
    with pytest.raises(Declined, match="no"):
        await client.end_call()
    assert len(server.asked) == 1


async def test_a_transfer_dials_and_is_never_repeated(
    server: Server, client: ServiceClient
) -> None:
    server.replies = [status(503)]
    with pytest.raises(Declined):
        await client.transfer("+12025550123", warm=True, summary="about a bill")
    assert [(path, body) for _, path, body, _ in server.asked] == [
        (
            "/base/v1/calls/s/1/transfers/warm",
            {"to": "+12025550123", "summary": "about a bill"},
        )
    ]
    server.replies = [status(201, id="tr_1")]
    assert await client.transfer("+12025550123", warm=False, summary="x") == "tr_1"
    assert server.asked[-1][1:3] == ("/base/v1/calls/s/1/transfers/blind", {"to": "+12025550123"})


async def test_a_callback_is_promised_once(server: Server, client: ServiceClient) -> None:
    server.replies = [status(500), status(201, id="cb_1")]
    promised = await client.call_back(
        "+12025550123", after=60, reason="", agent="", summary="", once="callback-2"
    )
    assert promised == "cb_1"
    keys = [headers["Idempotency-Key"] for *_, headers in server.asked]
    assert keys == ["s%2F1-callback-2"] * 2
    assert server.asked[0][2] == {
        "to": "+12025550123",
        "delaySeconds": 60,
        "sourceSessionId": "s/1",
    }


async def test_it_looks_up_once_and_in_words(server: Server, client: ServiceClient) -> None:
    server.replies = [status(200, passages=[{"text": "From nine."}, {"text": "No."}])]
    assert await client.look_up("agent/1", "open?\x00\n&limit=9 ü" + "y" * 2000) == "From nine."
    method, path, body, _ = server.asked[0]
    assert (method, path, body) == ("GET", "/base/v1/agents/agent/1/knowledge", None)
    assert server.queries[0]["limit"] == "1"
    assert server.queries[0]["query"].startswith("open?  &limit=9 üyy")
    assert len(server.queries[0]["query"]) == 300
    assert await client.look_up("agent_1", "\x00 ") == ""
    assert len(server.asked) == 1
    for odd in ({}, {"passages": 3}, {"passages": []}, {"passages": [{"text": 3}]}):
        server.replies = [status(200, **odd)]
        assert await client.look_up("agent_1", "x") == ""
    server.replies = [status(503)]
    with pytest.raises(Declined):
        await client.look_up("agent_1", "x")
    assert len(server.asked) == 6


@pytest.mark.parametrize(
    "reply",
    [
        lambda: web.Response(body=b"<html>", status=200),
        lambda: web.Response(body=b"[1]", status=200),
        lambda: web.Response(body=b"\xff", status=200),
        lambda: web.Response(status=202),
    ],
)
async def test_a_reply_that_is_no_object_is_an_empty_one(
    server: Server, client: ServiceClient, reply: Callable[[], Reply]
) -> None:
    server.replies = [reply]
    assert await client.spoken_before() == []


async def test_the_key_follows_no_redirect(server: Server, client: ServiceClient) -> None:
    server.replies = [lambda: web.Response(status=302, headers={"Location": "/elsewhere"})]
    with pytest.raises(Declined, match="302"):
        await client.end_call()
    assert len(server.asked) == 1


async def test_a_reply_has_a_ceiling(server: Server, client: ServiceClient) -> None:
    server.replies = [lambda: web.Response(body=b" " * (5 * 1024 * 1024))]
    with pytest.raises(Unavailable, match="octets"):
        await client.transfer("+12025550123", warm=False)


async def test_nobody_there() -> None:
    async with ServiceClient("http://127.0.0.1:9", KEY, "s", attempts=2, pause=0.001) as client:
        with pytest.raises(Unavailable, match="does not answer"):
            await client.post_turns([Said(0, "user", "x", "t")])
