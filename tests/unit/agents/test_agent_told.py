"""What the worker is told: by its environment, and by a call's dispatch."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from telephony.accounts.agents import Agent, Builtin, Hook, Source, Tool
from telephony.agents import dispatched, environment
from telephony.agents.dispatched import DispatchedCall
from telephony.base.errors import BadInput, ConfigError
from telephony.calls.call import Call
from telephony.calls.dispatching import Brief, dispatch_metadata
from telephony.calls.orders import Conversation
from telephony.calls.outcome import Status
from telephony.calls.state import Direction
from telephony.switchboard import briefing

NEEDED = {
    "LIVEKIT_URL": "ws://127.0.0.1:7880",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "hidden-secret",
    "TELEPHONY_API_KEY": "sk_live_hidden",
}


def test_defaults() -> None:
    config = environment.read(NEEDED)
    assert (config.name, config.api_url, config.script) == ("telephony", "", None)
    assert (config.health_host, config.health_port) == ("127.0.0.1", 8081)
    assert "hidden" not in repr(config)


def test_the_services_own_names_do_as_well() -> None:
    renamed = {name.replace("LIVEKIT", "TELEPHONY_LIVEKIT"): v for name, v in NEEDED.items()}
    assert environment.read(renamed) == environment.read(NEEDED)


def test_everything_that_can_be_set(tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("greeting: hi")
    config = environment.read(
        NEEDED
        | {
            "TELEPHONY_API_URL": "https://example.org/base/",
            "TELEPHONY_LIVEKIT_AGENT": "mine",
            "TELEPHONY_AGENT_SCRIPT": str(script),
            "TELEPHONY_AGENT_HEALTH_PORT": "0",
            "TELEPHONY_AGENT_IDLE_PROCESSES": "3",
            "TELEPHONY_AGENT_MAX_CALLS": "5",
        }
    )
    assert config.api_url == "https://example.org/base"
    assert (config.name, config.script, config.health_port) == ("mine", script, 0)
    assert (config.idle_processes, config.max_calls) == (3, 5)


def test_everything_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        environment.read({"LIVEKIT_URL": "ws://h", "LIVEKIT_API_SECRET": ""})
    for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "TELEPHONY_API_KEY"):
        assert name in error.value.message
    assert error.value.message.startswith("not set: LIVEKIT_API_KEY, ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LIVEKIT_URL", "127.0.0.1:7880"),
        ("LIVEKIT_URL", "ws://["),
        ("TELEPHONY_API_URL", "ws://host"),
        ("TELEPHONY_API_URL", "https://"),
        ("TELEPHONY_AGENT_SCRIPT", "/nonexistent/script.yaml"),
        ("TELEPHONY_AGENT_HEALTH_PORT", "65536"),
        ("TELEPHONY_AGENT_HEALTH_PORT", "-1"),
        ("TELEPHONY_AGENT_IDLE_PROCESSES", "many"),
        ("TELEPHONY_AGENT_MAX_CALLS", "0"),
    ],
)
def test_what_cannot_be_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        environment.read(NEEDED | {name: value})


def test_the_dispatch_as_the_service_writes_it() -> None:
    now = datetime(2026, 1, 5, tzinfo=UTC)
    call = Call(
        id="4c5b0f0e-0000-4000-8000-000000000001",
        organization="org_default",
        direction=Direction.OUTBOUND,
        created_at=now,
        updated_at=now,
        status=Status.ACTIVE,
        from_number="+12025550100",
        to_number="+12025550123",
        metadata={"script": {"greeting": "Hi."}},
    )
    brief = Brief(
        agent="agent_1",
        prompt="Be kind.",
        first_message="Hello Ann.",
        voice="en-us+f3",
        language="en",
        options={
            "ttsOptions": {"speed": 1.25},
            "turnHandling": {"endpointing": {"minDelay": 0.3}},
        },
        variables={"name": "Ann"},
    )
    text = dispatch_metadata(call, brief, identity="phone-1", api="http://127.0.0.1:8080/")
    assert dispatched.parse(text) == DispatchedCall(
        session=call.id,
        direction="outbound",
        identity="phone-1",
        caller="+12025550100",
        called="+12025550123",
        agent="agent_1",
        prompt="Be kind.",
        first_message="Hello Ann.",
        language="en",
        voice="en-us+f3",
        speed=1.25,
        end_ms=300,
        api_url="http://127.0.0.1:8080",
        script={"greeting": "Hi."},
        variables={"name": "Ann"},
    )
    assert dispatched.parse(text).other_party == "+12025550123"


def told(**members: Any) -> DispatchedCall:
    return dispatched.parse(json.dumps({"session_id": "s", **members}))


def test_the_first_message_is_none_or_empty_or_words() -> None:
    assert told(agent={"first_message": None}).first_message is None
    assert told(agent={"first_message": ""}).first_message == ""
    assert told(agent={}).first_message is None


def test_it_looks_up_where_it_has_the_tool() -> None:
    now = datetime(2026, 1, 5, tzinfo=UTC)

    def looks_up(source: Source) -> bool:
        tool = Tool(
            id="tool_1",
            organization="org_a",
            agent="agent_1",
            name="whatever_it_is_called",
            description="Looks up.",
            parameters={},
            source=source,
            created_at=now,
            updated_at=now,
        )
        agent = Agent(
            id="agent_1",
            organization="org_a",
            name="Ada",
            system_prompt="Be kind.",
            language="en",
            created_at=now,
            updated_at=now,
        )
        return told(tools=list(briefing.brief(Conversation(), agent, [tool], {}).tools)).looks_up

    assert looks_up(Builtin("search_knowledge_base"))
    assert not looks_up(Builtin("end_call"))
    assert not looks_up(Hook(url="https://x.example/search_knowledge_base"))
    for odd in (None, 5, ["x"], [{}], [{"source": "x"}], {"source": 1}):
        assert not told(tools=odd).looks_up


def test_a_dispatch_may_say_little_and_say_it_wrong() -> None:
    assert told() == DispatchedCall(session="s")
    odd = {"agent": 3, "api": [], "variables": {"a": 1}, "metadata": {"script": "x"}, "from": 5}
    assert told(**odd) == DispatchedCall(session="s")
    assert told(agent={"options": {"ttsOptions": {"speed": 9}}}).speed == 1.0
    assert told(agent={"options": {"ttsOptions": {"speed": True}}}).speed == 1.0


@pytest.mark.parametrize("text", ["", "no", "[]", "{}", '{"session_id": 3}', "[" * 100_000])
def test_no_dispatch_of_the_service(text: str) -> None:
    with pytest.raises(BadInput):
        dispatched.parse(text)


def test_a_dispatch_has_a_ceiling() -> None:
    with pytest.raises(BadInput, match="characters"):
        told(variables={"a": "x" * dispatched.MAX_METADATA})
