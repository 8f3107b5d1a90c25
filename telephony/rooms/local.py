"""Rooms of this process: a room is a mixing group of the media engine's lanes."""

from __future__ import annotations

from telephony.base.errors import Busy, MediaFailed
from telephony.calls.ports import Media
from telephony.media.config import MediaConfig
from telephony.media.lane import Lane


class LocalRooms:
    """Implements ``calls.ports.RoomDirectory``. A room is there while somebody is in it."""

    def __init__(self, config: MediaConfig) -> None:
        self._max_rooms = config.max_rooms
        self._max_members = config.max_room_members
        self._rooms: dict[str, dict[str, Lane]] = {}

    def join(self, room: str, identity: str, media: Media) -> None:
        """A leg enters and hears everybody else; one that is in leaves where it was.

        Raises:
            Busy: the room is full, or there are too many.
            MediaFailed: no lane of the engine.
        """
        if not isinstance(media, Lane):
            raise MediaFailed("only lanes of the media engine enter a room of this process")
        members = self._rooms.get(room, {})
        if identity not in members and len(members) >= self._max_members:
            raise Busy(f"the room is full with {self._max_members}")
        if room not in self._rooms and len(self._rooms) >= self._max_rooms:
            raise Busy(f"all {self._max_rooms} rooms are taken")
        self._rooms.setdefault(room, {})[identity] = media
        media.enter(room)

    def leave(self, room: str, identity: str) -> None:
        """A leg leaves; the last one takes the room with it. Who is not in does nothing."""
        members = self._rooms.get(room)
        if members is None:
            return
        lane = members.pop(identity, None)
        if lane is not None:
            lane.leave_group(room)
        if not members:
            del self._rooms[room]

    def members(self, room: str) -> list[str]:
        """Identities in the order they came."""
        return list(self._rooms.get(room, {}))
