"""Agents where no agent can talk: what callers hear, what setup says, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from telephony.ivr.agent import SENTENCES
from telephony.testing.softphone import Softphone
from telephony.testing.words import recognise
from tests.interop.service import Service, eventually, free_port, how

TOML = """
[[trunks]]
name = "main"
gateways = ["127.0.0.1:{gateway}"]
caller_ids = ["+12025550100"]
allowed_sources = ["127.0.0.9/32"]

[[phones]]
user = "1001"
password = "desk"
"""
OURS = "+12025550177"
SORRY = SENTENCES["en"].replace(",", "")
OTHERS = ["You have reached the front desk.", "The office is closed.", "Please leave a message."]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("service"), TOML.format(gateway=free_port()), {})
    running.start()
    yield running
    running.stop()
    assert running.complaints() == []


@pytest.fixture(scope="module")
def agent(service: Service) -> dict[str, Any]:
    made: dict[str, Any] = service.api.post(
        "/v1/agents",
        {
            "name": "Ada",
            "systemPrompt": "You are {{name}} of {{shop}}.",
            "firstMessage": "Hello {{caller_name}}, {{ system.nothing }}",
            "intent": {"language": "en"},
            "promptVariables": [{"name": "shop"}, {"name": "name", "defaultValue": "Ada"}],
        },
    )
    service.api.post(
        "/v1/phone-numbers/import",
        {"e164": OURS, "sipTrunkId": "main", "direction": "both", "agentId": made["id"]},
    )
    return made


def number(service: Service) -> dict[str, Any]:
    rows: list[dict[str, Any]] = service.api.get("/v1/phone-numbers")
    return next(row for row in rows if row["e164"] == OURS)


def test_setup_says_that_nobody_talks(service: Service, agent: dict[str, Any]) -> None:
    assert agent["setupStatus"]["status"] == "action_required"
    assert agent["setupStatus"]["agentReady"] is False
    assert "LIVEKIT_URL" in agent["setupStatus"]["issues"][0]
    setup = number(service)["setupStatus"]
    assert (setup["status"], setup["inboundReady"], setup["agentReady"]) == (
        "action_required",
        False,
        False,
    )
    (issue,) = setup["issues"]
    assert "Ada" in issue
    assert "nobody is available" in issue


async def test_a_caller_hears_that_nobody_is_available(
    service: Service, agent: dict[str, Any]
) -> None:
    server = ("127.0.0.1", service.sip_port)
    async with Softphone("1001", "desk") as phone:
        assert await phone.register(server) == 200
        before = await asyncio.to_thread(service.api.sessions)
        call = await phone.call(f"sip:{OURS}@127.0.0.1:{service.sip_port}")
        await call.answered(10)
        session = await asyncio.to_thread(service.api.new_session, before)
        await call.ended(30)
        said = call.sound.heard()
    assert recognise(said, [SORRY, *OTHERS]) == SORRY
    events = await asyncio.to_thread(service.api.ended, session)
    assert how(events)[:2] == ("ended", "agent_unavailable")
    detail = await asyncio.to_thread(service.api.get, f"/v1/calls/{session}")
    assert (detail["agent_id"], detail["kind"]) == (agent["id"], "cascade")
    assert detail["report"]["transcript"]["entries"][0]["text"] == SENTENCES["en"]
    page = await asyncio.to_thread(service.api.get, f"/v1/agents/{agent['id']}/calls")
    assert [row["call_id"] for row in page["calls"]] == [session]


@pytest.mark.parametrize("dialplan", [None, "after-hours"])
def test_every_missing_name_is_named_and_nothing_begins(
    service: Service, agent: dict[str, Any], dialplan: str | None
) -> None:
    before = service.api.sessions()
    body = {"to": "+12025550123", "agentId": agent["id"], "variables": {"name": "Bea"}}
    if dialplan is not None:
        body["dialplan"] = dialplan
    status, reply = service.api.call("POST", "/v1/sessions/phone", body)
    assert (status, reply["code"]) == (400, "MISSING_TEMPLATE_VARIABLES")
    assert reply["error"] == "variables: missing caller_name, shop, system.nothing"
    assert service.api.sessions() == before


def test_nobody_is_called_whom_nobody_could_talk_with(
    service: Service, agent: dict[str, Any]
) -> None:
    before = service.api.sessions()
    asked = {"to": "+12025550123", "systemPrompt": "Be brief.", "intent": {"language": "en"}}
    status, reply = service.api.call("POST", "/v1/sessions/phone", asked)
    assert (status, reply["code"]) == (400, "VALIDATION_ERROR")
    assert [issue["path"] for issue in reply["issues"]] == ["dialplan"]
    assert "LIVEKIT_URL" in reply["error"]
    assert service.api.sessions() == before


async def test_with_a_dialplan_of_his_own_he_answers(
    service: Service, agent: dict[str, Any]
) -> None:
    server = ("127.0.0.1", service.sip_port)
    changed = {"dialplan": "after-hours", "promptVariables": None, "firstMessage": None}
    status, row = await asyncio.to_thread(
        service.api.call, "PATCH", f"/v1/agents/{agent['id']}", changed
    )
    assert (status, row["setupStatus"]) == (
        200,
        {"status": "ready", "agentReady": True, "issues": []},
    )
    setup = (await asyncio.to_thread(number, service))["setupStatus"]
    assert (setup["status"], setup["inboundReady"], setup["issues"]) == ("ready", True, [])
    async with Softphone("1001", "desk") as phone:
        assert await phone.register(server) == 200
        before = await asyncio.to_thread(service.api.sessions)
        call = await phone.call(f"sip:{OURS}@127.0.0.1:{service.sip_port}")
        await call.answered(10)
        session = await asyncio.to_thread(service.api.new_session, before)
        call.hangup()
        await call.ended(10)
    detail = await asyncio.to_thread(eventually, "its end", lambda: _ended(service, session), 10.0)
    assert (detail["kind"], detail["agent_id"]) == ("ivr", agent["id"])


def _ended(service: Service, session: str) -> dict[str, Any] | None:
    detail: dict[str, Any] = service.api.get(f"/v1/calls/{session}")
    return detail if detail["report"] is not None else None
