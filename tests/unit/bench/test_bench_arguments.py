"""What `make bench` says on each benchmark's command line is understood there."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from typing import Any

import pytest

from bench import __main__ as whole
from bench import harness, publish

HERE = [name for name in publish.ORDER if importlib.util.find_spec(f"bench.{name}")]


class Understood(Exception):
    """The arguments were read: the benchmark itself need not run."""


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("plan", [whole.QUICK, whole.USUAL, whole.FULL])
def test_arguments_are_understood(
    name: str, plan: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = argparse.ArgumentParser.parse_args

    def parsed(self: argparse.ArgumentParser, *args: Any, **more: Any) -> argparse.Namespace:
        parse(self, *args, **more)
        raise Understood

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parsed)
    monkeypatch.setattr(sys, "argv", [name, *plan[name].split(), "--json", "rows.json"])
    module = importlib.import_module(f"bench.{name}")
    with pytest.raises(Understood):
        module.main()


@pytest.mark.parametrize("name", HERE)
def test_the_page_says_what_a_benchmark_does(name: str) -> None:
    assert len(publish.described(name).split()) > 10


def test_every_plan_has_every_benchmark() -> None:
    assert set(whole.QUICK) == set(whole.USUAL) == set(whole.FULL) == set(publish.ORDER)


@pytest.mark.parametrize(
    ("words", "runs", "seconds", "peer_runs", "peer_seconds"),
    [
        ([], 5, 60.0, 5, 60.0),
        (["--runs", "3", "--peer-seconds", "10"], 3, 60.0, 3, 10.0),
        (["--runs", "2", "--peer-runs", "4"], 2, 60.0, 2, 60.0),
        (["--quick"], 1, 4.0, 1, 4.0),
    ],
)
def test_runs_and_seconds(
    words: list[str], runs: int, seconds: float, peer_runs: int, peer_seconds: float
) -> None:
    found = harness.timed(harness.arguments(""), 5, 60.0).parse_args(words)
    harness.times(found)
    assert (found.runs, found.seconds) == (runs, seconds)
    assert (found.peer_runs, found.peer_seconds) == (peer_runs, peer_seconds)
