"""Rooms of this process: a room is a mixing group of the media engine's rows."""

from __future__ import annotations

from typing import Protocol

from telephony.base.errors import Busy, Conflict, MediaFailed
from telephony.calls.ports import Media
from telephony.calls.role import Role
from telephony.media.config import RATE, MediaConfig
from telephony.media.contract import Guest
from telephony.media.seats import Seat


class Seating(Protocol):
    """Who makes seats: the media engine."""

    def sit(self, group: str, rate: int) -> Seat: ...

    def rise(self, seat: Seat) -> None: ...


class LocalRooms:
    """Implements ``calls.ports.RoomDirectory``. A room is there while somebody is in it."""

    def __init__(self, config: MediaConfig, seating: Seating | None = None) -> None:
        """Without ``seating`` only legs enter."""
        self._max_rooms = config.max_rooms
        self._max_members = config.max_room_members
        self._seating = seating
        self._rooms: dict[str, dict[str, Guest | Seat]] = {}

    def join(self, room: str, identity: str, media: Media, role: Role = Role.SPEAKER) -> None:
        """A leg enters and hears as its role has it; from a bridge or another room it goes.

        Who is in already takes the role.

        Raises:
            Busy: the room is full, or there are too many, or no way leads to its other members.
            Conflict: somebody else of this identity is in.
            MediaFailed: no lane of the engine.
        """
        if not isinstance(media, Guest):
            raise MediaFailed("only lanes of the media engine enter a room of this process")
        if self._rooms.get(room, {}).get(identity) is not media:
            self._admit(room, identity)
        # Between workers it may be refused: who is not in is not written down.
        media.enter(room, role)
        self._rooms.setdefault(room, {})[identity] = media

    def sit(self, room: str, identity: str, rate: int = RATE) -> Seat:
        """A program of this process enters: frames of 20 ms at ``rate`` to read and to write.

        Raises:
            Busy, Conflict: as for ``join``.
            MediaFailed: this directory has no seats.
            ValueError: a rate that is none of 8, 16, 24 and 48 kHz.
        """
        if self._seating is None:
            raise MediaFailed("this room directory has no seats")
        self._admit(room, identity)
        seat = self._seating.sit(room, rate)
        self._rooms.setdefault(room, {})[identity] = seat
        return seat

    def leave(self, room: str, identity: str) -> None:
        """A leg or seat leaves; the last one takes the room with it. Who is not in does nothing."""
        members = self._rooms.get(room)
        if members is None:
            return
        member = members.pop(identity, None)
        if isinstance(member, Guest):
            member.leave_group(room)
        elif member is not None and self._seating is not None:
            self._seating.rise(member)
        if not members:
            del self._rooms[room]

    def members(self, room: str) -> list[str]:
        """Identities in the order they came."""
        return list(self._rooms.get(room, {}))

    def _admit(self, room: str, identity: str) -> None:
        members = self._rooms.get(room)
        if members is None:
            if len(self._rooms) >= self._max_rooms:
                raise Busy(f"all {self._max_rooms} rooms are taken")
            return
        present = members.get(identity)
        if present is not None and not (isinstance(present, Guest) and present.closed):
            raise Conflict(f"{identity} is in the room")
        if present is None and len(members) >= self._max_members:
            raise Busy(f"the room is full with {self._max_members}")
