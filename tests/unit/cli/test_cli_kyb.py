"""What is decided on the store: business verifications; and the secret of webhooks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from telephony.accounts.kyb import KybForm, KybPolicy, submitted
from telephony.base.errors import Conflict, NotFound
from telephony.cli import app
from telephony.cli.store import Opened, with_store

runner = CliRunner()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TELEPHONY_DATA_DIR", str(tmp_path / "var"))


def run(*arguments: str) -> str:
    result = runner.invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def file_one() -> None:
    async def work(opened: Opened) -> None:
        form = KybForm(declaration={"businessName": "Acme", "useCase": "Answering"})
        policy = KybPolicy(manual=True)
        old = await opened.store.kyb.get("org_default")
        row = submitted(old, "kyb_1", "org_default", form, None, "key_1", policy, opened.now)
        await opened.store.kyb.put(row)

    with_store(work)


def test_a_verification_is_approved_and_revoked() -> None:
    with pytest.raises(NotFound, match="org_default"):
        run("numbers", "kyb", "approve")
    file_one()
    (row,) = json.loads(run("numbers", "kyb", "list", "--json"))
    assert (row["business"], row["status"], row["access"]) == ("Acme", "submitted", False)
    assert run("numbers", "kyb", "approve", "--reviewer", "me") == "approved\n"
    with pytest.raises(Conflict):
        run("numbers", "kyb", "approve")
    assert run("numbers", "kyb", "reject", "--reason", "complaints") == "revoked\n"
    file_one()
    words = ["numbers", "kyb", "reject", "org_default", "--reason", "no such company", "--json"]
    row = json.loads(run(*words))
    assert (row["status"], row["access"]) == ("rejected", False)
    assert row["rejection_reason"] == "no such company"
    assert "Acme" in run("numbers", "kyb", "list")


def test_the_secret_of_webhooks_is_shown_and_changed() -> None:
    first = run("webhooks", "secret")
    assert first.startswith("whsec_") and len(first) == len("whsec_") + 44 + 1
    assert run("webhooks", "secret") == first
    assert run("webhooks", "secret", "org_other") != first
    second = run("webhooks", "secret", "--rotate")
    assert second != first
    assert json.loads(run("webhooks", "secret", "--json"))["secret"] == second.strip()
