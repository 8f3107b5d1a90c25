"""Set-ups a second: 2-second calls, each with all its records, at rising rates.

A rate is held where nothing failed, nothing was sent twice and every call left its report.
``sipp``, where it is installed, is the peer that shows what answering alone costs.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from bench.harness import Rows, Service, arguments, cores, cpu_seconds, free_port


def run(port: int, core: set[int], rate: float, seconds: float) -> dict[str, float]:
    command = ["taskset", "-c", ",".join(map(str, core)), sys.executable, "-m", "bench.generator"]
    command += ["--port", str(port), "--calls", str(int(rate * seconds)), "--rate", str(rate)]
    command += ["--hold", "2", "--seconds", "12"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def reports(folder: str) -> tuple[int, int]:
    """Calls that have ended, and reports, in the service's own database."""
    with sqlite3.connect(f"file:{Path(folder) / 'telephony.db'}?mode=ro", uri=True) as store:
        ended = store.execute("SELECT COUNT(*) FROM calls WHERE ended_at IS NOT NULL").fetchone()
        written = store.execute("SELECT COUNT(*) FROM call_reports").fetchone()
    return int(ended[0]), int(written[0])


def measure(rows: Rows, rate: float, seconds: float) -> None:
    system, other = cores()
    with Service(system) as service:
        start_cpu, start = cpu_seconds(service.process.pid), time.monotonic()
        found = run(service.sip_port, other, rate, seconds)
        used = cpu_seconds(service.process.pid) - start_cpu
        wall = time.monotonic() - start
        time.sleep(1)
        ended, written = reports(service.folder.name)
    case = f"{rate:g} calls/s"
    rows.add(case, "telephony", found["answered"] / seconds, "answered/s")
    rows.add(case, "telephony", found["failed"], "failed")
    rows.add(case, "telephony", found["retransmissions"], "retransmissions")
    rows.add(case, "telephony", found["setup_p99_ms"], "ms to 200, p99")
    rows.add(case, "telephony", used / max(1.0, found["answered"]) * 1000, "CPU ms a call")
    rows.add(case, "telephony", used / wall * 100, "% of a core")
    rows.add(case, "telephony", found["placed"] - written, "calls without a report")
    rows.add(case, "telephony", ended, "calls ended in the store")


def peer(rows: Rows, rate: float, seconds: float) -> None:
    """sipp as the answerer: a 200, two seconds, a BYE; no media, no records."""
    if shutil.which("sipp") is None:
        return
    system, other = cores()
    port = free_port()
    command = ["taskset", "-c", ",".join(map(str, system)), "sipp", "-sn", "uas", "-nostdin"]
    command += ["-p", str(port), "-i", "127.0.0.1"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        start = cpu_seconds(server.pid)
        found = run(port, other, rate, seconds)
        used = cpu_seconds(server.pid) - start
    finally:
        server.kill()
        server.wait()
    case = f"{rate:g} calls/s"
    rows.add(case, "sipp uas (signalling only)", found["answered"] / seconds, "answered/s")
    rows.add(
        case,
        "sipp uas (signalling only)",
        used / max(1.0, found["answered"]) * 1000,
        "CPU ms a call",
    )


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--rates", type=float, nargs="*", default=[50, 100, 200, 300])
    parser.add_argument("--seconds", type=float, default=12.0)
    a = parser.parse_args()
    rows = Rows("setup")
    for rate in a.rates:
        measure(rows, rate, a.seconds)
        peer(rows, rate, min(a.seconds, 6.0))
    rows.show(a.json)


if __name__ == "__main__":
    main()
