"""Bridges and rooms across workers, with workers that only note what they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from telephony.base.errors import Busy
from telephony.calls.events import MediaQuality
from telephony.calls.role import Role
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

    def start(self, *, remote: tuple[str, int], codec: str) -> None:
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

    def trunk(self) -> Leg:
        if self.full:
            raise Busy("full")
        Spot.trunks.append(Leg(self))
        return Spot.trunks[-1]

    def enter(self, lane: Leg, group: str, role: Role = Role.SPEAKER) -> None:
        self.groups[lane] = group

    def leave(self, lane: Leg, group: str) -> None:
        self.groups.pop(lane, None)

    def pair(self, one: Leg, two: Leg) -> None:
        self.groups[one] = self.groups[two] = frozenset({one, two})

    def company(self, lane: Leg) -> list[Leg]:
        name = self.groups.get(lane)
        return [o for o, n in self.groups.items() if n == name and o is not lane and not o.over]


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
