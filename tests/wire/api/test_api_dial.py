"""POST /v1/sessions/phone: what is accepted, what is refused with which field, and once a key."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from telephony.accounts.model import DEFAULT_ORGANIZATION
from telephony.api.body import MAX_BODY
from telephony.base.errors import BadInput, Busy, StoreUnavailable
from telephony.calls.orders import MachineOrder

TO = "+12025550123"
MINIMAL = {"to": TO, "dialplan": "front-desk"}
TEST_KEY = "sk_test_" + "b" * 32


async def test_everything_that_the_contract_has_is_accepted(api: Any) -> None:
    body = {
        "to": TO,
        "from": "+12025550100",
        "intent": {"language": "en-US", "region": "eu-west1", "optimizeFor": "latency",
                   "vertical": "general"},
        "constraints": {"allowedProviders": {"stt": ["a"], "s2S": ["b"]}},
        "voice": "v", "systemPrompt": "p", "firstMessage": "Hello",
        "variables": {"name": "Ada"}, "toolSecrets": {"token": "123456"},
        "llm": {"temperature": 2, "maxTokens": 1},
        "ttsOptions": {"sampleRate": 8000, "speed": 0.5},
        "sttOptions": {"keywords": ["x"] * 200, "prompt": "p" * 2000, "language": "multi"},
        "maxDurationSeconds": 600,
        "turnHandling": {
            "profile": "ivr", "endpointing": {"minDelay": 0.3, "maxDelay": 3},
            "interruption": {"mode": "vad", "minDuration": 0.5, "minWords": 2},
            "turnDetection": "stt", "contextThreshold": True, "greetFirst": False,
            "vad": {"provider": "silero"}, "noiseCancellation": {"enabled": True},
        },
        "telephony": {"region": "eu", "amd": {"mode": "carrier", "timeoutSeconds": 60}},
        "onMachine": "hangup", "metadata": {"a": {"b": [1, None]}}, "webhookTags": {},
        "endCall": {"enabled": True}, "runMode": "s2s", "idleRePrompts": {"x": 1},
        "dialplan": "front-desk", "trunk": "main", "record": True, "ringingTimeout": 20,
        "headers": {"X-Account": "7"}, "somethingNew": [1, 2],
    }  # fmt: skip
    reply = await api.post("/v1/sessions/phone", body)
    assert reply.status == 200, reply.body
    (order,) = api.board.orders
    assert order.organization == DEFAULT_ORGANIZATION
    assert (order.to, order.from_number) == (TO, "+12025550100")
    assert (order.dialplan, order.trunk, order.record) == ("front-desk", "main", True)
    assert order.variables == {"name": "Ada"}
    assert order.metadata == {"a": {"b": [1, None]}}
    assert order.language == "en-US"
    assert order.ring_seconds == 20
    assert order.max_duration_seconds == 600
    assert order.headers == {"X-Account": "7"}
    assert order.machine == MachineOrder(seconds=60, action="hangup")
    assert order.pipeline["intent"] == {
        "language": "en-US", "region": "eu-west1", "optimizeFor": "latency"
    }  # fmt: skip
    assert order.pipeline["constraints"] == {"allowedProviders": {"stt": ["a"], "s2s": ["b"]}}
    assert "123456" not in json.dumps(order.pipeline)
    assert not order.test


@pytest.mark.parametrize(
    ("body", "machine"),
    [
        ({}, None),
        ({"telephony": {"region": "eu"}}, None),
        ({"telephony": {"amd": {}}}, MachineOrder()),
        ({"telephony": {"amd": {"mode": "agent"}}}, MachineOrder()),
        ({"telephony": {"amd": {"mode": "carrier"}}}, MachineOrder()),
        ({"telephony": {"amd": {"mode": "disabled"}}, "onMachine": "hangup"}, None),
        ({"telephony": {"amd": {"timeoutSeconds": 3.5}}}, MachineOrder(seconds=3.5)),
        ({"onMachine": "hangup"}, MachineOrder(action="hangup")),
        (
            {"onMachine": "leave_message", "voicemailMessage": "Call us back."},
            MachineOrder(action="leave_message", message="Call us back."),
        ),
    ],
)
async def test_who_answers_is_asked_where_somebody_wants_to_know(
    api: Any, body: dict[str, Any], machine: MachineOrder | None
) -> None:
    reply = await api.post("/v1/sessions/phone", {**MINIMAL, **body})
    assert reply.status == 200, reply.body
    assert api.board.orders[0].machine == machine


async def test_explicit_nulls_are_absent(api: Any) -> None:
    body = dict.fromkeys(
        [
            "from", "agentId", "constraints", "voice", "systemPrompt", "firstMessage",
            "variables", "toolSecrets", "llm", "ttsOptions", "sttOptions", "maxDurationSeconds",
            "turnHandling", "telephony", "webhookTags", "metadata", "dialplan", "record",
        ]
    )  # fmt: skip
    reply = await api.post(
        "/v1/sessions/phone", {**body, "to": TO, "intent": {"language": "en", "region": None}}
    )
    assert reply.status == 200
    assert api.board.orders[0].record is None


async def test_a_test_key_dials_a_stub(api: Any) -> None:
    reply = await api.post("/v1/sessions/phone", MINIMAL, key=TEST_KEY)
    assert reply.body["status"] == "dialing-stub"
    assert reply.body["callControlId"] == ""


@pytest.mark.parametrize(("asked", "given"), [(1, 30), (29, 30), (14401, 14400), (60.0, 60)])
async def test_the_duration_is_clamped(api: Any, asked: float, given: int) -> None:
    reply = await api.post("/v1/sessions/phone", {**MINIMAL, "maxDurationSeconds": asked})
    assert reply.status == 200
    assert api.board.orders[0].max_duration_seconds == given


@pytest.mark.parametrize("extra", [{}, {"dialplan": "d"}, {"metadata": {"dialplan": "d"}}])
async def test_who_talks_is_the_switchboards_to_find(api: Any, extra: dict[str, Any]) -> None:
    assert (await api.post("/v1/sessions/phone", {"to": TO, **extra})).status == 200
    api.board.failure = BadInput("dialplan: none given", field="dialplan")
    reply = await api.post("/v1/sessions/phone", {"to": TO, **extra})
    assert (reply.status, reply.body["issues"][0]["path"]) == (400, "dialplan")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"to": None}, "to"),
        ({"to": 12025550123}, "to"),
        ({"to": "12025550123"}, "to"),
        ({"to": "+0123456789"}, "to"),
        ({"to": "+123456"}, "to"),
        ({"to": "+1234567890123456"}, "to"),
        ({"to": TO + "\n"}, "to"),
        ({"from": "anonymous"}, "from"),
        ({"dialplan": 3}, "dialplan"),
        ({"intent": {}}, "intent.language"),
        ({"intent": {"language": "e"}}, "intent.language"),
        ({"intent": {"language": "en", "optimizeFor": "quality"}}, "intent.optimizeFor"),
        ({"intent": "en"}, "intent"),
        ({"firstMessage": "x" * 2001}, "firstMessage"),
        ({"variables": {"system.now": "x"}}, "variables"),
        ({"variables": {"a": 1}}, "variables.a"),
        ({"variables": ["a"]}, "variables"),
        ({"toolSecrets": {"a": "12345"}}, "toolSecrets"),
        ({"toolSecrets": {"a": "x" * 4097}}, "toolSecrets"),
        ({"toolSecrets": {"1a": "123456"}}, "toolSecrets"),
        ({"toolSecrets": {f"a{n}": "123456" for n in range(33)}}, "toolSecrets"),
        ({"llm": {"temperature": 2.1}}, "llm.temperature"),
        ({"llm": {"maxTokens": 0}}, "llm.maxTokens"),
        ({"ttsOptions": {"speed": 0.4}}, "ttsOptions.speed"),
        ({"ttsOptions": {"sampleRate": 0}}, "ttsOptions.sampleRate"),
        ({"sttOptions": {"keywords": ["x"] * 201}}, "sttOptions.keywords"),
        ({"sttOptions": {"prompt": "x" * 2001}}, "sttOptions.prompt"),
        ({"maxDurationSeconds": "60"}, "maxDurationSeconds"),
        ({"maxDurationSeconds": 3.5}, "maxDurationSeconds"),
        ({"maxDurationSeconds": True}, "maxDurationSeconds"),
        ({"turnHandling": {"profile": "x"}}, "turnHandling.profile"),
        ({"turnHandling": {"vad": {"provider": "x"}}}, "turnHandling.vad.provider"),
        ({"telephony": {"amd": {"mode": "x"}}}, "telephony.amd.mode"),
        ({"telephony": {"amd": {"timeoutSeconds": 61}}}, "telephony.amd.timeoutSeconds"),
        ({"onMachine": "answer"}, "onMachine"),
        ({"voicemailMessage": "x" * 2001}, "voicemailMessage"),
        ({"webhookTags": {"a": "b"}}, "webhookTags"),
        ({"metadata": [1]}, "metadata"),
        ({"record": "yes"}, "record"),
        ({"ringingTimeout": 121}, "ringingTimeout"),
        ({"headers": {"Via": "x"}}, "headers"),
        ({"headers": {"X-A": "a\r\nVia: b"}}, "headers"),
    ],
)
async def test_a_wrong_member_is_named(api: Any, change: dict[str, Any], path: str) -> None:
    body = {k: v for k, v in {**MINIMAL, **change}.items() if v is not None}
    reply = await api.post("/v1/sessions/phone", body)
    assert reply.status == 400
    assert reply.body["code"] == "VALIDATION_ERROR"
    assert path in [issue["path"] for issue in reply.body["issues"]]
    assert reply.body["error"].startswith(path.split(".")[0])
    assert api.board.orders == []


async def test_all_wrong_members_are_named_at_once(api: Any) -> None:
    reply = await api.post("/v1/sessions/phone", {"to": 1, "dialplan": 2, "record": 3})
    assert [issue["path"] for issue in reply.body["issues"]] == ["to", "dialplan", "record"]


async def test_an_unknown_agent_is_not_found(api: Any) -> None:
    reply = await api.post("/v1/sessions/phone", {"to": TO, "agentId": "agent_x"})
    assert (reply.status, reply.body) == (404, {"error": "not found", "code": "NOT_FOUND"})


@pytest.mark.parametrize(
    ("error", "status", "code", "retry"),
    [
        (BadInput("trunk: there is no trunk 'x'", field="trunk"), 400, "VALIDATION_ERROR", None),
        (Busy("full", retry_after=5), 503, "CAPACITY", "5"),
        (Busy("busy", retry_after=2, code="TRUNK_BUSY"), 429, "TRUNK_BUSY", "2"),
        (StoreUnavailable("away"), 503, "STORE_UNAVAILABLE", "5"),
        (RuntimeError("secret detail"), 500, "SESSION_CREATE_FAILED", None),
    ],
)
async def test_what_the_switchboard_refuses(
    api: Any, error: Exception, status: int, code: str, retry: str | None
) -> None:
    api.board.failure = error
    reply = await api.post("/v1/sessions/phone", MINIMAL)
    assert (reply.status, reply.body["code"]) == (status, code)
    assert reply.headers.get("Retry-After") == retry
    assert "secret detail" not in reply.raw.decode()


# --- Idempotency-Key -----------------------------------------------------------------------


async def test_the_same_key_and_body_dial_once(api: Any) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await api.post("/v1/sessions/phone", MINIMAL, headers=headers)
    # The same object, written otherwise.
    raw = b' {"dialplan":"front-desk",\n"to":"+12025550123"}'
    again = await api.post("/v1/sessions/phone", raw=raw, headers=headers)
    assert again.status == 200
    assert again.raw == first.raw
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(api.board.orders) == 1


async def test_another_body_under_the_key_is_a_conflict(api: Any) -> None:
    headers = {"Idempotency-Key": "one"}
    await api.post("/v1/sessions/phone", MINIMAL, headers=headers)
    body = {**MINIMAL, "to": "+12025550124"}
    reply = await api.post("/v1/sessions/phone", body, headers=headers)
    assert (reply.status, reply.body["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert len(api.board.orders) == 1


async def test_a_test_key_and_a_foreign_key_have_keys_of_their_own(api: Any) -> None:
    headers = {"Idempotency-Key": "one"}
    for key in ("sk_live_" + "a" * 32, TEST_KEY, "sk_live_" + "c" * 32):
        await api.post("/v1/sessions/phone", MINIMAL, headers=headers, key=key)
    assert len(api.board.orders) == 3


async def test_what_was_refused_leaves_the_key_free(api: Any) -> None:
    headers = {"Idempotency-Key": "one"}
    api.board.failure = StoreUnavailable("away")
    assert (await api.post("/v1/sessions/phone", MINIMAL, headers=headers)).status == 503
    api.board.failure = None
    assert (await api.post("/v1/sessions/phone", MINIMAL, headers=headers)).status == 200
    assert len(api.board.orders) == 2


async def test_the_second_waits_for_the_first(api: Any) -> None:
    headers = {"Idempotency-Key": "one"}
    api.board.gate = asyncio.Event()
    first = asyncio.create_task(api.post("/v1/sessions/phone", MINIMAL, headers=headers))
    while not api.board.orders:
        await asyncio.sleep(0.005)
    second = asyncio.create_task(api.post("/v1/sessions/phone", MINIMAL, headers=headers))
    await asyncio.sleep(0.02)
    api.board.gate.set()
    assert (await first).raw == (await second).raw
    assert len(api.board.orders) == 1


async def test_the_second_waits_ten_seconds_and_no_longer(api: Any) -> None:
    headers = {"Idempotency-Key": "one"}
    api.board.gate = asyncio.Event()
    first = asyncio.create_task(api.post("/v1/sessions/phone", MINIMAL, headers=headers))
    while not api.board.orders:
        await asyncio.sleep(0.005)
    second = asyncio.create_task(api.post("/v1/sessions/phone", MINIMAL, headers=headers))
    await asyncio.sleep(0.05)
    api.clock.advance(11)
    reply = await second
    assert (reply.status, reply.body["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert reply.headers["Retry-After"].isdigit()
    api.board.gate.set()
    assert (await first).status == 200


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_has_1_to_255_characters(api: Any, key: str) -> None:
    reply = await api.post("/v1/sessions/phone", MINIMAL, headers={"Idempotency-Key": key})
    assert (reply.status, reply.body["code"]) == (400, "VALIDATION_ERROR")


# --- bodies --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b'{"to": NaN}',
        b'{"to": Infinity}',
        b'{"metadata": {"a": 1e999}}',
        b'{"to": "a", "to": "b"}',
        b'{"metadata": {"a": {"b": 1, "b": 2}}}',
        b"\xff\xfe",
        b'{"to": "\xff"}',
        b'{"metadata": {"a": "\\ud800"}}',
        b'{"metadata": {"\\ud800": 1}}',
        b'{"\\ud800": 1, "\\ud800": 1}',
        b'{"metadata": {"a": "\\u0000"}}',
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b'{"a":' * 100_000,
        b"[" * 500_000,
        b'{"to":' + b"9" * 5000 + b"}",
        b"to=%2B12025550123",
        b"<html></html>",
    ],
    ids=range(21),
)
async def test_a_body_that_is_no_good_is_told_so(api: Any, raw: bytes) -> None:
    reply = await api.post("/v1/sessions/phone", raw=raw)
    assert reply.status == 400
    assert isinstance(reply.body["error"], str)
    assert reply.body["code"] == "VALIDATION_ERROR"
    assert api.board.orders == []


async def test_one_mebibyte_is_taken_and_a_byte_more_is_not(api: Any) -> None:
    start = json.dumps({**MINIMAL, "metadata": {"a": ""}}).encode()
    whole = start[:-3] + b"x" * (MAX_BODY - len(start)) + start[-3:]
    assert len(whole) == MAX_BODY
    assert (await api.post("/v1/sessions/phone", raw=whole)).status == 200
    reply = await api.post("/v1/sessions/phone", raw=whole + b" ")
    assert (reply.status, reply.body["code"]) == (413, "BODY_TOO_LARGE")


async def test_a_body_of_no_declared_length_has_the_same_ceiling(api: Any) -> None:
    request = (
        b"POST /v1/sessions/phone HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" % api.key.encode()
    )
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    answer = await api.bytes(request + chunk * 17 + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"BODY_TOO_LARGE"' in answer
