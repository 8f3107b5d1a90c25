"""An agent's words, a request's and a number's, with every variable in its place."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from telephony.accounts.agents import Agent, Hook, Integration, PromptVariable, Tool
from telephony.accounts.model import PhoneNumber
from telephony.base.errors import BadInput
from telephony.calls.orders import Conversation
from telephony.switchboard.briefing import brief, brought, needed, shown, system_values

NOW = datetime(2026, 7, 5, 12, 0, tzinfo=UTC)
SYSTEM = system_values("a-b-c", "+12025550188", NOW)
ADA = Agent(
    id="agent_ada",
    organization="o",
    name="Ada",
    system_prompt="You are {{name}}.",
    language="en",
    prompt_variables=(PromptVariable("name", "Ada"),),
    created_at=NOW,
    updated_at=NOW,
)


def number(template: dict[str, Any] | None) -> PhoneNumber:
    return PhoneNumber(
        id="n",
        organization="o",
        e164="+12025550100",
        dispatch_template=template,
        created_at=NOW,
        updated_at=NOW,
    )


@pytest.mark.parametrize(
    ("zone", "now"),
    [
        (None, "2026-07-05T12:00:00.000Z"),
        ("Europe/Berlin", "2026-07-05T14:00:00+02:00"),
        ("Nowhere/At_all", "2026-07-05T12:00:00.000Z"),
        ("../../etc/passwd", "2026-07-05T12:00:00.000Z"),
        ("", "2026-07-05T12:00:00.000Z"),
        ("a\0b", "2026-07-05T12:00:00.000Z"),
    ],
)
def test_now_is_what_the_agents_clock_shows(zone: str | None, now: str) -> None:
    assert system_values("i", "+1", NOW, zone)["system.now"] == now


def test_an_agent_that_declares_nothing_is_told_its_words_as_they_stand() -> None:
    plain = replace(ADA, prompt_variables=(), first_message="{% this is no Liquid")
    told = brief(Conversation(), plain, (), SYSTEM)
    assert told.prompt == "You are {{name}}."
    assert told.first_message == "{% this is no Liquid"
    with pytest.raises(BadInput):
        brief(Conversation(variables={}), plain, (), SYSTEM)


@pytest.mark.parametrize(
    ("asked", "inbound", "expected"),
    [
        (None, True, "in"),
        (None, False, "out"),
        ("", True, ""),
        ("asked", False, "asked"),
    ],
)
def test_who_says_what_is_said_first(asked: str | None, inbound: bool, expected: str) -> None:
    talks = replace(ADA, inbound_first_message="in", outbound_first_message="out")
    told = brief(Conversation(first_message=asked), talks, (), SYSTEM, inbound=inbound)
    assert told.first_message == expected


def test_a_first_message_that_nobody_has_is_the_agents_own_to_find() -> None:
    assert brief(Conversation(variables={}), ADA, (), SYSTEM).first_message is None


def test_a_tool_that_could_not_run_is_not_offered() -> None:
    tool = Tool(
        id="t",
        organization="o",
        agent=ADA.id,
        name="n",
        description="d",
        parameters={},
        source=Integration("i", "app", "act"),
        created_at=NOW,
        updated_at=NOW,
    )
    assert brief(Conversation(), ADA, (tool,), SYSTEM).tools == ()


def test_it_is_told_what_is_looked_for_by_whoever_asked() -> None:
    hook = Hook(url="https://x.example/", extraction_fields=({"name": "topic"}, {"name": "mood"}))
    own = {"name": "mood", "type": "string"}
    asking = replace(ADA, extraction_fields=(own,), hooks={"postCall": hook})
    told = brief(Conversation(), asking, (), SYSTEM)
    assert told.extraction_fields == (own, {"name": "topic"})


def test_what_is_shown_of_a_request_is_what_is_said() -> None:
    asked = Conversation(
        prompt="Say {{what}}.",
        variables={"what": "hello"},
        pipeline={"agentId": "a", "systemPrompt": "Say {{what}}."},
    )
    told = brief(asked, None, (), SYSTEM)
    assert shown(asked.pipeline, told) == {"agentId": "a", "systemPrompt": "Say hello."}


def test_a_number_brings_metadata_and_variables() -> None:
    template = {
        "from": "{{ system.caller_number }}",
        "deep": [{"of": "{{name}}"}, 7, None, "plain"],
        "variables": {"shop": "{{name}} & Co", "count": 3},
    }
    metadata, given = brought(number(template), ADA, SYSTEM)
    assert metadata == {
        "from": "+12025550188",
        "deep": [{"of": "Ada"}, 7, None, "plain"],
        "variables": {"shop": "Ada & Co", "count": 3},
    }
    assert given == {"shop": "Ada & Co"}


@pytest.mark.parametrize("template", [None, {}])
def test_a_number_without_a_template_brings_nothing(template: dict[str, Any] | None) -> None:
    assert brought(number(template), ADA, SYSTEM) == ({}, {})
    assert brought(None, ADA, SYSTEM) == ({}, {})


def test_a_template_that_names_nobody() -> None:
    with pytest.raises(BadInput, match="missing who"):
        brought(number({"a": {"b": "{{who}}"}}), ADA, SYSTEM)
    with pytest.raises(BadInput) as caught:
        brought(number({"a": {"b": "{{"}}), ADA, SYSTEM)
    assert caught.value.field == "dispatchMetadataTemplate.a.b"
    with pytest.raises(BadInput, match="1000 tags"):
        brought(number({"a": ["{{name}}" * 600] * 2}), ADA, SYSTEM)


def test_what_every_call_must_give() -> None:
    agent = replace(ADA, prompt_variables=(*ADA.prompt_variables, PromptVariable("who")))
    assert list(needed(agent)) == ["who"]
