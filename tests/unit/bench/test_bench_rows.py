"""Rows, ratios and the page that is made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import baseline, publish
from bench.harness import Rows, attempt
from bench.targets import Target


def row(bench: str, case: str, subject: str, figure: float | None, unit: str) -> dict[str, Any]:
    return {"bench": bench, "case": case, "subject": subject, "figure": figure, "unit": unit}


CORE = "% of a core a call"
CALLS = [
    row("calls", "10 calls", "telephony", 0.06, CORE),
    row("calls", "10 calls", "bare echo, C", 0.03, CORE),
    row("calls", "10 calls", "baresip, echo", 0.2, CORE),
    row("calls", "10 calls", "telephony", 0.01, "% late ticks"),
    row("calls", "10 calls", "bare echo, C", 0.01, "% late ticks"),
    row("calls", "", "agent_transport", None, "absent: not here"),
]


def test_a_figure_is_the_median_of_its_runs(tmp_path: Path) -> None:
    rows = Rows("calls")
    for figure in (3.0, 1.0, 2.0):
        rows.add("10 calls", "telephony", figure, CORE)
    rows.add("10 calls", "baresip", 7, CORE)
    rows.absent("sipp", "not installed")
    rows.show(tmp_path / "deep" / "rows.json")
    written = (tmp_path / "deep" / "rows.json").read_text().splitlines()
    assert [json.loads(line) for line in written] == [
        row("calls", "10 calls", "telephony", 2.0, CORE),
        row("calls", "10 calls", "baresip", 7, CORE),
        row("calls", "", "sipp", None, "absent: not installed"),
    ]


def test_who_is_absent_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    rows = Rows("calls")
    rows.absent("sipp", "not installed")
    rows.show(None)
    assert "sipp absent: not installed" in capsys.readouterr().out


def test_a_peer_that_stumbles_is_absent_and_the_rest_stays() -> None:
    rows = Rows("calls")

    def stumbles() -> None:
        raise RuntimeError("no port")

    attempt(rows, "one", None, lambda: rows.add("c", "one", 1.0, CORE))
    attempt(rows, "other", None, stumbles)
    attempt(rows, "third", "not here", stumbles)
    assert rows.rows == [
        row("calls", "c", "one", 1.0, CORE),
        row("calls", "", "other", None, "absent: it did not run: no port"),
        row("calls", "", "third", None, "absent: not here"),
    ]


def test_a_ratio_is_of_costs_and_to_one_peer() -> None:
    assert baseline.ratios(CALLS) == {f"calls | 10 calls | {CORE} | to bare echo, C": 2.0}


def test_a_ratio_is_to_the_next_peer_where_the_first_is_absent() -> None:
    rest = [r for r in CALLS if r["subject"] != "bare echo, C"]
    assert baseline.ratios(rest) == {f"calls | 10 calls | {CORE} | to baresip, echo": 0.3}


def test_slower_is_what_grew_by_more_than_a_fifth() -> None:
    before = {"a": 1.0, "b": 1.0, "c": 2.0, "gone": 1.0}
    now = {"a": 1.2, "b": 1.3, "c": 4.0, "new": 9.0}
    found = baseline.slower(before, now)
    assert [one.key for one in found] == ["c", "b"]
    assert str(found[0]) == "c: 2.00 → 4.00 (× 2.00)"


def test_what_is_kept_is_merged_with_what_was(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    assert baseline.read(path) == {}
    baseline.keep({"b": 1.0, "a": 2.0}, path)
    baseline.keep({"b": 3.0}, path)
    assert baseline.read(path) == {"a": 2.0, "b": 3.0}
    assert list(json.loads(path.read_text())) == ["a", "b"]


def test_the_kept_ratios_are_of_benchmarks_that_are_compared() -> None:
    kept = baseline.read()
    assert all(key.split(" | ")[0] in baseline.PEERS for key in kept)
    assert all(ratio > 0 for ratio in kept.values())


@pytest.mark.parametrize(
    ("target", "reached"),
    [
        (Target("calls", "10 calls", CORE, 0.045), (0.06, False)),
        (Target("calls", "10 calls", CORE, 0.05, most=False), (0.06, True)),
        (Target("calls", "10 calls", CORE, 2, "bare echo, C"), (2.0, True)),
        (Target("calls", "10 calls", CORE, 2, "nobody"), None),
        (
            Target("calls", "10 calls", CORE, 0, "bare echo, C", most=False, minus=True),
            (0.03, True),
        ),
        (Target("calls", "11 calls", CORE, 2), None),
    ],
)
def test_a_target_is_reached_or_not(target: Target, reached: tuple[float, bool] | None) -> None:
    assert target.reached(CALLS) == reached


def test_the_page_has_every_figure_and_who_is_absent(tmp_path: Path) -> None:
    (tmp_path / "calls.json").write_text("".join(json.dumps(r) + "\n" for r in CALLS))
    publish.save("calls", publish.about(["calls", "--calls", "10"]), tmp_path)
    path = tmp_path / "docs" / "page.md"
    publish.publish(path, tmp_path)
    text = path.read_text()
    assert "| | telephony | bare echo, C | baresip, echo |" in text
    assert f"| {CORE} | 0.06 | 0.03 | 0.2 |" in text
    assert "agent_transport absent: not here." in text
    assert "`python -m bench.calls --calls 10`" in text
    assert "## parse" not in text
    assert text.endswith("\n")


def test_notes_are_found_by_their_heading() -> None:
    text = "# how\n\nAs it is.\n\n## Under it\n\nmore\n# end\nThat is all.\n"
    assert publish.sections(text) == {
        "how": "As it is.\n\n## Under it\n\nmore\n",
        "end": "That is all.\n",
    }
    written = publish.sections(publish.NOTES.read_text())
    assert set(written) <= {*publish.ORDER, "how", "end"}
