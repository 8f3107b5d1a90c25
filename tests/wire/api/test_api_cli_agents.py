"""Agents and knowledge bases on the command line, against a running API."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from telephony.base.errors import TelephonyError
from tests.unit.knowledge.documents import word

from .test_api_cli import Terminal, terminal  # noqa: F401 (a fixture)


async def test_agents(api: Any, terminal: Terminal, tmp_path: Path) -> None:  # noqa: F811
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("You help {{name}}. ü", encoding="utf-8")
    made = await terminal.json(
        "agents", "add", "Desk", "--prompt-file", str(prompt), "--language", "de-AT",
        "--voice", "anna", "--dialplan", "front-desk", "--first-message", "Hello {{name}}.",
    )  # fmt: skip
    assert (made["systemPrompt"], made["voice"]) == ("You help {{name}}. ü", "anna")
    assert (made["intent"], made["dialplan"]) == ({"language": "de-AT"}, "front-desk")
    assert made["firstMessage"] == "Hello {{name}}."
    with pytest.raises(AssertionError, match="--prompt"):
        await terminal.run("agents", "add", "Desk")
    assert "de-AT" in await terminal.run("agents", "list")
    assert await terminal.json("agents", "show", made["id"]) == made
    assert "front-desk" in await terminal.run("agents", "show", made["id"])
    changed = await terminal.json(
        "agents", "set", made["id"], "--prompt", "Be kind.", "--voice", "", "--language", "en",
        "--first-message", "",
    )  # fmt: skip
    assert (changed["systemPrompt"], changed["voice"]) == ("Be kind.", None)
    assert (changed["intent"], changed["dialplan"]) == ({"language": "en"}, "front-desk")
    assert changed["firstMessage"] is None

    number = await terminal.json("numbers", "add", "+12025550177", "--agent", made["id"])
    assert number["agentId"] == made["id"]
    assert made["id"] in await terminal.run("numbers", "show", number["id"])
    number = await terminal.json("numbers", "set", number["id"], "--agent", "")
    assert number["agentId"] is None

    tool = {
        "name": "bye",
        "description": "Ends the call",
        "parameters": {},
        "source": {"kind": "builtin", "name": "end_call"},
    }
    await api.post(f"/v1/agents/{made['id']}/tools", tool)
    assert "builtin" in await terminal.run("agents", "tools", made["id"])
    assert [t["name"] for t in await terminal.json("agents", "tools", made["id"])] == ["bye"]

    for _ in range(2):
        call, events = api.a_call()
        await api.keep(replace(call, agent=made["id"]), events)
    page = await terminal.json("agents", "calls", made["id"], "--limit", "1")
    assert [row["id"] for row in page["calls"]] == [call.id]
    assert call.id in await terminal.run("agents", "calls", made["id"], "--limit", "1")
    cursor = page["next_cursor"]
    rest = await terminal.json("agents", "calls", made["id"], "--cursor", cursor)
    assert len(rest["calls"]) == 1 and rest["calls"] != page["calls"]

    with pytest.raises(TelephonyError, match="LAST_AGENT"):
        await terminal.run("agents", "remove", made["id"])
    await api.agent()
    assert await terminal.json("agents", "remove", made["id"]) == {"deleted": True}


async def test_knowledge(api: Any, terminal: Terminal, tmp_path: Path) -> None:  # noqa: F811
    agent = (await api.agent()).id
    made = await terminal.json("knowledge", "add", agent, "FAQ", "--description", "Questions")
    assert (made["name"], made["description"]) == ("FAQ", "Questions")
    rows = await terminal.json("knowledge", "list", "--agent", agent)
    assert {row["name"] for row in rows} == {"Default", "FAQ"}
    assert "FAQ" in await terminal.run("knowledge", "list")

    file = tmp_path / "hours.docx"
    file.write_bytes(word("We are open from nine to five."))
    row = await terminal.json("knowledge", "upload", made["id"], str(file))
    assert (row["status"], row["filename"]) == ("ready", "hours.docx")
    assert "hours.docx" in await terminal.run("knowledge", "documents", made["id"])
    found = await terminal.json("knowledge", "search", agent, "When are you open?")
    assert [p["text"] for p in found["passages"]] == ["We are open from nine to five."]
    assert "nine" in await terminal.run("knowledge", "search", agent, "open", "--limit", "1")
    assert await terminal.json("knowledge", "forget", made["id"], row["id"]) == {"deleted": True}

    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-no")
    with pytest.raises(TelephonyError, match="PDF"):
        await terminal.run("knowledge", "upload", made["id"], str(broken))
    other = tmp_path / "picture.png"
    other.touch()
    with pytest.raises(AssertionError, match="must be one of"):
        await terminal.run("knowledge", "upload", made["id"], str(other))
    assert await terminal.json("knowledge", "remove", made["id"]) == {"deleted": True}
