"""Processes under measurement: started on one core, their whole tree's CPU and memory counted."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

NOISE = ('"level": "error"', '"level": "warning"', "Traceback")
TICKS = os.sysconf("SC_CLK_TCK")


def cores() -> tuple[set[int], set[int]]:
    """The core of the system under test and that of the generator; one core serves both."""
    available = sorted(os.sched_getaffinity(0))
    return {available[0]}, {available[-1]}


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    """A port that is free for UDP and TCP, as is the next one (SIP over TLS goes there)."""
    kinds = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
    while True:
        with contextlib.ExitStack() as stack:
            probe = stack.enter_context(socket.socket(socket.AF_INET, kind))
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
            beside = [(port, other) for other in kinds if other != kind]
            beside += [(port + 1, other) for other in kinds]
            try:
                for place, other in beside:
                    one = stack.enter_context(socket.socket(socket.AF_INET, other))
                    one.bind(("127.0.0.1", place))
            except OSError:
                continue
            return port


def tree(pid: int) -> list[int]:
    """A process and all that came from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += children.get(one, [])
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the whole tree, dead children included."""
    total = 0
    for one in tree(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(fields[i]) for i in (11, 12, 13, 14))
    return total / TICKS


def waited_seconds(pid: int) -> float:
    """How long the first thread could have run and had no core: another process had it."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def memory_mb(pid: int) -> tuple[float, float]:
    """Of the whole tree: proportional set size, and what is private to it, in MB.

    Growth is read from the second: the first changes with who else maps the same libraries.
    """
    pss = private = 0
    for one in tree(pid):
        try:
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith("Pss:"):
                pss += int(line.split()[1])
            elif line.startswith("Private_"):
                private += int(line.split()[1])
    return pss / 1024, private / 1024


def pinned(core: set[int]) -> list[str]:
    """What a command line begins with that runs on these cores only, its children included."""
    return ["taskset", "-c", ",".join(map(str, sorted(core)))]


def generator(
    core: set[int], *, echo: Sequence[int] = (), **options: str | float
) -> subprocess.Popen[str]:
    """The generator on its core; its first line says that every call stands."""
    command = [*pinned(core), sys.executable, "-m", "bench.generator"]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    if echo:
        command += ["--echo", *map(str, echo)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def await_up(process: subprocess.Popen[str]) -> None:
    """Until every call stands, or for a registrar's first line, until it listens."""
    assert process.stdout is not None
    if not process.stdout.readline():
        raise SystemExit("the generator died")


def steady(pid: int, seconds: float) -> float:
    """Percent of a core that a process tree uses over the next ``seconds``."""
    used, start = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(pid) - used) / (time.monotonic() - start) * 100


def figures(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the generator says at its end."""
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.read().splitlines()[-1])
    process.wait(30)
    return found


@dataclass
class Service:
    """Our service as a child process on one core, with a data folder of its own."""

    core: set[int]
    settings: dict[str, str] = field(default_factory=dict)
    sip_port: int = 0
    api_port: int = 0
    toml: str = ""
    """Trunks and numbers, as in telephony.toml."""
    dialplans: dict[str, str] = field(default_factory=dict)
    """By name, as YAML; without any those that ship."""
    module: str = "telephony"
    """What is run: the service, or something that runs it."""

    def __enter__(self) -> Service:
        self.folder = tempfile.TemporaryDirectory(prefix="telephony-bench-")
        self.sip_port = free_port()
        self.api_port = free_port(socket.SOCK_STREAM)
        environment = {
            **os.environ,
            "TELEPHONY_SIP_PORT": str(self.sip_port),
            "TELEPHONY_API_PORT": str(self.api_port),
            "TELEPHONY_API_KEY": "sk_live_bench",
            "TELEPHONY_DATA_DIR": self.folder.name,
            "TELEPHONY_LOG_FORMAT": "json",
            "TELEPHONY_CALLS_PER_SECOND": "5000",
            "TELEPHONY_MAX_CALLS": "2500",
            **self.files(),
            **self.settings,
        }
        self.log = (Path(self.folder.name) / "service.log").open("w+")
        self.process = subprocess.Popen(
            [*pinned(self.core), sys.executable, "-m", self.module, "serve"],
            env=environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.api_port}/readyz", timeout=2):
                    break
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.log.seek(0)
                    raise SystemExit(f"the service did not start:\n{self.log.read()}") from None
                time.sleep(0.1)
        return self

    def files(self) -> dict[str, str]:
        """Settings that name the files that were given, once they are written."""
        found, folder = {}, Path(self.folder.name)
        if self.toml:
            (folder / "telephony.toml").write_text(self.toml)
            found["TELEPHONY_CONFIG"] = str(folder / "telephony.toml")
        if self.dialplans:
            plans = folder / "dialplans"
            plans.mkdir()
            for name, text in self.dialplans.items():
                (plans / f"{name}.yaml").write_text(text)
            found["TELEPHONY_DIALPLANS"] = str(plans)
        return found

    def __exit__(self, *exc: object) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.seek(0)
        # A service that stumbles over its own benchmark measures something else.
        noise = [li for li in self.log.read().splitlines() if any(w in li for w in NOISE)]
        if noise:
            Console(stderr=True).print("the service logged:", *noise[:10], sep="\n  ")
        self.log.close()
        # ext4 looks for a long while at inodes that were freed lately: deleting thousands of
        # recordings now would slow down the files of the next run.
        atexit.register(self.folder.cleanup)

    def settle(self, seconds: float = 15.0) -> None:
        """Wait until every call is over and every record written."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.metrics()
            if not found["telephony_calls_live"] and not found["telephony_journal_waiting"]:
                time.sleep(0.2)
                return
            time.sleep(0.2)

    def metrics(self) -> dict[str, float]:
        """The Prometheus page as name (with labels) → value."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.api_port}/metrics", timeout=5) as page:
            text = page.read().decode()
        found = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found[name] = float(value)
        return found


def histogram_share(metrics: dict[str, float], name: str, share: float) -> float:
    """The upper bound of the bucket that holds this share of a Prometheus histogram."""
    prefix = f'{name}_bucket{{le="'
    buckets = sorted(
        (float(key[len(prefix) : -2]), count)
        for key, count in metrics.items()
        if key.startswith(prefix)
    )
    wanted = share * buckets[-1][1]
    return next(bound for bound, count in buckets if count >= wanted)


class Rows:
    """What a benchmark found: a table for people, rows of JSON for programs.

    What is added again under the same case, subject and unit is a further run of the same; the
    figure is the median of the runs.
    """

    def __init__(self, bench: str) -> None:
        self.bench = bench
        self._found: dict[tuple[str, str, str], list[float]] = {}
        self._absent: dict[str, str] = {}

    def add(self, case: str, subject: str, figure: float, unit: str) -> None:
        self._found.setdefault((case, subject, unit), []).append(figure)

    def absent(self, subject: str, reason: str) -> None:
        """A peer that could not be run: named, never left out in silence."""
        self._absent[subject] = reason

    @property
    def rows(self) -> list[dict[str, str | float | None]]:
        """Rows of bench, case, subject, figure and unit; a peer that is absent has no figure."""
        rows: list[dict[str, str | float | None]] = [
            {"bench": self.bench, "case": c, "subject": s, "figure": median(found), "unit": u}
            for (c, s, u), found in self._found.items()
        ]
        rows += [
            {"bench": self.bench, "case": "", "subject": s, "figure": None, "unit": f"absent: {r}"}
            for s, r in self._absent.items()
        ]
        return rows

    def show(self, to: Path | None) -> None:
        """A table a case: a line a figure, a column a subject."""
        rows = [row for row in self.rows if row["figure"] is not None]
        # As wide as it must be: what is read from a file later has no other place to look.
        console = Console(width=60 + 25 * len({row["subject"] for row in rows}))
        for case in dict.fromkeys(str(row["case"]) for row in rows):
            here = [row for row in rows if row["case"] == case]
            subjects = list(dict.fromkeys(str(row["subject"]) for row in here))
            table = Table(title=f"{self.bench}: {case}", title_justify="left")
            table.add_column("")
            for subject in subjects:
                table.add_column(subject, justify="right")
            for unit in dict.fromkeys(str(row["unit"]) for row in here):
                figure = {row["subject"]: row["figure"] for row in here if row["unit"] == unit}
                table.add_row(unit, *(shown(figure.get(subject)) for subject in subjects))
            console.print(table)
        for subject, reason in self._absent.items():
            console.print(f"{self.bench}: {subject} absent: {reason}")
        if to is not None:
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_text("".join(json.dumps(row) + "\n" for row in self.rows))


def attempt(rows: Rows, subject: str, reason: str | None, work: Callable[[], object]) -> None:
    """Measure a peer, unless there is a ``reason`` not to. A peer that stumbles is absent: what was
    measured before it must not be lost with it."""
    if reason is None:
        try:
            work()
        except (SystemExit, RuntimeError, OSError) as error:
            reason = f"it did not run: {error}"
    if reason is not None:
        rows.absent(subject, reason)


def shown(figure: float | str | None) -> str:
    if isinstance(figure, float):
        return f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:.4g}"
    return "" if figure is None else f"{figure:,}" if isinstance(figure, int) else figure


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the rows there as well")
    return parser


def timed(parser: argparse.ArgumentParser, runs: int, seconds: float) -> argparse.ArgumentParser:
    """Options of a benchmark that takes the median of runs; --quick only shows that it works."""
    parser.add_argument("--runs", type=int, default=runs, help="figures are medians of so many")
    parser.add_argument("--seconds", type=float, default=seconds, help="of steady state a run")
    parser.add_argument("--peer-runs", type=int, help="without it as --runs")
    parser.add_argument("--peer-seconds", type=float, help="without it as --seconds")
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run: one short run, few calls"
    )
    parser.add_argument("--no-peers", action="store_true")
    return parser


def times(a: argparse.Namespace, quick: float = 4.0) -> None:
    """Fill in what was left out."""
    if a.quick:
        a.runs, a.seconds, a.peer_runs, a.peer_seconds = 1, quick, 1, quick
    a.peer_runs = min(a.runs, a.peer_runs or a.runs)
    a.peer_seconds = a.peer_seconds or a.seconds
