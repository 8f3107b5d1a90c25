"""Front-desk calls at once on one core: prompt, recording and digits on, beside a bare echo.

The service and the generator run on a core each; CPU is that of the service's whole process
tree over a steady stretch, memory its proportional set size. ``late`` is the share of ticks
that started more than 5 ms after their time. The peer is an epoll echo of the same datagrams
in Python, which is what the kernel alone costs.
"""

from __future__ import annotations

import json
import multiprocessing
import select
import socket
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from bench.harness import Rows, Service, arguments, cores, cpu_seconds, pss_mb


def generate(port: int, core: set[int], calls: int, seconds: float) -> subprocess.Popen[str]:
    """A generator whose callers press 9 (repeat the menu) every eight seconds or so."""
    command = ["taskset", "-c", ",".join(map(str, core)), sys.executable, "-m", "bench.generator"]
    command += ["--port", str(port), "--calls", str(calls), "--rate", "50"]
    command += ["--seconds", str(seconds), "--digit-every", "8"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def await_up(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit("the generator died")


def measure(rows: Rows, calls: int, seconds: float) -> None:
    system, other = cores()
    with Service(system) as service:
        idle = pss_mb(service.process.pid)
        generator = generate(service.sip_port, other, calls, seconds + 6)
        await_up(generator)
        time.sleep(3)
        before = service.metrics()
        start_cpu, start = cpu_seconds(service.process.pid), time.monotonic()
        time.sleep(seconds)
        used = cpu_seconds(service.process.pid) - start_cpu
        wall = time.monotonic() - start
        after = service.metrics()
        loaded = pss_mb(service.process.pid)
        assert generator.stdout is not None
        found = json.loads(generator.stdout.read().splitlines()[-1])
        generator.wait(30)
    ticks = after["telephony_media_ticks_total"] - before["telephony_media_ticks_total"]
    late = after["telephony_media_late_ticks_total"] - before["telephony_media_late_ticks_total"]
    case = f"{calls} calls"
    rows.add(case, "telephony", used / wall * 100, "% of a core")
    rows.add(case, "telephony", used / wall * 100 / calls, "% of a core a call")
    rows.add(case, "telephony", late / max(1.0, ticks) * 100, "% late ticks")
    rows.add(case, "telephony", (loaded - idle) * 1024 / calls, "KB a call")
    rows.add(case, "telephony", loaded, "MB in all")
    rows.add(case, "telephony", found["answered"], "answered")
    rows.add(case, "telephony", found["failed"], "failed")
    rows.add(case, "telephony", found["setup_p99_ms"], "ms to 200, p99")
    lost = 100 * (1 - found["received"] / max(1, found["sent"]))
    rows.add(case, "telephony", lost, "% fewer packets back than sent")


def echo(ready: Connection, count: int) -> None:
    """The peer: sockets that send back what comes, and nothing else."""
    epoll = select.epoll()
    sockets = {}
    for _ in range(count):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind(("127.0.0.1", 0))
        one.setblocking(False)
        epoll.register(one, select.EPOLLIN)
        sockets[one.fileno()] = one
    ready.send([s.getsockname()[1] for s in sockets.values()])
    buffer = bytearray(2048)
    while True:
        for fd, _ in epoll.poll():
            one = sockets[fd]
            size, source = one.recvfrom_into(buffer)
            one.sendto(memoryview(buffer)[:size], source)


def talk(ports: list[int], seconds: float) -> None:
    """50 packets a second to every port, spread over the 20 ms as callers are."""
    sockets = []
    for port in ports:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.connect(("127.0.0.1", port))
        one.setblocking(False)
        sockets.append(one)
    slots: list[list[socket.socket]] = [sockets[i::20] for i in range(20)]
    data = bytes(172)
    began = time.monotonic()
    beat = 0
    while time.monotonic() < began + seconds:
        for one in slots[beat % 20]:
            try:
                one.send(data)
                one.recv(2048)
            except OSError:
                pass
        beat += 1
        time.sleep(max(0.0, began + beat * 0.001 - time.monotonic()))


def peer(rows: Rows, calls: int, seconds: float) -> None:
    import os

    system, other = cores()
    mine, theirs = multiprocessing.Pipe()
    server: BaseProcess = multiprocessing.Process(target=echo, args=(theirs, calls), daemon=True)
    server.start()
    assert server.pid is not None
    os.sched_setaffinity(server.pid, system)
    ports = mine.recv()
    client = multiprocessing.Process(target=talk, args=(ports, seconds + 3), daemon=True)
    client.start()
    assert client.pid is not None
    os.sched_setaffinity(client.pid, other)
    time.sleep(1.5)
    start_cpu, start = cpu_seconds(server.pid), time.monotonic()
    time.sleep(seconds)
    used = (cpu_seconds(server.pid) - start_cpu) / (time.monotonic() - start) * 100
    client.join()
    server.kill()
    server.join()
    rows.add(f"{calls} calls", "bare epoll echo", used, "% of a core")
    rows.add(f"{calls} calls", "bare epoll echo", used / calls, "% of a core a call")


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--calls", type=int, nargs="*", default=[10, 100, 300, 600, 1000])
    parser.add_argument("--seconds", type=float, default=15.0)
    a = parser.parse_args()
    rows = Rows("calls")
    for calls in a.calls:
        measure(rows, calls, a.seconds)
        peer(rows, calls, min(a.seconds, 8.0))
    rows.show(a.json)


if __name__ == "__main__":
    main()
