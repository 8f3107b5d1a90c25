"""The LiveKit server of the tests: rooms, sound both ways, data, and how it goes and comes."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
from livekit import api, rtc

from telephony.testing.audio import heard, tone
from telephony.testing.livekit import LiveKit
from telephony.testing.participant import Participant, Samples

LOW, HIGH = 440.0, 1250.0


@pytest.fixture
def room() -> str:
    return f"room-{uuid.uuid4()}"


def frequency(samples: Samples, rate: int) -> float:
    """Of the strongest tone, to a fraction of a bin."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    at = int(power.argmax())
    left, middle, right = np.log(power[at - 1 : at + 2])
    return float((at + (left - right) / (2 * (left - 2 * middle + right))) * rate / len(samples))


async def test_rooms_are_made_and_deleted_by_its_api(livekit: LiveKit, room: str) -> None:
    asking = livekit.api()
    try:
        made = await asking.room.create_room(api.CreateRoomRequest(name=room))
        assert made.name == room
        listed = await asking.room.list_rooms(api.ListRoomsRequest(names=[room]))
        assert [one.sid for one in listed.rooms] == [made.sid]
        await asking.room.delete_room(api.DeleteRoomRequest(room=room))
        listed = await asking.room.list_rooms(api.ListRoomsRequest(names=[room]))
        assert not listed.rooms
    finally:
        await asking.aclose()


async def test_two_people_hear_each_other_at_the_right_pitch_and_level(
    livekit: LiveKit, room: str
) -> None:
    async with (
        Participant(livekit.url, livekit.token(room, "caller"), rate=16_000) as caller,
        Participant(livekit.url, livekit.token(room, "agent", kind="agent"), rate=24_000) as agent,
    ):
        for one, rate in ((caller, 8000), (agent, 24_000)):
            await one.publish(rate)
        await caller.hears("agent")
        await agent.hears("caller")
        await caller.say(tone(LOW, 1500, rate=8000))
        await agent.say(tone(HIGH, 1500, rate=24_000))
        await agent.until(lambda: heard(agent.heard("caller"), LOW, agent.rate).present_ms > 1200)
        await caller.until(
            lambda: heard(caller.heard("agent"), HIGH, caller.rate).present_ms > 1200
        )
        seen = caller.room.remote_participants["agent"]
        assert seen.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        for one, of, pitch in ((caller, "agent", HIGH), (agent, "caller", LOW)):
            samples = one.heard(of)
            loud = np.flatnonzero(np.abs(samples) > 3000)
            middle = samples[loud[0] : loud[-1]][one.rate // 4 : -one.rate // 4]
            assert abs(frequency(middle, one.rate) - pitch) < 0.5
            assert abs(heard(middle, pitch, one.rate).dbm0 + 10.0) < 0.5


async def test_data_goes_both_ways_with_and_without_a_topic(livekit: LiveKit, room: str) -> None:
    async with (
        Participant(livekit.url, livekit.token(room, "browser")) as browser,
        Participant(livekit.url, livekit.token(room, "agent")) as agent,
    ):
        # Who publishes nothing is announced in batches, every three seconds.
        await browser.publish()
        await agent.publish()
        for one in (browser, agent):
            await one.until(lambda one=one: one.room.remote_participants)
        await browser.send(b'{"type":"user_message"}')
        await agent.until(lambda: agent.packets)
        await agent.send(b'{"type":"transcript"}', topic="telephony")
        await browser.until(lambda: browser.packets)
    assert [(p.sender, p.topic, p.data) for p in agent.packets] == [
        ("browser", "", b'{"type":"user_message"}')
    ]
    assert [(p.sender, p.topic, p.reliable) for p in browser.packets] == [
        ("agent", "telephony", True)
    ]


async def test_a_token_of_another_server_or_an_old_one_lets_nobody_in(
    livekit: LiveKit, room: str
) -> None:
    stranger = LiveKit()
    for token in (stranger.token(room, "who"), livekit.token(room, "late", seconds=-120)):
        with pytest.raises(rtc.ConnectError):
            async with Participant(livekit.url, token):
                pass


async def test_killed_it_comes_again_on_the_same_ports(own_livekit: LiveKit, room: str) -> None:
    token = own_livekit.token(room, "caller")
    async with Participant(own_livekit.url, token):
        own_livekit.kill()
        assert not own_livekit.alive
        own_livekit.start()
    async with Participant(own_livekit.url, token) as again:
        assert again.room.name == room
    assert own_livekit.log().count("starting LiveKit server") == 2


async def test_it_listens_on_loopback_only(own_livekit: LiveKit) -> None:
    sockets = own_livekit.listening()
    assert sockets
    assert {address for address, _ in sockets} == {"127.0.0.1"}
    assert {port for _, port in sockets} == {own_livekit.port, own_livekit.udp_port}


def test_without_a_server_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    with pytest.raises(RuntimeError, match=r"is not built: deploy/livekit/build.sh builds it"):
        LiveKit()
