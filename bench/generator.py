"""Far ends by the hundred from one cheap process: SIP from templates, RTP by native/far.c.

Nothing of ours is in it, so that what is measured is not measured with itself. It runs on a
core of its own, places calls or takes them, keeps 50 packets a second flowing each way, presses
keys and counts what comes back. It measures itself too: a generator that sends late or has no
core left measures nothing but itself. Once every call stands it counts anew and says ``up``; its
figures are one line of JSON at the end.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import time
from collections.abc import Callable
from typing import Any

from bench.callers import Callers, Plan
from bench.far import Far, share
from bench.lines import Datagrams, Line, Registered
from bench.ng import Engine
from bench.sounds import paused, voices

ROOM = 20_000
"""Lanes at most: sockets of this process."""
PATIENCE = 12.0
"""Seconds for what should come at once."""
LOOK = 0.005
WINDOW = 0.02


class Run:
    """The phases of a run: place, settle, measure, leave."""

    def __init__(self, callers: Callers, far: Far, line: Line) -> None:
        self.callers = callers
        self.far = far
        self.line = line

    def pass_time(self, until: float, done: Callable[[], bool] = lambda: False) -> None:
        while (now := time.monotonic()) < until and not done():
            self.callers.expire(now)
            if self.far.run(min(until, now + LOOK, self.callers.next_deadline())):
                for text in self.line.receive():
                    self.callers.on_message(text, time.monotonic())

    def place(self, calls: int, rate: float, one: Callable[[int, float], None]) -> None:
        began = time.monotonic()
        for index in range(calls):
            self.pass_time(began + index / rate)
            one(index, time.monotonic())

    def steady(self, settle: float, seconds: float, rate: float) -> dict[str, Any]:
        """Once every call stands: say so, count for ``seconds``, hang up at ``rate``."""
        callers = self.callers
        self.pass_time(time.monotonic() + PATIENCE, callers.standing)
        self.pass_time(time.monotonic() + settle)
        print(json.dumps({"up": True}), flush=True)
        began, used = time.monotonic(), time.process_time()
        callers.quiet_at = began + seconds - 0.5
        self.far.reset()
        self.pass_time(began + seconds)
        found = self.report(time.process_time() - used, time.monotonic() - began)
        callers.leave_all(time.monotonic(), rate)
        leaving = callers.live / rate + PATIENCE / 2
        self.pass_time(time.monotonic() + leaving, callers.over)
        return found

    def short(self, began: float, used: float) -> dict[str, Any]:
        """Until every call has ended by itself."""
        print(json.dumps({"up": True}), flush=True)
        self.pass_time(time.monotonic() + PATIENCE, self.callers.over)
        return self.report(time.process_time() - used, time.monotonic() - began)

    def report(self, used: float, wall: float) -> dict[str, Any]:
        heard = self.far.heard()
        return {
            "sent": heard.sent,
            "received": heard.received,
            "gaps": heard.gaps,
            "late": heard.late,
            "stray": heard.stray,
            "refused": heard.refused,
            "sounding": heard.sounding / max(1, heard.sampled),
            "late_windows": heard.late_windows / max(1.0, wall / WINDOW),
            "marks": sum(heard.mouth),
            **{
                f"{name}_{word}_ms": share(histogram, part)
                for name, histogram in (("trip", heard.round_trip), ("mouth", heard.mouth))
                for word, part in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
            },
            "core": used / wall,
        }


def signalling(callers: Callers) -> dict[str, Any]:
    figures = callers.figures
    setups = sorted(figures.setup_ms) or [0.0]
    found = {name: getattr(figures, name) for name in figures.__dataclass_fields__}
    del found["setup_ms"]
    found["setup_p50_ms"] = setups[len(setups) // 2]
    found["setup_p99_ms"] = setups[len(setups) * 99 // 100]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="of the system under test")
    parser.add_argument("--local-port", type=int, default=0, help="SIP comes here")
    parser.add_argument("--user", default="front-desk")
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--settle", type=float, default=3.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--hold", type=float, default=0.0, help="seconds; calls end by themselves")
    parser.add_argument("--digit-every", type=float, default=0.0)
    parser.add_argument("--codec", default="PCMU")
    parser.add_argument("--callee-codec", default="PCMU")
    parser.add_argument("--pause", type=int, default=0, help="silent frames of each 50 of PCMU")
    parser.add_argument("--bridged", type=int, default=0, help="1: each call comes back to us")
    parser.add_argument("--registrar", type=int, default=0, help="wait here for who registers")
    parser.add_argument("--rtpengine", type=int, default=0, help="its control port")
    parser.add_argument("--echo", type=int, nargs="*", default=[], help="ports of echo servers")
    a = parser.parse_args()
    # Thousands of sockets, and no pauses of our own that would pass for the service's.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.disable()
    spoken = voices()
    spoken["PCMU"] = paused(spoken["PCMU"], a.pause)
    line: Line
    if a.registrar:
        line = Registered(a.registrar)
    else:
        line = Datagrams(("127.0.0.1", a.port), a.local_port)
    far = Far(line.fileno(), ROOM, spoken)
    plan = Plan(
        "127.0.0.1",
        a.port,
        a.user,
        spoken[a.codec],
        spoken[a.callee_codec],
        a.digit_every,
        a.hold,
        bool(a.bridged),
    )
    callers = Callers(far, line, plan)
    whole = Run(callers, far, line)
    began, used = time.monotonic(), time.process_time()
    if a.echo:
        place = lambda index, now: callers.echoed(index, a.echo[index], now)  # noqa: E731
    elif a.rtpengine:
        engine = Engine(a.rtpengine)
        place = lambda index, now: callers.relayed(index, engine, now)  # noqa: E731
    else:
        place = callers.place
    whole.place(a.calls, a.rate, place)
    found = whole.short(began, used) if a.hold else whole.steady(a.settle, a.seconds, a.rate * 2)
    callers.give_up(time.monotonic())
    print(json.dumps({**found, **signalling(callers)}))


if __name__ == "__main__":
    main()
