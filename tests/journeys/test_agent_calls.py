"""Spoken calls: a telephone, the service, a LiveKit server and the example worker, each a process.

What is said is checked as words: what either side heard, what is in the transcript and what is in
the recording's channels.
"""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from telephony.agents.voice import Voice
from telephony.audio import wav
from telephony.audio.resample import resample
from telephony.testing.agent import AgentWorker
from telephony.testing.livekit import LiveKit
from telephony.testing.participant import Participant, Samples
from telephony.testing.softphone import PhoneCall, Softphone
from telephony.testing.words import recognise
from tests.interop.baresip import RATE, Baresip
from tests.interop.service import KEY, Service, eventually, free_port, how, types

NAME = "telephone-test"
OURS = "+12025550177"
THEIRS = "+12025550123"
GREETING = "Welcome to the front desk of our company."
ASKED = "when are you open"
HOURS = "We are open from nine in the morning until five."
BYE = "thank you goodbye"
GOODBYE = "It was nice to talk to you today."
COLLEAGUE = "My colleague has asked me to help with that question."
PHRASES = [GREETING, ASKED, HOURS, BYE, GOODBYE, COLLEAGUE]
PROMPT = f"""You are the desk.
```script
rules:
  - hear: {ASKED}
    say: {HOURS}
  - hear: {BYE}
    say: {GOODBYE}
    do: end
```
"""
TOML = """
[[trunks]]
name = "main"
gateways = ["127.0.0.1:{gateway}"]
caller_ids = ["+12025550100"]

[[phones]]
user = "1001"
password = "desk"
"""


@pytest.fixture(scope="module")
def gateway() -> int:
    return free_port()


@pytest.fixture(scope="module")
def service(
    livekit_server: LiveKit, tmp_path_factory: pytest.TempPathFactory, gateway: int
) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("service"), TOML.format(gateway=gateway), {})
    running.start(
        **livekit_server.settings,
        TELEPHONY_LIVEKIT_AGENT=NAME,
        TELEPHONY_PUBLIC_URL=running.api.base,
    )
    yield running
    assert running.stop() == 0
    assert running.complaints() == []


@pytest.fixture(scope="module")
def agent(service: Service) -> str:
    made = service.api.post(
        "/v1/agents",
        {
            "name": "Desk",
            "systemPrompt": PROMPT,
            "firstMessage": GREETING,
            "intent": {"language": "en"},
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
        },
    )
    return str(made["id"])


@pytest.fixture(scope="module")
def worker(livekit_server: LiveKit) -> Iterator[AgentWorker]:
    with AgentWorker(livekit_server, api_key=KEY, name=NAME) as running:
        yield running


@pytest.fixture(scope="module")
def voice() -> Iterator[Voice]:
    made = Voice()
    yield made
    made.close()


def spoken(voice: Voice, words: str) -> Samples:
    """int16 at 8 kHz, without the pause behind it."""
    sound = np.frombuffer(voice.speak(words), "<i2")
    return sound[: int(np.flatnonzero(np.abs(sound.astype(np.int32)) > 300)[-1])]


def said(service: Service, session: str) -> list[tuple[str, str]]:
    entries = service.api.get(f"/v1/sessions/{session}/transcript")["entries"]
    assert [e["index"] for e in entries] == list(range(len(entries)))
    return [(e["source"], e["text"]) for e in entries]


def parts(sound: Samples, rate: int = RATE) -> list[str | None]:
    """The phrases in it, in order: what lies between silences of more than half a second."""
    loud = np.abs(sound.astype(np.int32)) > 250
    found: list[str | None] = []
    at = np.flatnonzero(loud)
    if not at.size:
        return found
    edges = np.flatnonzero(np.diff(at) > rate * 0.9)
    starts = [at[0], *(at[e + 1] for e in edges)]
    ends = [*(at[e] for e in edges), at[-1]]
    for start, end in zip(starts, ends, strict=True):
        if end - start > rate * 0.3:
            piece = sound[max(0, start - rate // 10) : end + rate // 10]
            found.append(recognise(piece, PHRASES, rate))
    return found


def order(events: list[dict[str, Any]], *wanted: str) -> None:
    """These event types, in this order among others."""
    seen = types(events)
    places = [seen.index(kind) for kind in wanted]
    assert places == sorted(places), seen


def test_a_caller_and_an_agent_talk(
    service: Service, agent: str, worker: AgentWorker, voice: Voice, tmp_path: Path
) -> None:
    phone = Baresip(tmp_path / "phone", service.sip, "1001", "desk")
    try:
        phone.log_in()
        # It speaks by the clock: long enough after the greeting, and after the answer.
        pause = np.zeros(6 * RATE, np.int16)
        parts_of_it = [pause, spoken(voice, ASKED), pause, spoken(voice, BYE), pause]
        microphone = phone.folder / "microphone.wav"
        microphone.write_bytes(wav.encode(np.concatenate(parts_of_it), RATE))
        before = service.api.sessions()
        phone.dial(OURS)
        session = service.api.new_session(before)
        events = service.api.ended(session, 60)
        phone.until("CALL_CLOSED")
    finally:
        phone.stop()
    assert how(events) == ("ended", None, "api")
    order(
        events,
        "call.initiated",
        "call.answered",
        "agent.dispatched",
        "worker.room_connected",
        "worker.first_agent_audio",
        "room_finished",
        "call.hangup",
    )
    talk = [
        ("agent", GREETING),
        ("user", ASKED),
        ("agent", HOURS),
        ("user", BYE),
        ("agent", GOODBYE),
    ]
    assert said(service, session) == talk
    assert parts(phone.heard()) == [GREETING, HOURS, GOODBYE]
    detail = service.api.get(f"/v1/calls/{session}")
    assert (detail["kind"], detail["agent_id"]) == ("cascade", agent)
    report = service.api.report(session)
    assert report["outcome"] == "completed"
    assert [(t["source"], t["text"]) for t in report["transcript"]["entries"]] == talk
    caller, other = wav.parse(service.api.recording(session)).samples
    assert parts(caller) == [ASKED, BYE]
    assert parts(other) == [GREETING, HOURS, GOODBYE]


async def hears(call: PhoneCall, words: str, seconds: float = 20.0) -> None:
    """Until the phone has heard it, and quiet after it, from now on."""
    since = asyncio.get_running_loop().time()
    async with asyncio.timeout(seconds):
        while True:
            await asyncio.sleep(0.25)
            sound = call.sound.heard(since)
            loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > 250)
            # Only what is over is looked at: to recognise it costs more than to wait.
            if loud.size and sound.size - loud[-1] > RATE:
                assert await asyncio.to_thread(parts, sound) == [words]
                return


async def test_we_call_and_a_colleague_takes_over(
    service: Service,
    agent: str,
    worker: AgentWorker,
    voice: Voice,
    gateway: int,
) -> None:
    api = service.api
    async with Softphone("gateway", port=gateway) as far:
        session = await asyncio.to_thread(
            lambda: api.dial(to=THEIRS, **{"from": OURS}, agentId=agent, record=True)
        )
        call = await far.incoming(10)
        call.ring()
        await call.answer()
        await hears(call, GREETING)
        await call.sound.play(spoken(voice, ASKED))
        await hears(call, HOURS)
        joined = await asyncio.to_thread(api.post, f"/v1/calls/{session}/web-join", {})
        async with Participant(joined["url"], joined["token"]) as colleague:
            await colleague.publish(16_000)
            await asyncio.to_thread(api.wait, session, "agent.muted")
            wide = np.asarray(resample(spoken(voice, COLLEAGUE), RATE, 16_000)).astype(np.int16)
            await asyncio.gather(colleague.say(wide), hears(call, COLLEAGUE))
            # Asked now, the agent leaves it to the person.
            await call.sound.play(spoken(voice, ASKED))
            await asyncio.sleep(1.5)
            (caller,) = [who for who in colleague.room.remote_participants if "phone" in who]
            assert ASKED in await asyncio.to_thread(parts, colleague.heard(caller), colleague.rate)
        await asyncio.to_thread(api.wait, session, "agent.unmuted")
        since = asyncio.get_running_loop().time()
        await call.sound.play(spoken(voice, BYE))
        await call.ended(20)
        assert parts(call.sound.heard(since)) == [GOODBYE]
        events = await asyncio.to_thread(api.ended, session)
    assert how(events) == ("ended", None, "api")
    order(events, "sip.dial_started", "call.answered", "agent.muted", "agent.unmuted")
    assert await asyncio.to_thread(said, service, session) == [
        ("agent", GREETING),
        ("user", ASKED),
        ("agent", HOURS),
        ("user", BYE),
        ("agent", GOODBYE),
    ]
    recording = await asyncio.to_thread(api.recording, session)
    callee, others = wav.parse(recording).samples
    assert parts(callee) == [ASKED, ASKED, BYE]
    assert parts(others) == [GREETING, HOURS, COLLEAGUE, GOODBYE]


async def test_a_worker_that_dies_in_a_call_is_followed_by_one_that_does_not_greet(
    service: Service, agent: str, worker: AgentWorker, voice: Voice
) -> None:
    api = service.api
    server = ("127.0.0.1", service.sip_port)
    async with Softphone("1001", "desk") as phone:
        assert await phone.register(server) == 200
        before = await asyncio.to_thread(api.sessions)
        call = await phone.call(f"sip:{OURS}@127.0.0.1:{service.sip_port}")
        await call.answered(10)
        session = await asyncio.to_thread(api.new_session, before)
        await hears(call, GREETING)
        assert worker.kill_calls() == 1
        # 5.5 s: its connection is waited for five, and the one that is called in is warm.
        await asyncio.to_thread(api.wait_count, session, "worker.room_connected", 2, 30.0)
        await call.sound.play(spoken(voice, ASKED))
        await hears(call, HOURS)
        call.hangup()
        events = await asyncio.to_thread(api.ended, session)
    assert how(events) == ("ended", None, "caller")
    assert types(events).count("worker.room_disconnected") == 1
    assert await asyncio.to_thread(said, service, session) == [
        ("agent", GREETING),
        ("user", ASKED),
        ("agent", HOURS),
    ]


DOCUMENT = b"# Refunds\n\nMoney comes back within thirty days.\n"


def learned(service: Service, made: str) -> None:
    """The agent has a document, and the tool with which to look things up."""
    api = service.api
    (base,) = api.get(f"/v1/knowledge-bases?agentId={made}")
    documents = f"/v1/knowledge-bases/{base['id']}/documents"
    said = {"filename": "faq.md", "contentType": "text/markdown", "sizeBytes": len(DOCUMENT)}
    upload = api.post(documents, said)
    put = upload["upload"]
    request = urllib.request.Request(put["url"], DOCUMENT, put["headers"], method="PUT")
    with urllib.request.urlopen(request, timeout=20) as reply:
        assert reply.status == 200
    document = f"{documents}/{upload['document']['id']}"
    api.post(f"{document}/finalize")
    eventually("the document", lambda: api.get(document)["status"] == "ready")
    tool = {
        "name": "look_up",
        "description": "Looks things up.",
        "parameters": {"type": "object"},
        "source": {"kind": "builtin", "name": "search_knowledge_base"},
    }
    api.post(f"/v1/agents/{made}/tools", tool)


async def test_what_somebody_writes_is_looked_up(service: Service, worker: AgentWorker) -> None:
    api = service.api
    agent = {"name": "Shop", "systemPrompt": PROMPT, "firstMessage": GREETING}
    made = await asyncio.to_thread(api.post, "/v1/agents", {**agent, "intent": {"language": "en"}})
    await asyncio.to_thread(learned, service, made["id"])
    session = await asyncio.to_thread(api.post, "/v1/sessions", {"agentId": made["id"]})
    async with Participant(session["livekitUrl"], session["conversationToken"]) as browser:
        await browser.publish()

        def told(words: str) -> bool:
            final = {"type": "transcript", "source": "agent", "text": words, "isFinal": True}
            return final in [json.loads(packet.data) for packet in browser.packets]

        await browser.until(lambda: told(GREETING), 30)
        asked = {"type": "user_message", "text": "Do I get a refund?"}
        await browser.send(json.dumps(asked).encode())
        await browser.until(lambda: told("Money comes back within thirty days."), 20)
        asked = {"type": "user_message", "text": "Is the moon made of cheese?"}
        await browser.send(json.dumps(asked).encode())
        await browser.until(lambda: told("Sorry, I did not understand that."), 20)
    await asyncio.to_thread(api.ended, session["sessionId"])
