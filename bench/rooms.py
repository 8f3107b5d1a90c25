"""Calls that meet agents in LiveKit rooms: CPU a call, how many a core holds, what the bridge adds.

Ours is the whole service: SIP, RTP, the tick, records, and a room for each call in which an agent
speaks and listens. The peer is LiveKit's SDK alone (``bench/bare.py``), which publishes the same
sound and takes the same, without any bridge. Each has a core of its own; LiveKit's server, the
agents (``deploy/livekit/tools/farside``, in Go) and the callers share the other one.

A number of calls is held while at most 0.1 % of the frames of 20 ms either way were lost or more
than a frame late. What the bridge adds is measured frame by frame (``bench/taps.py``):
from the beginning of the tick that takes a row out of the jitter ring to the SDK's hands, and from
the SDK's hands to the tick that takes the frame. Jitter ring and WebRTC are not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.harness import (
    TICKS,
    Rows,
    Service,
    arguments,
    attempt,
    await_up,
    cores,
    cpu_seconds,
    figures,
    free_port,
    generator,
    memory_mb,
    pinned,
    timed,
    times,
)
from bench.sounds import opus
from telephony.testing.livekit import BUILD, LiveKit

OURS, BARE = "telephony", "LiveKit's SDK alone"
AGENT = "bench"
NUMBER = "+12025550100"
PAUSE = 20
"""Silent frames of each 50 that a caller says: who never draws breath is never caught up with."""
SAID = 50 - PAUSE
PLACED = 5.0
"""Calls placed a second: entering a room costs as much as a second of being in it."""
SETTLE = 10.0
SHARE = 0.8
"""Of the most calls that were held: there nothing may be late or lost."""
HELD = 0.1
"""Percent of frames, either way, that may be late or lost."""
FOREIGN = 5.0
"""Percent of its core that others may use: beyond it a run says nothing of who was measured."""
TRIES = 5
FULL = 70.0
"""Percent of the other core: beyond it the far side may be what is measured."""
TOML = """
[[trunks]]
name = "gear"
gateways = ["127.0.0.1:{port}"]
allowed_sources = ["127.0.0.1/32"]
caller_ids = ["+12025550101"]
calls_per_second = 1000
max_calls = 5000
"""


class Asked:
    """A process that answers a line on stdin by one of JSON."""

    def __init__(self, command: list[str], first: str = "") -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if first:
            self._say(first)
        assert self.process.stdout is not None
        if self.process.stdout.readline().strip() != "ready":
            self.close()
            raise RuntimeError(f"{Path(command[-1]).name} did not start")

    def counts(self) -> dict[str, float]:
        self._say("")
        assert self.process.stdout is not None
        found: dict[str, float] = json.loads(self.process.stdout.readline())
        return found

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()


@dataclass
class Window:
    """What happened in the seconds of steady state.

    Attributes:
        cpu: percent of the core of the system under test.
        foreign: percent of that core that went to anybody else.
        far: what the agents counted meanwhile.
        beside: percent of the other core, all that runs there.
    """

    seconds: float
    cpu: float
    foreign: float
    far: dict[str, float]
    beside: float
    began: float

    def share(self, name: str, calls: int, a_second: float) -> float:
        """Percent of what was to come that came."""
        return self.far[name] / (calls * a_second * self.seconds) * 100


def made(program: str) -> str:
    """Where a program of LiveKit's tools module is, built if need be.

    Raises:
        RuntimeError: it cannot be.
    """
    asked = subprocess.run(
        ["sh", str(BUILD), program], stdout=subprocess.PIPE, text=True, check=False
    )
    if asked.returncode:
        raise RuntimeError(f"{program} cannot be built here")
    return asked.stdout.strip()


@contextmanager
def far(livekit: LiveKit, core: set[int], sound: Path, *how: str) -> Iterator[Asked]:
    """The agents."""
    command = [*pinned(core), made("farside"), "-url", livekit.url, "-sound", str(sound)]
    command += ["-key", livekit.key, "-secret", livekit.secret, *how]
    asked = Asked(command)
    try:
        yield asked
    finally:
        asked.close()


def watched(pid: int, core: set[int], others: list[int], agents: Asked, seconds: float) -> Window:
    """Look at a steady state for so long."""
    began = time.monotonic()
    used, busy = cpu_seconds(pid), busy_seconds(core)
    beside = sum(map(cpu_seconds, others))
    before = agents.counts()
    time.sleep(seconds)
    after = agents.counts()
    took = time.monotonic() - began
    used, busy = cpu_seconds(pid) - used, busy_seconds(core) - busy
    return Window(
        took,
        used / took * 100,
        max(0.0, busy - used) / took * 100,
        {name: value - before[name] for name, value in after.items()},
        (sum(map(cpu_seconds, others)) - beside) / took * 100,
        began,
    )


def busy_seconds(cores: set[int]) -> float:
    """What these cores have worked since the machine was started."""
    total = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name in {f"cpu{core}" for core in cores}:
            total += sum(int(fields[i]) for i in (0, 1, 2, 5, 6, 7))
    return total / TICKS


class Bench:
    """The runs, and up to where each subject held."""

    def __init__(self, rows: Rows, seconds: float, sound: Path, workers: int) -> None:
        self.rows = rows
        self.workers = workers
        self.seconds = seconds
        self.sound = sound
        self.full = False
        """Whether the other core was the limit in the last run."""
        self.system, self.other = cores()

    @contextmanager
    def server(self) -> Iterator[LiveKit]:
        """LiveKit's server, on the other core: its threads keep what it is born with."""
        made("livekit-server")
        ours = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.other)
        livekit = LiveKit()
        try:
            livekit.start()
            os.sched_setaffinity(0, ours)
            yield livekit
        finally:
            os.sched_setaffinity(0, ours)
            livekit.stop()

    def bare(self, calls: int, case: str) -> bool | None:
        """Whether the SDK alone held so many; None where its core was another's."""
        with self.server() as livekit:
            prefix = "bench-"
            tokens = [livekit.token(f"{prefix}{i}", "caller") for i in range(calls)]
            how = ("-rooms", str(calls), "-prefix", prefix)
            with far(livekit, self.other, self.sound, *how) as agents:
                command = [*pinned(self.system), sys.executable, "-m", "bench.bare"]
                command += ["--pause", str(PAUSE), livekit.url]
                subject = Asked(command, json.dumps(tokens))
                try:
                    time.sleep(SETTLE / 2)
                    pid = subject.process.pid
                    others = [livekit.pid, agents.process.pid]
                    before = subject.counts()
                    window = watched(pid, self.system, others, agents, self.seconds)
                    after = subject.counts()
                    memory, _ = memory_mb(pid)
                finally:
                    subject.close()
        found = {name: value - before[name] for name, value in after.items()}
        due = calls * 50 * window.seconds
        bad = found["late"] + found["lost"] + max(0.0, due - found["given"] - found["lost"])
        out, back = bad / due * 100, max(0.0, 1 - found["taken"] / due) * 100
        return self._told(case, BARE, calls, window, out, back, memory, {})

    def ours(self, calls: int, case: str) -> bool | None:
        """Whether our service held so many; None where its core was another's."""
        with self.server() as livekit, tempfile.TemporaryDirectory() as folder:
            taps = Path(folder, "taps.json")
            settings = {
                **livekit.settings,
                "TELEPHONY_LIVEKIT_AGENT": AGENT,
                "TELEPHONY_ROOM_WORKERS": str(self.workers),
                "BENCH_TAPS": str(taps),
            }
            toml = TOML.format(port=free_port())
            service = Service(self.system, settings, toml=toml, module="bench.taps")
            with service, far(livekit, self.other, self.sound, "-worker", AGENT) as agents:
                answered(service)
                legs = generator(
                    self.other,
                    port=service.sip_port,
                    user=NUMBER,
                    calls=calls,
                    rate=PLACED,
                    settle=SETTLE,
                    seconds=self.seconds + 1,
                    pause=PAUSE,
                )
                await_up(legs)
                pid = service.process.pid
                others = [livekit.pid, agents.process.pid, legs.pid]
                ticks = service.metrics()
                window = watched(pid, self.system, others, agents, self.seconds)
                late = share_late(ticks, service.metrics())
                memory, _ = memory_mb(pid)
                heard = figures(legs)
                service.settle()
            found = json.loads(taps.read_text())
        between = partial(inside, window)
        rooms = [row for at, row in found["figures"] if between(at)]
        counted = {name: rooms[-1][name] - rooms[0][name] for name in rooms[0]}
        due = calls * 50 * window.seconds
        # A tick that is a frame late is late for every call.
        out = late + (counted["heard_lost"] + counted["heard_failed"]) / due * 100
        back = (counted["said_dropped"] + counted["said_late"]) / due * 100
        more: dict[str, float] = {}
        for way, name in (("out", "caller to agent"), ("in", "agent to caller")):
            ages = np.array([age for at, age in found[way] if between(at)])
            # Room workers have clocks of their own.
            for share in (50, 99) if ages.size else ():
                more[f"ms added, {name}, p{share}"] = float(np.percentile(ages, share))
        more["% silence left out"] = counted["heard_skipped"] / due * 100
        more["calls failed or cut off"] = heard["failed"] + heard["hung_up"]
        missed = (1 - heard["received"] / max(1, heard["sent"])) * 100
        more["% of packets that callers missed"] = missed
        return self._told(case, OURS, calls, window, out, back, memory, more)

    def _told(
        self,
        case: str,
        who: str,
        calls: int,
        window: Window,
        out: float,
        back: float,
        memory: float,
        more: dict[str, float],
    ) -> bool | None:
        missed = max(0.0, 100 - window.share("sound", calls, SAID))
        print(
            f"{who}, {case}: {window.cpu:.0f} %, out {out:.3f} %, back {back:.3f} %,"
            f" agents missed {missed:.2f} %, other core {window.beside:.0f} %,"
            f" others on its core {window.foreign:.0f} %",
            flush=True,
        )
        if window.foreign > FOREIGN:
            return None
        found = {
            "% of a core": window.cpu,
            "% of a core a call": window.cpu / calls,
            "% of frames late or lost, caller to agent": out,
            "% of frames late or lost, agent to caller": back,
            "% of spoken packets that agents missed": missed,
            **more,
            "MB": memory,
            "% of its core that others used": window.foreign,
            "other core: % used": window.beside,
            "agents: % of a core": window.far["cpu"] / window.seconds * 100,
            "agents: % sent late": window.far["late"] / max(1, window.far["sent"]) * 100,
        }
        for unit, figure in found.items():
            self.rows.add(case, who, figure, unit)
        self.full = window.beside > FULL
        return max(out, back, missed) <= HELD and not self.full


def inside(window: Window, at: float) -> bool:
    return window.began <= at <= window.began + window.seconds


def share_late(before: dict[str, float], after: dict[str, float]) -> float:
    """Percent of ticks that began more than a frame late."""
    name = "telephony_media_lateness_seconds"
    on_time, whole = f'{name}_bucket{{le="0.02"}}', f"{name}_count"
    ticks = after[whole] - before[whole]
    return (1 - (after[on_time] - before[on_time]) / max(1.0, ticks)) * 100


def answered(service: Service) -> None:
    """An agent, and a number that it answers."""
    told = {"name": "Bench", "systemPrompt": "Say a tone.", "intent": {"language": "en"}}
    agent = posted(service, "/v1/agents", told)
    number = {"e164": NUMBER, "agentId": agent["id"]}
    posted(service, "/v1/phone-numbers/import", number)


def posted(service: Service, path: str, body: dict[str, Any]) -> dict[str, Any]:
    order = urllib.request.Request(
        f"http://127.0.0.1:{service.api_port}{path}",
        json.dumps(body).encode(),
        {"Authorization": "Bearer sk_live_bench", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(order, timeout=10) as reply:
        found: dict[str, Any] = json.loads(reply.read())
        return found


def written(folder: Path) -> Path:
    """What agents say, as the far side reads it."""
    path = folder / "sound.opus"
    path.write_bytes(b"".join(len(one).to_bytes(2, "big") + one for one in opus()))
    return path


def main() -> None:
    parser = timed(arguments(__doc__ or ""), 1, 15.0)
    parser.add_argument("--calls", type=int, nargs="*", help="without it from 5 upwards")
    parser.add_argument("--step", type=int, default=5)
    parser.add_argument("--most", type=int, default=60)
    parser.add_argument("--workers", type=int, default=0, help="ROOM_WORKERS of the service")
    a = parser.parse_args()
    times(a)
    rows = Rows("rooms")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(rows, a.seconds, written(Path(folder)), a.workers)
        for who, run in ((BARE, bench.bare), (OURS, bench.ours)):
            if who == BARE and a.no_peers:
                continue
            attempt(rows, who, None, partial(climb, bench, who, run, numbers(a)))
    rows.show(a.json)


def numbers(a: argparse.Namespace) -> list[int]:
    """Of calls, rising."""
    if a.calls:
        return list(a.calls)
    return [2] if a.quick else list(range(a.step, a.most + 1, a.step))


Run = Callable[[int, str], bool | None]


def climb(bench: Bench, who: str, run: Run, calls: list[int]) -> None:
    """One number of calls after another, until one is not held; then four fifths of the most."""
    held = 0
    for count in calls:
        found = asked(run, count, f"{count} calls")
        if found is None or bench.full:
            reason = (
                f"the other core was over {FULL:g} %" if bench.full else "its core was another's"
            )
            bench.rows.absent(f"{who}, {count} calls", reason)
        if not found:
            break
        held = count
    bench.rows.add("most calls held on a core", who, held, "calls")
    if held > 4:
        asked(run, round(held * SHARE), "80 % of the most")


def asked(run: Run, calls: int, case: str) -> bool | None:
    """Whether they are held; None if the machine never was ours. One that stood still once says
    nothing of who was measured: what is not held is asked again."""
    found: list[bool] = []
    for _ in range(TRIES):
        held = run(calls, case)
        if held is not None:
            found.append(held)
        if held or len(found) == 2:
            break
    return any(found) if found else None


if __name__ == "__main__":
    main()
