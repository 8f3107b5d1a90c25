"""Who hears whom: the gain matrix, stated as bridges, rooms with roles, and holds.

``Mixer`` keeps the statement. It becomes a ``Plan`` (desk.py) once after it has changed, however
many changes there were, and each ``Desk`` (one a sample rate) carries that out tick by tick.

=====================  =========================================================================
edge, listener first   gain
=====================  =========================================================================
bridged lanes          1 both ways, whether or not either hears a prompt besides
room, anybody          1 from each speaker and agent of the room but himself
room, agent or coach   1 from each coach besides (whisper)
room, from a listener  0 (listening in, muted)
room, to a relay       1 from each coach and each other relay
room, from a relay     1 to each agent, coach and other relay
from a lane on hold    0 in a room, where its music would be for all; in a bridge 1
prompt, hold music     as ``ducking.py`` and ``hold.py`` have it
=====================  =========================================================================

A relay (role None) is the way to another process of what coaches of one room say.

A gain that changes goes from its old value to the new one within one frame, without a step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from telephony.calls.role import Role
from telephony.media.columns import Flags, Rows, Samples
from telephony.media.desk import NOBODY, Desk, Lines, Plan

_ALONE = -1


@dataclass(slots=True)
class _Room:
    """Members and what they are; the parts of the plan that its last change made."""

    members: dict[int, Role | None] = field(default_factory=dict)
    stale: bool = True
    pairs: tuple[Rows, Rows] = (NOBODY, NOBODY)
    open: tuple[Rows, Rows, Rows] = (NOBODY, NOBODY, NOBODY)
    asides: tuple[Rows, Rows, Rows] = (NOBODY, NOBODY, NOBODY)


class Mixer:
    """Bridges and rooms; a lane is in one at most. ``version`` rises with each change of plan."""

    def __init__(self) -> None:
        self.version = 0
        self._peer: Rows = np.full(16, _ALONE, np.int64)
        self._rooms: dict[str, _Room] = {}
        self._room: dict[int, str] = {}
        self._held: set[int] = set()
        self._plan: Plan | None = Plan()
        self._changed: set[int] = set()
        self._gone: set[int] = set()
        self._desk = Desk()

    # -- statements -----------------------------------------------------------------------------

    def bridge(self, first: int, second: int) -> None:
        """Two lanes hear each other and nobody else."""
        if first == second:
            return
        self.leave(first)
        self.leave(second)
        height = max(first, second) + 1
        if height > self._peer.size:
            self._peer = np.concatenate([self._peer, np.full(height, _ALONE, np.int64)])
        self._peer[first], self._peer[second] = second, first
        self._touch((first, second))

    def enter(self, row: int, name: str, role: Role | None = Role.SPEAKER) -> None:
        """A lane joins a room, or takes another role in it; None: a relay."""
        room = self._rooms.get(name)
        if room is not None and row in room.members and room.members[row] is role:
            return
        if self._room.get(row) != name:
            self.leave(row)
            room = self._rooms.setdefault(name, _Room())
            self._room[row] = name
        assert room is not None
        room.members[row] = role
        self._touch_room(room)

    def leave(self, row: int) -> None:
        """A lane hears nobody and is heard by nobody; the other one of a bridge as well."""
        name = self._room.pop(row, None)
        if name is not None:
            room = self._rooms[name]
            self._touch_room(room)
            del room.members[row]
            if not room.members:
                del self._rooms[name]
        peer = self.peer(row)
        if peer is not None:
            self._peer[row] = self._peer[peer] = _ALONE
            self._touch((row, peer))

    def forget(self, row: int) -> None:
        """The lane is closed: its voice is gone, and its row may be another's at once."""
        self.leave(row)
        self._held.discard(row)
        self._touch(())
        self._changed.discard(row)
        self._gone.add(row)

    def hold(self, row: int, on: bool) -> None:
        """Whether a lane's far end does not listen: it has put us on hold."""
        if on is not (row in self._held):
            (self._held.add if on else self._held.discard)(row)
            name = self._room.get(row)
            if name is not None:
                self._touch_room(self._rooms[name])
            else:
                self._touch(())

    # -- questions ------------------------------------------------------------------------------

    def is_in(self, row: int, name: str) -> bool:
        """Whether a lane is in this room."""
        return self._room.get(row) == name

    def peer(self, row: int) -> int | None:
        """The other lane of a bridge."""
        if row >= self._peer.size or self._peer[row] == _ALONE:
            return None
        return int(self._peer[row])

    def group(self, row: int) -> frozenset[int]:
        """Whom a lane hears: its row of the matrix where it is 1."""
        plan = self.plan()
        found = set(plan.of[plan.to == row].tolist())
        for lines in (plan.open, plan.asides):
            for line in lines.line[lines.listeners == row].tolist():
                found |= set(np.split(lines.sayers, lines.starts[1:])[line].tolist())
        return frozenset(found - {row})

    # -- the tick -------------------------------------------------------------------------------

    def mix(self, voice: Samples, out: Samples, sounding: Flags) -> None:
        """The narrow-band desk: see ``Desk.mix``."""
        self._desk.follow(self)
        self._desk.mix(voice, out, sounding)

    def plan(self) -> Plan:
        """What stands, worked out when it was changed since."""
        if self._plan is None:
            self._plan = self._work_out()
        return self._plan

    def changes(self) -> tuple[Rows, Rows]:
        """Rows that hear somebody else than by the plan before, and rows given back; sorted."""
        return np.array(sorted(self._changed), np.int64), np.array(sorted(self._gone), np.int64)

    # -- inside ---------------------------------------------------------------------------------

    def _touch(self, listeners: Iterable[int]) -> None:
        if self._plan is not None:
            self._plan = None
            self._changed, self._gone = set(), set()
            self.version += 1
        self._changed.update(listeners)

    def _touch_room(self, room: _Room) -> None:
        room.stale = True
        self._touch(room.members)

    def _work_out(self) -> Plan:
        to = np.flatnonzero(self._peer != _ALONE)
        of = self._peer[to]
        for room in self._rooms.values():
            if room.stale:
                self._arrange(room)
        rooms = self._rooms.values()
        peers = (self.peer(row) for row in self._held)
        return Plan(
            np.concatenate([to, *(room.pairs[0] for room in rooms)]),
            np.concatenate([of, *(room.pairs[1] for room in rooms)]),
            _join([room.open for room in rooms if room.open[1].size]),
            _join([room.asides for room in rooms if room.asides[1].size]),
            np.array(sorted(row for row in peers if row is not None), np.int64),
        )

    def _arrange(self, room: _Room) -> None:
        room.stale = False
        heard = {row: role for row, role in sorted(room.members.items()) if row not in self._held}
        said = [row for row, role in heard.items() if role in (Role.SPEAKER, Role.AGENT)]
        ears_of_all = [row for row, role in room.members.items() if role is not None]
        sayers, ears, own = _line(said, ears_of_all)
        room.open, room.pairs = (sayers, ears, own), (NOBODY, NOBODY)
        # Where each hears one voice there is nothing to sum: a room of two is a bridge.
        if len(said) == 1 or (len(said) == 2 and np.array_equal(sayers, ears)):
            room.pairs = ears, np.where(own < 0, sayers[0], sayers[-1 - own])
            room.open = (NOBODY, NOBODY, NOBODY)
        whispered = [row for row, role in heard.items() if role in (Role.COACH, None)]
        among = (Role.AGENT, Role.COACH, None)
        aside = [row for row, role in room.members.items() if role in among]
        room.asides = _line(whispered, aside)


def _line(sayers: list[int], listeners: Iterable[int]) -> tuple[Rows, Rows, Rows]:
    """Sayers, those listeners who hear somebody else, and their own places among the sayers."""
    place = {row: at for at, row in enumerate(sayers)}
    ears = [row for row in sorted(listeners) if len(sayers) > (row in place)]
    own = [place.get(row, -1) for row in ears]
    return np.array(sayers, np.int64), np.array(ears, np.int64), np.array(own, np.int64)


def _join(lines: list[tuple[Rows, Rows, Rows]]) -> Lines:
    if not lines:
        return Lines()
    sizes = np.array([sayers.size for sayers, _, _ in lines])
    starts = np.cumsum(sizes) - sizes
    own = [
        np.where(own < 0, own, own + start)
        for (_, _, own), start in zip(lines, starts, strict=True)
    ]
    return Lines(
        np.concatenate([sayers for sayers, _, _ in lines]),
        starts,
        np.concatenate([listeners for _, listeners, _ in lines]),
        np.repeat(np.arange(len(lines)), [listeners.size for _, listeners, _ in lines]),
        np.concatenate(own),
    )
