"""The conference server's API: rooms made and closed, agents called in, data sent, people sent out.

Every request is one signed HTTP call with a time-out; what goes wrong comes as ``base.errors``.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from livekit import api

from telephony.base.errors import NotFound, Refused, Unavailable
from telephony.calls.meeting import Dispatch
from telephony.rooms.attendance import Present

SECONDS = 5.0
AWAY = frozenset({"unavailable", "deadline_exceeded", "internal", "canceled", "unknown"})
"""Error codes that say nothing about what was asked."""
DEPARTURE_SECONDS = 60
"""How long a room outlives its last browser: longer than anybody waits for it to come back."""

KINDS = {
    api.ParticipantInfo.Kind.AGENT: "agent",
    api.ParticipantInfo.Kind.SIP: "sip",
    api.ParticipantInfo.Kind.STANDARD: "browser",
}
"""Who records or feeds a room takes part in no conversation."""
IN = frozenset({api.ParticipantInfo.State.JOINED, api.ParticipantInfo.State.ACTIVE})


class RoomServer:
    """A LiveKit server, by its key. ``close()`` at the end."""

    def __init__(self, url: str, key: str, secret: str, seconds: float = SECONDS) -> None:
        """``url``: ``ws``, ``wss``, ``http`` or ``https``; ``seconds``: a request's time-out."""
        self.url = url.replace("http", "ws", 1) if url.startswith("http") else url
        self._key = key
        self._secret = secret
        self._seconds = seconds
        self._api: api.LiveKitAPI | None = None
        self.problem = ""
        """What the last request failed of, where the server did not answer it."""

    async def dispatch(self, room: str, dispatch: Dispatch) -> str:
        """Call an agent in, the room is made where there is none; the dispatch's id.

        Raises:
            Unavailable: the server does not answer. Refused: it will not.
        """
        order = api.CreateAgentDispatchRequest(
            agent_name=dispatch.agent_name, room=room, metadata=dispatch.metadata
        )
        made = await self._ask(lambda lk: lk.agent_dispatch.create_dispatch(order))
        return str(made.id)

    async def make(self, room: str, seconds: float) -> None:
        """Make a room that waits so long for somebody who is no agent; one that is there stays
        as it is. Raises Unavailable, Refused."""
        order = api.CreateRoomRequest(
            name=room, empty_timeout=round(seconds), departure_timeout=DEPARTURE_SECONDS
        )
        await self._ask(lambda lk: lk.room.create_room(order))

    async def send(self, room: str, data: bytes, topic: str = "") -> None:
        """A reliable packet to everybody. Raises NotFound, Unavailable, Refused."""
        # Without a nonce of its own a packet that the server saw twice is delivered twice.
        packet = api.SendDataRequest(
            room=room, data=data, kind="RELIABLE", topic=topic or None, nonce=uuid.uuid4().bytes
        )
        try:
            await self._ask(lambda lk: lk.room.send_data(packet))
        except Unavailable:
            # The server says "no response" where there is no such room.
            names = api.ListRoomsRequest(names=[room])
            found = await self._ask(lambda lk: lk.room.list_rooms(names))
            if not found.rooms:
                raise NotFound(f"there is no room {room}") from None
            raise

    async def delete(self, room: str) -> None:
        """Close it; none is no error. Raises Unavailable, Refused."""
        try:
            await self._ask(lambda lk: lk.room.delete_room(api.DeleteRoomRequest(room=room)))
        except NotFound:
            return

    async def remove(self, room: str, identity: str) -> None:
        """Send somebody out; who is not in is no error. Raises Unavailable, Refused."""
        who = api.RoomParticipantIdentity(room=room, identity=identity)
        try:
            await self._ask(lambda lk: lk.room.remove_participant(who))
        except NotFound:
            return

    async def inside(self, room: str) -> list[Present]:
        """Everybody who takes part; nobody where there is no such room. Raises Unavailable,
        Refused."""
        asked = api.ListParticipantsRequest(room=room)
        try:
            found = await self._ask(lambda lk: lk.room.list_participants(asked))
        except NotFound:
            return []
        return [
            Present(one.identity, KINDS[one.kind])
            for one in found.participants
            if one.kind in KINDS and one.state in IN
        ]

    async def exists(self, room: str) -> bool:
        """Whether there is such a room now. Raises Unavailable, Refused."""
        asked = api.ListRoomsRequest(names=[room])
        found = await self._ask(lambda lk: lk.room.list_rooms(asked))
        return len(found.rooms) > 0

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        lk, self._api = self._api, None
        if lk is not None:
            await lk.aclose()

    async def _ask(self, call: Callable[[api.LiveKitAPI], Awaitable[Any]]) -> Any:
        if self._api is None:
            timeout = aiohttp.ClientTimeout(total=self._seconds)
            # A request that is sent again by the library could call a second agent.
            self._api = api.LiveKitAPI(
                self.url, self._key, self._secret, timeout=timeout, failover=False
            )
        try:
            answer = await call(self._api)
        except api.TwirpError as error:
            # Which code a missing room has depends on what was asked for.
            if error.code == "not_found" or error.status == 404:
                raise NotFound(f"there is no such room: {error.message}") from error
            if error.code in AWAY:
                self.problem = f"the conference server says {error.code}"
                raise Unavailable(self.problem) from error
            raise Refused(f"the conference server refuses: {error.code}") from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            self.problem = f"the conference server does not answer: {type(error).__name__}"
            raise Unavailable(self.problem) from error
        self.problem = ""
        return answer
