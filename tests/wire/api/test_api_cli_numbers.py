"""Numbers are bought, a business is verified, webhooks are changed on the command line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from telephony.accounts.ports import Offered
from telephony.cli import app


async def test_a_number_is_found_and_bought(
    start: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    api = await start(
        pool=(
            Offered(e164="+12025550150", trunk="default", monthly_micro_usd=2_500_000),
            Offered(e164="+14155550151", trunk="default", locality="San Francisco"),
        )
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TELEPHONY_API_KEY", api.key)

    async def run(*words: str, typed: str | None = None) -> str:
        done = await asyncio.to_thread(
            CliRunner().invoke,
            app,
            [*words, "--url", api.base],
            input=typed,
            catch_exceptions=False,
        )
        assert done.exit_code == 0, done.output
        return str(done.stdout)

    assert "missing" in await run("numbers", "kyb", "show")
    declared = ("numbers", "kyb", "submit", "Acme", "Answering")
    assert (await run(*declared, typed="y\n")).endswith("approved\n")
    row = json.loads(await run(*declared, "--yes", "--json"))
    assert row["declaration"] == {"businessName": "Acme", "useCase": "Answering"}
    assert "San Francisco" in await run("numbers", "available", "--locality", "san")
    found = json.loads(await run("numbers", "available", "--area-code", "202", "--json"))
    assert [row["e164"] for row in found] == ["+12025550150"]
    row = json.loads(
        await run("numbers", "buy", "+12025550150", "--dialplan", "front-desk", "--json")
    )
    assert (row["source"], row["dialplan"], row["direction"]) == ("managed", "front-desk", "both")
    assert "+12025550150" in await run("numbers", "list")
    assert "+12025550150" not in await run("numbers", "available")
    hook = ("https://crm.example/", "--event", "call.report", "--json")
    row = json.loads(await run("webhooks", "add", "CRM", *hook))
    words = ("--name", "CRM 2", "--event", "call.hangup", "--timeout", "900", "--json")
    row = json.loads(await run("webhooks", "set", row["id"], *words))
    assert (row["name"], row["events"], row["timeoutMs"]) == ("CRM 2", ["call.hangup"], 900)
    assert row["url"] == "https://crm.example/"
