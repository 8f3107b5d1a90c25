"""What becomes of browsers' sessions when LiveKit fails, and what its webhooks change."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from livekit import api

from telephony.testing.livekit import LiveKit
from telephony.testing.participant import Participant
from tests.interop.service import Service, how, types

INTENT = {"intent": {"language": "en"}}


class Meeting:
    """A session with a browser and an agent in it, both a test's own participants."""

    def __init__(self, service: Service, livekit: LiveKit) -> None:
        self.service = service
        self._livekit = livekit
        self.minted: dict[str, Any] = {}

    @property
    def session(self) -> str:
        return str(self.minted["sessionId"])

    @contextlib.asynccontextmanager
    async def begun(self) -> AsyncIterator[tuple[Participant, Participant]]:
        """Browser and agent."""
        self.minted = await asyncio.to_thread(self.service.api.post, "/v1/sessions", INTENT)
        room = self.minted["roomName"]
        token = self._livekit.token(room, "agent-1", kind="agent")
        async with Participant(self._livekit.url, token) as agent:
            await agent.publish()
            transport = self.minted["transportUrl"], self.minted["transportToken"]
            async with Participant(*transport) as browser:
                await browser.publish()
                await self.wait("call.answered")
                yield browser, agent

    async def wait(self, event_type: str, count: int = 1, seconds: float = 30.0) -> None:
        await asyncio.to_thread(
            self.service.api.wait_count, self.session, event_type, count, seconds
        )

    async def status(self) -> str:
        found = await asyncio.to_thread(self.service.api.get, f"/v1/calls/{self.session}")
        return str(found["status"])

    async def ended(self) -> list[dict[str, Any]]:
        return await asyncio.to_thread(self.service.api.ended, self.session)


@pytest.fixture
def begin(alone: Callable[..., Service]) -> Callable[..., Meeting]:
    def make(livekit: LiveKit, service: Service | None = None) -> Meeting:
        service = service or alone()
        service.start(**livekit.settings)
        return Meeting(service, livekit)

    return make


async def test_a_server_that_is_started_again_in_between(
    own_livekit: LiveKit, begin: Callable[..., Meeting]
) -> None:
    meeting = begin(own_livekit)
    async with meeting.begun() as (browser, agent):
        own_livekit.restart()
        # Both come back by themselves; nobody is told anything, or that they were away.
        async with asyncio.timeout(40):
            while not {"agent-1", browser.identity} <= await inside(own_livekit, meeting):
                await asyncio.sleep(0.2)
        await asyncio.sleep(5)
        assert await meeting.status() == "active"
        assert (browser.over, agent.over) == (None, None)
        await asyncio.to_thread(meeting.service.api.post, f"/v1/calls/{meeting.session}/end")
        await browser.until(lambda: browser.over)
        assert browser.over == "ROOM_DELETED"
    events = await meeting.ended()
    assert how(events) == ("ended", None, "api")
    assert types(events).count("call.answered") == 1


async def inside(livekit: LiveKit, meeting: Meeting) -> set[str]:

    asking = livekit.api()
    try:
        asked = api.ListParticipantsRequest(room=meeting.minted["roomName"])
        found = await asking.room.list_participants(asked)
        return {one.identity for one in found.participants}
    finally:
        await asking.aclose()


async def test_a_network_that_is_cut_for_three_seconds(
    own_livekit: LiveKit, begin: Callable[..., Meeting]
) -> None:
    meeting = begin(own_livekit)
    async with meeting.begun() as (browser, _):
        own_livekit.freeze()
        await asyncio.sleep(3)
        own_livekit.thaw()
        await asyncio.sleep(5)
        assert await meeting.status() == "active"
        assert browser.over is None
        assert "room.participant_left" not in types(meeting.service.api.events(meeting.session))


async def test_a_server_that_stays_away_ends_it_once(
    own_livekit: LiveKit, begin: Callable[..., Meeting]
) -> None:
    meeting = begin(own_livekit)
    async with meeting.begun():
        own_livekit.kill()
        await asyncio.sleep(4)
        # Nobody knows whether they still talk: the call goes on until somebody says otherwise.
        assert await meeting.status() == "active"
        status, body = await asyncio.to_thread(
            meeting.service.api.call, "POST", "/v1/sessions", INTENT
        )
        assert status in (500, 503), body
        await asyncio.to_thread(meeting.service.api.post, f"/v1/calls/{meeting.session}/end")
        events = await meeting.ended()
        assert how(events) == ("ended", None, "api")
        finished = [e for e in events if e["event_type"] == "room_finished"]
        assert [e["payload"]["reason"] for e in finished] == ["lost"]
        own_livekit.start()
        # It is asked until it answers; then there are sessions again.
        until = time.monotonic() + 10
        while True:
            status, body = await asyncio.to_thread(
                meeting.service.api.call, "POST", "/v1/sessions", INTENT
            )
            if status == 201:
                break
            assert time.monotonic() < until, body
            await asyncio.sleep(0.2)


async def test_a_service_that_dies_leaves_no_room_behind(
    own_livekit: LiveKit, begin: Callable[..., Meeting]
) -> None:
    meeting = begin(own_livekit)
    async with meeting.begun() as (browser, _):
        meeting.service.kill()
        assert browser.over is None
        meeting.service.start(**own_livekit.settings)
        await browser.until(lambda: browser.over)
        assert browser.over == "ROOM_DELETED"
    events = await meeting.ended()
    assert how(events)[:2] == ("ended", "interrupted")
    assert types(events)[-2:] == ["room_finished", "call.hangup"]


async def test_the_servers_webhook_makes_it_look_at_once(alone: Callable[..., Service]) -> None:
    service = alone()
    server = LiveKit(webhooks=[f"{service.api.base}/carriers/livekit/webhook"])
    server.start()
    try:
        service.start(**server.settings)
        meeting = Meeting(service, server)
        async with meeting.begun() as (browser, _):
            # From here on a look without a webhook would be ten seconds away.
            for _ in range(5):
                looks = server.log().count("ListParticipants")
                await asyncio.sleep(3)
                seldom = server.log().count("ListParticipants") - looks <= 1
                if seldom:
                    break
            assert seldom
            await browser.leave()
            await meeting.wait("room.participant_left", seconds=5)
    finally:
        server.stop()
