"""The example worker in rooms of a real LiveKit server, as callers and browsers find it."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import pytest
from aiohttp import ClientSession
from livekit import api, rtc

from telephony.agents.voice import Voice
from telephony.audio.resample import resample
from telephony.testing.agent import AgentWorker
from telephony.testing.audio import segments
from telephony.testing.livekit import LiveKit
from telephony.testing.participant import Participant, Samples
from telephony.testing.words import recognise
from tests.interop.far_service import KEY, FarService

GREETING = "Hello, this is the desk."
HOURS = "We are open from nine in the morning until five."
LONG = (
    "This is a very long answer and it goes on for quite a while so that there is time enough "
    "to speak while it is being spoken by the other side of this conversation which is patient."
)
GOLD = "For gold customers we are always open."
SCRIPT = f"""
greeting: {GREETING}
rules:
  - hear: [when are you open, what are your opening hours]
    say: {HOURS}
  - hear: when are you open
    when: gold
    say: {GOLD}
  - hear: tell me a long story
    say: {LONG}
  - hear: [goodbye, thank you goodbye]
    say: Goodbye.
    do: end
  - hear: please call me back
    say: We will call you back.
    do: {{callback: {{after: 60, reason: asked}}}}
  - hear: let me talk to a person
    say: One moment please.
    do: {{transfer: "+12025550123"}}
    failed: Nobody is there to talk to you.
  - key: "5"
    say: You pressed five.
otherwise: Sorry, I did not understand that.
"""
NAME = "worker-under-test"
RATE = 24_000


@pytest.fixture(scope="module")
def service() -> Iterator[FarService]:
    with FarService() as made:
        yield made


@pytest.fixture(scope="module")
def worker(livekit_server: LiveKit, service: FarService) -> Iterator[AgentWorker]:
    with AgentWorker(
        livekit_server, api_key=KEY, api_url=service.url, name=NAME, script=SCRIPT
    ) as made:
        yield made


@pytest.fixture(scope="module")
def voice() -> Iterator[Voice]:
    made = Voice()
    yield made
    made.close()


class Call:
    """A room that the worker was called into, and the caller in it."""

    def __init__(
        self, livekit: LiveKit, direction: str = "inbound", name: str = NAME, **told: Any
    ) -> None:
        self.name = name
        self.session = str(uuid.uuid4())
        self.room = f"call-{self.session}"
        self.identity = f"phone-{self.session}"
        self.livekit = livekit
        self.metadata = json.dumps(
            {
                "session_id": self.session,
                "identity": self.identity,
                "direction": direction,
                "from": "+12025550199",
                "agent": {"id": "agent_1", "language": "en"},
                **told,
            }
        )

    async def dispatch(self) -> None:
        asking = self.livekit.api()
        try:
            await asking.agent_dispatch.create_dispatch(
                api.CreateAgentDispatchRequest(
                    agent_name=self.name, room=self.room, metadata=self.metadata
                )
            )
        finally:
            await asking.aclose()

    def join(self, identity: str = "", **token: Any) -> Participant:
        who = identity or self.identity
        return Participant(self.livekit.url, self.livekit.token(self.room, who, **token))


def agents(caller: Participant) -> list[str]:
    kind = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    return [p.identity for p in caller.room.remote_participants.values() if p.kind == kind]


def from_agent(caller: Participant) -> Samples:
    """What came of the agent that came last."""
    found = agents(caller)
    return caller.heard(found[-1]) if found else np.zeros(0, np.int16)


def speaks(caller: Participant) -> bool:
    sound = from_agent(caller)[-1600:]
    return sound.size > 0 and int(np.abs(sound.astype(np.int32)).max()) > 1000


def texts(caller: Participant, kind: str, final: bool = True) -> list[tuple[str, str]]:
    told = [json.loads(packet.data) for packet in caller.packets]
    return [
        (packet.get("source", ""), packet["text"])
        for packet in told
        if packet["type"] == kind and packet.get("isFinal", True) is final
    ]


async def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """What no event of the room tells."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.05)


async def utter(caller: Participant, voice: Voice, words: str) -> float:
    """Say it in ``caller``'s microphone; when its last loud sample was played."""
    sound = np.frombuffer(await voice.say(words), "<i2")
    loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > 300)
    wide = np.asarray(resample(sound[: int(loud[-1])], 8000, RATE)).astype(np.int16)
    await caller.say(wide)
    return time.monotonic()


async def until_said(caller: Participant, source: str, text: str, seconds: float = 20.0) -> None:
    await caller.until(lambda: (source, text) in texts(caller, "transcript"), seconds)


@pytest.fixture
async def call(livekit: LiveKit, worker: AgentWorker) -> AsyncIterator[Call]:
    made = Call(livekit)
    yield made
    asking = livekit.api()
    try:
        # Also the worker leaves by it.
        await asking.room.delete_room(api.DeleteRoomRequest(room=made.room))
    except api.TwirpError:
        pass
    finally:
        await asking.aclose()


async def test_a_spoken_call(call: Call, service: FarService, voice: Voice) -> None:
    await call.dispatch()
    async with call.join() as caller:
        await caller.publish(RATE)
        await until_said(caller, "agent", GREETING)
        assert recognise(from_agent(caller), [GREETING, HOURS, LONG], caller.rate) == GREETING
        caller.forget()
        await utter(caller, voice, "when are you open")
        await until_said(caller, "agent", HOURS)
        assert recognise(from_agent(caller), [GREETING, HOURS, LONG], caller.rate) == HOURS
        await utter(caller, voice, "thank you goodbye")
        await until_said(caller, "agent", "Goodbye.")
        await caller.until(lambda: not agents(caller))
    said = [
        ("agent", GREETING),
        ("user", "when are you open"),
        ("agent", HOURS),
        ("user", "thank you goodbye"),
        ("agent", "Goodbye."),
    ]
    assert service.said(call.session) == said
    assert ("POST", f"/v1/calls/{call.session}/end", {}) in service.asked
    # Interim texts are cumulative, and each ends in a final one; nothing else is broadcast.
    assert texts(caller, "transcript") == said
    assert {json.loads(p.data)["type"] for p in caller.packets} == {"transcript"}
    assert {(p.topic, p.reliable) for p in caller.packets} == {("", True)}


async def test_it_is_silent_soon_after_the_caller_speaks(call: Call, voice: Voice) -> None:
    await call.dispatch()
    async with call.join() as caller:
        await caller.publish(RATE)
        await until_said(caller, "agent", GREETING)
        await utter(caller, voice, "tell me a long story")
        await caller.until(lambda: speaks(caller))
        await asyncio.sleep(1.0)
        caller.forget()
        started = time.monotonic()
        speaking = asyncio.create_task(utter(caller, voice, "when are you open"))
        while speaks(caller) or from_agent(caller).size < 1600:
            await asyncio.sleep(0.01)
            assert time.monotonic() - started < 5
        await speaking
        stretches = segments(from_agent(caller), caller.rate)
        silent_after = next((s.end_ms for s in stretches if s.sound), 0)
        await until_said(caller, "agent", HOURS)
    cut = [text for source, text in texts(caller, "transcript") if LONG.startswith(text)]
    assert len(cut) == 1 and 10 < len(cut[0]) < len(LONG) - 10
    # 160 ms, two ways through the server included, on a machine with nothing else to do.
    assert silent_after <= 300


async def test_what_a_browser_writes(livekit: LiveKit, worker: AgentWorker) -> None:
    call = Call(livekit, "web")
    async with call.join() as caller:
        await caller.publish(RATE)
        asking = asyncio.create_task(call.dispatch())
        await caller.until(lambda: agents(caller))
        await asking
        told = {"agent": {"firstMessage": "Hello Ann."}, "tts": {"speed": 1.3}}
        await caller.send(json.dumps({"type": "overrides", "overrides": told}).encode())
        await until_said(caller, "agent", "Hello Ann.")
        await caller.send(b'{"type": "user_message", "text": "When are you open?"}')
        await until_said(caller, "agent", HOURS)
        assert texts(caller, "user_message_echo") == [("", "When are you open?")]
        await caller.send(b'{"type": "contextual_update", "text": "A gold customer."}')
        await caller.room.local_participant.send_text("when are you open", topic="lk.chat")
        await until_said(caller, "agent", GOLD)
        for odd in (b"", b"no JSON", b"[]", b'{"type": 5}', b'{"type": "user_message"}'):
            await caller.send(odd)
        await caller.send(b'{"type": "user_message", "text": "goodbye"}')
        await caller.until(lambda: not agents(caller))


async def test_a_colleague_who_speaks_mutes_it(call: Call, voice: Voice) -> None:
    await call.dispatch()
    async with call.join() as caller:
        await caller.publish(RATE)
        await until_said(caller, "agent", GREETING)
        async with call.join("colleague") as colleague:
            await colleague.publish(RATE)
            await caller.until(lambda: caller.heard("colleague").size)
            await asyncio.sleep(0.5)
            caller.forget()
            await utter(caller, voice, "when are you open")
            await asyncio.sleep(1.5)
            assert not [s for s in segments(from_agent(caller), caller.rate) if s.sound]
            await caller.send(b'{"type": "user_message", "text": "when are you open"}')
            await caller.until(lambda: ("", HOURS) in texts(caller, "agent_message"))
            assert ("agent", HOURS) not in texts(caller, "transcript")
        await caller.until(lambda: "-colleague" in caller.comings)
        # The service says the same as the caller whom it bridges; a browser cannot.
        caller.packets.clear()
        await caller.send(b'{"type": "agent_muted", "muted": true}', "telephony.control")
        await caller.send(b'{"type": "user_message", "text": "when are you open"}')
        await caller.until(lambda: ("", HOURS) in texts(caller, "agent_message"))
        await caller.send(b'{"type": "agent_muted", "muted": false}', "telephony.control")
        await utter(caller, voice, "when are you open")
        await until_said(caller, "agent", HOURS)


async def test_callbacks_transfers_and_keys(call: Call, service: FarService, voice: Voice) -> None:
    service.answers[f"/v1/calls/{call.session}/transfers/blind"] = (
        501,
        {"error": "later", "code": "NOT_IMPLEMENTED"},
    )
    await call.dispatch()
    async with call.join(kind="sip") as caller:
        await caller.publish(RATE)
        await until_said(caller, "agent", GREETING)
        await utter(caller, voice, "please call me back")
        await until_said(caller, "agent", "We will call you back.")
        await utter(caller, voice, "let me talk to a person")
        await until_said(caller, "agent", "Nobody is there to talk to you.")
        await caller.room.local_participant.publish_dtmf(code=5, digit="5")
        await until_said(caller, "agent", "You pressed five.")
    mine = [(path, body) for _, path, body in service.asked if call.session in str((path, body))]
    assert [path for path, _ in mine] == [
        "/v1/callbacks",
        f"/v1/calls/{call.session}/transfers/blind",
    ]
    assert mine[0][1] | {"summary": ""} == {
        "to": "+12025550199",
        "delaySeconds": 60,
        "sourceSessionId": call.session,
        "reason": "asked",
        "agentId": "agent_1",
        "summary": "",
    }
    assert mine[1][1] == {"to": "+12025550123"}


async def test_a_dispatch_that_is_not_the_services_is_left(
    livekit: LiveKit, worker: AgentWorker
) -> None:
    call = Call(livekit)
    call.metadata = "{}"
    async with call.join() as caller:
        await caller.publish(RATE)
        await call.dispatch()
        await until(lambda: f"agent.dispatch_refused room={call.room}" in worker.log)
        assert from_agent(caller).size == 0


async def test_the_worker_is_healthy_and_lets_a_call_finish(
    livekit: LiveKit, service: FarService, voice: Voice
) -> None:
    started = ("-m", "telephony.agents", "start")
    with AgentWorker(
        livekit, api_key=KEY, api_url=service.url, name="draining", script=SCRIPT, program=started
    ) as worker:
        async with ClientSession() as http, http.get(worker.health_url) as reply:
            told = await reply.json()
        assert told["agent_name"] == "draining"
        call = Call(livekit, name="draining")
        await call.dispatch()
        async with call.join() as caller:
            await caller.publish(RATE)
            await until_said(caller, "agent", GREETING)
            worker.drain()
            await utter(caller, voice, "thank you goodbye")
            await until_said(caller, "agent", "Goodbye.")
        await until(lambda: worker.gone)
    assert service.said(call.session)[-1] == ("agent", "Goodbye.")


async def test_a_worker_that_is_told_twice_does_not_wait(
    livekit: LiveKit, service: FarService
) -> None:
    started = ("-m", "telephony.agents", "start")
    with AgentWorker(
        livekit, api_key=KEY, api_url=service.url, name="hurried", script=SCRIPT, program=started
    ) as worker:
        call = Call(livekit, name="hurried")
        await call.dispatch()
        async with call.join() as caller:
            await caller.publish(RATE)
            await until_said(caller, "agent", GREETING)
            worker.drain()
            await asyncio.sleep(1)
            assert not worker.gone
            worker.drain()
            await until(lambda: worker.gone)


async def test_the_shortest_worker(livekit: LiveKit, service: FarService) -> None:
    with AgentWorker(
        livekit,
        api_key=KEY,
        api_url=service.url,
        name="shortest",
        program=("examples/agent.py", "start"),
        ready=("registered worker",),
    ):
        call = Call(livekit, name="shortest")
        await call.dispatch()
        async with call.join() as caller:
            await caller.publish(RATE)
            words = "Hello. This is a very short agent. Goodbye."
            await until_said(caller, "agent", words)
            (agent,) = agents(caller)
            await caller.until(
                lambda: ("POST", f"/v1/calls/{call.session}/end", {}) in service.asked
            )
            assert recognise(caller.heard(agent), [words, GREETING], caller.rate) == words
    assert service.said(call.session) == [("agent", words)]
