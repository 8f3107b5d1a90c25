"""Set-ups a second: 2-second front-desk calls, each with all its records, at rising rates.

A rate is held where nothing failed, nothing was sent twice by either side and every call left
its report and its recording. Each call plays the greeting and is recorded on the same core. The
peers answer the same generator: sipp and baresip (to its limit), neither of which writes
anything down, and sipp sends no sound.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from bench import peers, records
from bench.harness import (
    Rows,
    Service,
    arguments,
    attempt,
    cores,
    cpu_seconds,
    figures,
    generator,
    histogram_share,
    waited_seconds,
)

HOLD = 2.0


def run(port: int, core: set[int], rate: float, seconds: float, user: str) -> dict[str, Any]:
    calls = int(rate * seconds)
    return figures(
        generator(core, port=port, user=user, calls=calls, rate=rate, hold=HOLD, seconds=12)
    )


def measure(rows: Rows, rate: float, seconds: float) -> None:
    system, other = cores()
    case, who = f"{rate:g} calls/s", "telephony"
    with Service(system) as service:
        time.sleep(2)
        pid = service.process.pid
        start_cpu, start = cpu_seconds(pid), time.monotonic()
        found = run(service.sip_port, other, rate, seconds, "front-desk")
        wall = time.monotonic() - start
        waited = waited_seconds(pid) / wall * 100
        service.settle()
        used = cpu_seconds(pid) - start_cpu
        counted = service.metrics()
        written = records.read(service.folder.name)
    placed = found["placed"]
    common(rows, case, who, found, used, wall)
    rows.add(case, who, placed - written.reports, "reports missing")
    rows.add(case, who, placed - written.recordings, "recordings missing")
    rows.add(case, who, placed - written.hangups, "call.hangup missing")
    rows.add(case, who, written.events / max(1, placed), "events a call")
    rows.add(case, who, written.recorded_ms / max(1, placed), "ms recorded a call")
    ticks = max(1.0, counted["telephony_media_ticks_total"])
    rows.add(case, who, counted["telephony_media_late_ticks_total"] / ticks * 100, "% late ticks")
    rows.add(case, who, waited, "% of the time its core was another's")
    late = histogram_share(counted, "telephony_media_lateness_seconds", 0.99) * 1000
    rows.add(case, who, late, "ms late, p99 of ticks, at most")


def common(
    rows: Rows, case: str, who: str, found: dict[str, Any], used: float, wall: float
) -> None:
    rows.add(case, who, used / max(1, found["answered"]) * 1000, "CPU ms a call")
    rows.add(case, who, used / wall * 100, "% of a core")
    rows.add(case, who, found["setup_p50_ms"], "ms to 200, median")
    rows.add(case, who, found["setup_p99_ms"], "ms to 200, p99")
    rows.add(case, who, found["failed"] + found["hung_up"], "failed or cut off")
    rows.add(case, who, found["retransmissions"] + found["repeated"], "retransmissions, both ways")
    rows.add(case, who, found["core"] * 100, "generator: % of its core")
    rows.add(case, who, found["late"] / max(1, found["sent"]) * 100, "generator: % sent late")


def answerers(rows: Rows, rate: float, seconds: float) -> None:
    case = f"{rate:g} calls/s"
    for name, who, limit, peer in (
        ("sipp", "sipp uas (signalling only)", 10_000, peers.sipp),
        ("baresip", "baresip (no records)", peers.BARESIP_CALLS, peers.baresip),
    ):
        if rate * (HOLD + 0.2) < limit:
            work = partial(answerer, rows, case, who, peer, rate, seconds)
            attempt(rows, who, peers.missing(name), work)


def answerer(
    rows: Rows, case: str, who: str, peer: peers.Phone, rate: float, seconds: float
) -> None:
    system, other = cores()
    with peer(system) as (pid, port):
        start_cpu, start = cpu_seconds(pid), time.monotonic()
        found = run(port, other, rate, seconds, "bench")
        used, wall = cpu_seconds(pid) - start_cpu, time.monotonic() - start
    common(rows, case, who, found, used, wall)


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--rates", type=float, nargs="*", default=[50, 100, 200, 250, 300])
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--no-peers", action="store_true")
    a = parser.parse_args()
    rows = Rows("setup")
    for rate in a.rates:
        measure(rows, rate, a.seconds)
        if not a.no_peers:
            answerers(rows, rate, min(a.seconds, 6.0))
    rows.show(a.json)


if __name__ == "__main__":
    main()
