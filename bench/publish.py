"""docs/reference/benchmarks.md from the rows of the last runs: a table a case, and what was to be
reached. What people wrote about the figures is in ``notes.md``, a section a benchmark.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.baseline import OURS, Row
from bench.harness import shown
from bench.targets import TARGETS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "benchmarks.md"
RESULTS = Path(__file__).with_name("results")
"""The rows of the last run of each benchmark, kept with the page that is made of them."""
NOTES = Path(__file__).with_name("notes.md")
ORDER = (
    "transcode",
    "tick",
    "calls",
    "bridge",
    "rooms",
    "loss",
    "detect",
    "amd",
    "setup",
    "api",
    "parse",
)
HEAD = """# Benchmarks

Written by `make bench`: the tables from its rows, the words from the benchmarks and from
`bench/notes.md`. **Ratios carry over, absolute figures are one machine's**: each table has our
figures beside those of peers that met the same load in the same run, on loopback. Nothing in the
tests is timed.
"""


@dataclass(frozen=True, slots=True)
class About:
    """Where and when a benchmark ran.

    Attributes:
        arguments: of its command line.
        commit: what was checked out, with a ``+`` where files had changed.
    """

    arguments: str
    commit: str
    date: str
    machine: str
    cores: int
    kernel: str
    python: str


def about(arguments: Sequence[str]) -> About:
    """This machine and this commit, now."""
    return About(
        arguments=" ".join(arguments),
        commit=commit(),
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        machine=processor(),
        cores=os.cpu_count() or 1,
        kernel=platform.release(),
        python=platform.python_version(),
    )


def commit() -> str:
    def git(*words: str) -> str:
        ran = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        return ran.stdout.strip()

    code = ("telephony", "bench", ":!bench/results", ":!bench/notes.md")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", *code)
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def save(name: str, found: About, folder: Path = RESULTS) -> None:
    """Beside the rows of a run: where they are from."""
    (folder / f"{name}.about.json").write_text(json.dumps(asdict(found)))


def load(folder: Path = RESULTS) -> tuple[dict[str, list[Row]], dict[str, About]]:
    """Rows and origin of each benchmark that ran, in the order of the page."""
    rows: dict[str, list[Row]] = {}
    origins: dict[str, About] = {}
    for name in ORDER:
        path, origin = folder / f"{name}.json", folder / f"{name}.about.json"
        if path.exists() and origin.exists():
            rows[name] = [json.loads(line) for line in path.read_text().splitlines()]
            origins[name] = About(**json.loads(origin.read_text()))
    return rows, origins


def page(rows: dict[str, list[Row]], origins: dict[str, About], notes: dict[str, str]) -> str:
    """The whole page as Markdown."""
    parts = [HEAD, *(notes[name] for name in ("how",) if name in notes)]
    parts.append("## What is to be reached\n\n" + reached(rows))
    for name, found in rows.items():
        parts.append(f"## {name}\n\n{described(name)}\n\n{origin(origins[name])}")
        parts += [table(case, found) for case in cases(found)]
        parts += [f"{row['subject']} {row['unit']}.\n" for row in found if row["figure"] is None]
        if name in notes:
            parts.append(notes[name])
    if "end" in notes:
        parts.append(notes["end"])
    return "\n".join(part.rstrip() + "\n" for part in parts)


def described(name: str) -> str:
    """The docstring of a benchmark, read and not run: some need what is not installed."""
    spec = importlib.util.find_spec(f"bench.{name}")
    if spec is None or spec.origin is None:
        return ""
    text = Path(spec.origin).read_text()
    return text.split('"""')[1].strip().replace("``", "`")


def origin(found: About) -> str:
    return (
        f"`python -m bench.{found.arguments}`, {found.date}, commit {found.commit}, "
        f"{found.machine}, {found.cores} cores, Linux {found.kernel}, Python {found.python}.\n"
    )


def cases(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row["case"] for row in rows if row["figure"] is not None))


def table(case: str, rows: Iterable[Row]) -> str:
    """A line a figure, a column a subject, ours first."""
    here = [row for row in rows if row["case"] == case and row["figure"] is not None]
    subjects = list(dict.fromkeys(row["subject"] for row in here))
    subjects.sort(key=lambda subject: subject != OURS)
    figures = {(row["unit"], row["subject"]): row["figure"] for row in here}
    lines = [f"**{case}**", "", f"| | {' | '.join(subjects)} |", "|---" * (len(subjects) + 1) + "|"]
    for unit in dict.fromkeys(row["unit"] for row in here):
        cells = [shown(figures.get((unit, subject))) for subject in subjects]
        lines.append(f"| {unit} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def reached(rows: dict[str, list[Row]]) -> str:
    lines = ["| bench | case | to reach | reached | |", "|---|---|---|---|---|"]
    for target in TARGETS:
        found = target.reached(rows.get(target.bench, []))
        figure, word = ("", "not measured") if found is None else marked(*found)
        lines.append(f"| {target.bench} | {target.case} | {target} | {figure} | {word} |")
    return "\n".join(lines) + "\n"


def marked(figure: float, good: bool) -> tuple[str, str]:
    return shown(float(figure)), "yes" if good else "**no**"


def sections(text: str) -> dict[str, str]:
    """What was written, by the benchmark that its heading names (``# name``)."""
    found: dict[str, str] = {}
    for part in f"\n{text}".split("\n# ")[1:]:
        name, _, body = part.partition("\n")
        found[name.strip()] = body.strip() + "\n"
    return found


def publish(path: Path = PAGE, folder: Path = RESULTS) -> None:
    """Write the page."""
    rows, origins = load(folder)
    notes: dict[str, Any] = sections(NOTES.read_text()) if NOTES.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(rows, origins, notes))


if __name__ == "__main__":
    publish()
    print(f"{PAGE.relative_to(ROOT)} is written")
