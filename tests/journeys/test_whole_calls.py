"""Whole journeys through the running service, with scripted phones on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from telephony.audio import wav
from telephony.base.clock import iso
from telephony.testing.audio import heard, tone
from telephony.testing.softphone import PhoneCall, Softphone
from tests.interop.service import Service, free_port, how

TOML = """
[[trunks]]
name = "main"
gateways = ["127.0.0.1:{gateway}"]
caller_ids = ["+12025550100"]
allowed_sources = ["127.0.0.9/32"]

[[phones]]
user = "1000"
password = "operator"

[[phones]]
user = "1001"
password = "desk"

[numbers]
"+12025550100" = {{ dialplan = "front-desk", trunk = "main" }}
"""

PLANS = {
    "meeting": (
        "name: meeting\nstart: room\nnodes:\n  room: {verb: join_room, room: staff}\nrecord: true\n"
    ),
    "pin": (
        "name: pin\nstart: ask\nvariables:\n  code: {secret: true}\n  choice: {report: true}\n"
        "nodes:\n"
        "  ask: {verb: gather, prompt: Your code please., variable: code, secret: true,"
        " min: 4, max: 4, next: pick}\n"
        "  pick: {verb: gather, prompt: And your choice., variable: choice, min: 1, max: 1,"
        " next: bye}\n"
        "  bye: {verb: hangup}\n"
    ),
    "send-on": (
        "name: send-on\nstart: go\nnodes:\n"
        "  go: {verb: answer, next: send}\n"
        '  send: {verb: transfer, to: "1000", ring_seconds: 10, on_failed: sorry}\n'
        "  sorry: {verb: say, text: Nobody is there., next: end}\n"
        "  end: {verb: hangup}\n"
    ),
}


@pytest.fixture(scope="module")
def gateway() -> int:
    return free_port()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, gateway: int) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("service"), TOML.format(gateway=gateway), PLANS)
    running.start()
    yield running
    running.stop()
    assert running.complaints() == []


async def ended(service: Service, session: str) -> list[dict[str, Any]]:
    return await asyncio.to_thread(service.api.ended, session)


async def sessions(service: Service) -> list[str]:
    return await asyncio.to_thread(service.api.sessions)


async def new_session(service: Service, before: list[str]) -> str:
    return await asyncio.to_thread(service.api.new_session, before)


def recordings(service: Service, session: str) -> dict[str, Path]:
    found = (service.folder / "var" / "recordings").glob(f"*/*/{session}*.wav")
    return {p.stem.removeprefix(session).strip("-") or "call": p for p in found}


async def test_a_conference_hears_the_others_and_never_itself(service: Service) -> None:
    tones = {"a": 500.0, "b": 800.0, "c": 1200.0}
    async with Softphone("a") as a, Softphone("b") as b, Softphone("c") as c:
        before = await sessions(service)
        calls: dict[str, PhoneCall] = {}
        for name, phone in (("a", a), ("b", b), ("c", c)):
            calls[name] = await phone.call(f"sip:meeting@127.0.0.1:{service.sip_port}")
            await calls[name].answered(10)
        await asyncio.sleep(0.4)
        for name, call in calls.items():
            call.sound.play(tone(tones[name], 2500, -16.0))
        await asyncio.sleep(2.2)
        for name, call in calls.items():
            sound = call.sound.heard()[-8000:]
            for other, frequency in tones.items():
                assert bool(heard(sound, frequency)) is (other != name), (name, other)
        # One leaves: the two that stay still hear each other, and nobody hears who left.
        calls["c"].hangup()
        await calls["c"].ended(5)
        calls["a"].sound.play(tone(tones["a"], 1500, -16.0))
        await asyncio.sleep(1.3)
        sound = calls["b"].sound.heard()[-4000:]
        assert heard(sound, tones["a"])
        assert not heard(sound, tones["c"])
        for name in ("a", "b"):
            calls[name].hangup()
        made = [s for s in await sessions(service) if s not in before]
        assert len(made) == 3
        for session in made:
            events = await ended(service, session)
            names = [e["event_type"] for e in events]
            assert names.count("room_started") == names.count("room_finished") == 1


async def test_a_phone_calls_a_phone_and_both_hear_each_other(service: Service) -> None:
    server = ("127.0.0.1", service.sip_port)
    async with Softphone("1000", "operator") as desk, Softphone("1001", "desk") as caller:
        assert await desk.register(server) == 200
        assert await caller.register(server) == 200
        before = await sessions(service)
        call = await caller.call(f"sip:1000@127.0.0.1:{service.sip_port}")
        there = await desk.incoming(10)
        there.ring()
        await asyncio.sleep(0.3)
        await there.answer()
        await call.answered(10)
        session = await new_session(service, before)
        await asyncio.to_thread(service.api.wait, session, "call.bridged")
        call.sound.play(tone(600, 1500, -16.0))
        there.sound.play(tone(1000, 1500, -16.0))
        await asyncio.sleep(1.3)
        assert heard(there.sound.heard()[-4000:], 600)
        assert not heard(there.sound.heard()[-4000:], 1000)
        assert heard(call.sound.heard()[-4000:], 1000)
        assert not heard(call.sound.heard()[-4000:], 600)
        there.hangup()
        await call.ended(10)
        events = await ended(service, session)
        assert how(events)[0] == "ended"
        assert [e["event_type"] for e in events].count("call.leg.hangup") == 2


async def test_a_message_holds_what_was_said_and_the_call_both_sides(service: Service) -> None:
    async with Softphone("caller") as phone:
        before = await sessions(service)
        call = await phone.call(f"sip:front-desk@127.0.0.1:{service.sip_port}")
        await call.answered(10)
        await asyncio.sleep(0.5)
        await call.sound.press("2")
        session = await new_session(service, before)

        def recording() -> bool:
            events = service.api.events(session)
            return any(
                e["event_type"] == "call.recording.started" and e["payload"]["kind"] == "message"
                for e in events
            )

        for _ in range(200):
            if await asyncio.to_thread(recording):
                break
            await asyncio.sleep(0.05)
        await call.sound.play(tone(700, 1500, -16.0))
        await call.sound.press("#")
        await asyncio.sleep(0.5)
        call.hangup()
        await call.ended(5)
    await ended(service, session)
    report = await asyncio.to_thread(service.api.report, session)
    message = report["artifacts"]["messages"][0]
    assert message["ended_by"] == "key"
    files = recordings(service, session)
    left = wav.parse(files["message-1"].read_bytes())
    assert left.samples.shape[0] == 1
    assert heard(left.samples[0], 700).present_ms >= 1400
    whole = wav.parse(files["call"].read_bytes())
    assert whole.samples.shape[0] == 2
    assert heard(whole.samples[0], 700).present_ms >= 1400
    assert not heard(whole.samples[1], 700)
    status, reply = await asyncio.to_thread(
        service.api.call, "GET", f"/v1/calls/{session}/recording"
    )
    assert status == 200
    assert reply["url"].startswith("http")


async def test_a_promised_call_is_made_once_at_its_time(service: Service, gateway: int) -> None:
    async with Softphone("gateway", port=gateway) as far:
        before = await sessions(service)
        status, row = await asyncio.to_thread(
            service.api.call,
            "POST",
            "/v1/callbacks",
            {
                "to": "+12025550188",
                "scheduledAt": iso(datetime.now(UTC)),
                "dialplan": "callback-desk",
            },
        )
        assert status in (200, 201), row
        call = await far.incoming(15)
        assert "+12025550188" in call.request.uri
        call.ring()
        await call.answer()
        session = await new_session(service, before)
        await asyncio.sleep(1.5)
        call.hangup()
        await call.ended(5)
        events = await ended(service, session)
        assert how(events)[0] == "ended"
        found = await asyncio.to_thread(service.api.get, f"/v1/callbacks/{row['id']}")
        assert (found["status"], found["created_session_id"]) == ("dispatched", session)
        assert call.sound.received > 0
        await asyncio.sleep(1.0)
        assert (await sessions(service))[0] == session


async def test_secrets_are_masked_everywhere(service: Service) -> None:
    async with Softphone("caller") as phone:
        before = await sessions(service)
        call = await phone.call(f"sip:pin@127.0.0.1:{service.sip_port}")
        await call.answered(10)
        await asyncio.sleep(0.4)
        await call.sound.press("4711")
        await asyncio.sleep(0.6)
        await call.sound.press("3")
        session = await new_session(service, before)
        events = await ended(service, session)
        digits = [e["payload"]["digit"] for e in events if e["event_type"] == "call.dtmf.received"]
        assert digits == ["*", "*", "*", "*", "3"]
        report = await asyncio.to_thread(service.api.report, session)
        assert report["custom_data"] == {"choice": "3"}
        said = str(events) + str(report) + service.log_path.read_text()
        assert "4711" not in said


async def test_a_transfer_that_the_phone_does_not_take_is_dialled_and_bridged(
    service: Service,
) -> None:
    server = ("127.0.0.1", service.sip_port)
    async with Softphone("1000", "operator") as desk, Softphone("caller") as caller:
        assert await desk.register(server) == 200
        before = await sessions(service)
        call = await caller.call(f"sip:send-on@127.0.0.1:{service.sip_port}")
        await call.answered(10)
        await call.until(lambda: bool(call.refers), 10)
        call.refuse_refer(405)
        there = await desk.incoming(10)
        await there.answer()
        session = await new_session(service, before)
        await asyncio.to_thread(service.api.wait, session, "call.transfer.completed")
        call.sound.play(tone(600, 1000, -16.0))
        await asyncio.sleep(0.9)
        assert heard(there.sound.heard()[-4000:], 600)
        there.hangup()
        await call.ended(10)
        await ended(service, session)
        report = await asyncio.to_thread(service.api.report, session)
        assert report["outcome"] == "transferred"


async def test_a_transfer_that_the_phone_takes_ends_our_part(service: Service) -> None:
    async with Softphone("caller") as caller:
        before = await sessions(service)
        call = await caller.call(f"sip:send-on@127.0.0.1:{service.sip_port}")
        await call.answered(10)
        await call.until(lambda: bool(call.refers), 10)
        call.take_refer(100, 180, 200)
        await call.ended(10)
        session = await new_session(service, before)
        events = await ended(service, session)
        assert how(events)[0] == "ended"
        report = await asyncio.to_thread(service.api.report, session)
        assert report["outcome"] == "transferred"
