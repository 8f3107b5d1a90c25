"""Who hears whom across workers: lanes of unlike workers meet over a pair of trunk lanes.

A trunk is two lanes of our own, one in each worker, that send RTP to one another over loopback.
A bridge of two workers is one trunk, each end bridged with the leg beside it. A room is a star:
the worker of its first member is the hub, every other worker has one trunk to it. In the hub a
trunk hears everybody but what came over it, so that nobody hears himself and no sound runs in a
circle. While a coach is in the room each trunk has another beside it for what coaches whisper. A
trunk adds one jitter buffer of delay; it is at 16 kHz where that serves somebody when it is laid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from telephony.base.errors import Busy, MediaFailed
from telephony.calls.events import MediaQuality
from telephony.calls.role import Role
from telephony.media.terms import WIDE

log = structlog.get_logger("telephony.media.meetings")

NARROW_CODEC, NARROW_TYPE = "PCMU", 0
WIDE_TYPE = 9
"""RFC 3551 §6."""
TRUNK_HOST = "127.0.0.1"

Member = Any
"""A lane or a seat, known to its site."""


class Site(Protocol):
    """A process with an engine."""

    @property
    def alive(self) -> bool: ...

    def trunk(self) -> Any:
        """A lane on loopback that belongs to nobody's call. Raises Busy."""
        ...

    def enter(self, lane: Any, group: str, role: Role = Role.SPEAKER) -> None: ...

    def relay(self, lane: Any, group: str) -> None: ...

    def leave(self, lane: Any, group: str) -> None: ...

    def pair(self, one: Any, two: Any) -> None: ...


@dataclass(slots=True, eq=False)
class Trunk:
    """Two lanes of ours and where they are."""

    sites: tuple[Any, Any]
    ends: tuple[Any, Any]

    def close(self) -> None:
        """An end whose worker is dead is over already."""
        for lane in self.ends:
            lane.end(_nobody_counts)


def lay(one: Site, two: Site, *, wide: bool) -> Trunk:
    """Raises Busy: no lanes or ports for it."""
    first = one.trunk()
    try:
        second = two.trunk()
    except (Busy, MediaFailed):
        first.end(_nobody_counts)
        raise
    codec, kind = (WIDE, WIDE_TYPE) if wide else (NARROW_CODEC, NARROW_TYPE)
    for near, far in ((first, second), (second, first)):
        near.start(remote=far.local_address, codec=codec, payload_type=kind)
    return Trunk((one, two), (first, second))


class Room:
    """Members by site, and the star of trunks between the sites."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: dict[Any, dict[Member, Role]] = {}
        self._hub: Any = None
        self._ways: dict[Any, Trunk] = {}
        self._asides: dict[Any, Trunk] = {}

    @property
    def trunks(self) -> int:
        """Ways that are open now."""
        return len(self._ways) + len(self._asides)

    def add(self, site: Any, member: Member, role: Role) -> None:
        """A member, or its other role. Raises Busy: no trunk to the others; nothing changed."""
        self._connect(site, _is_wide(member))
        self.members.setdefault(site, {})[member] = role
        self._fit_asides()

    def remove(self, site: Any, member: Member) -> None:
        """The site's last member takes its trunk along, save the hub's."""
        present = self.members.get(site)
        if present is None:
            return
        present.pop(member, None)
        if not present:
            del self.members[site]
            if site is not self._hub:
                self._cut(site)
        if not self.members:
            for far in list(self._ways):
                self._cut(far)
        self._fit_asides()

    def lost(self, site: Any) -> None:
        """A worker died; where it was the hub, another takes its place."""
        self.members.pop(site, None)
        if site is not self._hub:
            self._cut(site)
            return
        for far in list(self._ways):
            self._cut(far)
        self._hub = next(iter(self.members), None)
        for far in list(self.members):
            try:
                self._connect(far, False)
            except (Busy, MediaFailed) as error:
                log.error("media.room_divided", error=error.message)
        self._fit_asides()

    def _connect(self, site: Any, wide: bool) -> None:
        """Make the site part of the star."""
        if self._hub is None:
            self._hub = site
        if site is self._hub or site in self._ways:
            return
        wide = wide or any(_is_wide(m) for present in self.members.values() for m in present)
        trunk = self._ways[site] = lay(self._hub, site, wide=wide)
        for where, lane in zip(trunk.sites, trunk.ends, strict=True):
            where.enter(lane, self.name)

    def _fit_asides(self) -> None:
        """A way for whispers beside each trunk while anybody may whisper."""
        wanted = any(Role.COACH in present.values() for present in self.members.values())
        for site in list(self._asides):
            if not wanted:
                self._asides.pop(site).close()
        for site in self._ways if wanted else ():
            if site in self._asides:
                continue
            try:
                trunk = self._asides[site] = lay(self._hub, site, wide=False)
            except (Busy, MediaFailed) as error:
                log.error("media.room_divided", error=error.message)
                continue
            for where, lane in zip(trunk.sites, trunk.ends, strict=True):
                where.relay(lane, self.name)

    def _cut(self, site: Any) -> None:
        for trunks in (self._ways, self._asides):
            trunk = trunks.pop(site, None)
            if trunk is not None:
                trunk.close()


class Meetings:
    """Every bridge and room of an engine with workers. Members know their site by ``worker``."""

    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}
        self._room_of: dict[Member, tuple[Room, Any]] = {}
        self._bridge_of: dict[Member, tuple[Trunk, Member]] = {}

    @property
    def trunks(self) -> int:
        """Ways between workers that are open now."""
        bridges = {id(trunk) for trunk, _ in self._bridge_of.values()}
        return len(bridges) + sum(room.trunks for room in self._rooms.values())

    def bridge(self, one: Any, two: Any) -> None:
        """Two lanes hear each other and nobody else. Raises Busy."""
        if one is two:
            return
        here, there = one.worker, two.worker
        wide = _is_wide(one) and _is_wide(two)
        trunk = None if here is there else lay(here, there, wide=wide)
        self.part(one)
        self.part(two)
        if trunk is None:
            here.pair(one, two)
            return
        here.pair(one, trunk.ends[0])
        there.pair(two, trunk.ends[1])
        self._bridge_of[one], self._bridge_of[two] = (trunk, two), (trunk, one)

    def enter(self, lane: Any, group: str, role: Role = Role.SPEAKER) -> None:
        """A lane joins a room, or takes another role in it. Raises Busy."""
        self.join(lane.worker, lane, group, role)
        lane.worker.enter(lane, group, role)

    def join(self, site: Any, member: Member, group: str, role: Role = Role.SPEAKER) -> None:
        """Count a member in; the site itself lets it hear. Raises Busy."""
        held = self._room_of.get(member)
        room = self._rooms.get(group) or Room(group)
        room.add(site, member, role)
        if held is not None and held[0] is room:
            return
        self.part(member)
        self._rooms[group] = room
        self._room_of[member] = (room, site)

    def leave(self, lane: Any, group: str) -> None:
        """Nothing where the lane is elsewhere by now."""
        held = self._room_of.get(lane)
        if held is not None and held[0].name == group:
            self.part(lane)
            lane.worker.leave(lane, group)

    def part(self, member: Member) -> None:
        """Forget where a member was; what it hears in its own worker is the worker's."""
        held = self._room_of.pop(member, None)
        if held is not None:
            room, site = held
            room.remove(site, member)
            self._drop(room)
        tied = self._bridge_of.pop(member, None)
        if tied is not None:
            trunk, other = tied
            self._bridge_of.pop(other, None)
            trunk.close()

    def lost(self, site: Any) -> None:
        """A worker died with all its lanes."""
        for member, (_, where) in list(self._room_of.items()):
            if where is site:
                del self._room_of[member]
        for room in list(self._rooms.values()):
            room.lost(site)
            self._drop(room)
        for member, (trunk, _) in list(self._bridge_of.items()):
            if site in trunk.sites:
                self.part(member)

    def _drop(self, room: Room) -> None:
        if not room.members:
            self._rooms.pop(room.name, None)


def _nobody_counts(quality: MediaQuality) -> None:
    """A trunk's packets are of no call."""


def _is_wide(member: Member) -> bool:
    return bool(getattr(member, "wide", False))
