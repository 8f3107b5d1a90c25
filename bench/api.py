"""The API over a real store: dials a second, lists, a stream that 500 listen to; events appended.

The service runs on one core, the clients on the other, on SQLite and on PostgreSQL (a server of the
bench's own). Dials go to a gateway that says busy at once. Beside them in the same run: a bare
aiohttp handler that answers as many octets without looking at anything.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

import aiohttp
import uvloop
from aiohttp import web

from bench.harness import Rows, Service, arguments, cores, pinned
from telephony.base.clock import ManualClock
from telephony.base.ids import Ids
from telephony.calls.call import Call
from telephony.calls.events import DigitPressed
from telephony.calls.outcome import Status
from telephony.calls.ports import Append
from telephony.calls.public import publish
from telephony.calls.state import Direction
from telephony.store import Store
from telephony.testing.postgres import Cluster

KEY = "sk_live_bench"
NUMBER = "+12025550100"
LISTENERS = 500
DIALS = 50.0
"""A second."""
TOML = """
[[trunks]]
name = "busy"
gateways = ["127.0.0.1:{port}"]
caller_ids = ["{number}"]
"""
HEADERS = {"Authorization": f"Bearer {KEY}"}
BODY = {"to": "+12025550123", "from": NUMBER, "dialplan": "front-desk"}


# --- the store alone -------------------------------------------------------------------------


async def append(url: str, group: int, seconds: float) -> float:
    """Events a second that are acknowledged, in groups of so many of as many calls."""
    store = await Store.open(url, "bench")
    clock = ManualClock()
    ids = Ids(random.Random(1), clock)
    now = clock.now()
    calls = [
        Call(
            id=ids.call(),
            organization="org_default",
            direction=Direction.INBOUND,
            created_at=now,
            updated_at=now,
            status=Status.ACTIVE,
        )
        for _ in range(64)
    ]
    seq, done, start = 0, 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        batch = []
        for _ in range(group):
            call, number = calls[seq % 64], seq // 64 + 1
            seq += 1
            row = publish(
                DigitPressed(at=now, leg="l", digit="1"),
                call,
                seq=number,
                event_id=ids.make("evt"),
                created_at=now,
            )
            batch.append(Append(row, call))
        await store.calls.append(batch)
        done += group
    rate = done / (time.perf_counter() - start)
    await store.close()
    return rate


# --- the service -----------------------------------------------------------------------------


def gateway() -> None:
    """A SIP gateway that is always busy: 486 by template, ACKs unheeded."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    print(sock.getsockname()[1], flush=True)
    kept = ("via:", "from:", "call-id:", "cseq:")
    while True:
        data, source = sock.recvfrom(4096)
        if not data.startswith(b"INVITE"):
            continue
        lines = data.decode("latin-1").split("\r\n")
        head = [line for line in lines if line.lower().startswith(kept)]
        to = next(line for line in lines if line.lower().startswith("to:"))
        reply = "\r\n".join(["SIP/2.0 486 Busy Here", *head, f"{to};tag=b", "Content-Length: 0"])
        sock.sendto(f"{reply}\r\n\r\n".encode("latin-1"), source)


def bare() -> None:
    """An aiohttp server that answers any request with as many octets as it is asked for."""

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        size = int(request.query.get("size", "200"))
        return web.Response(text='{"x":"' + "x" * size + '"}', content_type="application/json")

    async def run() -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    uvloop.run(run())


@contextmanager
def part(core: set[int], name: str) -> Iterator[int]:
    """A process of this file on a core: the port that it says."""
    command = [*pinned(core), sys.executable, "-m", "bench.api", f"--{name}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


async def at_rate(
    ask: Callable[[int], Awaitable[None]], rate: float, seconds: float
) -> tuple[float, float]:
    """Requests begun at a rate, whatever the answers do: (median, p99) in milliseconds."""
    times: list[float] = []

    async def one(number: int) -> None:
        began = time.perf_counter()
        await ask(number)
        times.append((time.perf_counter() - began) * 1000)

    start, tasks = time.perf_counter(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
    shares = quantiles(times, n=100)
    return shares[49], shares[98]


async def at_once(
    ask: Callable[[int], Awaitable[None]], clients: int, seconds: float
) -> tuple[float, float]:
    """So many clients, each asking again when it has its answer: (a second, p99 in ms)."""
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def one(number: int) -> None:
        while (began := time.perf_counter()) < end:
            await ask(number)
            times.append((time.perf_counter() - began) * 1000)

    await asyncio.gather(*(one(number) for number in range(clients)))
    return len(times) / seconds, quantiles(times, n=100)[98]


def asker(
    session: aiohttp.ClientSession, method: str, url: str, body: Any = None, status: int = 200
) -> Callable[[int], Awaitable[None]]:
    async def ask(number: int) -> None:
        async with session.request(method, url, json=body, headers=HEADERS) as reply:
            data = await reply.read()
            if reply.status != status:
                raise SystemExit(f"{method} {url}: {reply.status} {data[:300]!r}")

    return ask


async def load(base: str, rows: Rows, who: str, dial: str, events: str, seconds: float) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        median, late = await at_rate(asker(session, "POST", base + dial, BODY), DIALS, seconds)
        case = f"dial, {DIALS:.0f} a second"
        rows.add(case, who, median, "ms, median")
        rows.add(case, who, late, "ms, p99")
        rate, late = await at_once(asker(session, "GET", base + events), 8, seconds / 2)
        rows.add("events of a call, 8 clients", who, rate, "requests a second")
        rows.add("events of a call, 8 clients", who, late, "ms, p99")


def ask_json(base: str, method: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {**HEADERS, "Content-Type": "application/json"}
    request = urllib.request.Request(base + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as reply:
        raw = reply.read()
    return json.loads(raw) if raw else None


def fan_out(base: str, port: int, session: str, rounds: int) -> list[float]:
    """Milliseconds from a turn's posting to each listener's first octet of it."""
    epoll, sockets = select.epoll(), {}
    for _ in range(LISTENERS):
        one = socket.create_connection(("127.0.0.1", port))
        one.sendall(
            f"GET /v1/sessions/{session}/stream HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {KEY}\r\n\r\n".encode()
        )
        one.setblocking(False)
        sockets[one.fileno()] = one
        epoll.register(one, select.EPOLLIN)

    def drain(until: float) -> None:
        while (left := until - time.perf_counter()) > 0:
            for descriptor, _ in epoll.poll(left):
                sockets[descriptor].recv(65536)

    drain(time.perf_counter() + 3)
    found: list[float] = []
    for index in range(rounds):
        turn = {
            "index": index,
            "source": "agent",
            "text": "hello",
            "startedAt": "2026-01-05",
        }
        waiting, began = set(sockets), time.perf_counter()
        ask_json(base, "POST", f"/v1/sessions/{session}/turns", {"turns": [turn]})
        while waiting and time.perf_counter() - began < 5:
            for descriptor, _ in epoll.poll(0.5):
                if b"transcript" in sockets[descriptor].recv(65536):
                    waiting.discard(descriptor)
                    found.append((time.perf_counter() - began) * 1000)
        found += [5000.0] * len(waiting)
        drain(time.perf_counter() + 0.2)
    for one in sockets.values():
        one.close()
    return found


def serve(rows: Rows, who: str, settings: dict[str, str], seconds: float) -> None:
    system, other = cores()
    os.sched_setaffinity(0, other)
    with part(other, "gateway") as sip:
        toml = TOML.format(port=sip, number=NUMBER)
        settings = {**settings, "TELEPHONY_REQUESTS_PER_SECOND": "100000"}
        with Service(system, toml=toml, settings=settings) as service:
            base = f"http://127.0.0.1:{service.api_port}"
            made = ask_json(base, "POST", "/v1/sessions/phone", BODY)["sessionId"]
            time.sleep(1)
            events = f"/v1/calls/{made}/events"
            uvloop.run(load(base, rows, who, "/v1/sessions/phone", events, seconds))
            live = LiveCall(service)
            try:
                heard = fan_out(base, service.api_port, live.session, 10)
            finally:
                live.close()
    shares = quantiles(heard, n=100)
    rows.add(f"stream, {LISTENERS} listeners", who, shares[49], "ms to hear of an event, median")
    rows.add(f"stream, {LISTENERS} listeners", who, shares[98], "ms to hear of an event, p99")


class LiveCall:
    """A call into the front desk that stays up: whoever streams it waits for news."""

    def __init__(self, service: Service) -> None:
        self._process = subprocess.Popen(
            f"sipp -sn uac -nostdin -m 1 -d 120000 -s front-desk -i 127.0.0.1 "
            f"127.0.0.1:{service.sip_port}".split(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        base = f"http://127.0.0.1:{service.api_port}"
        for _ in range(50):
            time.sleep(0.1)
            entries = ask_json(base, "GET", "/v1/sessions?status=active")["entries"]
            if entries:
                self.session = str(entries[0]["sessionId"])
                return
        self.close()
        raise SystemExit("the front desk did not take a call")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def cluster(rows: Rows) -> Cluster | None:
    """A PostgreSQL server of our own, where it is installed."""
    try:
        made = Cluster()
        made.start()
    except (RuntimeError, LookupError) as error:
        rows.absent("telephony, PostgreSQL", str(error))
        return None
    return made


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--gateway", action="store_true", help="be the busy gateway")
    parser.add_argument("--bare", action="store_true", help="be the bare handler")
    a = parser.parse_args()
    if a.gateway:
        return gateway()
    if a.bare:
        return bare()
    rows = Rows("api")
    system, other = cores()
    folder = Path(tempfile.mkdtemp(prefix="bench-api-"))
    postgres = cluster(rows)
    try:
        urls = {"SQLite": f"sqlite:///{folder}/append.db"}
        stores: dict[str, dict[str, str]] = {"telephony": {}}
        if postgres is not None:
            urls["PostgreSQL"] = postgres.fresh()
            url = postgres.fresh()
            stores["telephony, PostgreSQL"] = {"TELEPHONY_DATABASE_URL": url}
        os.sched_setaffinity(0, system)
        for name, url in urls.items():
            for case, group in (("in groups of 64", 64), ("one by one", 1)):
                rate = uvloop.run(append(url, group, a.seconds / 4))
                rows.add(f"append, {name}", "telephony", rate, f"events a second, {case}")
        os.sched_setaffinity(0, other)
        with part(system, "bare") as port:
            base = f"http://127.0.0.1:{port}"
            paths = ("/dial?size=180", "/events?size=1500")
            uvloop.run(load(base, rows, "bare aiohttp", *paths, a.seconds))
        for name, settings in stores.items():
            serve(rows, name, settings, a.seconds)
    finally:
        if postgres is not None:
            postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)
    rows.show(a.json)
    return None


if __name__ == "__main__":
    main()
