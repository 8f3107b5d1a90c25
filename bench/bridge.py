"""Two SIP legs bridged: CPU a call, and from mouth to ear, beside rtpengine and baresip.

A call has two legs: 100 packets a second in and 100 out. For our service each is an INVITE to a
number whose dialplan dials out through a trunk; the far ends of both legs are the generator's.
rtpengine runs in user space (``--table=-1``) and is told of each call by its control protocol,
without any SIP. baresip's module b2bua answers a call and places the other leg itself, as our
service does. Nobody records; our detectors listen to every leg all the same.

Mouth to ear is the time from the arrival of a datagram to the departure of the one that carries
the same sample: a loud burst in the middle of every 25th packet, found again where it comes out.
The kernel's own times are taken.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from bench import peers
from bench.harness import (
    Rows,
    Service,
    arguments,
    attempt,
    await_up,
    cores,
    figures,
    free_port,
    generator,
    histogram_share,
    memory_mb,
    steady,
    timed,
    times,
    waited_seconds,
)
from bench.sounds import voices

PLACED = 40
"""Calls placed a second, two legs each."""
SETTLE = 3.0
NUMBER = "+12025550100"
TOML = """
[[trunks]]
name = "gear"
gateways = ["127.0.0.1:{port}"]
allowed_sources = ["127.0.0.1/32"]
caller_ids = ["{number}"]
calls_per_second = 1000
max_calls = 5000

[numbers]
"{number}" = {{ dialplan = "bridge", trunk = "gear" }}
"""
PLAN = """
start: through
nodes:
  through: {verb: dial, to: "{{caller}}", trunk: gear, ringback: false}
"""


def measure(rows: Rows, calls: int, codec: str, seconds: float) -> None:
    system, other = cores()
    case, who = named(calls, codec), "telephony"
    gateway = free_port()
    toml = TOML.format(port=gateway, number=NUMBER)
    with Service(system, toml=toml, dialplans={"bridge": PLAN}) as service:
        time.sleep(1)
        pid = service.process.pid
        _, idle = memory_mb(pid)
        legs = generator(
            other,
            port=service.sip_port,
            local_port=gateway,
            user=NUMBER,
            calls=calls,
            rate=PLACED,
            settle=SETTLE,
            seconds=seconds + 1,
            callee_codec=codec,
            bridged=1,
        )
        await_up(legs)
        before, waited = service.metrics(), waited_seconds(pid)
        used = steady(pid, seconds)
        waited = (waited_seconds(pid) - waited) / seconds * 100
        after = service.metrics()
        _, loaded = memory_mb(pid)
        found = figures(legs)
        service.settle()
    delta = {name: value - before.get(name, 0.0) for name, value in after.items()}
    if found["failed"] == calls:
        rows.absent(f"{who}, {case}", f"every call failed: {found['statuses']}")
        return
    told(rows, case, who, calls, used, found)
    rows.add(case, who, (loaded - idle) * 1024 / calls, "KiB a call")
    rows.add(case, who, waited, "% of the time its core was another's")
    ticks = max(1.0, delta["telephony_media_ticks_total"])
    rows.add(case, who, delta["telephony_media_late_ticks_total"] / ticks * 100, "% late ticks")
    late = histogram_share(delta, "telephony_media_tick_seconds", 0.99) * 1000
    rows.add(case, who, late, "ms a tick, p99")


def told(rows: Rows, case: str, who: str, calls: int, used: float, found: dict[str, Any]) -> None:
    rows.add(case, who, used, "% of a core")
    # What is left lying costs nothing: of a system that is at its end only what it did counts.
    back = found["received"] / max(1, found["sent"])
    rows.add(case, who, used / (calls * max(0.01, min(1.0, back))), "% of a core a call")
    rows.add(case, who, found["mouth_p50_ms"], "ms mouth to ear, p50")
    rows.add(case, who, found["mouth_p99_ms"], "ms mouth to ear, p99")
    rows.add(case, who, found["mouth_max_ms"], "ms mouth to ear, most")
    rows.add(case, who, found["marks"], "marks heard")
    rows.add(case, who, back * 100, "% of packets back")
    rows.add(case, who, found["failed"] + found["hung_up"], "failed or cut off")
    rows.add(case, who, found["gaps"] / max(1, found["received"]) * 1e6, "gaps > 60 ms a million")
    rows.add(case, who, found["core"] * 100, "generator: % of its core")
    rows.add(case, who, found["late"] / max(1, found["sent"]) * 100, "generator: % sent late")


def relay(rows: Rows, calls: int, codec: str, seconds: float) -> None:
    system, other = cores()
    case, who = named(calls, codec), "rtpengine, user space"
    with peers.rtpengine(system) as (pid, port):
        _, idle = memory_mb(pid)
        legs = generator(
            other,
            rtpengine=port,
            calls=calls,
            rate=PLACED * 2,
            settle=SETTLE,
            seconds=seconds + 1,
            callee_codec=codec,
        )
        await_up(legs)
        used = steady(pid, seconds)
        _, loaded = memory_mb(pid)
        found = figures(legs)
    told(rows, case, who, calls, used, found)
    rows.add(case, who, (loaded - idle) * 1024 / calls, "KiB a call")


def joined(rows: Rows, calls: int, codec: str, seconds: float) -> None:
    system, other = cores()
    case, who = named(calls, codec), "baresip, b2bua"
    gateway = free_port()
    with peers.baresip_bridge(system, gateway, codec) as (pid, port):
        _, idle = memory_mb(pid)
        legs = generator(
            other,
            port=port,
            local_port=gateway,
            user="in",
            calls=calls,
            rate=PLACED,
            settle=SETTLE,
            seconds=seconds + 1,
            callee_codec=codec,
            bridged=1,
        )
        await_up(legs)
        used = steady(pid, seconds)
        _, loaded = memory_mb(pid)
        found = figures(legs)
    told(rows, case, who, calls, used, found)
    rows.add(case, who, (loaded - idle) * 1024 / calls, "KiB a call")


def others(rows: Rows, calls: int, codec: str, seconds: float) -> None:
    reason = peers.missing("rtpengine")
    attempt(rows, "rtpengine", reason, partial(relay, rows, calls, codec, seconds))
    if calls <= peers.BARESIP_CALLS // 2:
        reason = peers.missing("baresip")
        if codec == "G722":
            reason = "its aubridge changes no sample rate, so that it joins no G.722 with PCMU"
        attempt(
            rows, f"baresip, PCMU to {codec}", reason, partial(joined, rows, calls, codec, seconds)
        )


def named(calls: int, codec: str) -> str:
    return f"{calls} calls, PCMU to {codec}"


def main() -> None:
    parser = timed(arguments(__doc__ or ""), 5, 60.0)
    parser.add_argument("--calls", type=int, nargs="*", help="without it 50 and 500")
    parser.add_argument("--codecs", nargs="*", default=["PCMU", "PCMA", "G722"])
    a = parser.parse_args()
    times(a)
    rows = Rows("bridge")
    spoken = voices()
    for codec in a.codecs:
        if codec not in spoken:
            rows.absent(f"PCMU to {codec}", "nothing here codes it (PyAV; make bench has it)")
            continue
        for calls in a.calls or ([20] if a.quick else [50, 500]):
            for _ in range(a.runs):
                measure(rows, calls, codec, a.seconds)
            if a.no_peers:
                continue
            for _ in range(a.peer_runs):
                others(rows, calls, codec, a.peer_seconds)
    rows.show(a.json)


if __name__ == "__main__":
    main()
