"""Front-desk calls at once on one core: prompt, recording and digits on, beside two peers.

The service and the generator run on a core each; CPU is that of the service's whole process
tree over a steady stretch. A tick is late that starts more than 5 ms after its time. The peers
meet the same generator in the same run: an epoll echo of the same datagrams in Python, which is
what the kernel alone costs, and baresip, which answers and plays a file (to its limit).
"""

from __future__ import annotations

import time

from bench import peers, records
from bench.harness import (
    Rows,
    Service,
    arguments,
    await_up,
    cores,
    cpu_seconds,
    figures,
    generator,
    histogram_share,
    memory_mb,
    waited_seconds,
)

PLACED = 50
"""Calls placed a second."""
SETTLE = 3.0
DIGIT_EVERY = 8.0


def measure(rows: Rows, calls: int, seconds: float) -> None:
    system, other = cores()
    case, who = f"{calls} calls", "telephony"
    with Service(system) as service:
        # Everything that the dialplans say has been spoken by then.
        time.sleep(2)
        pid = service.process.pid
        _, idle = memory_mb(pid)
        callers = generator(
            other,
            port=service.sip_port,
            calls=calls,
            rate=PLACED,
            seconds=seconds + SETTLE + 1,
            digit_every=DIGIT_EVERY,
        )
        await_up(callers)
        time.sleep(SETTLE)
        before, waited = service.metrics(), waited_seconds(pid)
        start_cpu, start = cpu_seconds(pid), time.monotonic()
        time.sleep(seconds)
        used = (cpu_seconds(pid) - start_cpu) / (time.monotonic() - start) * 100
        waited = (waited_seconds(pid) - waited) / (time.monotonic() - start) * 100
        after = service.metrics()
        pss, loaded = memory_mb(pid)
        found = figures(callers)
        service.settle()
        written = records.read(service.folder.name)
    delta = {name: value - before.get(name, 0.0) for name, value in after.items()}
    ticks = max(1.0, delta["telephony_media_ticks_total"])
    rows.add(case, who, used, "% of a core")
    rows.add(case, who, used / calls, "% of a core a call")
    rows.add(case, who, delta["telephony_media_late_ticks_total"] / ticks * 100, "% late ticks")
    rows.add(case, who, waited, "% of the time its core was another's")
    for share in (0.5, 0.99):
        name = "telephony_media_tick_seconds"
        rows.add(
            case, who, histogram_share(delta, name, share) * 1000, f"ms a tick, p{share * 100:g}"
        )
    rows.add(case, who, (loaded - idle) * 1024 / calls, "KB a call")
    rows.add(case, who, pss, "MB in all")
    rows.add(case, who, found["setup_p99_ms"], "ms to 200, p99")
    rows.add(case, who, found["failed"] + found["hung_up"], "failed or cut off")
    rows.add(case, who, found["gaps"] / max(1, found["received"]) * 1e6, "gaps > 60 ms a million")
    rows.add(case, who, found["sounding"] * 100, "% of packets back with sound")
    rows.add(case, who, found["digits"] - written.digits, "keys lost")
    rows.add(case, who, calls - written.recordings, "recordings missing")
    rows.add(case, who, calls - written.reports, "reports missing")
    own(rows, case, who, found)


def own(rows: Rows, case: str, who: str, found: dict[str, float]) -> None:
    """The generator about itself: over 1 % late, or a core that is full, the row says little."""
    rows.add(case, who, found["core"] * 100, "generator: % of its core")
    rows.add(case, who, found["late"] / max(1, found["sent"]) * 100, "generator: % sent late")


def echo(rows: Rows, calls: int, seconds: float) -> None:
    system, other = cores()
    case, who = f"{calls} calls", "bare epoll echo"
    with peers.echo_server(system, calls) as (pid, ports):
        callers = generator(other, calls=calls, rate=1000, seconds=seconds + 3, echo=ports)
        await_up(callers)
        used = steady(pid, seconds)
        found = figures(callers)
    rows.add(case, who, used, "% of a core")
    rows.add(case, who, used / calls, "% of a core a call")
    own(rows, case, who, found)


def phone(rows: Rows, calls: int, seconds: float) -> None:
    if not peers.has_baresip() or calls > peers.BARESIP_CALLS:
        return
    system, other = cores()
    case, who = f"{calls} calls", "baresip, plays a file"
    with peers.baresip(system) as (pid, port):
        _, idle = memory_mb(pid)
        callers = generator(
            other, port=port, user="bench", calls=calls, rate=PLACED, seconds=seconds + 3
        )
        await_up(callers)
        used = steady(pid, seconds)
        pss, loaded = memory_mb(pid)
        found = figures(callers)
    rows.add(case, who, used, "% of a core")
    rows.add(case, who, used / calls, "% of a core a call")
    rows.add(case, who, (loaded - idle) * 1024 / calls, "KB a call")
    rows.add(case, who, pss, "MB in all")
    rows.add(case, who, found["setup_p99_ms"], "ms to 200, p99")
    rows.add(case, who, found["failed"] + found["hung_up"], "failed or cut off")
    rows.add(case, who, found["sounding"] * 100, "% of packets back with sound")
    own(rows, case, who, found)


def steady(pid: int, seconds: float) -> float:
    """Percent of a core over a stretch that begins a moment after all calls are up."""
    time.sleep(1.5)
    start_cpu, start = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(pid) - start_cpu) / (time.monotonic() - start) * 100


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--calls", type=int, nargs="*", default=[10, 100, 250, 300, 600, 1000])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--no-peers", action="store_true")
    a = parser.parse_args()
    rows = Rows("calls")
    for calls in a.calls:
        measure(rows, calls, a.seconds)
        if not a.no_peers:
            echo(rows, calls, min(a.seconds, 8.0))
            phone(rows, calls, min(a.seconds, 8.0))
    rows.show(a.json)


if __name__ == "__main__":
    main()
