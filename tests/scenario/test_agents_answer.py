"""Calls that agents answer, from the number that was dialled to the report."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from telephony.accounts.agents import Agent, Builtin, Hook, PromptVariable, Tool
from telephony.accounts.model import PhoneNumber
from telephony.base.errors import BadInput, NotFound
from telephony.calls.callback import Callback
from telephony.calls.orders import DialOrder, MachineOrder, RoomOrder
from telephony.calls.ports import AnswerHeard
from telephony.calls.public import CallEvent
from telephony.ivr.agent import SENTENCES
from telephony.testing.carrier import FakeLeg
from telephony.testing.meetings import FakeLink
from tests.scenario.conftest import World

ORG = "org_default"
OURS = "+12025550100"
SORRY = SENTENCES["en"]


def hire(world: World, **members: Any) -> Agent:
    """An agent, and the number is his."""
    now = world.clock.now()
    agent = Agent(
        id="agent_ada",
        organization=ORG,
        name="Ada",
        created_at=now,
        updated_at=now,
        **{"system_prompt": "You are Ada.", "language": "en-GB", **members},
    )
    world.accounts.people[agent.id] = agent
    world.accounts.change(agent=agent.id, dialplan=None)
    return agent


def ours(world: World) -> PhoneNumber:
    return world.accounts.numbers()[0]


async def called(world: World) -> FakeLeg:
    leg = world.carrier.offer(OURS, trunk="trunk_main")
    await world.settle()
    return leg


async def met(world: World) -> tuple[FakeLeg, FakeLink]:
    """A caller in the room, and the agent called."""
    world.agents.problem = None
    leg = await called(world)
    (link,) = world.agents.links
    link.enters()
    await world.settle()
    return leg, link


def told(link: FakeLink) -> dict[str, Any]:
    assert link.meeting.dispatch is not None
    found: dict[str, Any] = json.loads(link.meeting.dispatch.metadata)
    return found


async def over(world: World) -> list[CallEvent]:
    (session,) = world.records.calls
    return await world.until_over(session)


def types(rows: list[CallEvent]) -> list[str]:
    return [row.event_type for row in rows]


def call(world: World) -> Any:
    (session,) = world.records.calls
    return world.records.calls[session]


def report(world: World) -> Any:
    (session,) = world.records.reports
    return world.records.reports[session]


# --- the agent talks -----------------------------------------------------------------------


async def test_a_number_with_an_agent_is_answered_by_him(world: World) -> None:
    hire(world, first_message="Hello, this is Ada.", dialplan="front-desk")
    leg, link = await met(world)
    assert leg.orders == ["answer"]
    assert leg.media.playing == []
    assert link.meeting.room == f"call-{call(world).id}"
    assert link.meeting.identity == leg.id
    assert link.media is leg.media
    link.joins()
    link.speaks()
    await world.settle()
    assert (call(world).kind, call(world).agent, call(world).language) == (
        "cascade",
        "agent_ada",
        "en-GB",
    )
    assert call(world).phone_number == "pn_1"
    leg.leaves()
    rows = await over(world)
    assert types(rows) == [
        "call.initiated",
        "call.answered",
        "room_started",
        "agent.dispatched",
        "worker.room_connected",
        "worker.first_agent_audio",
        "call.leg.hangup",
        "room_finished",
        "call.hangup",
    ]
    assert report(world).outcome == "completed"
    assert not link.open


async def test_what_the_agent_is_told(world: World) -> None:
    agent = hire(
        world,
        system_prompt="You are {{name}}. The caller is {{system.caller_number}}.",
        first_message="Welcome to {{shop}}.",
        inbound_first_message="Thank you for calling {{shop}}.",
        prompt_variables=(PromptVariable("name", "Ada"), PromptVariable("shop")),
        voice="nova",
        options={"llmOptions": {"temperature": 0.2}},
    )
    now = world.clock.now()
    hook = Hook(url="https://a.example/x", secret="hush-hush", auth_headers={"X-Key": "hidden"})
    tool = Tool(
        id="tool_1",
        organization=ORG,
        agent=agent.id,
        name="look_up",
        description="Looks up.",
        parameters={"type": "object"},
        source=hook,
        created_at=now,
        updated_at=now,
    )
    end = replace(tool, id="tool_2", name="end", source=Builtin("end_call"))
    world.accounts.things[agent.id] = (tool, end)
    world.accounts.change(
        dispatch_template={
            "crm": {"caller": "{{system.caller_number}}"},
            "variables": {"shop": "Bolts & Co"},
        }
    )
    _, link = await met(world)
    found = told(link)
    session = call(world).id
    assert found["session_id"] == found["call_id"] == session
    assert (found["from"], found["to"], found["direction"]) == ("+12025550188", OURS, "inbound")
    assert found["organization"] == ORG
    assert found["identity"] == f"phone-{session}"
    assert found["room"] == f"call-{session}"
    assert found["agent"] | {"extraction_fields": []} == {
        "id": "agent_ada",
        "name": "Ada",
        "prompt": "You are Ada. The caller is +12025550188.",
        "first_message": "Thank you for calling Bolts & Co.",
        "voice": "nova",
        "language": "en-GB",
        "options": {"llmOptions": {"temperature": 0.2}},
        "extraction_fields": [],
    }
    assert found["variables"] == {"name": "Ada", "shop": "Bolts & Co"}
    assert found["metadata"]["crm"] == {"caller": "+12025550188"}
    assert call(world).metadata == found["metadata"]
    assert [one["source"] for one in found["tools"]] == [
        {"kind": "webhook", "url": "https://a.example/x", "timeout_ms": None},
        {"kind": "builtin", "name": "end_call", "config": None},
    ]
    assert found["api"] == {"url": "https://phone.example"}
    assert link.meeting.dispatch is not None
    assert link.meeting.dispatch.agent_name == "desk"
    assert link.meeting.dispatch.speaks_first
    for secret in ("hush-hush", "hidden"):
        assert secret not in link.meeting.dispatch.metadata


async def test_an_agent_without_a_first_message_may_wait(world: World) -> None:
    hire(world, first_message="")
    _, link = await met(world)
    assert link.meeting.dispatch is not None
    assert not link.meeting.dispatch.speaks_first


async def test_an_agent_that_closes_the_room_has_hung_up(world: World) -> None:
    hire(world)
    leg, link = await met(world)
    link.joins()
    link.closes_room()
    rows = await over(world)
    assert leg.outcome is not None
    assert rows[-1].payload["ended_by"] == "agent"
    assert rows[-1].status == "ended"
    assert report(world).failure_cause is None


async def test_the_callers_keys_go_to_the_agent(world: World) -> None:
    hire(world)
    leg, link = await met(world)
    leg.presses("12#")
    await world.settle()
    assert link.keys == ["1", "2", "#"]
    link.closes_room("lost")
    await world.settle()
    leg.presses("3")
    await world.settle()
    assert link.keys == ["1", "2", "#"]


async def test_a_colleague_keeps_the_call_when_the_agent_goes(world: World) -> None:
    hire(world)
    leg, link = await met(world)
    link.joins()
    link.speaks()
    link.colleague_joins()
    link.goes()
    await world.settle()
    assert len(link.dispatched) == 1
    assert leg.media.playing == []
    link.colleague_goes()
    await world.settle()
    assert len(link.dispatched) == 2, "now nobody is there"


# --- it does not come, or goes -------------------------------------------------------------


async def test_nobody_comes_twice(world: World) -> None:
    hire(world)
    leg, link = await met(world)
    link.nobody_comes()
    await world.settle()
    assert len(link.dispatched) == 2
    link.nobody_comes()
    await world.settle()
    ((sound, _, _),) = leg.media.playing
    assert sound.duration_ms == 100 * len(SORRY)
    assert not link.open, "who comes late finds no room"
    leg.media.finish_prompt()
    rows = await over(world)
    assert types(rows).count("agent.dispatch_failed") == 2
    assert report(world).failure_cause == "agent_unavailable"
    assert rows[-1].status == "ended"


async def test_a_silent_agent_is_named_as_the_cause(world: World) -> None:
    hire(world, first_message="Hello.")
    leg, link = await met(world)
    link.joins()
    link.is_silent()
    await world.settle()
    leg.media.finish_prompt()
    rows = await over(world)
    silent = next(row for row in rows if row.event_type == "worker.no_first_audio_timeout")
    assert silent.failure_cause == "silent_bot_no_agent_audio"
    assert report(world).failure_cause == "silent_bot_no_agent_audio"
    assert report(world).summary.endswith("; the agent never said a word.")
    assert not link.open


async def test_the_agents_dialplan_takes_over(world: World) -> None:
    hire(world, dialplan="front-desk")
    leg, link = await met(world)
    assert told(link)["dialplan"] == "front-desk"
    link.joins()
    link.goes()
    await world.settle()
    assert len(link.dispatched) == 2
    link.nobody_comes()
    await world.settle()
    assert len(leg.media.playing) >= 1
    leg.presses("1")
    leg.leaves()
    rows = await over(world)
    assert "worker.room_disconnected" in types(rows)
    played = [row.payload["text"] for row in rows if row.event_type == "call.prompt.played"]
    assert "This call is recorded" in played[0]
    assert report(world).failure_cause is None
    assert call(world).recording_status == "ready", "front-desk says that it records"


async def test_the_conference_server_is_gone(world: World) -> None:
    hire(world)
    leg, link = await met(world)
    link.joins()
    link.speaks()
    link.closes_room("lost")
    await world.settle()
    leg.media.finish_prompt()
    await over(world)
    assert report(world).failure_cause == "agent_unavailable"


# --- no agent can talk ---------------------------------------------------------------------


async def test_without_livekit_his_dialplan_answers(world: World) -> None:
    hire(world, dialplan="after-hours")
    leg = await called(world)
    assert leg.orders == ["answer"]
    assert world.agents.links == []
    assert (call(world).kind, call(world).dialplan, call(world).agent) == (
        "ivr",
        "after-hours",
        "agent_ada",
    )
    setup = world.switchboard.unfit(world.accounts.people["agent_ada"], ours(world))
    assert setup == "no LiveKit here"


async def test_without_livekit_the_numbers_dialplan_answers_for_one_without(world: World) -> None:
    hire(world)
    world.accounts.change(dialplan="after-hours")
    await called(world)
    assert call(world).dialplan == "after-hours"


async def test_without_either_the_caller_hears_that_nobody_is_available(world: World) -> None:
    hire(world)
    leg = await called(world)
    assert leg.orders == ["answer"]
    ((sound, _, _),) = leg.media.playing
    assert sound.duration_ms == 100 * len(SORRY)
    leg.media.finish_prompt()
    rows = await over(world)
    assert leg.outcome is not None
    assert (call(world).kind, call(world).agent) == ("cascade", "agent_ada")
    assert report(world).failure_cause == "agent_unavailable"
    assert report(world).summary.endswith("; no agent was available.")
    assert report(world).turns[0].text == SORRY
    assert rows[-1].status == "ended"


async def test_a_caller_cannot_give_what_an_agent_must_be_given(world: World) -> None:
    agent = hire(world, system_prompt="{{who}}", prompt_variables=(PromptVariable("who"),))
    world.agents.problem = None
    leg = await called(world)
    assert world.agents.links == []
    assert len(leg.media.playing) == 1
    said = world.switchboard.unfit(agent, ours(world))
    assert said is not None
    assert "missing who" in said
    assert world.switchboard.unfit(agent, None) is None, "a dial can"


@pytest.mark.parametrize(
    ("prompt", "declared", "called", "dialled"),
    [
        ("{{who}}", (), None, None),
        ("{{who}}", ("other",), "missing who", None),
        ("{% if %}", ("other",), "systemPrompt:", "systemPrompt:"),
        ("{% if %}", (), None, None),
    ],
)
async def test_what_setup_says_of_an_agents_words(
    world: World, prompt: str, declared: tuple[str, ...], called: str | None, dialled: str | None
) -> None:
    variables = tuple(PromptVariable(name, "x") for name in declared)
    agent = hire(world, system_prompt=prompt, prompt_variables=variables)
    world.agents.problem = None
    for number, expected in ((ours(world), called), (None, dialled)):
        said = world.switchboard.unfit(agent, number)
        assert (said is None) is (expected is None)
        assert (expected or "") in (said or "")
        # Also from memory.
        assert world.switchboard.unfit(agent, number) == said


async def test_an_agent_that_is_told_too_much(world: World) -> None:
    agent = hire(world, system_prompt="x" * 60_000)
    world.agents.problem = None
    leg = await called(world)
    assert len(leg.media.playing) == 1
    said = world.switchboard.unfit(agent, ours(world))
    assert said is not None
    assert "60000" in said
    with pytest.raises(BadInput) as caught:
        await world.switchboard.dial(order())
    assert caught.value.field == "systemPrompt"


@pytest.mark.parametrize("default", [None, "after-hours"])
async def test_a_number_whose_agent_is_gone_is_one_without(
    world: World, default: str | None
) -> None:
    world.accounts.change(agent="agent_gone", dialplan=None)
    world.switchboard._default = default
    leg = await called(world)
    if default is None:
        assert leg.outcome is not None
        assert leg.outcome.sip_status == 404
        assert world.records.calls == {}
    else:
        assert leg.orders == ["answer"]
        assert call(world).dialplan == "after-hours"


# --- calls that we make --------------------------------------------------------------------


def order(**members: Any) -> DialOrder:
    return DialOrder(**{"organization": ORG, "to": "+12025550199", "agent": "agent_ada", **members})


async def test_we_call_for_an_agent(world: World) -> None:
    hire(
        world,
        system_prompt="Ask {{name}} for {{system.caller_number}}.",
        outbound_first_message="Hello {{name}}.",
        dialplan="front-desk",
    )
    world.agents.problem = None
    result = await world.switchboard.dial(order(variables={"name": "Bob"}))
    await world.settle()
    (leg,) = world.carrier.dialled
    assert world.agents.links == [], "nobody has picked up"
    leg.answers()
    await world.settle()
    (link,) = world.agents.links
    found = told(link)
    assert found["session_id"] == result.session_id
    assert found["agent"]["prompt"] == "Ask Bob for +12025550199."
    assert found["agent"]["first_message"] == "Hello Bob."
    assert found["max_duration_seconds"] == 14_400
    assert call(world).kind == "cascade"
    assert call(world).recording_status is None, "the dialplan behind it does not speak for it"


async def test_a_request_has_the_last_word(world: World) -> None:
    hire(world, voice="nova", options={"ttsOptions": {"speed": 1}, "llmOptions": {"model": "m"}})
    world.agents.problem = None
    asked = {
        "agentId": "agent_ada",
        "systemPrompt": "Say {{what}}.",
        "ttsOptions": {"speed": 2},
        "llm": {"temperature": 0},
    }
    await world.switchboard.dial(
        order(
            prompt="Say {{what}}.",
            first_message="",
            voice="echo",
            language="fr",
            variables={"what": "{{no}} more"},
            pipeline=asked,
            metadata={"crm": 7},
            tags={"team": "a"},
        )
    )
    await world.settle()
    world.carrier.dialled[0].answers()
    await world.settle()
    found = told(world.agents.links[0])
    assert found["agent"]["prompt"] == "Say {{no}} more.", "what is given is no template"
    assert found["agent"]["first_message"] == ""
    assert (found["agent"]["voice"], found["agent"]["language"]) == ("echo", "fr")
    assert found["agent"]["options"] == {
        "ttsOptions": {"speed": 2},
        "llmOptions": {"temperature": 0},
    }
    assert (found["metadata"], found["tags"]) == ({"crm": 7}, {"team": "a"})
    assert call(world).language == "fr"
    assert call(world).pipeline == {**asked, "systemPrompt": "Say {{no}} more."}


async def test_texts_stand_as_they_are_where_nobody_spoke_of_variables(world: World) -> None:
    hire(world, system_prompt="Literally {{this}}.")
    world.agents.problem = None
    await world.switchboard.dial(order())
    await world.settle()
    world.carrier.dialled[0].answers()
    await world.settle()
    assert told(world.agents.links[0])["agent"]["prompt"] == "Literally {{this}}."


async def test_all_missing_names_at_once_and_nothing_is_begun(world: World) -> None:
    hire(
        world,
        system_prompt="{{a}} {{b}} {{d | default: 'x'}} {{system.nothing}}",
        first_message="{{c}}",
        prompt_variables=(PromptVariable("b", "given"),),
        dialplan="front-desk",
    )
    for problem in (None, "no LiveKit here"):
        world.agents.problem = problem
        with pytest.raises(BadInput) as caught:
            await world.switchboard.dial(order(variables={}))
        assert caught.value.code == "MISSING_TEMPLATE_VARIABLES"
        assert caught.value.message == "variables: missing a, c, system.nothing"
        with pytest.raises(BadInput):
            await world.switchboard.open(
                RoomOrder(organization=ORG, identity="anna", agent="agent_ada")
            )
    await world.settle()
    assert world.records.calls == {}
    assert world.carrier.dialled == []
    assert world.switchboard.live == 0


async def test_a_dialplan_that_is_named_comes_before_the_agent(world: World) -> None:
    hire(world)
    world.agents.problem = None
    await world.switchboard.dial(order(dialplan="after-hours"))
    await world.settle()
    world.carrier.dialled[0].answers()
    await world.settle()
    assert world.agents.links == []
    assert (call(world).kind, call(world).dialplan) == ("ivr", "after-hours")


async def test_where_no_agent_can_talk_his_dialplan_runs(world: World) -> None:
    hire(world, dialplan="after-hours")
    await world.switchboard.dial(order())
    await world.settle()
    assert (call(world).kind, call(world).dialplan) == ("ivr", "after-hours")


async def test_nobody_is_called_whom_nobody_could_talk_with(world: World) -> None:
    hire(world)
    with pytest.raises(BadInput) as caught:
        await world.switchboard.dial(order())
    assert caught.value.field == "dialplan"
    assert "no LiveKit here" in caught.value.message
    assert world.records.calls == {}


async def test_an_agent_that_is_not_there(world: World) -> None:
    with pytest.raises(NotFound):
        await world.switchboard.dial(order(dialplan="front-desk"))
    with pytest.raises(NotFound):
        await world.switchboard.open(
            RoomOrder(organization=ORG, identity="anna", agent="agent_ada")
        )


async def test_a_conversation_without_an_agent_of_ours(world: World) -> None:
    world.agents.problem = None
    await world.switchboard.dial(order(agent=None, prompt="Be brief.", language="de"))
    await world.settle()
    world.carrier.dialled[0].answers()
    await world.settle()
    found = told(world.agents.links[0])
    assert (found["agent"]["id"], found["agent"]["prompt"]) == (None, "Be brief.")
    assert (found["agent"]["language"], found["tools"]) == ("de", [])
    assert call(world).kind == "cascade"


async def test_a_call_that_asks_for_no_conversation_runs_its_dialplan(world: World) -> None:
    world.agents.problem = None
    await world.switchboard.dial(order(agent=None, dialplan=None))
    await world.settle()
    assert call(world).dialplan == "front-desk", "that of the number it comes from"


async def test_a_promised_call_is_the_agents(world: World) -> None:
    hire(world, system_prompt="{{callback_reason}}", dialplan="after-hours")
    world.agents.problem = None
    now = world.clock.now()
    promised = Callback(
        id="cb_1",
        organization=ORG,
        to_number="+12025550199",
        scheduled_at=now,
        created_at=now,
        updated_at=now,
        agent="agent_ada",
        reason="the price",
    )
    await world.switchboard.dial_callback(promised, "0f3b9c1e-0000-4000-8000-000000000001")
    await world.settle()
    world.carrier.dialled[0].answers()
    await world.settle()
    assert told(world.agents.links[0])["agent"]["prompt"] == "the price"


async def test_a_machine_hears_no_agent(world: World) -> None:
    hire(world)
    world.agents.problem = None
    await world.switchboard.dial(order(machine=MachineOrder(action="hangup")))
    await world.settle()
    (leg,) = world.carrier.dialled
    leg.answers()
    await world.settle()
    (link,) = world.agents.links
    assert leg.media.asked is not None
    leg.media.asked[0](AnswerHeard("machine", 0.9, 4000, "long_greeting"))
    await over(world)
    assert not link.open
    assert report(world).outcome == "voicemail"
