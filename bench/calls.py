"""Front-desk calls at once on one core: prompt, recording and digits on, beside its peers.

The service and the generator run on a core each; CPU is that of the service's whole process
tree over a steady stretch. A tick is late that starts more than 5 ms after its time. The peers
meet the same generator in the same run: bare echoes of the same datagrams (in C, which is what
the kernel alone costs, and in Python by epoll, uvloop and asyncio), baresip as an echo and
agent-transport as an echo, each with as many calls or, in brackets, with as many as it holds. A
run of ours and one of the echo in C go one after another, so that a stall of the machine shows in
both.
"""

from __future__ import annotations

import time
from functools import partial

from bench import peers, records
from bench.harness import (
    Rows,
    Service,
    arguments,
    attempt,
    await_up,
    cores,
    cpu_seconds,
    figures,
    generator,
    histogram_share,
    memory_mb,
    steady,
    timed,
    times,
    waited_seconds,
)

PLACED = 50
"""Calls placed a second."""
ECHOED = 1000
DIGIT_EVERY = 8.0
LATE = 0.001
"""More late ticks than this and the run was disturbed; the echo beside it says by whom."""
SHORTLY = 2.0
"""Seconds until every call of a peer sounds."""


def measure(rows: Rows, calls: int, seconds: float) -> float:
    """The share of ticks that were late."""
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
            seconds=seconds + 1,
            digit_every=DIGIT_EVERY,
        )
        await_up(callers)
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
    late = delta["telephony_media_late_ticks_total"] / ticks
    rows.add(case, who, late * 100, "% late ticks")
    rows.add(case, who, waited, "% of the time its core was another's")
    for share in (0.5, 0.99):
        name = "telephony_media_tick_seconds"
        rows.add(
            case, who, histogram_share(delta, name, share) * 1000, f"ms a tick, p{share * 100:g}"
        )
    rows.add(case, who, (loaded - idle) * 1024 / calls, "KiB a call")
    rows.add(case, who, pss, "MB in all")
    rows.add(case, who, found["setup_p99_ms"], "ms to 200, p99")
    rows.add(case, who, found["failed"] + found["hung_up"], "failed or cut off")
    rows.add(case, who, found["sounding"] * 100, "% of packets back with sound")
    rows.add(case, who, written.concealed, "frames concealed")
    rows.add(case, who, written.concealed_calls, "calls with a concealed frame")
    rows.add(case, who, found["digits"] - written.digits, "keys lost")
    rows.add(case, who, calls - written.recordings, "recordings missing")
    rows.add(case, who, calls - written.reports, "reports missing")
    own(rows, case, who, found)
    return late


def own(rows: Rows, case: str, who: str, found: dict[str, float]) -> None:
    """What came back, and the generator about itself: over 1 % late, or a core that is full, the
    row says little."""
    rows.add(case, who, found["gaps"] / max(1, found["received"]) * 1e6, "gaps > 60 ms a million")
    rows.add(case, who, found["core"] * 100, "generator: % of its core")
    rows.add(case, who, found["late"] / max(1, found["sent"]) * 100, "generator: % sent late")


def echo(rows: Rows, kind: str, calls: int, seconds: float) -> float:
    """The share of 20 ms in which it was late, which it is where the machine stands still."""
    system, other = cores()
    case, who = f"{calls} calls", peers.ECHOES[kind]
    with peers.echo_server(system, calls, kind) as (pid, ports):
        callers = generator(
            other, calls=calls, rate=ECHOED, settle=1, seconds=seconds + 1, echo=ports
        )
        await_up(callers)
        _, loaded = memory_mb(pid)
        used = steady(pid, seconds)
        found = figures(callers)
    cost(rows, case, who, used, calls)
    rows.add(case, who, loaded, "MB in all")
    rows.add(case, who, found["late_windows"] * 100, "% of 20 ms with an answer > 5 ms late")
    rows.add(case, who, max(0, found["sent"] - found["received"]) / found["sent"] * 100, "% lost")
    rows.add(case, who, found["trip_p99_ms"], "ms there and back, p99")
    own(rows, case, who, found)
    return float(found["late_windows"])


def cost(rows: Rows, case: str, who: str, used: float, calls: int) -> None:
    rows.add(case, who, used, "% of a core")
    rows.add(case, who, used / calls, "% of a core a call")


def phone(rows: Rows, case: str, who: str, calls: int, seconds: float) -> None:
    """baresip: each frame is decoded, handed over and coded again."""
    system, other = cores()
    with peers.baresip(system, echoes=True) as (pid, port):
        _, idle = memory_mb(pid)
        callers = generator(
            other,
            port=port,
            user="bench",
            calls=calls,
            rate=PLACED,
            settle=SHORTLY,
            seconds=seconds + 1,
        )
        await_up(callers)
        used = steady(pid, seconds)
        pss, loaded = memory_mb(pid)
        found = figures(callers)
    answered(rows, case, who, found)
    cost(rows, case, who, used, calls)
    memory(rows, case, who, idle, loaded, pss, calls)
    own(rows, case, who, found)


def agent(rows: Rows, case: str, who: str, calls: int, seconds: float) -> None:
    """agent-transport: each frame comes to Python and goes back."""
    system, other = cores()
    callers = generator(
        other,
        registrar=peers.AGENT_PORT,
        calls=calls,
        rate=PLACED,
        settle=SHORTLY,
        seconds=seconds + 1,
    )
    await_up(callers)
    with peers.agent(system) as pid:
        time.sleep(1)
        _, idle = memory_mb(pid)
        await_up(callers)
        used = steady(pid, seconds)
        pss, loaded = memory_mb(pid)
        found = figures(callers)
    answered(rows, case, who, found)
    cost(rows, case, who, used, calls)
    memory(rows, case, who, idle, loaded, pss, calls)
    own(rows, case, who, found)


def answered(rows: Rows, case: str, who: str, found: dict[str, float]) -> None:
    rows.add(case, who, found["failed"] + found["hung_up"], "failed or cut off")
    rows.add(case, who, found["setup_p99_ms"], "ms to 200, p99")
    rows.add(case, who, found["received"] / max(1, found["sent"]) * 100, "% of packets back")
    rows.add(case, who, found["mouth_p99_ms"], "ms there and back, p99")


def memory(
    rows: Rows, case: str, who: str, idle: float, loaded: float, pss: float, calls: int
) -> None:
    rows.add(case, who, (loaded - idle) * 1024 / calls, "KiB a call")
    rows.add(case, who, pss, "MB in all")


def others(rows: Rows, calls: int, seconds: float) -> None:
    """The peers that need not go side by side with each run of ours."""
    for kind in ("epoll", "uvloop", "asyncio"):
        reason = peers.missing(kind) if kind == "uvloop" else None
        attempt(rows, peers.ECHOES[kind], reason, partial(echo, rows, kind, calls, seconds))
    for name, who, limit, bench in (
        ("baresip", "baresip, echo", peers.BARESIP_CALLS, phone),
        ("agent_transport", "agent-transport, echo", peers.AGENT_CALLS, agent),
    ):
        # Who cannot hold as many shows what a call costs there where it is cheapest: at the limit.
        most = min(calls, limit)
        subject = who if most == calls else f"{who} ({most})"
        work = partial(bench, rows, f"{calls} calls", subject, most, seconds)
        attempt(rows, who, peers.missing(name), work)


def main() -> None:
    parser = timed(arguments(__doc__ or ""), 5, 60.0)
    parser.add_argument("--calls", type=int, nargs="*", help="without it 100, 250, 1000 and 1500")
    a = parser.parse_args()
    times(a)
    rows = Rows("calls")
    for calls in a.calls or ([50] if a.quick else [100, 250, 1000, 1500]):
        ours = bare = 0
        for _ in range(a.runs):
            ours += measure(rows, calls, a.seconds) > LATE
            if not a.no_peers:
                bare += echo(rows, "echo", calls, a.seconds) > LATE
        unit = f"runs of {a.runs} with over 0.1 % late"
        rows.add(f"{calls} calls", "telephony", ours, unit)
        if not a.no_peers:
            rows.add(f"{calls} calls", peers.ECHOES["echo"], bare, unit)
        for _ in range(0 if a.no_peers else a.peer_runs):
            others(rows, calls, a.peer_seconds)
    rows.show(a.json)


if __name__ == "__main__":
    main()
