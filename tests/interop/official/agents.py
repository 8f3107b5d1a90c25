"""Agents with their tools, calls and numbers, as the official client sets them up."""

from __future__ import annotations

from typing import Any

from tests.interop.official.kit import TO, World

FULL: dict[str, Any] = {
    "name": "Desk",
    "system_prompt": "You help {{name}} of {{company}}.",
    "voice": "sophia",
    "intent": {"language": "en", "optimize_for": "quality"},
    "llm_options": {"temperature": 0.5, "max_tokens": 200, "model": "small"},
    "stack_preferences": {"allowed_providers": {"stt": ["a"], "s2s": ["b:c"]}},
    "stt_options": {"keywords": ["Acme"], "prompt": "names", "language": "multi"},
    "background_audio": {"ambient": {"clip": "office-ambience", "volume": 4.0}},
    "audio_output": {"gain_db": -6.0},
    "speech_normalization": {"text_replacements": {"Dr.": "Doctor"}},
    "extraction_fields": [
        {"name": "mood", "type": "enum", "description": "How", "options": ["good", "bad"]}
    ],
    "prompt_variables": [
        {"name": "company", "default_value": "Acme", "description": "Whose"},
        {"name": "name"},
    ],
    "webhooks": {
        "pre_call": {
            "url": "https://crm.example.com/pre",
            "secret": "hook-secret-1",
            "auth_headers": [{"name": "X-Key", "value": "hook-secret-2"}],
            "timeout_ms": 8000,
            "response_mode": "async",
            "async_ack": "One moment.",
        },
        "post_call": {"url": "https://crm.example.com/post"},
    },
}


async def made(world: World, **members: Any) -> Any:
    """An agent of its own for a case."""
    plain = {"name": "Plain", "system_prompt": "Be kind.", "intent": {"language": "en"}}
    return await world.call("agents.create", {**plain, **members})


async def an_agent_comes_back_as_it_was_written(world: World) -> None:
    first = await made(world)
    agent = await world.call("agents.create", FULL)
    assert (agent.name, agent.voice) == ("Desk", "sophia")
    assert (agent.intent.language, agent.intent.optimize_for) == ("en", "quality")
    assert agent.system_prompt == FULL["system_prompt"]
    assert agent.llm_options.model_dump(exclude_none=True) == FULL["llm_options"]
    allowed = agent.stack_preferences.allowed_providers
    assert (allowed.stt, allowed.s2s, allowed.llm) == (["a"], ["b:c"], None)
    assert agent.stt_options.model_dump(exclude_none=True) == FULL["stt_options"]
    assert agent.background_audio.ambient.clip == "office-ambience"
    assert agent.background_audio.tool_sound is None
    assert agent.audio_output.gain_db == -6.0
    assert agent.speech_normalization.text_replacements == {"Dr.": "Doctor"}
    assert [f.options for f in agent.extraction_fields] == [["good", "bad"]]
    assert [v.name for v in agent.prompt_variables] == ["company", "name"]
    assert agent.prompt_variables[0].default_value == "Acme"
    pre, post = agent.webhooks.pre_call, agent.webhooks.post_call
    assert (pre.url, pre.timeout_ms, pre.response_mode) == (
        "https://crm.example.com/pre",
        8000,
        "async",
    )
    assert (pre.auth_headers[0].name, post.url) == ("X-Key", "https://crm.example.com/post")
    assert pre.secret_ref and pre.auth_headers[0].secret_ref and post.secret_ref
    assert agent.webhooks.status is None
    _, shown = await world.api("GET", f"/v1/agents/{agent.id}")
    assert "hook-secret" not in str(shown)
    assert await world.call("agents.get", agent.id) == agent
    assert {first.id, agent.id} <= {row.id for row in await world.call("agents.list")}

    changed = await world.call(
        "agents.update",
        agent.id,
        {
            "name": "Night desk",
            "voice": None,
            "llm_options": None,
            "extraction_fields": [],
            "webhooks": {"post_call": None},
        },
    )
    assert (changed.name, changed.voice, changed.llm_options) == ("Night desk", None, None)
    assert changed.extraction_fields == []
    assert changed.system_prompt == agent.system_prompt
    assert changed.audio_output == agent.audio_output
    assert (changed.webhooks.pre_call, changed.webhooks.post_call) == (pre, None)
    assert await world.call("agents.get", agent.id) == changed
    await world.call.refuses("name", "agents.update", agent.id, {"name": None})
    await world.call.refuses("name", "agents.create", {**FULL, "name": "x" * 121})
    await world.call.refuses("systemPrompt", "agents.create", {**FULL, "system_prompt": ""})

    assert await world.call("agents.delete", agent.id) is True
    for gone in (agent.id, "a/b", "agent_%2F"):
        await world.call.not_found("agents.get", gone)
        await world.call.not_found("agents.update", gone, {"name": "x"})
        await world.call.not_found("agents.delete", gone)


async def an_agents_hooks_are_endpoints(world: World) -> None:
    agent = await made(world, webhooks=FULL["webhooks"])

    async def there() -> dict[str, Any]:
        rows = await world.call("webhooks.list")
        return {row.url: row for row in rows if agent.id in row.agent_ids}

    found = await there()
    pre, post = found["https://crm.example.com/pre"], found["https://crm.example.com/post"]
    assert pre.legacy_managed is post.legacy_managed is True
    assert (pre.events, post.events) == (["call.pre_call"], ["call.report"])
    assert (pre.timeout_ms, pre.has_custom_signing_secret, pre.all_agents) == (8000, True, False)
    assert [(h.name, h.configured) for h in pre.auth_headers] == [("X-Key", True)]
    assert await world.call("webhooks.get", pre.id) == pre
    for name, more in (("update", ({"name": "x"},)), ("delete", ())):
        error = await world.call.fails(f"webhooks.{name}", pre.id, *more)
        assert (error.status, error.code) == (409, "LEGACY_MANAGED")
    await world.call("agents.update", agent.id, {"webhooks": {"pre_call": None}})
    assert set(await there()) == {post.url}
    await world.call.not_found("webhooks.get", pre.id)
    assert await world.call("agents.delete", agent.id) is True
    assert await there() == {}


async def the_last_agent_stays(world: World) -> None:
    last = await made(world, name="Last")
    for agent in await world.call("agents.list"):
        if agent.id != last.id:
            assert await world.call("agents.delete", agent.id) is True
    error = await world.call.fails("agents.delete", last.id)
    assert (error.status, error.code) == (409, "LAST_AGENT")
    assert [agent.id for agent in await world.call("agents.list")] == [last.id]


async def an_agent_has_a_number(world: World) -> None:
    agent = await made(world)
    e164 = {"sync": "+12025550141", "async": "+12025550142"}[world.call.half]
    number = await world.call("phone_numbers.import_sip_trunk", {"e164": e164})
    bound = await world.call("agents.attach_phone_number", agent.id, number.id)
    assert (bound.id, bound.agent_id) == (number.id, agent.id)
    assert (await world.call("phone_numbers.get", number.id)).agent_id == agent.id
    loose = await world.call("agents.detach_phone_number", number.id)
    assert loose.agent_id is None
    await world.call.not_found("agents.attach_phone_number", "agent/nobody", number.id)
    await world.call.not_found("agents.attach_phone_number", agent.id, "num/nobody")
    assert await world.call("phone_numbers.delete", number.id) is True


async def an_agents_tools_come_and_go(world: World) -> None:
    agent = await made(world)
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    sources: dict[str, dict[str, Any]] = {
        "weather": {"kind": "inline"},
        "book": {
            "kind": "webhook",
            "url": "https://tools.example.com/book",
            "secret": "tool-secret-1",
            "headers": {"X-A": "1"},
            "timeout_ms": 2000,
        },
        "bye": {"kind": "builtin", "name": "end_call", "config": None},
    }
    tools = {}
    for name, source in sources.items():
        tool = await world.call(
            "agents.tools.create",
            agent.id,
            {"name": name, "description": f"d {name}", "parameters": schema, "source": source},
        )
        assert (tool.name, tool.agent_id, tool.parameters) == (name, agent.id, schema)
        assert (tool.source.kind, tool.pre_tool_speech) == (source["kind"], "auto")
        assert await world.call("agents.tools.get", agent.id, tool.id) == tool
        tools[name] = tool
    assert tools["book"].source.secret_ref
    assert tools["book"].source.timeout_ms == 2000
    shown = await world.api("GET", f"/v1/agents/{agent.id}/tools")
    assert "tool-secret-1" not in str(shown)
    listed = await world.call("agents.tools.list", agent.id)
    assert {tool.id for tool in listed} == {tool.id for tool in tools.values()}
    runnable = await world.call("agents.tools.list", agent.id, available=True)
    assert {tool.id for tool in runnable} == {tool.id for tool in listed}
    chat = {t.name: t for t in await world.call("agents.tools.list_chat_tools", agent.id)}
    assert {name: tool.execution_mode for name, tool in chat.items()} == {
        name: source["kind"] for name, source in sources.items()
    }

    taken = await world.call.fails(
        "agents.tools.create",
        agent.id,
        {"name": "bye", "description": "d", "parameters": {}, "source": {"kind": "inline"}},
    )
    assert taken.status == 409
    changed = await world.call(
        "agents.tools.update",
        agent.id,
        tools["book"].id,
        {
            "description": "Books",
            "source": {"kind": "webhook", "url": "https://tools.example.com/2"},
            "pre_tool_speech": "never",
            "simulation": {"mode": "mock", "response": {"ok": True}},
        },
    )
    assert (changed.description, changed.name) == ("Books", "book")
    assert (changed.source.url, changed.source.secret_ref) == (
        "https://tools.example.com/2",
        tools["book"].source.secret_ref,
    )
    assert (changed.pre_tool_speech, changed.simulation.response) == ("never", {"ok": True})
    assert await world.call("agents.tools.get", agent.id, changed.id) == changed
    await world.call.refuses(
        "description", "agents.tools.update", agent.id, changed.id, {"description": "x" * 1025}
    )
    assert await world.call("agents.tools.delete", agent.id, changed.id) is True
    for gone in (changed.id, "a/b"):
        await world.call.not_found("agents.tools.get", agent.id, gone)
        await world.call.not_found("agents.tools.delete", agent.id, gone)
        await world.call.not_found("agents.tools.update", agent.id, gone, {"description": "d"})
    await world.call.not_found("agents.tools.list", "a/b")


async def a_missing_variable_is_named(world: World) -> None:
    agent = await made(world, **{k: FULL[k] for k in ("system_prompt", "prompt_variables")})
    for variables in (None, {}, {"company": "Other"}):
        error = await world.call.fails(
            "voice.dial", {"to": TO, "agent_id": agent.id, "variables": variables}
        )
        assert (error.status, error.code) == (400, "MISSING_TEMPLATE_VARIABLES")
        assert "name" in error.message and "company" not in error.message


async def an_agents_calls_are_paged_backwards(world: World) -> None:
    agent = await made(world)
    none = await world.call("agents.list_calls", agent.id)
    assert (none.calls, none.next_cursor) == ([], None)
    await world.call.not_found("agents.list_calls", "a/b")
    await world.call.refuses("limit", "agents.list_calls", agent.id, limit=0)
    sessions = []
    for _ in range(2):
        placed = await world.call(
            "voice.dial", {"to": TO, "agent_id": agent.id, "metadata": {"dialplan": "official"}}
        )
        sessions.append(placed.session_id)
        await world.call("calls.end", placed.session_id)
    page = await world.call("agents.list_calls", agent.id, limit=1)
    assert [row.id for row in page.calls] == [sessions[1]]
    assert page.calls[0].agent_id == agent.id
    assert page.next_cursor is not None
    rest = await world.call("agents.list_calls", agent.id, cursor=page.next_cursor)
    assert ([row.id for row in rest.calls], rest.next_cursor) == ([sessions[0]], None)
    later = await world.call("agents.list_calls", agent.id, since="2100-01-01T00:00:00+00:00")
    assert later.calls == []
