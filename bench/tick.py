"""The tick alone: lanes with real RTP over loopback, a prompt, a recording and all detectors on.

No signalling and no dialplans: what is measured is the media engine. Beside it, in the same run,
the bare kernel cost of the same datagrams: an epoll echo that looks at nothing.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from bench import peers
from bench.harness import Rows, arguments, cores, cpu_seconds, pinned
from telephony.audio import tones
from telephony.calls.ports import Played, Recorded, Sound
from telephony.media.config import MediaConfig
from telephony.media.engine import Engine
from telephony.system import SystemClock

PTIME = 0.02
PACKET = 172
SETTLE = 3.0
PROMPT = Sound(tones.ringback("us").astype("<i2").tobytes())
"""Six seconds, a third of it sound, in a loop."""


def send(count: int, seconds: float) -> None:
    """Far ends: says its ports, reads whom to talk to, talks and listens for ``seconds``."""
    limit()
    sockets = []
    for _ in range(count):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind(("127.0.0.1", 0))
        one.setblocking(False)
        sockets.append(one)
    print(*(one.getsockname()[1] for one in sockets), flush=True)
    targets = [int(port) for port in sys.stdin.readline().split()]
    receivers, epoll = {}, select.epoll()
    for one, port in zip(sockets, targets, strict=True):
        one.connect(("127.0.0.1", port))
        epoll.register(one, select.EPOLLIN)
        receivers[one.fileno()] = one.recv_into
    packets = [bytearray(voice(index)) for index in range(count)]
    buffer, received, sent, late = bytearray(2048), 0, 0, 0
    start = time.monotonic()
    for step in range(int(seconds / PTIME) * 20):
        # A twentieth of all lanes a millisecond: peers are not in step with each other.
        due = start + step * PTIME / 20
        now = time.monotonic()
        late += now - due > 0.005
        if now < due:
            time.sleep(due - now)
        for index in range(step % 20, count, 20):
            packet = packets[index]
            struct.pack_into("!HI", packet, 2, step // 20 & 0xFFFF, step // 20 * 160 & 0xFFFFFFFF)
            try:
                sockets[index].send(packet)
                sent += 1
            except OSError:
                pass
        for descriptor, _ in epoll.poll(0):
            try:
                receivers[descriptor](buffer)
                received += 1
            except OSError:
                pass
    print(json.dumps({"sent": sent, "received": received, "late": late / (seconds / PTIME * 20)}))


def voice(index: int) -> bytes:
    """One packet that is sent again and again: a buzz, so that no stage has it easy."""
    codes = bytes(
        (0x20 + (n * (7 + index % 5)) % 0x60) | (0x80 if n & 8 else 0) for n in range(160)
    )
    return struct.pack("!BBHII", 0x80, 0, 0, 0, index + 1) + codes


def limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def hold(count: int, seconds: float, folder: Path, io: str, profile: Path | None) -> None:
    """The system under test, in a process of its own: ports on stdout, remote ports on stdin."""
    limit()
    config = MediaConfig(
        max_lanes=count, ports=(20000, 60000), io="epoll" if io == "epoll" else "auto"
    )
    engine = Engine(config, SystemClock(), rng=random.Random(1))
    await engine.start()
    lanes = [engine.open() for _ in range(count)]
    print(*(lane.local_address[1] for lane in lanes), flush=True)
    loop = asyncio.get_running_loop()
    line = await loop.run_in_executor(None, sys.stdin.readline)
    for index, (lane, port) in enumerate(zip(lanes, line.split(), strict=True)):
        lane.start(remote=("127.0.0.1", int(port)))
        lane.play(PROMPT, ignore_played, loop=True)
        lane.record_call(folder / f"{index}.wav", ignore_recorded)
    await asyncio.sleep(SETTLE)
    if profile is not None:
        await profiled(seconds, profile)
    else:
        await asyncio.sleep(seconds)
    counts = [lane.close() for lane in lanes]
    figures = engine.stats.figures()
    figures["lost"] = sum(c.lost for c in counts)
    figures["concealed"] = sum(c.concealed for c in counts)
    figures["received"] = sum(c.packets_received for c in counts)
    await engine.stop()
    print(json.dumps(figures), flush=True)


async def profiled(seconds: float, path: Path) -> None:
    import cProfile

    profile = cProfile.Profile()
    profile.enable()
    await asyncio.sleep(seconds)
    profile.disable()
    profile.dump_stats(path)


def ignore_played(played: Played) -> None:
    """The prompt plays for ever."""


def ignore_recorded(recorded: Recorded) -> None:
    """What is recorded goes with the folder."""


def measure(
    rows: Rows, count: int, seconds: float, io: str = "auto", profile: Path | None = None
) -> None:
    system, other = cores()
    case, who = f"{count} lanes", "telephony" if io == "auto" else f"telephony, {io}"
    with tempfile.TemporaryDirectory(prefix="bench-tick-") as folder:
        part = [*pinned(system), sys.executable, "-m", "bench.tick", "--hold", str(count)]
        part += ["--seconds", str(seconds), "--folder", folder, "--io", io]
        if profile is not None:
            part += ["--profile", str(profile)]
        pipe = subprocess.PIPE
        with (
            subprocess.Popen(part, stdin=pipe, stdout=pipe, text=True) as held,
            far_ends(other, count, seconds + SETTLE + 2) as far,
        ):
            introduce(held, far)
            used = steady(held.pid, seconds)
            assert held.stdout is not None and far.stdout is not None
            found = json.loads(held.stdout.readline())
            sent = json.loads(far.stdout.readline())
    rows.add(case, who, used, "% of a core")
    rows.add(case, who, used / count, "% of a core a lane")
    rows.add(case, who, found["tick_p50_ms"], "ms a tick, p50")
    rows.add(case, who, found["tick_p99_ms"], "ms a tick, p99")
    rows.add(case, who, found["late_ticks"] / max(1, found["ticks"]) * 100, "% late ticks")
    rows.add(case, who, found["concealed"] / max(1, found["received"]) * 1e6, "concealed a million")
    rows.add(case, who, sent["late"] * 100, "generator: % sent late")


def echo(rows: Rows, count: int, seconds: float) -> None:
    system, other = cores()
    case, who = f"{count} lanes", "bare epoll echo"
    with (
        peers.echo_server(system, count) as (pid, ports),
        far_ends(other, count, seconds + SETTLE + 2) as far,
    ):
        assert far.stdin is not None and far.stdout is not None
        far.stdout.readline()
        print(*ports, file=far.stdin, flush=True)
        used = steady(pid, seconds)
        sent = json.loads(far.stdout.readline())
    rows.add(case, who, used, "% of a core")
    rows.add(case, who, used / count, "% of a core a lane")
    rows.add(case, who, sent["late"] * 100, "generator: % sent late")


def steady(pid: int, seconds: float) -> float:
    """Percent of a core over the stretch between settling and the end."""
    time.sleep(SETTLE)
    before, start = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds - 0.5)
    return (cpu_seconds(pid) - before) / (time.monotonic() - start) * 100


def far_ends(core: set[int], count: int, seconds: float) -> subprocess.Popen[str]:
    command = [*pinned(core), sys.executable, "-m", "bench.tick", "--send", str(count)]
    command += ["--seconds", str(seconds)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def introduce(one: subprocess.Popen[str], other: subprocess.Popen[str]) -> None:
    """Tell each side the other's ports."""
    assert one.stdout and other.stdout and one.stdin and other.stdin
    mine, theirs = one.stdout.readline(), other.stdout.readline()
    print(theirs.strip(), file=one.stdin, flush=True)
    print(mine.strip(), file=other.stdin, flush=True)


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--lanes", type=int, nargs="*", default=[100, 500, 1000, 1500])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--send", type=int, default=0)
    parser.add_argument("--hold", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--io", nargs="*", default=["auto"], help="auto, epoll or both")
    parser.add_argument("--profile", type=Path, help="where to put a profile of the engine")
    a = parser.parse_args()
    if a.send:
        send(a.send, a.seconds)
    elif a.hold:
        uvloop.run(hold(a.hold, a.seconds, a.folder, a.io[0], a.profile))
    else:
        rows = Rows("tick")
        for count in a.lanes:
            for io in a.io:
                measure(rows, count, a.seconds, io, a.profile)
            echo(rows, count, a.seconds)
        rows.show(a.json)


if __name__ == "__main__":
    main()
