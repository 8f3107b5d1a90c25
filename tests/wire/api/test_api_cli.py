"""The command against a running API."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from telephony.accounts.model import DEFAULT_ORGANIZATION
from telephony.accounts.webhooks import DeliveryAttempt, DeliveryStatus, WebhookDelivery
from telephony.base.errors import TelephonyError
from telephony.calls.orders import EndResult
from telephony.cli import app
from telephony.reports.cost import Rate, Rates

runner = CliRunner()


class Terminal:
    """Commands typed while the service runs."""

    def __init__(self, api: Any) -> None:
        self._api = api

    async def run(self, *arguments: str) -> str:
        words = [*arguments, "--url", self._api.base]
        result: Result = await asyncio.to_thread(runner.invoke, app, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    async def json(self, *arguments: str) -> Any:
        return json.loads(await self.run(*arguments, "--json"))


@pytest.fixture
def terminal(api: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TELEPHONY_API_KEY", api.key)
    monkeypatch.setenv("TRUNK_PASSWORD", "secret")
    return Terminal(api)


async def test_dial_and_calls(api: Any, terminal: Terminal) -> None:
    made = await terminal.json(
        "dial", "+12025550123", "--dialplan", "front-desk", "--var", "name=Ada", "--record"
    )
    assert made["status"] == "dialing"
    order = api.board.orders[0]
    assert (order.variables, order.record) == ({"name": "Ada"}, True)

    call = await api.ended_call(recorded=True)
    assert call.id in await terminal.run("calls", "list")
    assert (await terminal.json("calls", "show", call.id))["id"] == call.id
    assert "Welcome." in await terminal.run("calls", "show", call.id)
    assert "call.hangup" in await terminal.run("calls", "events", call.id)
    shown = await terminal.run("calls", "report", call.id)
    assert "outcome" in shown and "Welcome." in shown
    assert (await terminal.json("calls", "report", call.id))["session_id"] == call.id
    assert (await terminal.run("calls", "recording", call.id)).startswith(api.base)
    api.board.ends[("org_default", call.id)] = EndResult("ending")
    assert await terminal.run("calls", "end", call.id) == "ending\n"


async def test_what_the_service_refuses_is_said(terminal: Terminal) -> None:
    with pytest.raises(TelephonyError, match=r"session not found \(404 SESSION_NOT_FOUND\)"):
        await terminal.run("calls", "show", "a/b")


async def test_trunks_phones_numbers_and_callbacks(api: Any, terminal: Terminal) -> None:
    trunk = await terminal.json(
        "trunks", "add", "main", "--gateway", "gw1", "--gateway", "gw2", "--username", "acme",
        "--header", "X-A=b",
    )  # fmt: skip
    assert trunk["gateways"] == ["gw1", "gw2"]
    assert trunk["headers"] == {"X-A": "b"}
    assert api.store.directory.trunks()[0].password == "secret"
    assert "main" in await terminal.run("trunks", "list")
    assert "gw1" in await terminal.run("trunks", "show", trunk["id"])

    phone = await terminal.json("phones", "add", "1000", "--password", "pw")
    assert "1000" in await terminal.run("phones", "list")

    number = await terminal.json("numbers", "add", "+12025550100", "--trunk", "main")
    assert number["direction"] == "both"
    changed = await terminal.json(
        "numbers", "set", number["id"], "--dialplan", "front-desk", "--label", "Desk"
    )
    assert (changed["dialplan"], changed["label"]) == ("front-desk", "Desk")
    assert (await terminal.json("numbers", "set", number["id"], "--label", ""))["label"] is None
    assert "front-desk" in await terminal.run("numbers", "list")
    assert "+12025550100" in await terminal.run("numbers", "show", number["id"])

    assert "totalMinutes" in await terminal.run("usage", "--from", "2026-01-01")
    assert (await terminal.json("usage"))["breakdown"] == []
    api.rates = Rates(Rate(inbound=Decimal(1)))
    call = await api.ended_call()
    api.clock.advance(1)
    assert "inbound_seconds" in await terminal.run("usage")
    assert call.id in await terminal.run("credits", "ledger", "--kind", "debit")
    assert await terminal.run("credits", "ledger", "--kind", "grant") == ""

    row = await terminal.json("callbacks", "add", "+12025550123", "--reason", "asked")
    assert "asked" in await terminal.run("callbacks", "list")
    assert "asked" in await terminal.run("callbacks", "show", row["id"])
    gone = await terminal.json("callbacks", "cancel", row["id"], "--reason", "no more")
    assert (gone["status"], gone["metadata"]) == ("cancelled", {"cancel_reason": "no more"})

    await terminal.run("numbers", "remove", number["id"])
    await terminal.run("phones", "remove", phone["id"])
    await terminal.run("trunks", "remove", trunk["id"])
    lk = await terminal.json(
        "trunks", "add", "lk", "--kind", "livekit", "--livekit-trunk", "ST_1",
        "--media-encryption", "require",
    )  # fmt: skip
    assert (lk["livekitTrunkId"], lk["mediaEncryption"]) == ("ST_1", "require")
    assert "ST_1" in await terminal.run("trunks", "list")
    await terminal.run("trunks", "remove", lk["id"])
    assert await terminal.json("trunks", "list") == []


async def test_webhooks(api: Any, terminal: Terminal) -> None:
    await api.agent("agent_1")
    made = await terminal.json(
        "webhooks", "add", "CRM", "https://crm.example/hook", "--event", "call.report",
        "--event", "call.hangup", "--tag", "team=sales", "--agent", "agent_1",
    )  # fmt: skip
    assert (made["events"], made["filterTags"]) == (
        ["call.report", "call.hangup"],
        {"team": "sales"},
    )
    assert (made["allAgents"], made["agentIds"]) == (False, ["agent_1"])
    assert made["signingSecret"].startswith("whsec_")
    assert "crm.example" in await terminal.run("webhooks", "list")
    assert "whsec_" not in await terminal.run("webhooks", "show", made["id"])

    now = api.clock.now()
    attempt = DeliveryAttempt(
        id="a1", number=1, trigger="automatic", request_url=made["url"], response_status=503,
        duration_ms=7, error="unavailable", created_at=now,
    )  # fmt: skip
    await api.store.deliveries.put(
        WebhookDelivery(
            id="wd1", organization=DEFAULT_ORGANIZATION, event_id="e1", endpoint=made["id"],
            event="call.report", status=DeliveryStatus.FAILED, attempt_count=1,
            attempts=(attempt,), occurred_at=now, expires_at=now, created_at=now,
        )
    )  # fmt: skip
    listed = await terminal.run("webhooks", "deliveries", "--status", "failed")
    assert listed.startswith("wd1\t") and "CRM" in listed
    assert await terminal.run("webhooks", "deliveries", "--status", "succeeded") == ""
    assert "unavailable" in await terminal.run("webhooks", "delivery", "wd1")
    assert (await terminal.json("webhooks", "delivery", "wd1"))["attemptCount"] == 1
    gone = await terminal.json("webhooks", "remove", made["id"])
    assert gone == {"id": made["id"], "deleted": True}
    assert await terminal.run("webhooks", "list") == ""


async def test_an_agent_answers_a_number_and_calls(api: Any, terminal: Terminal) -> None:
    body = {"name": "Ada", "systemPrompt": "Be brief.", "intent": {"language": "en"}}
    agent = (await api.post("/v1/agents", body)).body["id"]
    number = await terminal.json("numbers", "add", "+12025550100", "--agent", agent)
    assert number["agentId"] == agent
    changed = await terminal.json("numbers", "set", number["id"], "--agent", "")
    assert changed["agentId"] is None
    changed = await terminal.json("numbers", "set", number["id"], "--agent", agent)
    assert changed["agentId"] == agent
    await terminal.run("dial", "+12025550123", "--agent", agent)
    order = api.board.orders[0]
    assert (order.agent, order.dialplan, order.variables) == (agent, None, None)
