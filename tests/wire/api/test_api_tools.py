"""The tools of agents over the API."""

from __future__ import annotations

from typing import Any

import pytest

from telephony.accounts.model import DEFAULT_ORGANIZATION
from telephony.base.clock import iso

SECRET = "tool-secret-1"
UUID = "0b6e0d5e-0f5c-4f0e-9b60-9f8f6d3f0a11"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
PLAIN: dict[str, Any] = {
    "name": "book",
    "description": "Books",
    "parameters": SCHEMA,
    "source": {"kind": "inline"},
}
WEBHOOK: dict[str, Any] = {
    "kind": "webhook",
    "url": "https://tools.example/book",
    "secret": SECRET,
    "headers": {"X-A": "1"},
    "authHeaders": [{"name": "X-Key", "value": SECRET}],
    "timeoutMs": 4000,
    "responseMode": "async",
    "asyncAck": "I will.",
}


@pytest.fixture
async def tools(api: Any) -> str:
    return f"/v1/agents/{(await api.agent()).id}/tools"


async def made(api: Any, tools: str, **members: Any) -> Any:
    reply = await api.post(tools, {**PLAIN, **members})
    assert reply.status == 201, reply.raw
    return reply.body


async def test_a_tool_is_shown_as_it_was_written(api: Any, tools: str) -> None:
    now = iso(api.clock.now())
    row = await made(api, tools)
    assert row == {
        **PLAIN, "id": row["id"], "agentId": "agent_1", "preToolSpeech": "auto",
        "toolSound": None, "simulation": None, "createdAt": now, "updatedAt": now,
    }  # fmt: skip
    more = {
        "name": "bye",
        "source": {"kind": "builtin", "name": "end_call", "config": {"say": None}},
        "preToolSpeech": "never",
        "toolSound": {"enabled": True, "clip": "keyboard-typing", "volume": 0.0},
        "simulation": {"mode": "mock", "response": None},
    }
    api.clock.advance(1)
    full = await made(api, tools, **more)
    assert {name: full[name] for name in more} == more
    assert (await api.get(tools)).body == [row, full]
    assert (await api.get(f"{tools}/{full['id']}")).body == full


async def test_what_could_not_run_is_not_available(api: Any, tools: str) -> None:
    integration = {
        "kind": "integration", "installationId": UUID, "appKey": "cal", "actionKey": "create",
        "config": [1],
    }  # fmt: skip
    row = await made(api, tools, source=integration)
    assert row["source"] == integration
    await made(api, tools, name="dance", source={"kind": "builtin", "name": "dance"})
    known = ("search_knowledge_base", "transfer_call", "end_call", "schedule_callback")
    for name in known:
        await made(api, tools, name=name, source={"kind": "builtin", "name": name, "config": None})
    await made(api, tools, name="hook", source=WEBHOOK)
    assert len((await api.get(f"{tools}?available=0")).body) == 7
    shown = (await api.get(f"{tools}?available=1")).body
    assert [tool["name"] for tool in shown] == [*known, "hook"]
    assert "config" not in shown[0]["source"]


async def test_a_secret_is_written_kept_and_never_shown(api: Any, tools: str) -> None:
    row = await made(api, tools, source=WEBHOOK)
    ref = f"webhook:agent_1:{row['id']}"
    shown = {k: v for k, v in WEBHOOK.items() if k not in ("secret", "authHeaders")}
    header = {"name": "X-Key", "secretRef": f"{ref}:X-Key"}
    assert row["source"] == {**shown, "secretRef": ref, "authHeaders": [header]}
    path = f"{tools}/{row['id']}"
    change = {"source": {"kind": "webhook", "url": "https://tools.example/2", "timeoutMs": None}}
    changed = (await api.ask("PATCH", path, change)).body
    assert changed["source"] == {
        name: value for name, value in (row["source"] | change["source"]).items() if value
    }

    async def kept() -> Any:
        return (await api.store.tools.get(DEFAULT_ORGANIZATION, "agent_1", row["id"])).source

    assert ((await kept()).secret, (await kept()).auth_headers) == (SECRET, {"X-Key": SECRET})
    source = {**WEBHOOK, "secret": "another-secret", "authHeaders": [{"name": "x-key"}]}
    await api.ask("PATCH", path, {"source": source})
    assert (await kept()).secret == "another-secret"
    assert (await kept()).auth_headers == {"x-key": SECRET}
    for reply in (await api.get(tools), await api.get(path)):
        assert SECRET.encode() not in reply.raw and b"another-secret" not in reply.raw
    # Whoever stops being a webhook has no secret any more.
    await api.ask("PATCH", path, {"source": {"kind": "inline"}})
    again = {"source": {"kind": "webhook", "url": "https://tools.example/"}}
    reply = await api.ask("PATCH", path, again)
    assert (reply.status, reply.body["issues"][0]["path"]) == (400, "source.secret")


async def test_what_is_absent_stays_and_null_clears(api: Any, tools: str) -> None:
    row = await made(
        api,
        tools,
        preToolSpeech="always",
        toolSound={"enabled": False},
        simulation={"mode": "live"},
    )
    path = f"{tools}/{row['id']}"
    api.clock.advance(1)
    now = iso(api.clock.now())
    change = {"description": "d", "parameters": {}, "name": "other"}
    changed = (await api.ask("PATCH", path, change)).body
    # A name stays, whatever is sent.
    assert changed == {**row, "description": "d", "parameters": {}, "updatedAt": now}
    nulls = {"preToolSpeech": None, "toolSound": None, "simulation": None}
    changed = (await api.ask("PATCH", path, nulls)).body
    assert [changed[name] for name in nulls] == ["auto", None, None]
    for name in ("description", "parameters", "source"):
        reply = await api.ask("PATCH", path, {name: None})
        assert (reply.status, reply.body["issues"][0]["path"]) == (400, name)
    assert (await api.ask("DELETE", path)).body == {"deleted": True}
    assert (await api.ask("DELETE", path)).status == 404
    assert (await api.ask("PATCH", path, {})).status == 404
    assert (await api.get(path)).status == 404


async def test_a_name_is_taken_once(api: Any, tools: str) -> None:
    await made(api, tools)
    reply = await api.post(tools, PLAIN)
    assert (reply.status, reply.body["code"]) == (409, "CONFLICT")
    await api.agent("agent_2")
    await made(api, "/v1/agents/agent_2/tools")


async def test_a_tool_is_its_agents_own(api: Any, tools: str) -> None:
    row = await made(api, tools)
    await api.agent("agent_2")
    for agent in ("agent_2", "agent_x"):
        path = f"/v1/agents/{agent}/tools/{row['id']}"
        for method in ("GET", "PATCH", "DELETE"):
            reply = await api.ask(method, path, {} if method == "PATCH" else None)
            assert (reply.status, reply.body["code"]) == (404, "NOT_FOUND")
    # Who may not see the agent is not told what is wrong with his tool.
    assert (await api.post("/v1/agents/agent_x/tools", {})).status == 404
    assert (await api.get("/v1/agents/agent_x/tools")).status == 404
    assert (await api.get(f"{tools}/{row['id']}")).status == 200


def webhook(**members: Any) -> dict[str, Any]:
    return {"source": {**WEBHOOK, **members}}


def simulated(response: Any) -> dict[str, Any]:
    return {"simulation": {"mode": "mock", "response": response}}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": "1x"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"description": ""}, "description"),
        ({"description": "x" * 1025}, "description"),
        ({"parameters": []}, "parameters"),
        ({"parameters": {"type": "string"}}, "parameters"),
        ({"parameters": {"x": "y" * 65_536}}, "parameters"),
        ({"source": None}, "source"),
        ({"source": {}}, "source"),
        ({"source": {"kind": "magic"}}, "source"),
        ({"source": {"kind": "webhook", "url": "https://x.example/"}}, "source.secret"),
        (webhook(secret="seven77"), "source.secret"),
        (webhook(secret=None), "source.secret"),
        (webhook(url=None), "source.url"),
        (webhook(url="x"), "source.url"),
        (webhook(timeoutMs=99), "source.timeoutMs"),
        (webhook(timeoutMs=4001), "source.timeoutMs"),
        (webhook(authHeaders=[{"name": "X-New"}]), "source.authHeaders.0.value"),
        ({"source": {"kind": "builtin"}}, "source.name"),
        ({"source": {"kind": "builtin", "name": "x y"}}, "source.name"),
        ({"source": {"kind": "integration", "installationId": "x", "appKey": "a",
                     "actionKey": "b"}}, "source.installationId"),
        ({"preToolSpeech": "sometimes"}, "preToolSpeech"),
        ({"toolSound": {}}, "toolSound.enabled"),
        ({"toolSound": {"enabled": True, "clip": "crowded-room", "soundId": "s"}}, "toolSound"),
        ({"toolSound": {"enabled": True, "volume": -0.1}}, "toolSound.volume"),
        ({"simulation": {}}, "simulation"),
        ({"simulation": {"mode": "dream"}}, "simulation"),
        (simulated("x" * 8191), "simulation.response"),
        (simulated("\u00fc" * 4096), "simulation.response"),
    ],
)  # fmt: skip
async def test_each_member_has_its_bounds(
    api: Any, tools: str, change: dict[str, Any], path: str
) -> None:
    reply = await api.post(tools, {**PLAIN, **change})
    assert (reply.status, reply.body["code"]) == (400, "VALIDATION_ERROR")
    assert reply.body["issues"][0]["path"] == path
    assert (await api.get(tools)).body == []


async def test_what_is_just_inside_is_taken(api: Any, tools: str) -> None:
    for number, change in enumerate(
        (
            {"description": "x" * 1024},
            {"parameters": {}},
            webhook(secret="8" * 8, timeoutMs=100, method="POST"),
            simulated("x" * 8190),
            simulated("\u00fc" * 4095),
            {"toolSound": {"enabled": True}},
        )
    ):
        await made(api, tools, name=f"t{number}", **change)
