"""Calls of the running service that people and machines answer, with real sound on real sockets."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from telephony.audio import level
from telephony.testing.greetings import Greeting, corpus, named
from telephony.testing.softphone import PhoneCall, Softphone
from telephony.testing.words import recognise
from tests.interop.service import Service, free_port, how

TOML = """
[[trunks]]
name = "main"
gateways = ["127.0.0.1:{gateway}"]
caller_ids = ["+12025550100"]
"""
GREETING = "Good morning. This is the lake side clinic with a reminder for tomorrow. " * 3
MESSAGE = "Please call us back tomorrow morning."
PLANS = {
    "reminder": (
        "name: reminder\nstart: hello\nnodes:\n"
        f"  hello: {{verb: say, text: {GREETING!r}, next: bye}}\n"
        "  bye: {verb: hangup}\n"
    )
}
LOUD = level.amplitude(-40.0)


@dataclass
class Answered:
    """A call that was answered with a greeting; ``at`` is its monotonic beginning."""

    session: str
    call: PhoneCall
    greeting: Greeting
    at: float

    def silent(self, begin: float, end: float) -> bool:
        """Whether nothing of ours was heard, in seconds from the answer."""
        sound = self.call.sound.heard(self.at + begin, self.at + end)
        return int(np.abs(sound.astype(np.int32)).max(initial=0)) < LOUD


@pytest.fixture(scope="module")
def gateway() -> int:
    return free_port()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, gateway: int) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("amd"), TOML.format(gateway=gateway), PLANS)
    running.start()
    yield running
    running.stop()
    assert running.complaints() == []


class Street:
    """The houses at the far end of the trunk, by number; each answers as it is told."""

    def __init__(self, service: Service, phone: Softphone) -> None:
        self._service = service
        self._phone = phone

    async def dial(self, name: str, number: str, **order: Any) -> Answered:
        """Call somebody who answers with the greeting of that name."""
        greeting = named(corpus(), name)
        session = await asyncio.to_thread(
            self._service.api.dial, to=number, dialplan="reminder", **order
        )
        call = await self._phone.incoming(10)
        assert number in call.request.uri
        await call.answer()
        call.sound.play(greeting.samples)
        return Answered(session, call, greeting, time.monotonic())

    async def over(self, answered: Answered) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The call's events and report when it is over."""
        api = self._service.api
        events = await asyncio.to_thread(api.ended, answered.session)
        return events, await asyncio.to_thread(api.report, answered.session)


def one(events: list[dict[str, Any]], event_type: str) -> dict[str, Any]:
    (found,) = [e for e in events if e["event_type"] == event_type]
    return found


async def test_people_and_machines_answer(service: Service, gateway: int) -> None:
    corpus()
    async with Softphone("gateway", port=gateway) as phone:
        street = Street(service, phone)
        person = await street.dial("hello (", "+12025550111", onMachine="hangup")
        box = await street.dial(
            "french box", "+12025550122",
            onMachine="leave_message", voicemailMessage=MESSAGE,
        )  # fmt: skip
        home = await street.dial(
            "home", "+12025550133", onMachine="hangup", telephony={"amd": {"mode": "carrier"}}
        )
        nobody = await street.dial(
            "very late hello", "+12025550144", telephony={"amd": {"timeoutSeconds": 2}}
        )
        await asyncio.gather(
            a_machine_is_hung_up_on(street, home),
            a_message_is_left(street, box),
            a_person_is_greeted_as_ever(service, street, person),
            silence_is_nobody(service, street, nobody),
        )


async def a_person_is_greeted_as_ever(service: Service, street: Street, person: Answered) -> None:
    detected = await asyncio.to_thread(service.api.wait, person.session, "call.amd.detected")
    assert detected["payload"]["verdict"] == "human"
    assert detected["payload"]["confidence"] > 0.7
    spoken = 1000 * named(corpus(), "hello (").voice_ends
    assert spoken < detected["payload"]["time_ms"] < spoken + 1500
    await asyncio.sleep(1.0)
    assert not person.silent(0.0, 0.5), "the greeting waits for nothing"
    person.call.hangup()
    events, report = await street.over(person)
    assert how(events)[0] == "ended"
    assert report["voicemail"] == {"detected": False, "amd_verdict": "human", "delivery": None}


async def a_machine_is_hung_up_on(street: Street, home: Answered) -> None:
    await home.call.ended(15)
    assert home.greeting.beep_at is not None
    events, report = await street.over(home)
    assert how(events) == ("ended", None, "service")
    verdict = one(events, "call.amd.detected")["payload"]
    assert verdict["reason"] == "long_greeting"
    assert verdict["time_ms"] < 1000 * home.greeting.beep_at, "before the greeting is over"
    assert report["outcome"] == "voicemail"
    assert report["voicemail"] == {
        "detected": True,
        "amd_verdict": "machine",
        "delivery": "not_attempted",
    }


async def a_message_is_left(street: Street, box: Answered) -> None:
    await box.call.ended(25)
    events, report = await street.over(box)
    verdict = one(events, "call.amd.detected")["payload"]
    assert verdict["verdict"] == "machine"
    assert one(events, "call.greeting.ended")["payload"]["how"] == "beep"
    assert one(events, "call.voicemail.ended")["payload"]["delivery"] == "delivered"
    assert report["voicemail"] == {
        "detected": True,
        "amd_verdict": "machine",
        "delivery": "delivered",
    }
    beep = box.greeting.beep_at
    assert beep is not None
    assert not box.silent(0.0, 1.0), "until the verdict it is a call like any other"
    assert box.silent(verdict["time_ms"] / 1000 + 0.3, beep + 0.2)
    said = box.call.sound.heard(box.at + beep + 0.2)
    assert recognise(said, [MESSAGE, *re.findall(r"[A-Z][^.]+\.", GREETING)]) == MESSAGE
    assert report["transcript"]["entries"][-1]["text"] == MESSAGE


async def silence_is_nobody(service: Service, street: Street, nobody: Answered) -> None:
    detected = await asyncio.to_thread(service.api.wait, nobody.session, "call.amd.detected")
    assert detected["payload"]["verdict"] == "unknown"
    assert detected["payload"]["reason"] == "silence"
    assert detected["payload"]["time_ms"] == 2000
    nobody.call.hangup()
    _, report = await street.over(nobody)
    assert report["voicemail"]["amd_verdict"] == "unknown"
