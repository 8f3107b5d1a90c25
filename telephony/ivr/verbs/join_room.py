"""join_room: a conference of this process."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.role import Role
from telephony.ivr.fields import Keys, OneOf, Seconds, Target, Text, key
from telephony.ivr.model import Verb
from telephony.ivr.run import Activity, Go, Move, Run

JOIN_SECONDS = 10.0
ROOM = r"[A-Za-z0-9_.\-]{1,64}"
STAY_SECONDS = 14_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRoom(Verb):
    """Let everybody in the room hear each other."""

    VERB: ClassVar[str] = "join_room"
    waits: ClassVar[bool] = True

    room: str = key(
        Text(template=True, maximum=64, pattern=ROOM, what="a room (letters, digits, - _ .)"),
        doc="The room's name; {{variable}} is filled in.",
    )
    role: str = key(
        OneOf(*Role),
        Role.SPEAKER.value,
        doc="speaker, agent (a speaker whom coaches whisper to), coach (heard by agents and coaches"
        " only) or listener (heard by nobody).",
    )
    mute_key: str = key(Keys(), "", doc="Keys that mute, and unmute again; empty for none.")
    leave_key: str = key(Keys(), "", doc="Keys that leave the room; empty for none.")
    max_seconds: float = key(Seconds(1, STAY_SECONDS), STAY_SECONDS, doc="Longest stay.")
    next: str | None = key(Target(), None, doc="After leaving; without it the call ends.")
    on_failed: str | None = key(
        Target(), None, doc="There was no way into the room; without it as next."
    )

    def begin(self, run: Run) -> Move | Activity:
        room = run.fill(self.room).strip()
        if re.fullmatch(ROOM, room) is None:
            return Go(self.on_failed or self.next)
        run.typed.clear()
        return Staying(self, run, room)


class Staying(Activity):
    """On the way in, then in the room."""

    def __init__(self, node: JoinRoom, run: Run, room: str) -> None:
        super().__init__(run.now + JOIN_SECONDS)
        self._node = node
        self._room = room
        self._inside = False
        self._muted = False
        run.order(c.JoinRoom(leg=run.leg, room=room, role=Role(node.role)))

    def step(self, run: Run, event: e.Event) -> Move | None:
        match event:
            case e.RoomJoined(leg=run.leg) if event.room == self._room and not self._inside:
                self._inside = True
                self.deadline = run.now + self._node.max_seconds
            case e.RoomLeft(leg=run.leg) if event.room == self._room:
                return Go(self._missed or self._node.next)
            case e.DigitPressed() if self._inside and event.digit in self._node.leave_key:
                return self._leave(run, self._node.next)
            case e.DigitPressed() if self._inside and event.digit in self._node.mute_key:
                self._muted = not self._muted
                run.order(c.Mute(leg=run.leg, on=self._muted))
        return None

    @property
    def _missed(self) -> str | None:
        return None if self._inside else self._node.on_failed

    def _leave(self, run: Run, target: str | None) -> Move:
        run.order(c.LeaveRoom(leg=run.leg))
        return Go(target)

    def expire(self, run: Run) -> Move | None:
        return self._leave(run, self._missed or self._node.next)
