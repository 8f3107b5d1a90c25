"""A phone, the service, a LiveKit server and the example worker: whole calls with an agent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from telephony.agents.voice import Voice
from telephony.audio import wav
from telephony.testing.agent import AgentWorker
from telephony.testing.livekit import LiveKit
from telephony.testing.softphone import PhoneCall, Softphone
from telephony.testing.words import recognise
from tests.interop.service import KEY, Service, free_port, how, types

TOML = """
[[trunks]]
name = "main"
gateways = ["127.0.0.1:{gateway}"]
caller_ids = ["+12025550100"]
allowed_sources = ["127.0.0.9/32"]

[[phones]]
user = "1001"
password = "desk"
"""
OURS = "+12025550177"
WORKER = "journey-worker"
WELCOME = "Thank you for calling the hardware store."
ASKS = "Good morning Bob, this is the hardware store."
HOURS = "We are open from nine in the morning until five."
BYE = "Goodbye."
SENTENCES = [WELCOME, ASKS, HOURS]
PROMPT = """You work for the {{company}}.
```script
rules:
  - hear: [when are you open, what are your opening hours]
    say: We are open from nine in the morning until five.
  - hear: [goodbye, thank you goodbye]
    say: Goodbye.
    do: end
otherwise: Sorry, I did not understand that.
```
"""


@pytest.fixture(scope="module")
def gateway() -> int:
    return free_port()


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, gateway: int, livekit_server: LiveKit
) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("service"), TOML.format(gateway=gateway), {})
    running.start(
        TELEPHONY_LIVEKIT_URL=livekit_server.url,
        TELEPHONY_LIVEKIT_API_KEY=livekit_server.key,
        TELEPHONY_LIVEKIT_API_SECRET=livekit_server.secret,
        TELEPHONY_LIVEKIT_AGENT=WORKER,
        TELEPHONY_PUBLIC_URL=running.api.base,
    )
    yield running
    running.stop()
    assert running.complaints() == []


@pytest.fixture(scope="module")
def worker(livekit_server: LiveKit, service: Service) -> Iterator[AgentWorker]:
    # Where the API is it is told with each call.
    with AgentWorker(livekit_server, api_key=KEY, name=WORKER) as made:
        yield made


@pytest.fixture(scope="module")
def agent(service: Service) -> dict[str, Any]:
    made: dict[str, Any] = service.api.post(
        "/v1/agents",
        {
            "name": "Ada",
            "systemPrompt": PROMPT,
            "inboundFirstMessage": "Thank you for calling the {{company}}.",
            "outboundFirstMessage": "Good morning {{name}}, this is the {{company}}.",
            "intent": {"language": "en"},
            "promptVariables": [{"name": "company"}, {"name": "name", "defaultValue": "there"}],
        },
    )
    service.api.post(
        "/v1/phone-numbers/import",
        {
            "e164": OURS,
            "sipTrunkId": "main",
            "direction": "both",
            "agentId": made["id"],
            "record": True,
            "dispatchMetadataTemplate": {
                "crm": "{{system.caller_number}}",
                "variables": {"company": "hardware store"},
            },
        },
    )
    return made


@pytest.fixture(scope="module")
def voice() -> Iterator[Voice]:
    made = Voice()
    yield made
    made.close()


async def ask(call: PhoneCall, voice: Voice, words: str) -> None:
    """The caller says it."""
    await call.sound.play(np.frombuffer(await voice.say(words), "<i2"))


async def hears(call: PhoneCall, sentence: str, since: float, seconds: float = 20.0) -> None:
    """The agent has said it to its end, and the caller has understood it."""
    until = time.monotonic() + seconds
    while True:
        sound = call.sound.heard(since)
        quiet = int(np.abs(sound[-4000:].astype(np.int32)).max(initial=0)) < 200
        if quiet and recognise(sound, SENTENCES) == sentence:
            return
        assert time.monotonic() < until, f"never heard {sentence!r}"
        await asyncio.sleep(0.2)


async def over(service: Service, session: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await asyncio.to_thread(service.api.ended, session)
    return found


def said(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(turn["source"], turn["text"]) for turn in report["transcript"]["entries"]]


async def called(service: Service, phone: Softphone) -> tuple[PhoneCall, str]:
    """Somebody calls the agent's number: the call, and its session."""
    server = ("127.0.0.1", service.sip_port)
    assert await phone.register(server) == 200
    before = await asyncio.to_thread(service.api.sessions)
    call = await phone.call(f"sip:{OURS}@127.0.0.1:{service.sip_port}")
    await call.answered(10)
    return call, await asyncio.to_thread(service.api.new_session, before)


async def test_setup_says_that_the_agent_talks(service: Service, agent: dict[str, Any]) -> None:
    rows: list[dict[str, Any]] = await asyncio.to_thread(service.api.get, "/v1/phone-numbers")
    setup = next(row for row in rows if row["e164"] == OURS)["setupStatus"]
    assert (setup["status"], setup["inboundReady"], setup["agentReady"]) == ("ready", True, True)
    assert agent["setupStatus"] == {"status": "ready", "agentReady": True, "issues": []}


async def test_a_caller_talks_with_the_agent_who_hangs_up(
    service: Service, worker: AgentWorker, agent: dict[str, Any], voice: Voice
) -> None:
    async with Softphone("1001", "desk") as phone:
        began = time.monotonic()
        call, session = await called(service, phone)
        await hears(call, WELCOME, began)
        asked = time.monotonic()
        await ask(call, voice, "when are you open")
        await hears(call, HOURS, asked)
        await ask(call, voice, "thank you goodbye")
        await call.ended(15)
    events = await over(service, session)
    assert how(events) == ("ended", None, "api")
    wanted = [
        "call.initiated",
        "call.answered",
        "agent.dispatched",
        "worker.room_connected",
        "worker.first_agent_audio",
        "room_finished",
        "call.hangup",
    ]
    assert [name for name in types(events) if name in wanted] == wanted
    assert types(events).count("room_started") == 1
    report = await asyncio.to_thread(service.api.report, session)
    assert said(report) == [
        ("agent", WELCOME),
        ("user", "when are you open"),
        ("agent", HOURS),
        ("user", "thank you goodbye"),
        ("agent", BYE),
    ]
    detail = await asyncio.to_thread(service.api.get, f"/v1/calls/{session}")
    assert (detail["kind"], detail["agent_id"]) == ("cascade", agent["id"])
    assert detail["metadata"]["crm"] == "1001"
    (path,) = (service.folder / "var" / "recordings").glob(f"*/*/{session}.wav")
    caller, others = wav.parse(path.read_bytes()).samples
    whole = f"{WELCOME} {HOURS} {BYE}"
    mine = "when are you open thank you goodbye"
    assert recognise(others, [whole, mine]) == whole
    assert recognise(caller, [whole, mine]) == mine


async def test_the_agent_calls_somebody(
    service: Service, worker: AgentWorker, agent: dict[str, Any], voice: Voice, gateway: int
) -> None:
    async with Softphone("gateway", port=gateway) as far:
        asked = {"company": "hardware store", "name": "Bob"}
        session = await asyncio.to_thread(
            service.api.dial, agentId=agent["id"], variables=asked, record=True
        )
        call = await far.incoming(15)
        began = time.monotonic()
        await call.answer()
        await hears(call, ASKS, began)
        call.hangup()
        await call.ended(5)
    events = await over(service, session)
    assert how(events)[:2] == ("ended", None)
    report = await asyncio.to_thread(service.api.report, session)
    assert said(report)[0] == ("agent", ASKS)
    assert report["outcome"] == "completed"


async def test_an_agent_that_dies_is_followed_by_another(
    service: Service, worker: AgentWorker, agent: dict[str, Any], voice: Voice
) -> None:
    async with Softphone("1001", "desk") as phone:
        began = time.monotonic()
        call, session = await called(service, phone)
        await hears(call, WELCOME, began)
        died = time.monotonic()
        assert worker.kill_calls()
        await asyncio.to_thread(service.api.wait_count, session, "worker.room_connected", 2, 30.0)
        # The second goes on where the first was: it greets nobody again.
        await asyncio.sleep(1.0)
        asked = time.monotonic()
        await ask(call, voice, "when are you open")
        await hears(call, HOURS, asked)
        call.hangup()
        await call.ended(5)
    assert recognise(call.sound.heard(died, asked), SENTENCES) is None
    events = await over(service, session)
    assert how(events) == ("ended", None, "caller")
    assert types(events).count("agent.dispatched") == 2
    assert types(events).count("worker.room_disconnected") == 1
