"""``telephony-agent`` says what keeps it from running, and never the keys."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from telephony.agents import __main__ as command

NEEDED = {
    "LIVEKIT_URL": "ws://127.0.0.1:7880",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "hidden-secret",
    "TELEPHONY_API_KEY": "sk_live_hidden",
}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (*NEEDED, *(f"TELEPHONY_{name}" for name in NEEDED)):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize("verb", ["start", "dev", "health"])
def test_what_is_missing(
    verb: str, told: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told.setenv("LIVEKIT_API_SECRET", "hidden-secret")
    assert command.main([verb]) == 2
    said = capsys.readouterr().err
    assert said.startswith("telephony-agent: not set: LIVEKIT_URL, LIVEKIT_API_KEY, TELEPHONY_API")
    assert "hidden" not in said


def test_the_package_is_missing(
    told: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in NEEDED.items():
        told.setenv(name, value)
    told.setitem(sys.modules, "livekit.agents", None)
    assert command.main(["start"]) == 2
    assert "make agents" in capsys.readouterr().err


def test_nobody_is_healthy(told: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in NEEDED.items():
        told.setenv(name, value)
    told.setenv("TELEPHONY_AGENT_HEALTH_PORT", "9")
    assert command.main(["health"]) == 1
    assert "no healthy worker at http://127.0.0.1:9" in capsys.readouterr().err


def test_scripts_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "script.yaml"
    path.write_text("rules: [{hear: [a, b], say: c}]")
    assert command.main(["check", str(path)]) == 0
    assert "1 rules, 2 phrases" in capsys.readouterr().out
    path.write_text("rules: [{say: c}]")
    assert command.main(["check", str(path)]) == 2
    assert "rules[0]: neither hear nor key" in capsys.readouterr().err
    assert command.main(["check", str(tmp_path / "absent.yaml")]) == 2


def test_the_prompt_of_the_readme_has_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    desk = Path(__file__).parents[3] / "examples" / "desk.md"
    assert command.main(["check", str(desk)]) == 0
    assert "2 rules, 4 phrases" in capsys.readouterr().out


def test_no_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main([])
