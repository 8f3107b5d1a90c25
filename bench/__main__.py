"""All benchmarks one after another: the page is written, and what became slower is said.

Each runs in a process of its own with the arguments below. ``--full`` is what the targets ask for
(medians of five runs of a minute); without it the same cases take fewer and shorter runs.
``--quick`` only shows that everything works: its figures are neither published nor compared.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

from bench import baseline, publish
from bench.native import BUILD

QUICK: dict[str, str] = {
    "transcode": "--quick",
    "tick": "--lanes 50 --seconds 3",
    "calls": "--quick",
    "bridge": "--quick",
    "loss": "--quick",
    "detect": "",
    "amd": "",
    "setup": "--rates 20 --seconds 4",
    "api": "--seconds 2",
    "parse": "",
    "rooms": "--quick",
}
USUAL: dict[str, str] = {
    "transcode": "",
    "tick": "--seconds 15",
    "calls": "--calls 100 1500 --runs 3 --seconds 20 --peer-runs 1 --peer-seconds 10",
    "bridge": "--runs 1 --seconds 15",
    "loss": "--seeds 4 --minutes 2",
    "detect": "",
    "amd": "",
    "setup": "--rates 100 200 --seconds 12",
    "api": "--seconds 10",
    "parse": "",
    "rooms": "--step 10 --seconds 10",
}
FULL: dict[str, str] = {
    **USUAL,
    "tick": "--seconds 60",
    "calls": "--calls 100 250 1000 1500 --runs 5 --seconds 60 --peer-runs 3 --peer-seconds 20",
    "bridge": "--runs 5 --seconds 60 --peer-runs 3 --peer-seconds 20",
    "loss": "",
    "setup": "--rates 50 100 200 250 300 --seconds 15",
    "api": "--seconds 20",
    "rooms": "--seconds 20",
}
MEDIANS = ("calls", "bridge")
"""They take --runs and --seconds."""


def run(name: str, words: str, folder: Path) -> bool:
    """Whether a benchmark ran to its end; then its rows are in ``folder``."""
    command = [name, *words.split()]
    print(f"\n== {' '.join(command)}", flush=True)
    made = folder / f"{name}.json"
    made.unlink(missing_ok=True)
    found = publish.about(command)
    began = time.monotonic()
    whole = [sys.executable, "-m", f"bench.{name}", *words.split(), "--json", str(made)]
    done = subprocess.run(whole, check=False)
    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    if done.returncode or not made.exists():
        print(f"{name} did not run to its end: {done.returncode}", flush=True)
        return False
    publish.save(name, found, folder)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=publish.ORDER, default=publish.ORDER)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--full", action="store_true")
    length.add_argument("--quick", action="store_true")
    parser.add_argument("--keep", action="store_true", help="these ratios are the new baseline")
    parser.add_argument("--runs", type=int, help=f"of {' and '.join(MEDIANS)}")
    parser.add_argument("--seconds", type=float, help="of each of these runs")
    a = parser.parse_args()
    given = {"runs": a.runs, "seconds": a.seconds}
    more = "".join(f" --{name} {value:g}" for name, value in given.items() if value)
    folder = BUILD / "quick" if a.quick else publish.RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    plan = QUICK if a.quick else FULL if a.full else USUAL
    names = [name for name in a.only if importlib.util.find_spec(f"bench.{name}")]
    plan = {name: words + more * (name in MEDIANS) for name, words in plan.items()}
    failed = [name for name in names if not run(name, plan[name], folder)]
    if not a.quick:
        publish.publish()
        compare(folder, [name for name in names if name not in failed], a.keep)
    if failed:
        print("did not run to their end:", *failed)
    return bool(failed)


def compare(folder: Path, names: list[str], keep: bool) -> None:
    rows = [
        json.loads(line)
        for name in names
        for line in (folder / f"{name}.json").read_text().splitlines()
    ]
    now = baseline.ratios(rows)
    worse = baseline.slower(baseline.read(), now)
    print("\nslower by more than 20 % in ratio to the same peer:" if worse else "\nnothing slower")
    for one in worse:
        print(f"  {one}")
    if keep:
        baseline.keep(now)
        print(f"{len(now)} ratios are kept in {baseline.KEPT.name}")


if __name__ == "__main__":
    sys.exit(main())
