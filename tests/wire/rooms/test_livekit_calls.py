"""A leg in a LiveKit room: who is heard by whom, from the first word on, and what is told."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest

from telephony.audio import wav
from telephony.base.errors import NotFound
from telephony.calls import events as e
from telephony.calls.meeting import Dispatch
from telephony.calls.ports import Recorded
from telephony.testing.audio import heard

from .conftest import Hall, loud, words

TONES = (400.0, 600.0, 800.0, 1000.0, 1200.0, 1400.0)


async def test_first_words_wait_for_the_agent_and_both_hear_each_other(hall: Hall) -> None:
    call = await hall.call(first=words(*TONES))
    await call.until(e.RoomJoined)
    # The agent comes when the caller has said half of it.
    await asyncio.sleep(1.2)
    async with hall.somebody(call) as agent:
        joined = await call.until(e.AgentJoined)
        assert joined.identity == "agent-1"
        assert call.of(e.AgentHeard) == [], "a silent track is not heard"
        await agent.publish()
        began = time.monotonic()
        await agent.say(loud(700, 600, 24_000))
        first = await call.until(e.AgentHeard)
        assert first.identity == "agent-1"
        await asyncio.sleep(2.5)
        said = agent.heard(call.link.leg)
        # The far side may stretch or squeeze them; a word that is lost is not there at all.
        heard_ms = [heard(said, f).present_ms for f in TONES]
        assert min(heard_ms) >= 120, heard_ms
        assert call.hears(700, began) > 400
        assert hall.rooms.figures().heard_lost == 0
        (caller,) = agent.room.remote_participants.values()
        assert caller.identity == call.link.leg
        assert caller.kind == 3, "as LiveKit's own SIP service has its callers"
        assert caller.attributes["sip.phoneNumber"] == "+12025550123"
        call.link.close()
        assert call.names[-1] == "RoomLeft"
        await agent.until(lambda: "-" + call.link.leg in agent.comings)
    await asyncio.sleep(0.3)
    assert call.names == [
        "AgentDispatched", "RoomJoined", "AgentJoined", "AgentHeard", "RoomLeft",
    ]  # fmt: skip
    assert call.of(e.RoomLeft)[0].reason == ""


async def test_nothing_of_the_first_words_is_lost(hall: Hall) -> None:
    """A chirp: each piece of it is like no other. What leaves us to the sample is a unit test's;
    on the way there are two jitter buffers, which stretch and squeeze by some ms."""
    seconds = 2.0
    t = np.arange(int(8000 * seconds)) / 8000
    chirp = (9000 * np.sin(2 * np.pi * (300 * t + 350 * t * t))).astype(np.int16)
    call = await hall.call(first=np.concatenate([chirp, np.zeros(8000, np.int16)]))
    await call.until(e.RoomJoined)
    await asyncio.sleep(1.0)
    async with hall.somebody(call) as agent:
        await agent.until(lambda: np.abs(agent.heard(call.link.leg)).max(initial=0) > 3000)
        await asyncio.sleep(2.6)
        said = agent.heard(call.link.leg).astype(np.float64)
    places = []
    for at in range(0, chirp.size - 1600, 1600):
        piece = chirp[at : at + 1600].astype(np.float64)
        found = np.correlate(said, piece, "valid")
        norm = np.sqrt(np.convolve(said**2, np.ones(1600), "valid") * (piece**2).sum()) + 1e9
        best = int(np.argmax(found / norm))
        if (found / norm)[best] > 0.7:
            places.append(best - at)
    # On a machine that is busy the far side's buffer says pieces in other words.
    assert len(places) >= 6, "pieces were not heard"
    assert max(places) - min(places) < 640, places


async def test_two_beside_the_caller_are_mixed_and_a_colleague_silences_the_agent(
    hall: Hall,
) -> None:
    call = await hall.call()
    async with hall.somebody(call) as one, hall.somebody(call, "agent-2") as two:
        await one.publish()
        await two.publish()
        await call.until(e.AgentJoined, 2)
        await asyncio.sleep(0.4)
        began = time.monotonic()
        await asyncio.gather(one.say(loud(500, 800, 24_000)), two.say(loud(1100, 800, 24_000)))
        await asyncio.sleep(0.4)
        assert call.hears(500, began) > 450
        assert call.hears(1100, began) > 450
        async with hall.somebody(call, "anna", "standard") as anna:
            assert (await call.until(e.PeerJoined)).kind == "browser"
            assert call.of(e.AgentMuted) == [], "a colleague who says nothing only listens"
            await anna.publish()
            await call.until(e.AgentMuted)
            await one.until(lambda: any(p.topic == "telephony.control" for p in one.packets))
            began = time.monotonic()
            await asyncio.gather(one.say(loud(500, 800, 24_000)), anna.say(loud(900, 800, 24_000)))
            await asyncio.sleep(0.4)
            assert call.hears(900, began) > 450
            assert call.hears(500, began) == 0
        await call.until(e.PeerLeft)
        await call.until(e.AgentUnmuted)
        began = time.monotonic()
        await one.say(loud(500, 600, 24_000))
        await asyncio.sleep(0.4)
        assert call.hears(500, began) > 300


async def test_data_keys_and_mute(hall: Hall) -> None:
    call = await hall.call()
    call.link.send(b'{"type":"early"}')
    async with hall.somebody(call) as agent:
        await agent.publish()
        await call.until(e.AgentJoined)
        await asyncio.sleep(0.5)
        call.link.send(b'{"type":"contextual_update"}', "topic")
        call.link.send_digits("5#x")
        await agent.until(lambda: agent.packets and agent.keys == ["5", "#"])
        assert agent.packets[-1].data == b'{"type":"contextual_update"}'
        assert agent.packets[-1].topic == "topic"
        await agent.room.local_participant.publish_dtmf(code=7, digit="7")
        pressed = await call.until(e.DigitPressed)
        assert (pressed.digit, pressed.method, pressed.leg) == ("7", "room", call.link.leg)
        call.link.mute(True)
        await call.until(e.AgentMuted)
        began = time.monotonic()
        await agent.say(loud(500, 400, 24_000))
        await asyncio.sleep(0.3)
        assert call.hears(500, began) == 0
        call.link.mute(False)
        await call.until(e.AgentUnmuted)
        await agent.say(loud(500, 400, 24_000))
        await asyncio.sleep(0.3)
        assert call.hears(500, began) > 200
        await hall.rooms.send(call.room, b'{"type":"user_message"}', "t")
        await agent.until(lambda: any(p.sender == "" for p in agent.packets))
        await hall.rooms.delete(call.room)
        await call.until(e.RoomLeft)
        assert call.of(e.RoomLeft)[0].reason == "deleted"
        await agent.until(lambda: agent.over == "ROOM_DELETED")
    with pytest.raises(NotFound):
        await hall.rooms.send(call.room, b"{}")
    await hall.rooms.delete(call.room)


async def test_the_recording_has_the_caller_left_and_everybody_else_right(
    hall: Hall, tmp_path: Path
) -> None:
    done: list[Recorded] = []
    call = await hall.call()
    async with hall.somebody(call) as agent:
        await agent.publish()
        await call.until(e.AgentJoined)
        # His track is heard by us a moment after he has it.
        await asyncio.sleep(0.4)
        call.lane.record_call(tmp_path / "call.wav", done.append)
        call.far.play(loud(600, 500))
        await agent.say(loud(900, 500, 24_000))
        await asyncio.sleep(0.6)
        call.lane.finish()
        async with asyncio.timeout(5):
            while not done:
                await asyncio.sleep(0.02)
    sound = wav.parse(done[0].path.read_bytes())
    left, right = sound.samples[0], sound.samples[1]
    assert heard(left, 600).present_ms > 250 and heard(left, 900).present_ms == 0
    assert heard(right, 900).present_ms > 250 and heard(right, 600).present_ms == 0


async def test_an_agent_that_leaves_and_one_that_never_comes(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telephony.rooms.company.COME_SECONDS", 1.0)
    monkeypatch.setattr("telephony.rooms.company.SPEAK_SECONDS", 1.0)
    call = await hall.call()
    failed = await call.until(e.AgentDispatchFailed)
    assert failed.cause == "timeout"
    async with hall.somebody(call) as agent:
        await agent.publish()
        silent = await call.until(e.AgentSilent)
        assert silent.identity == "agent-1"
    left = await call.until(e.AgentLeft)
    assert left.reason == "left"
    call.link.dispatch(Dispatch(agent_name="tests", metadata="{}", speaks_first=False))
    async with hall.somebody(call, "agent-2") as agent:
        await agent.publish()
        await call.until(e.AgentJoined, 2)
        await asyncio.sleep(1.3)
        assert len(call.of(e.AgentSilent)) == 1, "this one may wait for the caller"
    assert len(call.of(e.AgentDispatchFailed)) == 1


async def test_two_calls_at_once_hear_their_own_agents_only(hall: Hall) -> None:
    one, two = await hall.call(), await hall.call()
    async with hall.somebody(one) as first, hall.somebody(two) as second:
        await asyncio.gather(first.publish(), second.publish())
        await one.until(e.AgentJoined)
        await two.until(e.AgentJoined)
        await asyncio.sleep(0.5)
        one.far.play(loud(1300, 500))
        await asyncio.gather(first.say(loud(500, 500, 24_000)), second.say(loud(900, 500, 24_000)))
        await asyncio.sleep(0.8)
        assert one.hears(500) > 250 and one.hears(900) == 0
        assert two.hears(900) > 250 and two.hears(500) == 0
        assert heard(first.heard(one.link.leg), 1300).present_ms > 250
        assert heard(second.heard(two.link.leg), 1300).present_ms == 0
