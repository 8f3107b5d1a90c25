"""Agents, their tools, what comes and goes with them, and the picture that routing reads."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from telephony.accounts.agents import (
    Agent,
    Builtin,
    Hook,
    Inline,
    Integration,
    PreToolSpeech,
    PromptVariable,
    Tool,
)
from telephony.accounts.knowledge import Document, KnowledgeBase
from telephony.accounts.model import DEFAULT_ORGANIZATION
from telephony.accounts.webhooks import WebhookEndpoint, mirrored
from telephony.base.errors import Conflict, NotFound, StoreUnavailable
from telephony.store import Store
from telephony.store import agents as sql
from telephony.store.tables import agent_tools, agents, webhook_endpoints
from telephony.testing import agents as memory

from .test_store_webhooks import endpoint

OTHER = "org_other"
SECRET = "a secret that is not shown"
HOOK = Hook(
    url="https://crm.example/x",
    secret=SECRET,
    headers={"X-A": "1"},
    auth_headers={"Authorization": f"Bearer {SECRET}"},
    timeout_ms=900,
    response_mode="async",
    async_ack="One moment.",
    extraction_fields=({"name": "mood", "type": "string", "description": "How"},),
)


def agent(make: Any, **members: Any) -> Agent:
    now = make.clock.now()
    make.clock.advance(1)
    values: dict[str, Any] = {
        "id": make.ids.make("agent"),
        "organization": DEFAULT_ORGANIZATION,
        "name": "Desk",
        "system_prompt": "You help {{name}}. ü\x00",
        "language": "de-AT",
        "created_at": now,
        "updated_at": now,
    }
    return Agent(**(values | members))


def full(make: Any, **members: Any) -> Agent:
    return agent(
        make,
        **{
            "system_prompt": "You help {{name}}.",
            "optimize_for": "quality",
            "voice": "sophia",
            "dialplan": "front-desk",
            "run_mode": "cascade",
            "timezone": "Europe/Vienna",
            "first_message": "Hello.",
            "inbound_first_message": "",
            "outbound_first_message": "It is me.",
            "prompt_variables": (
                PromptVariable("name"),
                PromptVariable("company", "", "Whose"),
            ),
            "extraction_fields": ({"name": "n", "type": "number", "description": "N"},),
            "options": {"llmOptions": {"temperature": 0.5}, "creationMeta": {"deep": [1, None]}},
            "hooks": {"preCall": HOOK, "postCall": Hook(url="http://x.example/")},
            **members,
        },
    )


def base(make: Any, owner: Agent) -> KnowledgeBase:
    return KnowledgeBase(
        id=make.ids.make("kb"),
        organization=owner.organization,
        agent=owner.id,
        name="Default",
        created_at=owner.created_at,
        updated_at=owner.updated_at,
    )


def tool(make: Any, owner: Agent, name: str = "book", **members: Any) -> Tool:
    now = make.clock.now()
    make.clock.advance(1)
    values: dict[str, Any] = {
        "id": make.ids.make("tool"),
        "organization": owner.organization,
        "agent": owner.id,
        "name": name,
        "description": "Books a table",
        "parameters": {"type": "object", "properties": {"seats": {"type": "integer"}}},
        "source": HOOK,
        "created_at": now,
        "updated_at": now,
    }
    return Tool(**(values | members))


async def add(store: Any, make: Any, **members: Any) -> Agent:
    made = full(make, **members)
    await store.agents.add(made, base(make, made))
    return made


async def test_an_agent_comes_back_as_it_was_kept(store: Any, make: Any) -> None:
    one, two = await add(store, make), agent(make, system_prompt="Be kind.")
    await store.agents.add(two, base(make, two))
    assert await store.agents.find(DEFAULT_ORGANIZATION) == [one, two]
    assert await store.agents.get(DEFAULT_ORGANIZATION, one.id) == one
    later = replace(two, name="Night", hooks={"status": HOOK}, options={}, voice="x")
    await store.agents.replace(replace(later, created_at=make.clock.now()))
    assert await store.agents.get(DEFAULT_ORGANIZATION, two.id) == later
    assert store.directory.agent(DEFAULT_ORGANIZATION, two.id) == later
    with pytest.raises(NotFound):
        await store.agents.replace(agent(make))


async def test_an_agent_begins_with_a_knowledge_base_and_ends_with_all(
    store: Any, make: Any
) -> None:
    one, two = await add(store, make), await add(store, make)
    (first,) = await store.knowledge.bases(DEFAULT_ORGANIZATION, one.id)
    assert first.name == "Default"
    document = Document(
        id="doc_1", organization=DEFAULT_ORGANIZATION, base=first.id, filename="a",
        content_type="text/plain", size=1, created_at=one.created_at, updated_at=one.created_at,
    )  # fmt: skip
    await store.knowledge.add_document(document)
    await store.tools.add(tool(make, one))
    assert await store.agents.remove(DEFAULT_ORGANIZATION, one.id, make.clock.now()) is True
    assert await store.agents.remove(DEFAULT_ORGANIZATION, one.id, make.clock.now()) is False
    assert await store.agents.find(DEFAULT_ORGANIZATION) == [two]
    assert [b.agent for b in await store.knowledge.bases(DEFAULT_ORGANIZATION)] == [two.id]
    assert await store.knowledge.unfinished() == []
    assert await store.tools.find(DEFAULT_ORGANIZATION, one.id) == []
    assert store.directory.agent(DEFAULT_ORGANIZATION, one.id) is None
    assert store.directory.tools(DEFAULT_ORGANIZATION, one.id) == ()


async def test_the_last_agent_of_an_organization_stays(store: Any, make: Any) -> None:
    one, other = await add(store, make), await add(store, make, organization=OTHER)
    for row in (one, other):
        with pytest.raises(Conflict) as refused:
            await store.agents.remove(row.organization, row.id, make.clock.now())
        assert refused.value.code == "LAST_AGENT"
    two = await add(store, make)
    gone = await asyncio.gather(
        *(
            store.agents.remove(DEFAULT_ORGANIZATION, row.id, make.clock.now())
            for row in (one, two)
        ),
        return_exceptions=True,
    )
    assert sum(result is True for result in gone) == 1
    assert len(await store.agents.find(DEFAULT_ORGANIZATION)) == 1


async def test_an_agents_hooks_are_endpoints(store: Any, make: Any) -> None:
    async def there(organization: str = DEFAULT_ORGANIZATION) -> dict[str, WebhookEndpoint]:
        return {row.name: row for row in await store.webhooks.find(organization)}

    one, other = await add(store, make), await add(store, make, organization=OTHER)
    assert list((await there()).values()) == sorted(mirrored(one), key=lambda row: row.id)
    assert {row.id for row in (await there(OTHER)).values()} == {x.id for x in mirrored(other)}
    before = (await there())["Desk (preCall)"]
    assert (before.signing_secret, before.legacy_managed) == (HOOK.secret, True)

    later = make.clock.now()
    night = replace(
        one, name="Night", hooks={"status": HOOK, "postCall": HOOK}, extraction_fields=(),
        updated_at=later,
    )  # fmt: skip
    await store.agents.replace(night)
    found = await there()
    assert set(found) == {"Night (status)", "Night (postCall)"}
    post = found["Night (postCall)"]
    assert (post.created_at, post.updated_at, post.headers) == (one.updated_at, later, HOOK.headers)
    assert post.extraction_fields == HOOK.extraction_fields
    assert await store.webhooks.get(DEFAULT_ORGANIZATION, before.id) is None

    # What is given again is the one that there was: what was sent to it is still its own.
    await store.agents.replace(replace(one, updated_at=later))
    again = await store.webhooks.get(DEFAULT_ORGANIZATION, before.id)
    assert again == replace(before, updated_at=later)
    assert (await there())["Desk (postCall)"].id == post.id

    stranger = agent(make, hooks={"status": HOOK})
    with pytest.raises(NotFound):
        await store.agents.replace(stranger)
    with pytest.raises(NotFound):
        await store.agents.replace(replace(one, organization=OTHER, name="Taken"))
    assert set(await there()) == {"Desk (preCall)", "Desk (postCall)"}

    mine = endpoint(make, agents=(one.id,), all_agents=False)
    await store.webhooks.add(mine)
    await add(store, make, hooks={})
    assert await store.agents.remove(OTHER, one.id, later) is False
    assert await store.agents.remove(DEFAULT_ORGANIZATION, one.id, later) is True
    assert await store.webhooks.find(DEFAULT_ORGANIZATION) == [mine]
    assert len(await there(OTHER)) == 2


async def test_an_endpoint_of_a_hook_that_is_gone_keeps_nothing_secret(
    store: Any, make: Any
) -> None:
    one = await add(store, make)
    await store.agents.replace(replace(one, hooks={}))
    if not hasattr(store, "database"):
        assert all(not row.signing_secret for row in store.webhooks.rows.values())
        return

    async def work(connection: Any) -> list[Any]:
        return [*await connection.execute(sa.select(webhook_endpoints))]

    rows = await store.database.read(work)
    assert len(rows) == 2
    for row in rows:
        assert (row.auth_headers, row.headers, row.signing_secret) == ({}, {}, "")


async def test_a_tool_is_kept_whatever_runs_it(store: Any, make: Any) -> None:
    one = await add(store, make)
    made = [
        tool(make, one, sound={"enabled": True, "clip": "keyboard-typing"}),
        tool(make, one, "here", source=Inline(), pre_speech=PreToolSpeech.NEVER),
        tool(make, one, "bye", source=Builtin("end_call", {"say": None}), simulation={
            "mode": "mock", "response": None}),
        tool(make, one, "cal", source=Integration("i", "google", "create", [1])),
        tool(make, one, "strange", source=Builtin("dance")),
    ]  # fmt: skip
    for each in made:
        await store.tools.add(each)
    assert await store.tools.find(DEFAULT_ORGANIZATION, one.id) == made
    assert store.directory.tools(DEFAULT_ORGANIZATION, one.id) == tuple(made)
    assert [t.name for t in made if t.available] == ["book", "here", "bye"]
    changed = replace(made[0], description="d", source=Inline(), sound=None)
    await store.tools.replace(replace(changed, created_at=make.clock.now()))
    assert await store.tools.get(DEFAULT_ORGANIZATION, one.id, changed.id) == changed
    assert store.directory.tools(DEFAULT_ORGANIZATION, one.id)[0] == changed
    assert await store.tools.remove(DEFAULT_ORGANIZATION, one.id, changed.id) is True
    assert await store.tools.remove(DEFAULT_ORGANIZATION, one.id, changed.id) is False
    assert store.directory.tools(DEFAULT_ORGANIZATION, one.id) == tuple(made[1:])


async def test_a_tools_name_is_its_agents_own(store: Any, make: Any) -> None:
    one, two = await add(store, make), await add(store, make)
    await store.tools.add(tool(make, one))
    await store.tools.add(tool(make, two))
    with pytest.raises(Conflict, match="book"):
        await store.tools.add(tool(make, one))
    with pytest.raises(NotFound):
        await store.tools.add(tool(make, agent(make)))
    with pytest.raises(NotFound):
        await store.tools.add(tool(make, one, "x", organization=OTHER))
    with pytest.raises(NotFound):
        await store.tools.replace(tool(make, one))
    assert len(await store.tools.find(DEFAULT_ORGANIZATION, one.id)) == 1


async def test_a_foreign_id_is_no_id(store: Any, make: Any) -> None:
    one, _ = await add(store, make), await add(store, make)
    mine = tool(make, one)
    await store.tools.add(mine)
    await add(store, make, organization=OTHER), await add(store, make, organization=OTHER)
    assert len(await store.agents.find(OTHER)) == 2
    assert await store.agents.get(OTHER, one.id) is None
    assert await store.agents.remove(OTHER, one.id, make.clock.now()) is False
    with pytest.raises(NotFound):
        await store.agents.replace(replace(one, organization=OTHER))
    assert await store.tools.find(OTHER, one.id) == []
    assert await store.tools.get(OTHER, one.id, mine.id) is None
    assert await store.tools.remove(OTHER, one.id, mine.id) is False
    with pytest.raises(NotFound):
        await store.tools.replace(replace(mine, organization=OTHER))
    assert store.directory.agent(OTHER, one.id) is None
    assert store.directory.tools(OTHER, one.id) == ()
    assert await store.agents.get(DEFAULT_ORGANIZATION, one.id) == one
    assert await store.tools.find(DEFAULT_ORGANIZATION, one.id) == [mine]


async def test_there_is_an_end_to_both(
    store: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (sql, memory):
        monkeypatch.setattr(module, "MAX_AGENTS", 2)
        monkeypatch.setattr(module, "MAX_TOOLS", 1)
    one, _ = await add(store, make), await add(store, make)
    with pytest.raises(Conflict):
        await add(store, make)
    # Neither stays without the other.
    assert len(await store.knowledge.bases(DEFAULT_ORGANIZATION)) == 2
    await add(store, make, organization=OTHER)
    await store.tools.add(tool(make, one))
    with pytest.raises(Conflict):
        await store.tools.add(tool(make, one, "two"))


async def test_the_picture_is_there_after_a_start(url: str, make: Any) -> None:
    first = await Store.open(url, "a secret for tests")
    one = await add(first, make)
    mine = tool(make, one)
    await first.tools.add(mine)
    await first.close()
    second = await Store.open(url, "a secret for tests")
    assert second.directory.agent(DEFAULT_ORGANIZATION, one.id) == one
    assert second.directory.tools(DEFAULT_ORGANIZATION, one.id) == (mine,)
    await second.close()


async def test_secrets_lie_sealed_and_do_not_print(store: Any, make: Any) -> None:
    one = await add(store, make)
    mine = tool(make, one)
    await store.tools.add(mine)
    assert SECRET not in repr(one) + repr(mine)
    if not hasattr(store, "database"):
        return

    async def work(connection: Any) -> str:
        rows = [*await connection.execute(sa.select(agents))]
        return repr([*rows, *await connection.execute(sa.select(agent_tools))])

    lying = await store.database.read(work)
    assert "crm.example" in lying and SECRET not in lying


async def test_a_store_that_is_away_says_so(store: Any, make: Any) -> None:
    one = full(make)
    await store.agents.add(one, base(make, one))
    if hasattr(store, "database"):
        await store.close()
    else:
        store.down = True
    for asked in (
        store.agents.find(DEFAULT_ORGANIZATION),
        store.agents.add(full(make), base(make, one)),
        store.tools.find(DEFAULT_ORGANIZATION, one.id),
        store.tools.add(tool(make, one)),
    ):
        with pytest.raises(StoreUnavailable):
            await asked
    # What rings is still answered.
    assert store.directory.agent(DEFAULT_ORGANIZATION, one.id) == one
