"""Agents over the API: every field, its bounds, secrets that are never shown, and their calls."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from telephony.accounts.model import DEFAULT_ORGANIZATION
from telephony.base.clock import iso

from .conftest import FOREIGN, FOREIGN_KEY

PLAIN: dict[str, Any] = {"name": "Desk", "systemPrompt": "Be kind.", "intent": {"language": "en"}}
FIELD = {"name": "mood", "type": "enum", "description": "How", "options": ["good", "bad"]}
SECRET = "whsec_of-nobody-else"
HOOK: dict[str, Any] = {
    "url": "https://crm.example/pre",
    "secret": SECRET,
    "headers": {"X-A": "1"},
    "authHeaders": [{"name": "Authorization", "value": f"Bearer {SECRET}"}],
    "timeoutMs": 8000,
    "responseMode": "async",
    "asyncAck": "One moment.",
    "extractionFields": [FIELD],
}
FULL: dict[str, Any] = {
    **PLAIN,
    "intent": {"language": "de-AT", "optimizeFor": "quality"},
    "voice": "sophia",
    "llmOptions": {"temperature": 0.5, "maxTokens": 200, "model": "small"},
    "stackPreferences": {"allowedProviders": {"stt": ["a"], "s2s": ["b:c"]}},
    "sttOptions": {"keywords": ["Acme"], "prompt": "names", "language": "multi"},
    "backgroundAudio": {
        "ambient": {"clip": "office-ambience", "volume": 16.0},
        "toolSound": {"soundId": "snd_1", "minDurationMs": 600, "startDelayMs": 0},
    },
    "audioOutput": {"gainDb": -6.0},
    "speechNormalization": {"textReplacements": {"Dr.": "Doctor"}},
    "extractionFields": [FIELD],
    "promptVariables": [
        {"name": "company", "defaultValue": "", "description": "Whose"},
        {"name": "name"},
    ],
    "dialplan": "front-desk",
    "runMode": "cascade",
    "timezone": "Europe/Vienna",
    "firstMessage": "Hello.",
    "inboundFirstMessage": "",
    "outboundFirstMessage": "It is me.",
    "voiceInstructions": "Slowly.",
    "ttsOptions": {"speed": 0.5, "model": "m"},
    "turnHandling": {"profile": "ivr", "greetFirst": True},
    "idleRePrompts": {"enabled": True, "delayMs": 5000, "maxPrompts": 2, "messages": ["Hm?"]},
    "sttMissRecovery": {"any": [None, 1]},
    "endCall": {"enabled": False},
    "languageRouting": {"de": None},
    "creationMeta": {"by": {"deep": [1, "ü"]}},
}
CLEARED = (
    "voice", "llmOptions", "stackPreferences", "sttOptions", "backgroundAudio", "audioOutput",
    "speechNormalization", "webhooks", "dialplan", "runMode", "timezone", "firstMessage",
    "inboundFirstMessage", "outboundFirstMessage", "voiceInstructions", "ttsOptions",
    "turnHandling", "idleRePrompts", "sttMissRecovery", "endCall", "languageRouting",
    "creationMeta",
)  # fmt: skip


async def made(api: Any, **members: Any) -> Any:
    reply = await api.post("/v1/agents", {**PLAIN, **members})
    assert reply.status == 201, reply.raw
    return reply.body


def path_of(row: Any) -> str:
    return f"/v1/agents/{row['id']}"


async def test_an_agent_is_shown_as_it_was_written(api: Any) -> None:
    row = await made(api, **FULL)
    now = iso(api.clock.now())
    assert row == {
        **FULL, "id": row["id"], "organizationId": DEFAULT_ORGANIZATION, "webhooks": None,
        "setupStatus": {"status": "ready", "agentReady": True, "issues": []},
        "createdAt": now, "updatedAt": now,
    }  # fmt: skip
    assert row["id"].startswith("agent_")
    assert (await api.get(path_of(row))).body == row
    kept = api.store.directory.agent(DEFAULT_ORGANIZATION, row["id"])
    assert (kept.dialplan, kept.language, kept.name) == ("front-desk", "de-AT", "Desk")
    api.clock.advance(1)
    other = await made(api)
    assert (await api.get("/v1/agents")).body == [row, other]


async def test_an_agent_of_the_least(api: Any) -> None:
    # Null is as absent, and whoever sends what nobody knows is not refused.
    row = await made(api, **dict.fromkeys(CLEARED), extractionFields=None, unheardOf=1)
    assert {name: row[name] for name in CLEARED} == dict.fromkeys(CLEARED)
    assert (row["extractionFields"], row["promptVariables"]) == ([], [])
    assert row["intent"] == {"language": "en"}
    assert row["setupStatus"] == {
        "status": "action_required",
        "agentReady": False,
        "issues": [
            "this agent cannot talk, and has no dialplan that could: no agent can talk here"
        ],
    }


async def test_what_is_absent_stays_and_null_clears(api: Any) -> None:
    row = await made(api, **FULL)
    api.clock.advance(1)
    changed = (await api.ask("PATCH", path_of(row), {"name": "Night"})).body
    assert changed == {**row, "name": "Night", "updatedAt": iso(api.clock.now())}
    nulls = dict.fromkeys((*CLEARED, "promptVariables", "extractionFields"))
    changed = (await api.ask("PATCH", path_of(row), nulls)).body
    assert {name: changed[name] for name in CLEARED} == dict.fromkeys(CLEARED)
    # Fields are cleared by an empty list only.
    assert (changed["promptVariables"], changed["extractionFields"]) == ([], [FIELD])
    cleared = (await api.ask("PATCH", path_of(row), {"extractionFields": []})).body
    assert cleared["extractionFields"] == []
    again = (await api.ask("PATCH", path_of(row), FULL)).body
    assert again == {**row, "updatedAt": iso(api.clock.now())}
    assert (await api.get(path_of(row))).body == again
    for name in ("name", "systemPrompt", "intent"):
        reply = await api.ask("PATCH", path_of(row), {name: None})
        assert (reply.status, reply.body["issues"][0]["path"]) == (400, name)


async def test_both_spellings_of_speech_to_speech(api: Any) -> None:
    allowed = {"allowedProviders": {"s2S": ["b"], "llm": ["c"]}}
    row = await made(api, stackPreferences=allowed)
    assert row["stackPreferences"] == {"allowedProviders": {"s2s": ["b"], "llm": ["c"]}}


async def test_hooks_keep_their_secrets_to_themselves(api: Any) -> None:
    row = await made(api, webhooks={"preCall": HOOK, "postCall": {"url": "http://x.example/"}})
    ref = f"webhook:{row['id']}:preCall"
    shown = {k: v for k, v in HOOK.items() if k not in ("secret", "authHeaders")}
    header = {"name": "Authorization", "secretRef": f"{ref}:Authorization"}
    assert row["webhooks"] == {
        "preCall": {**shown, "secretRef": ref, "authHeaders": [header]},
        "postCall": {"url": "http://x.example/", "secretRef": "organization"},
    }
    for reply in (await api.get("/v1/agents"), await api.get(path_of(row))):
        assert SECRET.encode() not in reply.raw
    change = {"preCall": {"url": "https://new.example/"}, "postCall": None, "status": HOOK}
    changed = (await api.ask("PATCH", path_of(row), {"webhooks": change})).body
    assert set(changed["webhooks"]) == {"preCall", "status"}
    pre = changed["webhooks"]["preCall"]
    assert pre == {**row["webhooks"]["preCall"], "url": "https://new.example/"}
    kept = (await api.store.agents.get(DEFAULT_ORGANIZATION, row["id"])).hooks["preCall"]
    assert (kept.secret, kept.auth_headers) == (SECRET, {"Authorization": f"Bearer {SECRET}"})

    change = {
        **HOOK, "secret": None, "headers": None, "timeoutMs": None,
        "authHeaders": [{"name": "authorization"}, {"name": "X-New", "value": "2"}],
    }  # fmt: skip
    changed = (await api.ask("PATCH", path_of(row), {"webhooks": {"preCall": change}})).body
    pre = changed["webhooks"]["preCall"]
    assert pre["secretRef"] == "organization" and "headers" not in pre and "timeoutMs" not in pre
    kept = (await api.store.agents.get(DEFAULT_ORGANIZATION, row["id"])).hooks["preCall"]
    assert kept.auth_headers == {"authorization": f"Bearer {SECRET}", "X-New": "2"}
    gone = (await api.ask("PATCH", path_of(row), {"webhooks": None})).body
    assert gone["webhooks"] is None


def hook(**members: Any) -> dict[str, Any]:
    return {"webhooks": {"preCall": {**HOOK, **members}}}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": 7}, "name"),
        ({"name": None}, "name"),
        ({"systemPrompt": ""}, "systemPrompt"),
        ({"systemPrompt": "x" * 65_537}, "systemPrompt"),
        ({"intent": None}, "intent"),
        ({"intent": {}}, "intent.language"),
        ({"intent": {"language": "e"}}, "intent.language"),
        ({"intent": {"language": "en us"}}, "intent.language"),
        ({"intent": {"language": "en", "optimizeFor": "balanced"}}, "intent.optimizeFor"),
        ({"voice": ""}, "voice"),
        ({"voice": "x" * 201}, "voice"),
        ({"dialplan": "nowhere"}, "dialplan"),
        ({"llmOptions": {"temperature": 2.01}}, "llmOptions.temperature"),
        ({"llmOptions": {"temperature": -0.01}}, "llmOptions.temperature"),
        ({"llmOptions": {"maxTokens": 0}}, "llmOptions.maxTokens"),
        ({"llmOptions": {"model": ""}}, "llmOptions.model"),
        ({"sttOptions": {"keywords": ["x"] * 201}}, "sttOptions.keywords"),
        ({"sttOptions": {"prompt": "x" * 2001}}, "sttOptions.prompt"),
        ({"stackPreferences": {"allowedProviders": {"stt": "a"}}},
         "stackPreferences.allowedProviders.stt"),
        ({"backgroundAudio": {"ambient": {}}}, "backgroundAudio.ambient"),
        ({"backgroundAudio": {"ambient": {"clip": "keyboard-typing", "soundId": "s"}}},
         "backgroundAudio.ambient"),
        ({"backgroundAudio": {"ambient": {"clip": "sea"}}}, "backgroundAudio.ambient.clip"),
        ({"backgroundAudio": {"ambient": {"soundId": "s", "volume": 16.1}}},
         "backgroundAudio.ambient.volume"),
        ({"backgroundAudio": {"toolSound": {"soundId": "s", "minDurationMs": -1}}},
         "backgroundAudio.toolSound.minDurationMs"),
        ({"audioOutput": {}}, "audioOutput.gainDb"),
        ({"audioOutput": {"gainDb": -24.1}}, "audioOutput.gainDb"),
        ({"audioOutput": {"gainDb": 12.1}}, "audioOutput.gainDb"),
        ({"speechNormalization": {"textReplacements": {"": "x"}}},
         "speechNormalization.textReplacements..[key]"),
        ({"speechNormalization": {"pronunciationDictionary": {"x": "y" * 501}}},
         "speechNormalization.pronunciationDictionary.x"),
        ({"promptVariables": [{"name": "system.now"}]}, "promptVariables"),
        ({"promptVariables": [{"name": "system"}]}, "promptVariables"),
        ({"promptVariables": [{"name": "a"}, {"name": "a"}]}, "promptVariables"),
        ({"promptVariables": [{"name": ""}]}, "promptVariables.0.name"),
        ({"promptVariables": [{"name": f"a{n}"} for n in range(201)]}, "promptVariables"),
        ({"extractionFields": [{**FIELD, "options": None}]}, "extractionFields.0"),
        ({"extractionFields": [FIELD, FIELD]}, "extractionFields"),
        ({"runMode": "duplex"}, "runMode"),
        ({"timezone": "x" * 65}, "timezone"),
        ({"firstMessage": "x" * 2001}, "firstMessage"),
        ({"inboundFirstMessage": "x" * 2001}, "inboundFirstMessage"),
        ({"outboundFirstMessage": "x" * 2001}, "outboundFirstMessage"),
        ({"voiceInstructions": "x" * 10_001}, "voiceInstructions"),
        ({"ttsOptions": {"speed": 2.01}}, "ttsOptions.speed"),
        ({"turnHandling": {"profile": "quick"}}, "turnHandling.profile"),
        ({"idleRePrompts": {"maxPrompts": 101}}, "idleRePrompts.maxPrompts"),
        ({"creationMeta": {"x": "y" * 16_384}}, "creationMeta"),
        ({"webhooks": {"preCall": {}}}, "webhooks.preCall.url"),
        (hook(url="ftp://x"), "webhooks.preCall.url"),
        (hook(secret=""), "webhooks.preCall.secret"),
        (hook(timeoutMs=99), "webhooks.preCall.timeoutMs"),
        (hook(timeoutMs=8001), "webhooks.preCall.timeoutMs"),
        (hook(responseMode="later"), "webhooks.preCall.responseMode"),
        (hook(method="GET"), "webhooks.preCall.method"),
        (hook(asyncAck="x" * 1001), "webhooks.preCall.asyncAck"),
        (hook(headers={"Host": "x"}), "webhooks.preCall.headers"),
        (hook(authHeaders=[{"name": "X-A"}]), "webhooks.preCall.authHeaders.0.value"),
        (hook(authHeaders=[{"name": "X-A", "value": "x"}] * 2), "webhooks.preCall.authHeaders"),
    ],
)  # fmt: skip
async def test_each_member_has_its_bounds(api: Any, change: dict[str, Any], path: str) -> None:
    reply = await api.post("/v1/agents", {**PLAIN, **change})
    assert (reply.status, reply.body["code"]) == (400, "VALIDATION_ERROR")
    assert reply.body["issues"][0]["path"] == path
    assert (await api.get("/v1/agents")).body == []
    row = await made(api)
    assert (await api.ask("PATCH", path_of(row), change)).status == 400
    assert (await api.get(path_of(row))).body == row


async def test_what_is_just_inside_is_taken(api: Any) -> None:
    for change in (
        {"name": "x" * 120, "systemPrompt": "x" * 65_536},
        {"llmOptions": {"temperature": 2, "maxTokens": 1.0}},
        {"audioOutput": {"gainDb": 12}},
        {"sttOptions": {"keywords": ["x"] * 200, "prompt": "x" * 2000}},
        {"promptVariables": [{"name": f"a{n}"} for n in range(200)]},
        {"creationMeta": "y" * 16_382},
        {"webhooks": {"status": {**HOOK, "timeoutMs": 100, "method": "POST"}}},
        {"webhooks": {}},
        {"intent": {"language": "en", "region": "eu", "vertical": "general"}},
    ):
        reply = await api.post("/v1/agents", {**PLAIN, **change})
        assert reply.status == 201, reply.raw


async def test_the_last_agent_stays(api: Any) -> None:
    one, two = await made(api), await made(api)
    (base,) = await api.store.knowledge.bases(DEFAULT_ORGANIZATION, one["id"])
    assert base.name == "Default"
    assert (await api.ask("DELETE", path_of(one))).body == {"deleted": True}
    reply = await api.ask("DELETE", path_of(two))
    assert (reply.status, reply.body["code"]) == (409, "LAST_AGENT")
    assert [row["id"] for row in (await api.get("/v1/agents")).body] == [two["id"]]
    for method in ("GET", "DELETE"):
        reply = await api.ask(method, path_of(one))
        assert (reply.status, reply.body["code"]) == (404, "NOT_FOUND")
    assert (await api.ask("PATCH", path_of(one), {})).status == 404
    assert await api.store.knowledge.base(DEFAULT_ORGANIZATION, base.id) is None


async def test_whoever_names_an_agent_names_one_of_his(api: Any) -> None:
    mine = (await api.agent()).id
    foreign = (await api.agent("agent_2", FOREIGN)).id
    number = await api.post("/v1/phone-numbers/import", {"e164": "+12025550100"})
    endpoint = {"name": "CRM", "url": "https://crm.example/", "events": ["call.report"]}
    dial = {"to": "+12025550123", "dialplan": "front-desk"}
    for agent, status in ((mine, 200), (foreign, 404), ("agent_x", 404)):
        said = {"agentId": agent}
        replies = [
            await api.post("/v1/sessions/phone", {**dial, **said}),
            await api.ask("PATCH", f"/v1/phone-numbers/{number.body['id']}", said),
            await api.post("/v1/callbacks", {"to": "+12025550123", **said}),
            await api.post("/v1/knowledge-bases", {"name": "FAQ", **said}),
            await api.post("/v1/webhooks", {**endpoint, "agentIds": [agent]}),
        ]
        assert [min(reply.status, status) for reply in replies] == [status] * len(replies)
        for reply in replies:
            assert reply.status < 300 or (reply.status, reply.body["code"]) == (404, "NOT_FOUND")
    assert (await api.get(f"/v1/phone-numbers/{number.body['id']}")).body["agentId"] == mine


async def test_an_agents_calls_go_backwards(api: Any) -> None:
    agent = (await api.agent()).id
    ids = []
    for _ in range(3):
        call, events = api.a_call()
        await api.keep(replace(call, agent=agent, room="call-1"), events)
        ids.append(call.id)
    await api.ended_call()
    path = f"/v1/agents/{agent}/calls"
    page = (await api.get(f"{path}?limit=2")).body
    assert [row["id"] for row in page["calls"]] == ids[:0:-1]
    assert page["entries"] == page["calls"]
    first = page["calls"][0]
    assert first == {
        "id": ids[2], "call_id": ids[2], "resource_uri": f"/v1/calls/{ids[2]}",
        "agent_id": agent, "status": "active", "kind": "ivr", "room_name": "call-1",
        "language": "en", "created_at": first["created_at"], "ended_at": None,
        "duration_seconds": None, "recording_status": None,
    }  # fmt: skip
    assert page["next_cursor"].startswith(page["calls"][1]["created_at"].rstrip("Z"))
    rest = (await api.get(f"{path}?cursor={page['next_cursor']}")).body
    assert ([row["id"] for row in rest["calls"]], rest["next_cursor"]) == (ids[:1], None)
    since = (await api.get(f"{path}?since={first['created_at']}")).body
    assert [row["id"] for row in since["calls"]] == ids[2:]
    assert (await api.get(f"{path}?since=2100-01-01T00:00:00%2B00:00")).body["calls"] == []
    for query, field in (("limit=0", "limit"), ("cursor=x", "cursor"), ("since=x", "since")):
        reply = await api.get(f"{path}?{query}")
        assert (reply.status, reply.body["issues"][0]["path"]) == (400, field)
    assert (await api.get("/v1/agents/agent_x/calls")).status == 404
    assert (await api.get(path, key=FOREIGN_KEY)).status == 404


async def test_a_page_that_ends_amidst_calls_of_one_moment_loses_none(api: Any) -> None:
    agent = (await api.agent()).id
    moment = api.clock.now()
    ids = set()
    for number in range(5):
        call, events = api.a_call()
        # Four of one moment, and an older one.
        at = moment if number else moment - timedelta(microseconds=1)
        await api.keep(replace(call, agent=agent, created_at=at), events)
        ids.add(call.id)
    path = f"/v1/agents/{agent}/calls"
    seen: list[str] = []
    cursors: list[str] = []
    page = (await api.get(f"{path}?limit=1")).body
    while page["next_cursor"]:
        seen += [row["id"] for row in page["calls"]]
        cursors.append(page["next_cursor"])
        # What begins meanwhile is on no later page.
        call, events = api.a_call()
        await api.keep(replace(call, agent=agent), events)
        page = (await api.get(f"{path}?limit=1&cursor={page['next_cursor']}")).body
    seen += [row["id"] for row in page["calls"]]
    assert len(seen) == 5 and set(seen) == ids
    time = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    # A time where that is enough, as the contract has it.
    assert cursors == [f"{time}~{each}" for each in seen[:3]] + [time]
    for wrong in ("x", f"x~{seen[0]}", "~", "1" * 201):
        reply = await api.get(f"{path}?cursor={wrong}")
        assert (reply.status, reply.body["issues"][0]["path"]) == (400, "cursor")
