"""What an agent says first, and the names that its texts use."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from telephony.accounts.agents import Agent, Hook, PromptVariable

NOW = datetime(2026, 1, 5, tzinfo=UTC)
AGENT = Agent(
    id="agent_1",
    organization="org_a",
    name="Desk",
    system_prompt="You help {{name}} of {{company}}.",
    language="en",
    created_at=NOW,
    updated_at=NOW,
)


def test_the_direction_has_its_own_first_message() -> None:
    assert AGENT.greeting(inbound=True) is None
    agent = replace(AGENT, first_message="Hello.")
    assert agent.greeting(inbound=True) == agent.greeting(inbound=False) == "Hello."
    agent = replace(agent, inbound_first_message="", outbound_first_message="It is me.")
    # An empty one is one: the agent waits.
    assert agent.greeting(inbound=True) == ""
    assert agent.greeting(inbound=False) == "It is me."


def test_variables_with_and_without_a_default() -> None:
    assert AGENT.declared == {}
    variables = (PromptVariable("name"), PromptVariable("company", "", "Whose"))
    assert replace(AGENT, prompt_variables=variables).declared == {"name": None, "company": ""}


def test_the_agents_own_fields_win_over_its_hooks() -> None:
    own = {"name": "mood", "type": "string", "description": "How"}
    other = {"name": "topic", "type": "string", "description": "What"}
    named_alike = {**own, "type": "number"}
    asked = Hook(url="https://x.example/", extraction_fields=(named_alike, other))
    # Fields mean something after a call only.
    agent = replace(AGENT, hooks={"postCall": asked, "status": asked})
    assert agent.extracted == (named_alike, other)
    agent = replace(agent, extraction_fields=(own,))
    assert agent.extracted == (own, other)
    assert replace(agent, hooks={"status": asked}).extracted == (own,)
