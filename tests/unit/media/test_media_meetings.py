"""Bridges and rooms across workers, with workers that only note what they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from telephony.base.errors import Busy
from telephony.calls.events import MediaQuality
from telephony.calls.role import Role
from telephony.media.bridge import Mixer
from telephony.media.workers.meetings import Meetings


class House:
    """Where several sites are, and who is in which group or bridge of each."""

    def __init__(self) -> None:
        self.meetings = Meetings()
        self.sites = [Spot(name) for name in "abc"]

    def lane(self, site: int) -> Leg:
        return Leg(self.sites[site])

    def hears(self, lane: Leg, seen: frozenset[Leg] = frozenset()) -> list[Leg]:
        """Every leg whose voice reaches this lane, once for each way it comes."""
        spot = lane.worker
        found: list[Leg] = []
        for other in spot.company(lane):
            if other.peer is None:
                found.append(other)
            elif other.peer not in seen and not other.over:
                found += self.hears(other.peer, seen | {other})
        return found


class Leg:
    def __init__(self, worker: Spot) -> None:
        self.worker = worker
        self.local_address = ("127.0.0.1", id(self))
        self.peer: Leg | None = None
        self.over = False
        self.wide = False
        self.codec = ""

    def start(self, *, remote: tuple[str, int], codec: str, payload_type: int) -> None:
        assert (codec, payload_type) in (("PCMU", 0), ("G722", 9))
        self.codec = codec
        self.peer = next(leg for leg in Spot.trunks if leg.local_address == remote)

    def end(self, done: Callable[[MediaQuality], None]) -> None:
        self.over = True
        self.worker.groups.pop(self, None)
        for other in [o for o, name in self.worker.groups.items() if name is self]:
            del self.worker.groups[other]
        done(MediaQuality())


class Spot:
    trunks: list[Leg] = []

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.full = False
        self.groups: dict[Leg, Any] = {}
        self.roles: dict[Leg, Role | None] = {}

    def trunk(self) -> Leg:
        if self.full:
            raise Busy("full")
        Spot.trunks.append(Leg(self))
        return Spot.trunks[-1]

    def enter(self, lane: Leg, group: str, role: Role | None = Role.SPEAKER) -> None:
        self.groups[lane] = group
        self.roles[lane] = role

    def relay(self, lane: Leg, group: str) -> None:
        self.enter(lane, group, None)

    def leave(self, lane: Leg, group: str) -> None:
        self.groups.pop(lane, None)

    def pair(self, one: Leg, two: Leg) -> None:
        self.groups[one] = self.groups[two] = frozenset({one, two})

    def company(self, lane: Leg) -> list[Leg]:
        """Who is heard by a lane beside him: as ``media.bridge`` has it."""
        name = self.groups.get(lane)
        others = [o for o, n in self.groups.items() if n == name and o is not lane and not o.over]
        if not isinstance(name, str):
            return others
        role = self.roles[lane]
        mouths: set[Role | None] = {Role.SPEAKER, Role.AGENT} if role is not None else set()
        if role in (Role.AGENT, Role.COACH, None):
            mouths |= {Role.COACH, None}
        return [o for o in others if self.roles[o] in mouths]


@pytest.fixture
def house() -> House:
    Spot.trunks = []
    return House()


def open_trunks() -> int:
    return sum(not leg.over for leg in Spot.trunks)


def test_two_lanes_of_one_worker_need_no_way(house: House) -> None:
    one, two = house.lane(0), house.lane(0)
    house.meetings.bridge(one, two)
    assert house.hears(one) == [two]
    assert Spot.trunks == []


def test_two_lanes_of_two_workers_hear_each_other_until_one_goes(house: House) -> None:
    one, two, three = house.lane(0), house.lane(1), house.lane(2)
    house.meetings.bridge(one, two)
    assert (house.hears(one), house.hears(two)) == ([two], [one])
    house.meetings.bridge(one, three)
    assert (house.hears(one), house.hears(two), house.hears(three)) == ([three], [], [one])
    assert open_trunks() == 2
    house.meetings.part(three)
    assert open_trunks() == house.meetings.trunks == 0


def test_a_bridge_for_which_there_is_no_room_leaves_all_as_it_was(house: House) -> None:
    one, two, three = house.lane(0), house.lane(0), house.lane(1)
    house.meetings.bridge(one, two)
    house.sites[1].full = True
    with pytest.raises(Busy):
        house.meetings.bridge(one, three)
    assert house.hears(one) == [two]
    assert open_trunks() == 0


def test_a_room_over_three_workers_is_heard_once_by_everybody(house: House) -> None:
    lanes = [house.lane(n) for n in (0, 1, 1, 2, 2)]
    for lane in lanes:
        house.meetings.enter(lane, "staff")
    for lane in lanes:
        assert sorted(map(id, house.hears(lane))) == sorted(id(o) for o in lanes if o is not lane)
    assert house.meetings.trunks == 2
    # Nobody of the hub is left: it still carries what the others say.
    house.meetings.leave(lanes[0], "staff")
    assert set(house.hears(lanes[1])) == {lanes[2], lanes[3], lanes[4]}
    for lane in lanes[1:]:
        house.meetings.leave(lane, "staff")
    assert open_trunks() == house.meetings.trunks == 0


def test_a_room_is_joined_again_when_its_hub_dies(house: House) -> None:
    lanes = [house.lane(n) for n in (0, 1, 2)]
    for lane in lanes:
        house.meetings.enter(lane, "staff")
    house.sites[0].groups.clear()
    house.meetings.lost(house.sites[0])
    assert house.hears(lanes[1]) == [lanes[2]]
    assert house.hears(lanes[2]) == [lanes[1]]
    assert house.meetings.trunks == 1


def test_what_a_dead_worker_was_joined_to_is_free(house: House) -> None:
    one, two, third = house.lane(0), house.lane(1), house.lane(2)
    house.meetings.bridge(one, two)
    house.meetings.enter(third, "staff")
    house.meetings.lost(house.sites[1])
    assert open_trunks() == house.meetings.trunks == 0
    other = house.lane(0)
    house.meetings.enter(one, "staff")
    house.meetings.enter(other, "staff")
    assert set(house.hears(third)) == {one, other}


def test_who_is_bridged_is_in_the_room_no_more(house: House) -> None:
    one, two, three = house.lane(0), house.lane(1), house.lane(1)
    for lane in (one, two):
        house.meetings.enter(lane, "staff")
    house.meetings.bridge(two, three)
    assert open_trunks() == 0
    house.meetings.leave(two, "staff")
    assert house.hears(three) == [two]


def test_whispers_reach_the_agents_of_every_worker_and_nobody_else(house: House) -> None:
    roles = [Role.SPEAKER, Role.AGENT, Role.COACH, Role.LISTENER, Role.COACH, Role.AGENT]
    lanes = [house.lane(n % 3) for n in range(6)]
    for lane, role in zip(lanes, roles, strict=True):
        house.meetings.enter(lane, "staff", role)
    loud = {lane for lane, role in zip(lanes, roles, strict=True) if role in ("speaker", "agent")}
    soft = {lane for lane, role in zip(lanes, roles, strict=True) if role == "coach"}
    for lane, role in zip(lanes, roles, strict=True):
        wanted = loud | (soft if role in ("agent", "coach") else set())
        heard = house.hears(lane)
        assert set(heard) == wanted - {lane}, role
        assert len(heard) == len(set(heard))
    assert open_trunks() == 8
    # A coach who speaks up is a speaker; when no coach is left, neither are their ways.
    house.meetings.enter(lanes[2], "staff", Role.SPEAKER)
    assert lanes[2] in house.hears(lanes[0])
    house.meetings.leave(lanes[4], "staff")
    assert open_trunks() == 4


def test_a_way_is_wide_where_that_serves_somebody(house: House) -> None:
    one, two, three = house.lane(0), house.lane(1), house.lane(2)
    one.wide = two.wide = True
    house.meetings.bridge(one, two)
    assert {leg.codec for leg in Spot.trunks} == {"G722"}
    house.meetings.bridge(one, three)
    assert {leg.codec for leg in Spot.trunks[2:]} == {"PCMU"}
    house.meetings.enter(three, "staff")
    house.meetings.enter(two, "staff")
    assert {leg.codec for leg in Spot.trunks[4:]} == {"G722"}


def test_a_relay_carries_whispers_only_and_not_its_own() -> None:
    mixer = Mixer()
    for row, role in enumerate((Role.SPEAKER, Role.AGENT, Role.COACH, None, None)):
        mixer.enter(row, "desk", role)
        mixer.enter(row, "desk", role)
    heard = [set(mixer.group(row)) for row in range(5)]
    assert heard == [{1}, {0, 2, 3, 4}, {0, 1, 3, 4}, {2, 4}, {2, 3}]
    mixer.leave(3)
    assert mixer.group(1) == {0, 2, 4}
