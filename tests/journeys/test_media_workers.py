"""The service with media workers: whole calls, and a worker that is killed under some of them."""

from __future__ import annotations

import asyncio
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from telephony.audio import wav
from telephony.testing.audio import heard, tone
from telephony.testing.softphone import PhoneCall, Softphone
from tests.interop.service import Service, eventually, free_port, how

TOML = """
[[trunks]]
name = "main"
gateways = ["127.0.0.1:{gateway}"]
caller_ids = ["+12025550100"]

[[phones]]
user = "1000"
password = "operator"
"""
LONG = "This is a very long text so that nobody has to hurry with anything. " * 8
PLANS = {
    "meeting": "start: room\nrecord: true\nnodes:\n  room: {verb: join_room, room: staff}\n",
    "desk": (
        "start: go\nnodes:\n  go: {verb: dial, to: '1000', ring_seconds: 10, next: end}\n"
        "  end: {verb: hangup}\n"
    ),
    "talk": f"start: a\nrecord: true\nnodes:\n  a: {{verb: say, text: '{LONG}'}}\n",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("workers"), TOML.format(gateway=free_port()), PLANS)
    made.start(TELEPHONY_MEDIA_WORKERS="2")
    yield made
    made.stop()


def workers(service: Service) -> list[int]:
    """Process ids of the workers that live."""
    assert service.process is not None
    tasks = Path(f"/proc/{service.process.pid}/task").glob("*/children")
    children = [pid for task in tasks for pid in task.read_text().split()]
    ours = b"telephony.media.workers"
    return [int(pid) for pid in children if ours in Path(f"/proc/{pid}/cmdline").read_bytes()]


def metric(service: Service, name: str) -> dict[str, float]:
    """Value by label text."""
    with urllib.request.urlopen(f"{service.api.base}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    rows = [line.rsplit(" ", 1) for line in lines if line.startswith(name)]
    return {row[0].removeprefix(name): float(row[1]) for row in rows}


async def call_in(service: Service, phone: Softphone, plan: str) -> tuple[PhoneCall, str]:
    before = await asyncio.to_thread(service.api.sessions)
    call = await phone.call(f"sip:{plan}@{service.sip}")
    await call.answered()
    return call, await asyncio.to_thread(service.api.new_session, before)


async def events_of(service: Service, session: str) -> list[dict[str, Any]]:
    return await asyncio.to_thread(service.api.ended, session)


async def test_a_call_is_heard_recorded_and_counted_whole(service: Service) -> None:
    async with Softphone() as phone:
        call, session = await call_in(service, phone, "talk")
        call.sound.play(tone(440, 1500))
        await asyncio.sleep(1.5)
        assert call.sound.heard().any()
        call.hangup()
        events = await events_of(service, session)
    assert how(events) == ("ended", None, "caller")
    played = next(e for e in events if e["event_type"] == "call.prompt.played")
    assert 500 < played["payload"]["heard_ms"] < played["payload"]["total_ms"]
    assert played["payload"]["reason"] == "hangup"
    left = next(e for e in events if e["event_type"] == "call.leg.hangup")
    assert left["payload"]["quality"]["packets_received"] > 50
    file = wav.parse(await asyncio.to_thread(service.api.recording, session))
    assert heard(file.samples[0], 440).present_ms > 800


async def test_callers_of_unlike_workers_meet(service: Service) -> None:
    async with Softphone("a") as a, Softphone("b") as b:
        one, first = await call_in(service, a, "meeting")
        two, second = await call_in(service, b, "meeting")
        lanes = await asyncio.to_thread(metric, service, "telephony_media_worker_lanes")
        # A lane of each call, and one each for the way between them.
        assert lanes == {'{worker="0"}': 0, '{worker="1"}': 2, '{worker="2"}': 2}
        one.sound.play(tone(440, 1200))
        two.sound.play(tone(700, 1200))
        await asyncio.sleep(1.3)
        assert heard(two.sound.heard(), 440).present_ms > 600
        assert heard(one.sound.heard(), 700).present_ms > 600
        assert not heard(one.sound.heard(), 440)
        one.hangup()
        two.hangup()
        for session in (first, second):
            assert how(await events_of(service, session))[0] == "ended"
    rested = {'{worker="0"}': 0, '{worker="1"}': 0, '{worker="2"}': 0}
    eventually("no lane", lambda: metric(service, "telephony_media_worker_lanes") == rested or None)


async def test_both_legs_of_a_call_are_in_one_worker(service: Service) -> None:
    async with Softphone("a") as a, Softphone("1000", "operator") as desk:
        await desk.register(("127.0.0.1", service.sip_port))
        call, session = await call_in(service, a, "desk")
        other = await desk.incoming()
        await other.answer()
        await asyncio.to_thread(service.api.wait, session, "call.bridged")
        lanes = await asyncio.to_thread(metric, service, "telephony_media_worker_lanes")
        assert sorted(lanes.values()) == [0, 0, 2]
        call.sound.play(tone(440, 800))
        await asyncio.sleep(0.9)
        assert heard(other.sound.heard(), 440).present_ms > 400
        call.hangup()
        await events_of(service, session)


async def test_a_worker_that_dies_takes_its_own_calls_only(service: Service) -> None:
    before = await asyncio.to_thread(workers, service)
    assert len(before) == 2
    async with Softphone("a") as a, Softphone("b") as b:
        calls = [await call_in(service, a, "talk"), await call_in(service, b, "talk")]
        await asyncio.sleep(1.3)
        os.kill(before[0], signal.SIGKILL)
        ended = [asyncio.ensure_future(call.ended()) for call, _ in calls]
        done, _ = await asyncio.wait(ended, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == 1
        dead, alive = (0, 1) if ended[0] in done else (1, 0)
        assert ended[dead].result().cause == 41
        events = await events_of(service, calls[dead][1])
        assert how(events) == ("ended", "interrupted", "service")
        (ready,) = [e for e in events if e["event_type"] == "call.recording.ready"]
        assert ready["payload"]["duration_ms"] >= 500
        # The other one goes on, and whoever calls now is served.
        killed = asyncio.get_running_loop().time()
        await asyncio.sleep(0.5)
        assert calls[alive][0].sound.heard(since=killed).any()
        assert not ended[alive].done()
        calls[alive][0].hangup()
        assert how(await events_of(service, calls[alive][1]))[:2] == ("ended", None)
        eventually("another worker", lambda: len(workers(service)) == 2 or None)
        name = "telephony_media_worker_restarts_total"
        eventually("its count", lambda: sum(metric(service, name).values()) == 1 or None)
        call, session = await call_in(service, a, "talk")
        call.hangup()
        await events_of(service, session)


def ready(service: Service) -> list[str]:
    """What keeps the service from taking a call."""
    return list(service.api.call("GET", "/readyz")[1].get("problems", []))


async def test_the_last_worker_is_missed_and_all_end_with_the_service(tmp_path: Path) -> None:
    service = Service(tmp_path, TOML.format(gateway=free_port()), PLANS)
    await asyncio.to_thread(service.start, TELEPHONY_MEDIA_WORKERS="1")
    (pid,) = workers(service)
    os.kill(pid, signal.SIGKILL)
    eventually("a word of it", lambda: "no media worker is running" in ready(service) or None)
    eventually("its successor", lambda: not ready(service) or None)
    (pid,) = workers(service)
    await asyncio.to_thread(service.kill)
    eventually("the worker's end", lambda: not Path(f"/proc/{pid}/cmdline").exists() or None)


async def test_what_was_going_on_when_the_service_was_killed_has_its_report(tmp_path: Path) -> None:
    """A recording and a bridge in unlike workers: both end with the process, neither is lost."""
    service = Service(tmp_path, TOML.format(gateway=free_port()), PLANS)
    await asyncio.to_thread(service.start, TELEPHONY_MEDIA_WORKERS="2")
    async with Softphone("a") as a, Softphone("b") as b, Softphone("1000", "operator") as desk:
        await desk.register(("127.0.0.1", service.sip_port))
        talk, talked = await call_in(service, a, "talk")
        _, bridged = await call_in(service, b, "desk")
        other = await desk.incoming()
        await other.answer()
        await asyncio.to_thread(service.api.wait, bridged, "call.bridged")
        talk.sound.play(tone(440, 1500))
        await asyncio.sleep(1.5)
        before = workers(service)
        assert len(before) == 2
        await asyncio.to_thread(service.kill)
        gone = [Path(f"/proc/{pid}/cmdline") for pid in before]
        eventually("their end", lambda: not any(path.exists() for path in gone) or None)
    await asyncio.to_thread(service.start, TELEPHONY_MEDIA_WORKERS="2")
    for session in (talked, bridged):
        events = await events_of(service, session)
        assert how(events)[:2] == ("ended", "interrupted")
        report = await asyncio.to_thread(service.api.report, session)
        assert report["outcome"] == "interrupted"
    file = wav.parse(await asyncio.to_thread(service.api.recording, talked))
    assert heard(file.samples[0], 440).present_ms > 500
    await asyncio.to_thread(service.stop)
