"""Webhook endpoints are written and read, their secrets only written; deliveries are read."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from telephony.accounts.webhooks import (
    DeliveryAttempt,
    DeliveryStatus,
    WebhookDelivery,
    WebhookEvent,
)

from .conftest import FOREIGN_KEY

OWN = "whsec_" + base64.b64encode(bytes(range(32))).decode()
HOOK: dict[str, Any] = {
    "name": "CRM",
    "url": "https://crm.example:8443/hook?a=b",
    "events": ["call.report", "call.hangup"],
}
EVERYTHING: dict[str, Any] = {
    **HOOK,
    "allAgents": False,
    "agentIds": ["agent_1", "agent_2"],
    "filterTags": {"tier": "gold"},
    "headers": {"X-Source": "telephony"},
    "timeoutMs": 900,
    "contentMode": "metadata_only",
    "extractionFields": [
        {"name": "mood", "type": "enum", "description": "How it went", "options": ["good", "bad"]},
        {"name": "topic", "type": "string", "description": "What it was about"},
    ],
}


async def test_an_endpoint_is_made_with_what_is_usual(api: Any) -> None:
    made = await api.post("/v1/webhooks", HOOK)
    assert made.status == 201
    row = dict(made.body)
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", row.pop("signingSecret"))
    now = row["createdAt"]
    assert row == {
        **HOOK,
        "id": row["id"],
        "allAgents": True,
        "agentIds": [],
        "filterTags": {},
        "headers": {},
        "authHeaders": [],
        "timeoutMs": 5000,
        "signingSecretSource": "workspace",
        "hasCustomSigningSecret": False,
        "extractionFields": [],
        "contentMode": "full",
        "legacyManaged": False,
        "createdAt": now,
        "updatedAt": now,
    }
    assert (await api.get(f"/v1/webhooks/{row['id']}")).body == row
    assert (await api.get("/v1/webhooks")).body == {"data": [row]}
    # The organization's secret was shown; the second endpoint signs with the same.
    again = (await api.post("/v1/webhooks", HOOK)).body
    assert again["signingSecret"] is None
    assert (await api.store.webhooks.secret("org_default")) == made.body["signingSecret"]


async def two_agents(api: Any) -> None:
    for agent in EVERYTHING["agentIds"]:
        await api.agent(agent)


async def test_all_that_can_be_said_of_an_endpoint(api: Any) -> None:
    await two_agents(api)
    row = (await api.post("/v1/webhooks", EVERYTHING)).body
    assert {name: row[name] for name in EVERYTHING} == EVERYTHING
    everyone = [event.value for event in WebhookEvent]
    assert len(everyone) == 27
    row = (await api.post("/v1/webhooks", {**HOOK, "events": [*everyone, everyone[0]]})).body
    assert row["events"] == everyone
    nulls = dict.fromkeys(
        ("allAgents", "agentIds", "filterTags", "headers", "authHeaders", "timeoutMs",
         "signingSecretSource", "signingSecret", "extractionFields", "contentMode")
    )  # fmt: skip
    assert (await api.post("/v1/webhooks", {**HOOK, **nulls})).body["timeoutMs"] == 5000


async def test_secrets_are_written_and_never_read(api: Any) -> None:
    body = {
        **HOOK,
        "signingSecretSource": "custom",
        "signingSecret": OWN,
        "authHeaders": [{"name": "Authorization", "value": "Bearer hidden"}],
    }
    made = await api.post("/v1/webhooks", body)
    assert made.body["signingSecretSource"] == "custom"
    assert made.body["hasCustomSigningSecret"] is True
    assert made.body["signingSecret"] is None
    assert made.body["authHeaders"] == [{"name": "Authorization", "configured": True}]
    path = f"/v1/webhooks/{made.body['id']}"
    listed, read = await api.get("/v1/webhooks"), await api.get(path)
    for reply in (made, listed, read):
        assert b"hidden" not in reply.raw
        assert OWN.encode() not in reply.raw

    async def kept() -> tuple[str, dict[str, str]]:
        (row,) = await api.store.webhooks.find("org_default")
        return row.signing_secret, row.auth_headers

    assert await kept() == (OWN, {"Authorization": "Bearer hidden"})
    # What is not sent stays; a header that is not in the list goes.
    headers = [{"name": "authorization"}, {"name": "X-Key", "value": "new"}]
    changed = await api.ask("PATCH", path, {"authHeaders": headers, "signingSecret": None})
    assert changed.body["hasCustomSigningSecret"] is True
    assert await kept() == (OWN, {"authorization": "Bearer hidden", "X-Key": "new"})
    await api.ask("PATCH", path, {"authHeaders": [{"name": "X-Key"}]})
    assert await kept() == (OWN, {"X-Key": "new"})
    reply = await api.ask("PATCH", path, {"authHeaders": [{"name": "X-Other"}]})
    assert (reply.status, reply.body["issues"][0]["path"]) == (400, "authHeaders.0.value")
    await api.ask("PATCH", path, {"authHeaders": None, "signingSecretSource": "workspace"})
    assert await kept() == ("", {})
    reply = await api.ask("PATCH", path, {"signingSecretSource": "custom"})
    assert (reply.status, reply.body["issues"][0]["path"]) == (400, "signingSecret")
    # A secret alone means that it is used.
    assert (await api.ask("PATCH", path, {"signingSecret": OWN})).body["hasCustomSigningSecret"]


async def test_a_patch_writes_what_is_there(api: Any) -> None:
    await two_agents(api)
    row = (await api.post("/v1/webhooks", EVERYTHING)).body
    row.pop("signingSecret")
    path = f"/v1/webhooks/{row['id']}"
    api.clock.advance(5)
    changed = (await api.ask("PATCH", path, {"name": "Other", "timeoutMs": 1000})).body
    assert changed["updatedAt"] > row["updatedAt"]
    stays = {**row, "name": "Other", "timeoutMs": 1000, "updatedAt": changed["updatedAt"]}
    assert changed == stays
    reply = await api.ask("PATCH", path, {"agentIds": []})
    assert (reply.status, reply.body["issues"][0]["path"]) == (400, "agentIds")
    body = {"allAgents": True, "agentIds": [], "filterTags": None, "headers": {},
            "extractionFields": None, "url": None, "name": None, "events": None}  # fmt: skip
    changed = (await api.ask("PATCH", path, body)).body
    assert (changed["allAgents"], changed["agentIds"], changed["filterTags"]) == (True, [], {})
    assert (changed["headers"], changed["extractionFields"]) == ({}, [])
    assert (changed["name"], changed["url"], changed["events"]) == (
        "Other", HOOK["url"], HOOK["events"],
    )  # fmt: skip


async def test_what_is_deleted_is_gone(api: Any) -> None:
    path = f"/v1/webhooks/{(await api.post('/v1/webhooks', HOOK)).body['id']}"
    reply = await api.ask("DELETE", path)
    assert (reply.status, reply.raw) == (204, b"")
    for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
        assert (await api.ask(method, path, body)).status == 404
    assert (await api.get("/v1/webhooks")).body == {"data": []}


async def test_an_agents_hooks_are_shown_and_changed_with_the_agent(api: Any) -> None:
    hook = {
        "url": "https://crm.example/pre", "secret": OWN, "headers": {"X-A": "1"},
        "authHeaders": [{"name": "Authorization", "value": "Bearer hidden"}], "timeoutMs": 8000,
    }  # fmt: skip
    fields = [field(), field(name="z")]
    agent = (
        await api.post(
            "/v1/agents",
            {
                "name": "Desk", "systemPrompt": "Be kind.", "intent": {"language": "en"},
                "extractionFields": [field(description="of the agent")],
                "webhooks": {
                    "preCall": hook,
                    "postCall": {"url": "https://x.example/", "extractionFields": fields},
                },
            },
        )
    ).body  # fmt: skip
    own = (await api.post("/v1/webhooks", HOOK)).body
    listed = await api.get("/v1/webhooks")
    assert b"hidden" not in listed.raw and OWN.encode() not in listed.raw
    rows = {row["name"]: row for row in listed.body["data"]}
    assert [row["legacyManaged"] for row in listed.body["data"]] == [True, True, False]
    now = agent["updatedAt"]
    before, after = rows["Desk (preCall)"], rows["Desk (postCall)"]
    assert before == {
        "id": before["id"], "name": "Desk (preCall)", "url": hook["url"],
        "events": ["call.pre_call"], "allAgents": False, "agentIds": [agent["id"]],
        "filterTags": {}, "headers": {"X-A": "1"},
        "authHeaders": [{"name": "Authorization", "configured": True}], "timeoutMs": 8000,
        "signingSecretSource": "custom", "hasCustomSigningSecret": True, "extractionFields": [],
        "contentMode": "full", "legacyManaged": True, "createdAt": now, "updatedAt": now,
    }  # fmt: skip
    assert (after["events"], after["timeoutMs"]) == (["call.report"], 5000)
    assert (after["signingSecretSource"], after["hasCustomSigningSecret"]) == ("workspace", False)
    # As they count: the agent's own first.
    assert after["extractionFields"] == [field(description="of the agent"), field(name="z")]

    path = f"/v1/webhooks/{before['id']}"
    assert (await api.get(path)).body == before
    for method, body in (("PATCH", {"name": "Mine"}), ("DELETE", None)):
        reply = await api.ask(method, path, body)
        assert (reply.status, reply.body["code"]) == (409, "LEGACY_MANAGED")
        assert agent["id"] in reply.body["error"]
        assert (await api.ask(method, path, body, key=FOREIGN_KEY)).status == 404
    assert (await api.get(path)).body == before

    there = f"/v1/agents/{agent['id']}"
    await api.ask("PATCH", there, {"name": "Night", "webhooks": {"preCall": None}})
    assert (await api.get(path)).status == 404
    assert [row["name"] for row in (await api.get("/v1/webhooks")).body["data"]] == [
        "Night (postCall)", "CRM",
    ]  # fmt: skip
    await api.agent("agent_2")
    await api.ask("DELETE", there)
    own.pop("signingSecret")
    assert (await api.get("/v1/webhooks")).body["data"] == [own]


def field(**members: Any) -> dict[str, Any]:
    return {"name": "x", "type": "string", "description": "y", **members}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": None}, "name"),
        ({"url": "ftp://crm.example"}, "url"),
        ({"url": "crm.example/hook"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://user:pw@crm.example/"}, "url"),
        ({"url": "https://crm.example/#part"}, "url"),
        ({"url": "https://crm.example/a b"}, "url"),
        ({"url": "https://crm.example:0/"}, "url"),
        ({"url": "https://crm.example:65536/"}, "url"),
        ({"url": "https://[zz]/"}, "url"),
        ({"url": "https://crm.example/" + "x" * 2029}, "url"),
        ({"events": []}, "events"),
        ({"events": ["call.unknown"]}, "events.0"),
        ({"events": ["imessage.received"]}, "events.0"),
        ({"events": ["call.report"] * 101}, "events"),
        ({"allAgents": "yes"}, "allAgents"),
        ({"allAgents": False}, "agentIds"),
        ({"agentIds": [""]}, "agentIds.0"),
        ({"agentIds": ["x" * 201]}, "agentIds.0"),
        ({"agentIds": ["a"] * 101}, "agentIds"),
        ({"filterTags": {"": "x"}}, "filterTags..[key]"),
        ({"filterTags": {"x" * 65: "x"}}, f"filterTags.{'x' * 65}.[key]"),
        ({"filterTags": {"a": "x" * 257}}, "filterTags.a"),
        ({"filterTags": {"a": 1}}, "filterTags.a"),
        ({"filterTags": {str(n): "x" for n in range(51)}}, "filterTags"),
        ({"headers": {f"X-{n}": "x" for n in range(21)}}, "headers"),
        ({"headers": {"X-A": "x", "x-a": "y"}}, "headers"),
        ({"headers": {"a b": "x"}}, "headers"),
        ({"headers": {"Host": "x"}}, "headers"),
        ({"headers": {"webhook-signature": "x"}}, "headers"),
        ({"headers": {"X-A": "a\r\nX-B: c"}}, "headers"),
        ({"headers": {"X-A": ""}}, "headers"),
        ({"headers": {"X-A": "x" * 2049}}, "headers"),
        ({"authHeaders": [{"name": "X-A"}]}, "authHeaders.0.value"),
        ({"authHeaders": [{"name": "Content-Length", "value": "x"}]}, "authHeaders.0.name"),
        ({"authHeaders": [{"name": "X-A", "value": "a\nb"}]}, "authHeaders.0.value"),
        ({"authHeaders": [{"name": n, "value": "x"} for n in ("A", "a")]}, "authHeaders"),
        ({"authHeaders": [{"name": f"X-{n}", "value": "x"} for n in range(21)]}, "authHeaders"),
        ({"timeoutMs": 99}, "timeoutMs"),
        ({"timeoutMs": 30_001}, "timeoutMs"),
        ({"timeoutMs": "900"}, "timeoutMs"),
        ({"signingSecretSource": "mine"}, "signingSecretSource"),
        ({"signingSecretSource": "custom"}, "signingSecret"),
        ({"signingSecretSource": "workspace", "signingSecret": OWN}, "signingSecret"),
        ({"signingSecret": "seven77"}, "signingSecret"),
        ({"signingSecret": "with a blank"}, "signingSecret"),
        ({"signingSecret": "umlaut-\u00fc"}, "signingSecret"),
        ({"signingSecret": "x" * 257}, "signingSecret"),
        ({"extractionFields": [field(name="1x")]}, "extractionFields.0.name"),
        ({"extractionFields": [field(name="x\n")]}, "extractionFields.0.name"),
        ({"extractionFields": [field(name="x" * 65)]}, "extractionFields.0.name"),
        ({"extractionFields": [field(type="date")]}, "extractionFields.0.type"),
        ({"extractionFields": [field(description="")]}, "extractionFields.0.description"),
        ({"extractionFields": [field(description="x" * 10_001)]}, "extractionFields.0.description"),
        ({"extractionFields": [field(options=["a"])]}, "extractionFields.0"),
        ({"extractionFields": [field(type="enum")]}, "extractionFields.0"),
        ({"extractionFields": [field(type="enum", options=[])]}, "extractionFields.0.options"),
        (
            {"extractionFields": [field(type="enum", options=["a"] * 51)]},
            "extractionFields.0.options",
        ),
        (
            {"extractionFields": [field(type="enum", options=["x" * 121])]},
            "extractionFields.0.options.0",
        ),
        ({"extractionFields": [field(), field()]}, "extractionFields"),
        (
            {"extractionFields": [field(name=f"x{n}", description="y" * 8001) for n in range(5)]},
            "extractionFields",
        ),
        ({"extractionFields": [field(name=f"x{n}") for n in range(101)]}, "extractionFields"),
        ({"contentMode": "some"}, "contentMode"),
    ],
)
async def test_a_wrong_endpoint_is_named(api: Any, change: dict[str, Any], path: str) -> None:
    reply = await api.post("/v1/webhooks", {**HOOK, **change})
    assert (reply.status, reply.body["code"]) == (400, "VALIDATION_ERROR")
    assert path in [issue["path"] for issue in reply.body["issues"]]
    assert (await api.get("/v1/webhooks")).body == {"data": []}
    # Nothing half-written: no secret was made for an endpoint that is none.
    assert await api.store.webhooks.secret("org_default") is None


@pytest.mark.parametrize("missing", ["name", "url", "events"])
async def test_what_is_missing_is_named(api: Any, missing: str) -> None:
    reply = await api.post("/v1/webhooks", {k: v for k, v in HOOK.items() if k != missing})
    assert (reply.status, reply.body["issues"]) == (
        400, [{"path": missing, "message": "is required"}],
    )  # fmt: skip


async def test_what_is_just_inside_is_taken(api: Any) -> None:
    for change in (
        {"name": "x" * 120},
        {"url": "http://192.0.2.1/" + "x" * (2048 - 17)},
        {"url": "https://[2001:db8::1]:8443/"},
        {"timeoutMs": 100},
        {"timeoutMs": 30_000.0},
        {"headers": {"X-A": "x" * 2048}},
        {"signingSecret": "whsec_" + base64.b64encode(bytes(24)).decode()},
        {"signingSecret": OWN.removeprefix("whsec_")},
        {"signingSecret": "words-of-their-own"},
        {"signingSecret": "x" * 256},
        {"extractionFields": [field(name="x" * 64, description="y" * 10_000)]},
    ):
        reply = await api.post("/v1/webhooks", {**HOOK, **change})
        assert reply.status == 201, reply.body


# --- deliveries ------------------------------------------------------------------------------


async def sent(api: Any, endpoint: str, **members: Any) -> WebhookDelivery:
    api.clock.advance(1)
    now = api.clock.now()
    values: dict[str, Any] = {
        "id": api.ids.make("whd"),
        "organization": "org_default",
        "event_id": api.ids.make("msg"),
        "endpoint": endpoint,
        "event": "call.report",
        "session": "s1",
        "agent": "agent_1",
        "tags": {"tier": "gold"},
        "payload": {"type": "call.report"},
        "occurred_at": now,
        "expires_at": now + timedelta(days=1),
        "created_at": now,
    }
    row = WebhookDelivery(**(values | members))
    await api.store.deliveries.put(row)
    return row


async def test_deliveries_are_read_page_by_page(api: Any) -> None:
    reply = await api.get("/v1/webhook-deliveries")
    assert reply.body == {"data": [], "nextCursor": None, "endpointOptions": []}
    hook = (await api.post("/v1/webhooks", HOOK)).body["id"]
    rows = [await sent(api, hook) for _ in range(3)]
    first = (await api.get("/v1/webhook-deliveries?limit=2&event=&status=&endpointId=")).body
    assert [row["id"] for row in first["data"]] == [rows[2].id, rows[1].id]
    second = (await api.get(f"/v1/webhook-deliveries?limit=2&cursor={first['nextCursor']}")).body
    assert [row["id"] for row in second["data"]] == [rows[0].id]
    assert second["nextCursor"] is None
    assert second["endpointOptions"] == [
        {"id": hook, "name": "CRM", "kind": "workspace", "deleted": False}
    ]
    assert second["data"][0] == {
        "id": rows[0].id,
        "eventId": rows[0].event_id,
        "endpointId": hook,
        "endpointName": "CRM",
        "endpointKind": "workspace",
        "endpointDeleted": False,
        "event": "call.report",
        "sessionId": "s1",
        "agentId": "agent_1",
        "webhookTags": {"tier": "gold"},
        "status": "pending",
        "attempts": 0,
        "httpStatus": None,
        "error": None,
        "occurredAt": "2026-01-05T09:00:01.000Z",
        "expiresAt": "2026-01-06T09:00:01.000Z",
        "deliveredAt": None,
        "createdAt": "2026-01-05T09:00:01.000Z",
        "canRedeliver": True,
    }


async def test_deliveries_are_chosen(api: Any) -> None:
    hook = (await api.post("/v1/webhooks", HOOK)).body["id"]
    other = (await api.post("/v1/webhooks", {**HOOK, "name": "Other"})).body["id"]
    one = await sent(api, hook)
    two = await sent(api, other, event="call.hangup", session="s2", agent=None)
    three = await sent(api, hook, status=DeliveryStatus.FAILED)
    at = "2026-01-05T09:00:02.000%2B00:00"
    for query, found in (
        (f"endpointId={hook}", [three, one]),
        ("event=call.hangup", [two]),
        ("event=call.nothing", []),
        ("agentId=agent_1&status=failed", [three]),
        ("sessionId=s2", [two]),
        (f"eventId={one.event_id}", [one]),
        (f"from={at}", [three, two]),
        (f"to={at}", [one]),
    ):
        reply = await api.get(f"/v1/webhook-deliveries?{query}")
        assert [row["id"] for row in reply.body["data"]] == [row.id for row in found], query


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("status=done", "status"),
        ("cursor=x", "cursor"),
        ("cursor=" + "x" * 301, "cursor"),
        ("from=yesterday", "from"),
        ("to=2026-13-01", "to"),
        ("endpointId=" + "x" * 201, "endpointId"),
        ("event=" + "x" * 201, "event"),
        ("agentId=" + "x" * 201, "agentId"),
        ("sessionId=" + "x" * 201, "sessionId"),
        ("eventId=" + "x" * 201, "eventId"),
    ],
)
async def test_a_wrong_question_is_named(api: Any, query: str, path: str) -> None:
    reply = await api.get(f"/v1/webhook-deliveries?{query}")
    assert (reply.status, reply.body["issues"][0]["path"]) == (400, path)


async def test_a_delivery_with_every_request(api: Any) -> None:
    hook = (await api.post("/v1/webhooks", HOOK)).body["id"]
    row = await sent(api, hook)
    tried = DeliveryAttempt(
        id="wha_1",
        number=1,
        trigger="automatic",
        request_url=HOOK["url"],
        request_headers={"webhook-id": row.event_id},
        request_body={"type": "call.report"},
        response_status=500,
        response_body="no",
        duration_ms=12.5,
        error="the endpoint answered 500",
        created_at=api.clock.now(),
    )
    await api.store.deliveries.put(
        replace(row, attempts=(tried,), attempt_count=1, http_status=500, error=tried.error)
    )
    await api.ask("DELETE", f"/v1/webhooks/{hook}")
    found = (await api.get(f"/v1/webhook-deliveries/{row.id}")).body
    assert (found["attemptCount"], found["httpStatus"]) == (1, 500)
    assert found["requestPayload"] == {"type": "call.report"}
    assert (found["endpointName"], found["endpointDeleted"]) == ("CRM", True)
    assert found["canRedeliver"] is False
    assert found["attempts"] == [
        {
            "id": "wha_1",
            "attemptNumber": 1,
            "trigger": "automatic",
            "requestUrl": HOOK["url"],
            "requestHeaders": {"webhook-id": row.event_id},
            "requestBody": {"type": "call.report"},
            "responseStatus": 500,
            "responseBody": "no",
            "responseTruncated": False,
            "durationMs": 12.5,
            "error": "the endpoint answered 500",
            "createdAt": "2026-01-05T09:00:01.000Z",
        }
    ]
    assert (await api.get("/v1/webhook-deliveries/whd_x")).status == 404


async def test_others_see_nothing_of_it(api: Any) -> None:
    hook = (await api.post("/v1/webhooks", HOOK)).body["id"]
    row = await sent(api, hook)
    for path in (f"/v1/webhooks/{hook}", f"/v1/webhook-deliveries/{row.id}"):
        assert (await api.get(path, key=FOREIGN_KEY)).status == 404
    assert (await api.get("/v1/webhooks", key=FOREIGN_KEY)).body == {"data": []}
    page = (await api.get("/v1/webhook-deliveries", key=FOREIGN_KEY)).body
    assert page == {"data": [], "nextCursor": None, "endpointOptions": []}


async def test_redelivery_comes_with_sending(api: Any) -> None:
    reply = await api.post("/v1/webhook-deliveries/whd_1/redeliver")
    assert (reply.status, reply.body["code"]) == (501, "NOT_IMPLEMENTED")
