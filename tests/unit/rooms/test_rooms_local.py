"""Rooms of this process: who is in, who hears whom, what is too many."""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt
import pytest

from telephony.audio import g711
from telephony.audio.stream import LaneResampler
from telephony.base.clock import ManualClock
from telephony.base.errors import Busy, Conflict, MediaFailed
from telephony.calls.role import Role
from telephony.media.bank import Bank
from telephony.media.config import MediaConfig
from telephony.media.seats import Seat
from telephony.media.writer import Writer
from telephony.rooms.local import LocalRooms
from telephony.rtp.packet import Packet
from telephony.testing.audio import heard, tone
from telephony.testing.carrier import FakeMedia
from telephony.testing.wires import MemoryWires

CONFIG = MediaConfig(max_rooms=2, max_room_members=3)


def hear(packets: list[Packet]) -> npt.NDArray[np.int16]:
    return g711.ulaw_decode(np.frombuffer(b"".join(p.payload for p in packets), np.uint8))


def drain(seat: Seat) -> list[npt.NDArray[np.int16]]:
    frames = []
    while (frame := seat.read()) is not None:
        frames.append(frame)
    return frames


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


def test_a_coach_whispers_to_an_agent_until_it_takes_another_role(bank: Bank) -> None:
    rooms = LocalRooms(CONFIG)
    caller, agent, coach = (bank.open("127.0.0.1") for _ in range(3))
    for lane, role in ((caller, Role.SPEAKER), (agent, Role.AGENT), (coach, Role.COACH)):
        lane.start(remote=("192.0.2.7", 4000))
        rooms.join("desk", role, lane, role)
    assert bank.mixer.group(caller.row) == {agent.row}
    assert bank.mixer.group(agent.row) == {caller.row, coach.row}
    assert bank.mixer.group(coach.row) == {caller.row, agent.row}
    rooms.join("desk", Role.COACH, coach, Role.SPEAKER)
    assert bank.mixer.group(caller.row) == {agent.row, coach.row}
    assert len(rooms.members("desk")) == 3


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


def test_an_identity_is_in_once(bank: Bank) -> None:
    rooms = LocalRooms(CONFIG)
    a = bank.open("127.0.0.1")
    rooms.join("lobby", "a", a)
    rooms.join("lobby", "a", a)
    with pytest.raises(Conflict):
        rooms.join("lobby", "a", bank.open("127.0.0.1"))
    assert rooms.members("lobby") == ["a"]


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


def test_a_seat_hears_the_legs_and_is_heard(bank: Bank) -> None:
    rooms = LocalRooms(CONFIG, bank)
    leg = bank.open("127.0.0.1")
    leg.start(remote=("192.0.2.7", 4000))
    wire = bank._wires.wires[leg.row]  # type: ignore[attr-defined]
    rooms.join("lobby", "leg", leg)
    seat, other = rooms.sit("lobby", "agent"), rooms.sit("lobby", "tutor")
    said, spoken, heard_by_seat = tone(440, 400), tone(700, 400), []
    assert seat.read() is None
    for number in range(20):
        frame = slice(number * 160, number * 160 + 160)
        assert seat.write(spoken[frame])
        payload = g711.ulaw_encode(said[frame]).tobytes()
        wire.arrive(Packet(0, number, number * 160, 5, payload))
        bank.tick(number * 0.02)
        got = seat.read()
        assert got is not None
        heard_by_seat.append(got)
        assert seat.read() is None
    out = np.concatenate(heard_by_seat)
    assert heard(out, 440)
    assert not heard(out, 700)
    by_leg = hear(wire.packets())
    assert heard(by_leg, 700)
    assert not heard(by_leg, 440)
    by_other = np.concatenate(drain(other))
    assert by_other.size == 20 * 160
    assert heard(by_other, 700).dbm0 == pytest.approx(heard(by_other, 440).dbm0, abs=1)
    assert seat.flush() == 20 * 160


def test_a_flush_drops_what_is_queued_and_tells_what_was_heard(bank: Bank) -> None:
    rooms = LocalRooms(CONFIG, bank)
    seat = rooms.sit("lobby", "agent")
    written = sum(seat.write(np.full(160, 99, np.int16)) for _ in range(300))
    assert written == 250
    for number in range(10):
        bank.tick(number * 0.02)
    assert seat.queued == 240
    assert seat.flush() == 1600
    assert (seat.queued, seat.flush()) == (0, 0)
    with pytest.raises(ValueError, match="160"):
        seat.write(np.zeros(80, np.int16))


@pytest.mark.parametrize("rate", [16000, 24000, 48000])
def test_a_seat_speaks_and_hears_at_its_rate(bank: Bank, rate: int) -> None:
    rooms = LocalRooms(CONFIG, bank)
    wide, narrow = rooms.sit("lobby", "agent", rate), rooms.sit("lobby", "tutor")
    size, ticks = rate // 50, 25
    assert wide.rate == rate
    low, high = tone(440, 20 * ticks), tone(700, 20 * ticks, rate=rate)
    # Over 4 kHz nothing may come back folded into what a telephone hears.
    time = np.arange(size * ticks) / rate
    hiss = np.rint(6000 * np.sin(2 * np.pi * min(5300, rate / 2 - 600) * time)).astype(np.int16)
    for number in range(ticks):
        assert narrow.write(low[number * 160 : number * 160 + 160])
        assert wide.write((high + hiss)[number * size : number * size + size])
        bank.tick(number * 0.02)
    by_wide, by_narrow = drain(wide), np.concatenate(drain(narrow))
    assert [frame.shape for frame in by_wide] == [(size,)] * ticks
    up = np.concatenate(by_wide)
    assert heard(up, 440, rate=rate).dbm0 == pytest.approx(heard(low, 440).dbm0, abs=0.5)
    assert not heard(up, 700, rate=rate)
    assert heard(by_narrow, 700).dbm0 == pytest.approx(heard(high, 700, rate=rate).dbm0, abs=0.5)
    mirrored = 8000 - min(5300, rate / 2 - 600)
    assert heard(by_narrow, mirrored).dbm0 < heard(by_narrow, 700).dbm0 - 50
    assert wide.flush() == size * ticks
    with pytest.raises(ValueError, match=str(size)):
        wide.write(low[:160])


def test_seats_of_many_rates_come_and_go_and_hear_the_same(bank: Bank) -> None:
    rooms = LocalRooms(MediaConfig(max_room_members=40), bank)
    source = rooms.sit("lobby", "source")
    said = tone(600, 20 * 30)
    steady = {rate: rooms.sit("lobby", f"steady-{rate}", rate) for rate in (8000, 16000, 24000)}
    frames: dict[int, list[npt.NDArray[np.int16]]] = {rate: [] for rate in steady}
    for number in range(30):
        if number == 7:
            guests = [rooms.sit("lobby", f"guest-{i}", (16000, 24000)[i % 2]) for i in range(12)]
        if number == 15:
            for i in range(12):
                rooms.leave("lobby", f"guest-{i}")
            assert not any(guest.open for guest in guests)
            late, beside = rooms.sit("lobby", "late", 16000), rooms.sit("lobby", "beside")
        assert source.write(said[number * 160 : number * 160 + 160])
        bank.tick(number * 0.02)
        for rate, seat in steady.items():
            frames[rate] += drain(seat)
    out = {rate: np.concatenate(found) for rate, found in frames.items()}
    assert heard(out[8000], 600)
    for rate in (16000, 24000):
        alone = LaneResampler(8000, rate)
        expected = np.concatenate([alone.process(frame) for frame in out[8000].reshape(-1, 160)])
        assert np.array_equal(out[rate], expected)
    # A place that was another's begins with silence, not with that one's history.
    fresh = LaneResampler(8000, 16000)
    assert np.array_equal(drain(late)[0], fresh.process(drain(beside)[0]))


def test_a_rate_that_no_seat_has_is_refused(bank: Bank) -> None:
    rooms = LocalRooms(CONFIG, bank)
    with pytest.raises(ValueError, match="11025"):
        rooms.sit("lobby", "agent", 11025)
    assert rooms.members("lobby") == []
    assert rooms.sit("lobby", "agent", 24000).open


def test_frames_nobody_reads_make_room(bank: Bank) -> None:
    seat = LocalRooms(CONFIG, bank).sit("lobby", "agent")
    for number in range(200):
        bank.tick(number * 0.02)
    assert len(drain(seat)) == 50


def test_a_seat_that_was_left_is_silent_and_its_row_is_free(bank: Bank) -> None:
    rooms = LocalRooms(CONFIG, bank)
    seats = [rooms.sit("one", name) for name in "abc"] + [rooms.sit("two", name) for name in "abc"]
    rooms.leave("one", "b")
    assert not seats[1].write(np.zeros(160, np.int16))
    assert seats[1].read() is None
    assert (seats[1].flush(), seats[1].queued) == (0, 0)
    assert bank.open("127.0.0.1").row == 1
    bank.tick(1.0)
    bank.close_all()
    assert not any(seat.open for seat in seats)


def test_without_seating_there_are_no_seats() -> None:
    with pytest.raises(MediaFailed):
        LocalRooms(CONFIG).sit("lobby", "agent")


def test_only_lanes_enter() -> None:
    with pytest.raises(MediaFailed):
        LocalRooms(CONFIG).join("lobby", "a", FakeMedia(ManualClock()))


class NoWay:
    """A lane for which there is no way to the others of a room."""

    closed = False

    def enter(self, group: str, role: Role = Role.SPEAKER) -> None:
        raise Busy("no way")

    def leave_group(self, group: str) -> None:
        raise AssertionError("it was never in")


def test_who_could_not_enter_is_not_in() -> None:
    rooms = LocalRooms(MediaConfig())
    with pytest.raises(Busy):
        rooms.join("lobby", "a", NoWay())  # type: ignore[arg-type]
    assert rooms.members("lobby") == []
    rooms.leave("lobby", "a")
