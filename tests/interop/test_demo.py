"""``telephony demo`` as a newcomer runs it, in an empty folder, without a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TELEPHONY_")}
    return subprocess.run(
        [sys.executable, "-m", "telephony", "demo"],
        cwd=folder,
        env=environment | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
        check=False,
    )


def test_every_step_happens(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout
    for step in (
        "be answered",
        "press 1 inside the greeting",
        "hear the greeting",
        "hear the opening hours",
        "press 2 inside the menu",
        "be asked for a message",
        "be thanked",
        "call.hangup",
        "Every step happened.",
    ):
        assert step in done.stdout, done.stdout
    assert "\x1b" not in done.stdout
    said = [line.strip() for line in done.stdout.splitlines()]
    paths = [Path(line) for line in said if line.endswith(".wav")]
    assert [path.is_file() for path in paths] == [True, True]


def test_a_step_that_does_not_happen_is_named(tmp_path: Path) -> None:
    # A dialplan folder without a front desk: the service starts, and nobody answers.
    plans = tmp_path / "plans"
    plans.mkdir()
    done = run(tmp_path, TELEPHONY_DIALPLANS=str(plans))
    assert done.returncode == 1, done.stdout
    assert "be answered" in done.stdout.splitlines()[-1], done.stdout
