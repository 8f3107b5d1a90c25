"""Processes under measurement: started on one core, their whole tree's CPU and memory counted."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

TICKS = os.sysconf("SC_CLK_TCK")


def cores() -> tuple[set[int], set[int]]:
    """The core of the system under test and that of the generator; one core serves both."""
    available = sorted(os.sched_getaffinity(0))
    return {available[0]}, {available[-1]}


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
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


def pss_mb(pid: int) -> float:
    """Proportional set size of the whole tree in MB."""
    total = 0
    for one in tree(pid):
        try:
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(li.split()[1]) for li in text.splitlines() if li.startswith("Pss:"))
    return total / 1024


@dataclass
class Service:
    """Our service as a child process on one core, with a data folder of its own."""

    core: set[int]
    settings: dict[str, str] = field(default_factory=dict)
    sip_port: int = 0
    api_port: int = 0

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
            "TELEPHONY_LOG_LEVEL": "warning",
            "TELEPHONY_LOG_FORMAT": "json",
            "TELEPHONY_CALLS_PER_SECOND": "5000",
            "TELEPHONY_MAX_CALLS": "2500",
            **self.settings,
        }
        self.log = (Path(self.folder.name) / "service.log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "telephony", "serve"],
            env=environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        os.sched_setaffinity(self.process.pid, self.core)
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

    def __exit__(self, *exc: object) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.seek(0)
        noise = [li for li in self.log.read().splitlines() if '"error"' in li or "Traceback" in li]
        if noise:
            Console(stderr=True).print("the service logged:", *noise[:10], sep="\n  ")
        self.log.close()
        self.folder.cleanup()

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


class Rows:
    """What a benchmark found: a table for people, rows of JSON for programs."""

    def __init__(self, bench: str) -> None:
        self.bench = bench
        self.rows: list[dict[str, str | float]] = []

    def add(self, case: str, subject: str, figure: float, unit: str) -> None:
        self.rows.append(
            {"bench": self.bench, "case": case, "subject": subject, "figure": figure, "unit": unit}
        )

    def show(self, to: Path | None) -> None:
        table = Table(title=self.bench)
        for column in ("case", "subject", "figure", "unit"):
            table.add_column(column, justify="right" if column == "figure" else "left")
        for row in self.rows:
            table.add_row(
                str(row["case"]), str(row["subject"]), f"{row['figure']:,.4g}", str(row["unit"])
            )
        Console(width=110).print(table)
        if to is not None:
            to.write_text("".join(json.dumps(row) + "\n" for row in self.rows))


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the rows there as well")
    return parser
