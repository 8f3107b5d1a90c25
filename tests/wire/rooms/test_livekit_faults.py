"""What goes wrong around a room ends or heals as written, with one outcome each."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from telephony.calls import events as e
from telephony.rooms import link as links
from telephony.rooms.passes import Passes
from telephony.testing.audio import heard
from telephony.testing.livekit import LiveKit

from .conftest import Caller, Hall, MakeHall, loud

AGENT = """
import asyncio, sys
import numpy as np
from telephony.testing.participant import Participant

async def main():
    async with Participant(sys.argv[1], sys.argv[2]) as agent:
        await agent.publish()
        print("in", flush=True)
        if sys.argv[3] == "talks":
            tone = (8000 * np.sin(np.arange(24_000 * 60) * 0.2)).astype(np.int16)
            await agent.say(tone)
        await asyncio.sleep(120)

asyncio.run(main())
"""


@pytest.fixture
def path() -> str:
    return "direct"


@pytest.fixture
async def own_hall(open_hall: MakeHall, own_livekit: LiveKit) -> Hall:
    return await open_hall(own_livekit)


class Apart:
    """An agent in a process of its own, which can be killed."""

    def __init__(self, hall: Hall, call: Caller, manner: str, identity: str = "agent-1") -> None:
        token = hall.server.token(call.room, identity, kind="agent")
        self._process = subprocess.Popen(
            [sys.executable, "-c", AGENT, hall.server.url, token, manner]
        )

    def signal(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.mark.parametrize(
    ("manner", "number"),
    [("talks", signal.SIGKILL), ("silent", signal.SIGKILL), ("talks", signal.SIGSTOP)],
)
async def test_a_dead_agent_is_noticed_within_five_seconds(
    hall: Hall, manner: str, number: signal.Signals
) -> None:
    call = await hall.call()
    agent = Apart(hall, call, manner)
    try:
        await call.until(e.AgentJoined, seconds=30)
        if manner == "talks":
            await call.until(e.AgentHeard)
        await asyncio.sleep(3.0)
        assert call.of(e.AgentLeft) == [], "who is silent is not dead"
        agent.signal(number)
        began = time.monotonic()
        left = await call.until(e.AgentLeft)
        assert time.monotonic() - began < 5.0
        assert left.reason == "lost"
        if number == signal.SIGSTOP:
            # It wakes up, and is not let back in beside whoever came in its place.
            agent.signal(signal.SIGCONT)
            await asyncio.sleep(2.0)
        assert len(call.of(e.AgentLeft)) == len(call.of(e.AgentJoined)) == 1
        assert call.of(e.RoomLeft) == []
    finally:
        agent.end()


async def test_a_server_that_is_killed_and_started_again_heals(own_hall: Hall) -> None:
    call = await own_hall.call()
    async with own_hall.somebody(call) as agent:
        await agent.publish()
        await call.until(e.AgentJoined)
        await asyncio.sleep(0.5)
        own_hall.server.kill()
        await call.until(e.RoomInterrupted)
        call.far.play(loud(1000, 400))
        own_hall.server.start()
        await call.until(e.RoomResumed, seconds=links.HEAL_SECONDS)
        # The room is a new one. The agent's own SDK may find its way back; another one does.
        async with own_hall.somebody(call, "agent-2") as other:
            await other.publish()
            await other.until(
                lambda: heard(other.heard(call.link.leg), 1000).present_ms > 150, seconds=15
            )
            began = time.monotonic()
            await other.say(loud(700, 500, 24_000))
            await asyncio.sleep(0.5)
            assert call.hears(700, began) > 250
    assert call.of(e.RoomLeft) == []
    assert len(call.of(e.RoomInterrupted)) == len(call.of(e.RoomResumed)) == 1


async def test_a_server_that_stays_away_ends_the_link_once(
    own_hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "HEAL_SECONDS", 4.0)
    call = await own_hall.call()
    await call.until(e.RoomJoined)
    own_hall.server.kill()
    left = await call.until(e.RoomLeft, seconds=20)
    assert left.reason == "lost"
    own_hall.server.start()
    await asyncio.sleep(2.0)
    assert len(call.of(e.RoomLeft)) == 1
    assert call.names[-1] == "RoomLeft", "what is over stays over"
    assert own_hall.rooms.open_links == 0


async def test_a_network_that_is_cut_for_three_seconds_heals(own_hall: Hall) -> None:
    call = await own_hall.call()
    async with own_hall.somebody(call) as agent:
        await agent.publish()
        await call.until(e.AgentJoined)
        await asyncio.sleep(0.5)
        own_hall.server.freeze()
        await asyncio.sleep(3.0)
        own_hall.server.thaw()
        await asyncio.sleep(2.0)
        began = time.monotonic()
        await agent.say(loud(700, 500, 24_000))
        call.far.play(loud(1000, 400))
        await asyncio.sleep(1.0)
        assert call.hears(700, began) > 250
        assert heard(agent.heard(call.link.leg), 1000).present_ms > 150
    assert call.of(e.RoomLeft) == []
    assert [x.reason for x in call.of(e.AgentLeft)] in ([], ["left"])


async def test_a_network_that_is_cut_for_long_ends_the_link_once(
    own_hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "HEAL_SECONDS", 5.0)
    call = await own_hall.call()
    agent = own_hall.somebody(call)
    await agent.__aenter__()
    await agent.publish()
    await call.until(e.AgentJoined)
    own_hall.server.freeze()
    began = time.monotonic()
    left = await call.until(e.RoomLeft, seconds=30)
    assert left.reason == "lost"
    assert time.monotonic() - began < 5.0 + 8.0
    own_hall.server.thaw()
    await asyncio.sleep(2.0)
    assert len(call.of(e.RoomLeft)) == 1
    assert call.names[-1] == "RoomLeft"
    await agent.leave()


async def test_somebody_under_our_name_ends_the_link(hall: Hall) -> None:
    call = await hall.call()
    await call.until(e.RoomJoined)
    async with hall.somebody(call, call.link.leg, "standard"):
        left = await call.until(e.RoomLeft)
        assert left.reason == "duplicate"
        await asyncio.sleep(1.0)
    assert len(call.of(e.RoomLeft)) == 1
    assert call.of(e.RoomInterrupted) == []


async def test_a_token_that_is_not_taken_ends_the_link_at_once(hall: Hall) -> None:
    server = hall.server
    hall.rooms._passes = Passes(server.key, server.secret, seconds=-60)
    call = await hall.call(dispatch=None)
    left = await call.until(e.RoomLeft)
    assert left.reason == "refused"
    hall.rooms._passes = Passes(server.key, "another secret, and a long one at that")
    call = await hall.call(dispatch=None)
    assert (await call.until(e.RoomLeft)).reason == "refused"
    assert call.names == ["RoomLeft"]


async def test_a_token_that_expired_in_mid_call_is_followed_by_a_fresh_one(
    own_hall: Hall,
) -> None:
    server = own_hall.server
    own_hall.rooms._passes = Passes(server.key, server.secret, seconds=2)
    call = await own_hall.call()
    await call.until(e.RoomJoined)
    await asyncio.sleep(2.5)
    server.restart()
    await call.until(e.RoomResumed, seconds=links.HEAL_SECONDS)
    assert call.of(e.RoomLeft) == []


async def test_a_server_that_was_never_there(
    open_hall: MakeHall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "HEAL_SECONDS", 3.0)
    hall = await open_hall(LiveKit())
    call = await hall.call()
    failed = await call.until(e.AgentDispatchFailed, seconds=20)
    assert failed.cause == "unreachable"
    assert (await call.until(e.RoomLeft)).reason == "lost"
    assert hall.rooms.ready() is not None
    assert call.names.count("RoomLeft") == 1
    # It is asked again, though nobody calls an agent meanwhile.
    hall.server.start()
    try:
        async with asyncio.timeout(15):
            while hall.rooms.ready() is not None:
                await asyncio.sleep(0.1)
        again = await hall.call()
        await again.until(e.RoomJoined)
    finally:
        hall.server.stop()
