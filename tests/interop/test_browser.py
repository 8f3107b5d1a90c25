"""A real browser meets an agent: Chromium, LiveKit's own client and server, our service.

The page does what contract section 14 describes, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spekoai import AsyncSpeko, SpekoApiError

from telephony.agents.voice import Voice
from telephony.testing.agent import AgentWorker
from telephony.testing.livekit import LiveKit
from telephony.testing.participant import Participant, Samples
from telephony.testing.softphone import PhoneCall, Softphone
from tests.interop.chromium import Chromium, Tab
from tests.interop.service import KEY, Service, free_port, how, types

NAME = "browser-test"
"""What the worker of these tests is registered as."""
HOURS = "We are open from nine in the morning until five."
SECRET = "There is none at all."
GOLD = "For gold customers we are always open."
SCRIPT = f"""
greeting: Hello, this is the desk.
rules:
  - hear: when are you open
    when: gold
    say: {GOLD}
  - hear: when are you open
    say: {HOURS}
  - hear: tell me a secret
    say: {SECRET}
  - hear: say my name
    say: Your name is Ada.
  - hear: goodbye
    say: Goodbye.
    do: end
otherwise: Sorry, I did not understand that.
"""
INTENT = {"intent": {"language": "en", "vertical": "general"}}
RATE = 8_000


@pytest.fixture(scope="module")
def gateway() -> int:
    return free_port()


@pytest.fixture(scope="module")
def service(
    livekit_server: LiveKit, tmp_path_factory: pytest.TempPathFactory, gateway: int
) -> Iterator[Service]:
    toml = (
        f'[[trunks]]\nname = "main"\ngateways = ["127.0.0.1:{gateway}"]\n'
        'caller_ids = ["+12025550100"]\n'
    )
    running = Service(tmp_path_factory.mktemp("browser"), toml)
    running.start(
        **livekit_server.settings,
        TELEPHONY_LIVEKIT_AGENT=NAME,
        TELEPHONY_PUBLIC_URL=running.api.base,
    )
    yield running
    assert running.stop() == 0
    assert running.complaints() == []


@pytest.fixture
async def chromium() -> AsyncIterator[Chromium]:
    async with Chromium() as made:
        yield made


@pytest.fixture
async def speko(service: Service) -> AsyncIterator[AsyncSpeko]:
    """The official client."""
    async with AsyncSpeko(api_key=KEY, base_url=service.api.base) as client:
        yield client


class Desk:
    """The agent's side where a test plays it: somebody of the kind of an agent in the room."""

    def __init__(self, livekit: LiveKit) -> None:
        self._livekit = livekit

    @contextlib.asynccontextmanager
    async def sits_in(self, room: str, identity: str = "agent-1") -> AsyncIterator[Participant]:
        token = self._livekit.token(room, identity, kind="agent")
        async with Participant(self._livekit.url, token) as agent:
            await agent.publish()
            yield agent


@pytest.fixture
def desk(livekit: LiveKit) -> Desk:
    return Desk(livekit)


def mint(service: Service, **body: Any) -> dict[str, Any]:
    made = service.api.post("/v1/sessions", {**INTENT, **body})
    assert isinstance(made, dict)
    return made


async def join(tab: Tab, session: dict[str, Any], **more: Any) -> None:
    room = await tab.join(session["conversationToken"], session["livekitUrl"], **more)
    assert room == session["roomName"]


async def said(tab: Tab, source: str, text: str, seconds: float = 20.0) -> None:
    """Until the page has shown this as final."""
    want = f"m.isFinal && m.source == {json.dumps(source)} && m.text == {json.dumps(text)}"
    await tab.until(f"told.messages.some(m => {want})", seconds)


async def ended(service: Service, session: str) -> list[dict[str, Any]]:
    return await asyncio.to_thread(service.api.ended, session)


async def wait(service: Service, session: str, event_type: str, count: int = 1) -> None:
    await asyncio.to_thread(service.api.wait_count, session, event_type, count)


# --- a conversation ------------------------------------------------------------------------


async def test_a_whole_conversation(
    service: Service, livekit: LiveKit, speko: AsyncSpeko, tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(
            AgentWorker(livekit, api_key=KEY, api_url=service.api.base, name=NAME, script=SCRIPT)
        )
        microphone = spoken(tmp_path / "microphone.wav", "when are you open", after=6.0)
        chromium = await stack.enter_async_context(Chromium(microphone))
        tab = await chromium.page()
        # From the page itself, whose origin is another one.
        minted = await tab.run("window.mint", service.api.base, KEY, {"mode": "cascade", **INTENT})
        assert minted["status"] == 201, minted
        session = minted["body"]
        ident = session["sessionId"]
        follower = asyncio.create_task(follow(speko, ident))
        await join(tab, session, overrides={"agent": {"firstMessage": "Welcome, Ada."}})
        await said(tab, "agent", "Welcome, Ada.")
        await tab.until("told.modes.includes('speaking')")

        # By voice: what the microphone has heard is understood and answered.
        await said(tab, "user", "when are you open")
        await said(tab, "agent", HOURS)

        # In writing, as the first generation of the client and as the later one do it.
        await tab.run("(text) => window.conversation.sendUserMessage(text)", "tell me a secret")
        await said(tab, "user", "tell me a secret")
        await said(tab, "agent", SECRET)
        await tab.run(
            "(text) => window.conversation.sendContextualUpdate(text)", "this is a gold customer"
        )
        await tab.run("(text) => window.conversation.sendChatMessage(text)", "when are you open")
        await said(tab, "agent", GOLD)

        sent = await asyncio.to_thread(
            service.api.post, f"/v1/calls/{ident}/messages", {"text": "say my name"}
        )
        await said(tab, "agent", "Your name is Ada.")
        assert await loudness(tab) > 0.001

        await tab.run("(text) => window.conversation.sendUserMessage(text)", "goodbye")
        await tab.until("told.ends.length")
        told = await tab.told()
        assert told["ends"] == [{"reason": "agent", "message": "ROOM_DELETED"}]
        assert told["statuses"] == ["connected", "disconnected"]
        assert (told["errors"], tab.complaints) == ([], [])
        interim = [m for m in told["messages"] if not m["isFinal"]]
        assert all(m["source"] in ("agent", "user") for m in interim)

    events = await ended(service, ident)
    assert how(events)[0] == "ended"
    names = types(events)
    order = ["call.initiated", "room_started", "worker.room_connected", "call.answered"]
    assert [n for n in names if n in order] == order
    assert names[-2:] == ["room_finished", "call.hangup"]
    delivered = [e for e in events if e["event_type"] == "call.message_sent"]
    assert {e["payload"]["messageId"] for e in delivered} == {sent["message_id"]}
    assert [e["status"] for e in delivered] == ["accepted", "delivered"]

    kept = (await speko.sessions.transcript(ident)).entries
    pairs = [(entry.source, entry.text) for entry in kept]
    assert ("agent", "Welcome, Ada.") in pairs
    assert pairs.index(("user", "when are you open")) < pairs.index(("agent", HOURS))
    assert ("agent", GOLD) in pairs
    assert ("agent", "Goodbye.") in pairs
    streamed, statuses = await asyncio.wait_for(follower, 20)
    assert streamed == pairs
    assert statuses[0] == "connecting"
    assert statuses[-2:] == ["active", "ended"]
    report = service.api.report(ident)
    assert report["outcome"] == "completed"
    assert service.api.get(f"/v1/calls/{ident}")["kind"] == "cascade"


def spoken(path: Path, text: str, after: float) -> Path:
    """A recording in which somebody says a text after so many seconds of silence."""
    voice = Voice()
    try:
        words = np.frombuffer(voice.speak(text), np.int16)
    finally:
        voice.close()
    sound = np.concatenate([np.zeros(round(8_000 * after)), words, np.zeros(8_000)])
    smooth = np.interp(np.arange(sound.size * 6) / 6, np.arange(sound.size), sound)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(smooth.astype(np.int16).tobytes())
    return path


async def follow(speko: AsyncSpeko, session: str) -> tuple[list[tuple[str, str]], list[str]]:
    """What the stream says until the session is over: turns, and statuses."""
    turns: list[tuple[str, str]] = []
    statuses: list[str] = []
    async for item in speko.sessions.stream(session):
        if item.type == "transcript":
            turns.append((item.turn.source, item.turn.text))
        elif item.type == "status":
            statuses.append(item.status)
    return turns, statuses


async def loudness(tab: Tab) -> float:
    """Energy of all that the page has heard so far."""
    energy: float = await tab.run(
        """async () => {
          let energy = 0;
          for (const who of window.conversation.room.remoteParticipants.values())
            for (const one of who.trackPublications.values())
              for (const row of (await one.track.receiver.getStats()).values())
                if (row.type === "inbound-rtp") energy += row.totalAudioEnergy;
          return energy;
        }"""
    )
    return energy


# --- the microphone, and each way in which it is over --------------------------------------


async def test_mute_is_heard_and_the_api_ends_it(
    service: Service, chromium: Chromium, desk: Desk
) -> None:
    session = mint(service, identity="ada", metadata={"ticket": "T-7"})
    assert session["identity"] == "ada"
    async with desk.sits_in(session["roomName"]) as agent:
        tab = await chromium.page()
        await join(tab, session)
        await agent.until(lambda: level(agent.heard("ada")) > 100)
        await tab.run("(muted) => window.conversation.setMicMuted(muted)", True)
        await asyncio.sleep(1.0)
        agent.forget()
        await asyncio.sleep(1.5)
        assert level(agent.heard("ada")) < 10
        await tab.run("(muted) => window.conversation.setMicMuted(muted)", False)
        await agent.until(lambda: level(agent.heard("ada")) > 100)
        await tab.run("(volume) => window.conversation.setVolume(volume)", 0.3)
        volumes = await tab.run(
            "() => [...document.querySelectorAll('audio')].map(one => one.volume)"
        )
        assert volumes == [0.3]

        await wait(service, session["sessionId"], "call.answered")
        service.api.post(f"/v1/calls/{session['sessionId']}/end")
        await tab.until("told.ends.length")
        assert (await tab.told())["ends"][0]["reason"] == "agent"
    events = await ended(service, session["sessionId"])
    assert how(events) == ("ended", None, "api")
    assert service.api.get(f"/v1/calls/{session['sessionId']}")["metadata"] == {"ticket": "T-7"}


async def test_the_browser_comes_back_and_then_leaves(
    service: Service, chromium: Chromium, desk: Desk
) -> None:
    session = mint(service)
    ident = session["sessionId"]
    async with desk.sits_in(session["roomName"]) as agent:
        first = await chromium.page()
        await join(first, session)
        await wait(service, ident, "call.answered")
        await first.run("() => window.conversation.endSession()")
        assert (await first.told())["ends"][0]["reason"] == "user"
        await wait(service, ident, "room.participant_left")
        again = await chromium.page()
        await join(again, session)
        await wait(service, ident, "room.participant_joined", 2)
        assert service.api.get(f"/v1/calls/{ident}")["status"] == "active"
        # As somebody who closes the tab.
        await again.close()
        await agent.until(lambda: agent.over, 40)
        assert agent.over == "ROOM_DELETED"
    events = await ended(service, ident)
    assert how(events) == ("ended", None, "caller")
    assert types(events).count("call.answered") == 1


async def test_a_token_that_has_run_out_opens_nothing(service: Service, chromium: Chromium) -> None:
    session = mint(service, ttlSeconds=1)
    events = await ended(service, session["sessionId"])
    assert how(events)[:2] == ("no_answer", "no_answer")
    tab = await chromium.page()
    # The server looks away for a minute: clocks differ.
    refused = await tab.run(
        "(token, url) => window.join(token, url).catch(error => error.code)",
        session["transportToken"][:-4] + "AAAA",
        session["transportUrl"],
    )
    assert refused == "CONNECTION_FAILED"
    late = await asyncio.to_thread(
        service.api.call, "POST", f"/v1/calls/{session['sessionId']}/web-join", {}
    )
    assert (late[0], late[1]["code"]) == (409, "CALL_NOT_LIVE")


# --- a colleague joins a phone call --------------------------------------------------------


async def test_a_colleague_takes_over_and_gives_back(
    service: Service, chromium: Chromium, desk: Desk, speko: AsyncSpeko, gateway: int
) -> None:
    async with Softphone("gateway", port=gateway) as far:
        placed = await speko.voice.dial(
            {"to": "+12025550123", "system_prompt": "Be kind.", "intent": {"language": "en"}}
        )
        ident = placed.session_id
        call = await far.incoming(10)
        await call.answer()
        await wait(service, ident, "room_started")
        async with desk.sits_in(placed.room_name) as agent:
            await wait(service, ident, "worker.room_connected")
            talking = asyncio.create_task(hum(agent))
            await until_heard(call, AGENT_HZ, True)

            text = {"text": "the caller is a gold customer", "mode": "context"}
            await asyncio.to_thread(service.api.post, f"/v1/calls/{ident}/messages", text)
            await agent.until(lambda: agent.packets)
            packet = json.loads(agent.packets[0].data)
            assert (packet["type"], packet["text"]) == ("contextual_update", text["text"])

            joined = await speko.calls.web_join(ident, {"display_name": "Ada"})
            second = await speko.calls.web_join(ident)
            assert joined.identity != second.identity
            tab = await chromium.page()
            assert await tab.join(joined.token, joined.url) == placed.room_name
            await wait(service, ident, "agent.muted")
            # The caller hears the colleague's beeps, and the agent no more.
            await until_heard(call, AGENT_HZ, False)
            await until_loud(call)

            # Who takes a breath has not handed back yet.
            await tab.run("(muted) => window.conversation.setMicMuted(muted)", True)
            await asyncio.sleep(1.5)
            assert level(call.sound.heard()[-RATE // 2 :]) < 100
            await tab.run("() => window.conversation.endSession()")
            await wait(service, ident, "agent.unmuted")
            await until_heard(call, AGENT_HZ, True)

            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)
            call.hangup()
            events = await ended(service, ident)
        assert how(events) == ("ended", None, "callee")
        with pytest.raises(SpekoApiError) as late:
            await speko.calls.web_join(ident)
        assert (late.value.status, late.value.code) == (409, "CALL_NOT_LIVE")


AGENT_HZ = 440


async def hum(agent: Participant) -> None:
    """A tone without an end."""
    second = np.arange(24_000)
    tone = (8_000 * np.sin(2 * np.pi * AGENT_HZ * second / 24_000)).astype(np.int16)
    while True:
        await agent.say(tone)


def level(samples: Samples) -> float:
    """Mean level of the last half second."""
    last = samples[-8_000:]
    return float(np.abs(last.astype(np.int32)).mean()) if last.size else 0.0


def share(samples: Samples, hertz: float) -> float:
    """How much of the sound is a tone, 0 to 1."""
    sound = samples.astype(np.float64)
    energy = float((sound**2).mean()) if sound.size else 0.0
    if energy < 100:
        return 0.0
    turn = np.exp(-2j * np.pi * hertz * np.arange(sound.size) / RATE)
    return float(2 * abs((sound * turn).mean()) ** 2 / energy)


async def until_heard(call: PhoneCall, hertz: float, wanted: bool, seconds: float = 15) -> None:
    """Until the last half second on the phone is this tone, or is not."""
    async with asyncio.timeout(seconds):
        while (share(call.sound.heard()[-RATE // 2 :], hertz) > 0.5) is not wanted:
            await asyncio.sleep(0.1)


async def until_loud(call: PhoneCall, seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while level(call.sound.heard()[-RATE // 2 :]) < 100:
            await asyncio.sleep(0.05)
