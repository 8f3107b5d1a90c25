"""Rooms of this process: who is in, who hears whom, what is too many."""

from __future__ import annotations

import random

import pytest

from telephony.base.clock import ManualClock
from telephony.base.errors import Busy, MediaFailed
from telephony.media.bank import Bank
from telephony.media.config import MediaConfig
from telephony.media.writer import Writer
from telephony.rooms.local import LocalRooms
from telephony.testing.carrier import FakeMedia
from telephony.testing.wires import MemoryWires

CONFIG = MediaConfig(max_rooms=2, max_room_members=3)


@pytest.fixture
def bank() -> Bank:
    return Bank(CONFIG, ManualClock(), MemoryWires(), Writer(1 << 20), random.Random(1))


def test_members_hear_each_other_until_they_leave(bank: Bank) -> None:
    rooms = LocalRooms(CONFIG)
    a, b, c = (bank.open("127.0.0.1") for _ in range(3))
    for name, lane in (("a", a), ("b", b), ("c", c)):
        rooms.join("lobby", name, lane)
    assert rooms.members("lobby") == ["a", "b", "c"]
    assert bank.mixer.group(a.row) == {b.row, c.row}
    rooms.leave("lobby", "b")
    rooms.leave("lobby", "b")
    assert bank.mixer.group(a.row) == {c.row}
    assert bank.mixer.group(b.row) == frozenset()


def test_the_last_one_takes_the_room_with_it(bank: Bank) -> None:
    rooms = LocalRooms(CONFIG)
    lanes = [bank.open("127.0.0.1") for _ in range(3)]
    rooms.join("one", "a", lanes[0])
    rooms.join("two", "a", lanes[1])
    with pytest.raises(Busy):
        rooms.join("three", "a", lanes[2])
    rooms.leave("one", "a")
    rooms.join("three", "a", lanes[2])
    assert rooms.members("one") == []


def test_one_more_than_fits_is_refused(bank: Bank) -> None:
    rooms = LocalRooms(CONFIG)
    for number in range(3):
        rooms.join("lobby", str(number), bank.open("127.0.0.1"))
    with pytest.raises(Busy):
        rooms.join("lobby", "3", bank.open("127.0.0.1"))


def test_leaving_a_room_does_not_cut_a_later_bridge(bank: Bank) -> None:
    rooms = LocalRooms(CONFIG)
    a, b = bank.open("127.0.0.1"), bank.open("127.0.0.1")
    rooms.join("lobby", "a", a)
    a.bridge(b)
    rooms.leave("lobby", "a")
    assert bank.mixer.group(a.row) == {b.row}


def test_a_lane_that_has_closed_leaves_quietly(bank: Bank) -> None:
    rooms = LocalRooms(CONFIG)
    a = bank.open("127.0.0.1")
    rooms.join("lobby", "a", a)
    a.close()
    rooms.leave("lobby", "a")
    assert rooms.members("lobby") == []


def test_only_lanes_enter() -> None:
    with pytest.raises(MediaFailed):
        LocalRooms(CONFIG).join("lobby", "a", FakeMedia(ManualClock()))
