"""LiveKit's own API, as far as calls need it.

Every request is sent once: ``failover`` of the library, which sends a request again to another
region, is off, because a repeated ``CreateSIPParticipant`` would dial twice. What may be repeated
(deleting a room) is, with pauses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp
import structlog
from livekit import api
from livekit.api import ServerError, ServerErrorCode
from livekit.protocol import models, room, sip

from telephony.base.errors import Unavailable
from telephony.carriers.livekit.config import LiveKitConfig
from telephony.carriers.livekit.wire import Party, claim, party

log = structlog.get_logger("telephony.livekit")

T = TypeVar("T")

PAUSES = (0.2, 1.0, 3.0, 10.0)
"""Between attempts to end something that costs money."""
MAX_ROOMS = 10_000
"""Rooms of one list that are looked at."""


class Unknown(Unavailable):
    """The request was sent, and what became of it is not known."""


class LiveKitService:
    """One client for all legs. ``open`` before the first call, ``close`` after the last."""

    def __init__(self, config: LiveKitConfig) -> None:
        self._config = config
        self._api: api.LiveKitAPI | None = None

    async def open(self) -> None:
        """Nothing is connected yet."""
        config = self._config
        self._api = api.LiveKitAPI(
            config.url,
            config.key,
            config.secret,
            timeout=aiohttp.ClientTimeout(total=config.request),
            failover=False,
        )

    async def close(self) -> None:
        """Idempotent."""
        if self._api is not None:
            client, self._api = self._api, None
            await client.aclose()

    async def create(
        self, asked: sip.CreateSIPParticipantRequest, timeout: float
    ) -> sip.SIPParticipantInfo:
        """Dial; returns when the callee has answered. Sent once, whatever happens.

        Raises:
            ServerError: LiveKit says no, in most cases with the SIP status.
            Unknown: no answer came: the callee may be ringing.
        """
        return await _once(self._client.sip.create_sip_participant(asked, timeout=timeout))

    async def transfer(
        self, asked: sip.TransferSIPParticipantRequest, timeout: float
    ) -> sip.TransferSIPParticipantResponse:
        """Send a caller elsewhere; returns when it is known what came of it. Raises as ``create``.

        Sent once as well: the target may be ringing."""
        return await _once(self._client.sip.transfer_sip_participant(asked, timeout=timeout))

    async def parties(self, name: str) -> list[models.ParticipantInfo]:
        """Everybody in a room; nobody where there is none. Raises Unavailable."""
        try:
            found = await self._client.room.list_participants(
                room.ListParticipantsRequest(room=name)
            )
        except ServerError as error:
            if error.code == ServerErrorCode.NOT_FOUND:
                return []
            raise Unavailable(f"LiveKit does not list a room: {error.code}") from error
        except Exception as error:
            raise Unavailable(f"LiveKit does not list a room: {_words(error)}") from error
        return list(found.participants)

    async def party(self, name: str, identity: str) -> Party | None:
        """A SIP participant of a room, or None where it is not there. Raises Unavailable."""
        for info in await self.parties(name):
            if info.identity == identity:
                return party(info)
        return None

    async def rooms(self) -> list[str]:
        """Names of the rooms there are. Raises Unavailable."""
        try:
            found = await self._client.room.list_rooms(room.ListRoomsRequest())
        except Exception as error:
            raise Unavailable(f"LiveKit does not list its rooms: {_words(error)}") from error
        return [one.name for one in found.rooms[:MAX_ROOMS]]

    async def claim(self, name: str, identity: str, leg: str) -> None:
        """Write on a caller whose he is. Raises Unavailable."""
        try:
            await self._client.room.update_participant(claim(name, identity, leg))
        except Exception as error:
            raise Unavailable(f"LiveKit does not mark a caller: {_words(error)}") from error

    async def delete(self, name: str) -> bool:
        """Send everybody out, which hangs up; no room is no error.

        Tried again until it is done; False: it was not to be done.
        """
        asked = room.DeleteRoomRequest(room=name)
        return await self._insist(lambda: self._client.room.delete_room(asked))

    @property
    def _client(self) -> api.LiveKitAPI:
        if self._api is None:
            raise Unavailable("the LiveKit carrier is not running")
        return self._api

    async def _insist(self, attempt: Callable[[], Awaitable[Any]]) -> bool:
        said = ""
        for pause in (*PAUSES, None):
            try:
                await attempt()
            except ServerError as error:
                if error.code == ServerErrorCode.NOT_FOUND:
                    return True
                said = error.code
            except Exception as error:
                said = _words(error)
            else:
                return True
            if pause is None or self._api is None:
                break
            await asyncio.sleep(pause)
        log.error("a call could not be ended at LiveKit", error=said)
        return False


async def _once(asking: Awaitable[T]) -> T:
    """The answer to what was sent, once. Raises ServerError, Unknown.

    Whatever else the library raises (no connection, a time-out, an answer that is none), it was
    sent, or may have been.
    """
    try:
        return await asking
    except ServerError as error:
        if not _is_whole(error):
            raise Unknown("LiveKit answered something else than an error of its own") from error
        raise
    except Exception as error:
        raise Unknown(f"LiveKit did not answer: {_words(error)}") from error


def _is_whole(error: ServerError) -> bool:
    """Whether an error has the shape that it should have: the library takes any JSON."""
    meta = error.metadata
    return isinstance(meta, dict) and all(
        isinstance(text, str) for text in (error.code, error.message, *meta, *meta.values())
    )


def _words(error: Exception) -> str:
    """What went wrong, without what a server wrote into it."""
    if isinstance(error, Unavailable):
        return error.message
    return str(error.code)[:64] if isinstance(error, ServerError) else type(error).__name__
