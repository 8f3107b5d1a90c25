"""Rooms that no leg of ours is in, on a real LiveKit server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
from livekit import api

from telephony.base.errors import NotFound, Unavailable
from telephony.calls.meeting import Dispatch
from telephony.rooms.attendance import Present
from telephony.rooms.server import RoomServer
from telephony.testing.livekit import LiveKit
from telephony.testing.participant import Participant


@pytest.fixture
async def server(livekit: LiveKit) -> AsyncIterator[RoomServer]:
    made = RoomServer(livekit.url, livekit.key, livekit.secret)
    yield made
    await made.close()


@pytest.fixture
def room() -> str:
    return f"call-{uuid.uuid4()}"


async def test_a_room_waits_as_long_as_it_was_made_to(
    livekit: LiveKit, server: RoomServer, room: str
) -> None:
    assert not await server.exists(room)
    assert await server.inside(room) == []
    await server.make(room, 900)
    # The second call finds it there and changes nothing.
    await server.make(room, 5)
    await server.dispatch(room, Dispatch(agent_name="nobody", metadata="{}"))
    assert await server.exists(room)
    assert await server.inside(room) == []

    asking = livekit.api()
    (found,) = (await asking.room.list_rooms(api.ListRoomsRequest(names=[room]))).rooms
    await asking.aclose()
    assert (found.empty_timeout, found.departure_timeout) == (900, 60)
    await server.delete(room)


async def test_who_is_in_it_and_as_what(livekit: LiveKit, server: RoomServer, room: str) -> None:
    token = livekit.token
    async with (
        Participant(livekit.url, token(room, "anna")),
        Participant(livekit.url, token(room, "agent-1", kind="agent")),
        Participant(livekit.url, token(room, "phone-1", kind="sip")),
        Participant(livekit.url, token(room, "recorder", kind="egress")),
    ):
        assert sorted(await server.inside(room), key=lambda one: one.identity) == [
            Present("agent-1", "agent"),
            Present("anna", "browser"),
            Present("phone-1", "sip"),
        ]
        await server.delete(room)
    assert not await server.exists(room)


async def test_a_room_that_is_not_there_is_no_server_that_is_away(
    server: RoomServer, room: str
) -> None:
    await server.delete(room)
    await server.remove(room, "anna")
    with pytest.raises(NotFound):
        await server.send(room, b"{}")
    assert server.problem == ""


async def test_a_server_that_is_away_is_said_until_it_is_back(
    own_livekit: LiveKit, room: str
) -> None:
    server = RoomServer(own_livekit.url, own_livekit.key, own_livekit.secret)
    own_livekit.kill()
    with pytest.raises(Unavailable):
        await server.make(room, 60)
    assert server.problem
    own_livekit.start()
    assert not await server.exists("")
    assert server.problem == ""
    await server.close()
