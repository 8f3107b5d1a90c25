"""What holds for every command: JSON where there is something to read, and completion."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from telephony.api import later, server
from telephony.cli import app

WITHOUT_JSON = {"demo"}
"""Tells a story while it goes."""


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name), command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_says_what_it_is_and_can_print_json(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    assert command.help
    options = {option for param in command.params for option in param.opts}
    assert ("--json" in options) == (" ".join(words) not in WITHOUT_JSON)


def test_the_openapi_document_is_printed() -> None:
    done = CliRunner().invoke(app, ["openapi"], catch_exceptions=False)
    document = json.loads(done.stdout)
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) >= {
        r.path
        for r in server.routes()
        if r.path.startswith("/v1/") and r.handler is not later.later
    }


def complete(shell: str, typed: str, folder: Path) -> str:
    """What the shell's completion script gets from us for what was typed."""
    settings = {
        "_TELEPHONY_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": typed,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split(" ")) - 1),
    }
    program = "import sys; sys.argv = ['telephony']; from telephony.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **settings},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_are_completed(shell: str, tmp_path: Path) -> None:
    found = complete(shell, "telephony ca", tmp_path)
    assert "calls" in found and "callbacks" in found and "numbers" not in found


def test_what_is_in_a_group_and_options_are_completed(tmp_path: Path) -> None:
    assert complete("bash", "telephony keys ro", tmp_path).split() == ["rotate"]
    assert "--dialplan" in complete("bash", "telephony dial --di", tmp_path)


def test_the_completion_is_shown_and_installed(tmp_path: Path) -> None:
    home = {
        **os.environ,
        "HOME": str(tmp_path),
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }
    program = "import sys; sys.argv[0] = 'telephony'; from telephony.cli import main; main()"
    shown = subprocess.run(
        [sys.executable, "-c", program, "--show-completion", "bash"],
        env=home, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "complete -o default -F _telephony_completion telephony" in shown.stdout
    done = subprocess.run(
        [sys.executable, "-c", program, "--install-completion", "bash"],
        env=home, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "telephony" in (tmp_path / ".bashrc").read_text()
    (script,) = tmp_path.glob(".bash_completions/telephony.sh")
    assert "_telephony_completion" in script.read_text()
