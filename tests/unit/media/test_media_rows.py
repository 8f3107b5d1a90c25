"""Rows that come and go in every state: a lane's sound is its own, a closed row is as new."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from telephony.audio import tones
from telephony.calls.ports import Sound
from telephony.calls.role import Role
from telephony.media.columns import Columns
from telephony.media.lane import Lane
from telephony.media.recording import Tapes
from telephony.media.seats import Places, Seat
from telephony.rtp.packet import Packet
from telephony.testing.audio import tone

from .conftest import FAR, TYPES, Rig, Stream
from .test_media_hostile import rubbish

CODECS = ("PCMU", "PCMA", "G722")
PROMPT = Sound(np.asarray(tone(440, 700), np.int16).tobytes())
SOUNDS = (
    np.asarray(tone(620, 2000), np.int16),
    tones.dtmf("159#", 80, 80),
    np.tile(tones.busy("eu"), 2),
    np.random.default_rng(5).normal(0, 3000, 16000).astype(np.int16),
)


@cache
def encoded(codec: str, number: int) -> bytes:
    """The octets of a sound."""
    sound = SOUNDS[number] if codec != "G722" else np.repeat(SOUNDS[number], 2)
    return b"".join(packet.payload for packet in Stream(codec=codec).packets(sound))


def tables_of(found: object, seen: set[int] | None = None) -> Iterator[Columns]:
    """Every table of rows that belongs to something of ours."""
    seen = set() if seen is None else seen
    if id(found) in seen:
        return
    seen.add(id(found))
    if isinstance(found, Columns):
        yield found
    if isinstance(found, dict):
        parts: list[Any] = list(found.values())
    elif isinstance(found, list | tuple):
        parts = list(found)
    elif type(found).__module__.startswith("telephony.") and hasattr(found, "__dict__"):
        parts = list(vars(found).values())
    else:
        return
    for part in parts:
        yield from tables_of(part, seen)


class Crowd:
    """Lanes that are opened, used for anything, and closed again, many a tick."""

    def __init__(self, rig: Rig, rng: random.Random, folder: Path, most: int = 40) -> None:
        """``most``: of 33 and more, the arrays of a bank grow twice."""
        self.rig, self.rng, self.folder, self.most = rig, rng, folder, most
        self.lanes: list[Lane] = []
        self.seats: list[Seat] = []
        self.streams: dict[int, list[Packet]] = {}
        self.files = 0

    def start(self, lane: Lane) -> None:
        rng = self.rng
        codec = rng.choice(CODECS)
        remote = rng.choice([FAR, FAR, FAR, None])
        lane.start(
            remote=remote,
            codec=codec,
            payload_type=TYPES[codec],
            dtmf_payload_type=rng.choice([None, 101]),
            can_send=rng.random() < 0.9,
            can_receive=rng.random() < 0.9,
            comfort_noise=rng.random() < 0.3,
        )
        codes = encoded(codec, rng.randrange(len(SOUNDS)))
        stream = Stream(rng.randrange(1 << 32), rng.randrange(1 << 16), rng.randrange(1 << 32))
        stream.codec = codec
        size = 8 * rng.choice([10, 20, 30, 60])
        packets = [stream.packet(codes[at : at + size]) for at in range(0, len(codes), size)]
        self.streams[lane.row] = packets[::-1]

    def open(self) -> None:
        lane = self.rig.bank.open("127.0.0.1")
        self.lanes.append(lane)
        if self.rng.random() < 0.95:
            self.start(lane)

    def close(self, lane: Lane) -> None:
        self.lanes.remove(lane)
        self.streams.pop(lane.row, None)
        wire = self.rig.wire(lane)
        wire.inbox.clear()
        lane.close()
        lane.close()

    def close_all(self) -> None:
        for lane in list(self.lanes):
            self.close(lane)
        for seat in self.seats:
            self.rig.bank.rise(seat)
        self.rig.tick()

    def sit_down_or_rise(self) -> None:
        rng, bank = self.rng, self.rig.bank
        if rng.random() < 0.5 and len(self.seats) < 6:
            self.seats.append(bank.sit(rng.choice("abc"), rng.choice([8000, 16000, 24000, 48000])))
        elif self.seats:
            bank.rise(self.seats.pop(rng.randrange(len(self.seats))))

    def use(self, lane: Lane) -> None:
        rng, bank = self.rng, self.rig.bank
        self.files += 1
        path = self.folder / f"{self.files}.wav"
        other = rng.choice(self.lanes)
        acts = [
            lambda: self.start(lane),
            lambda: lane.play(PROMPT, lambda played: None, loop=rng.random() < 0.2),
            lane.stop,
            lambda: lane.send_digits("12,3"),
            lambda: lane.record_call(path, lambda made: None),
            lambda: lane.record_message(
                path, lambda made: None, max_seconds=0.3, silence_seconds=0.2
            ),
            lane.finish,
            lambda: lane.watch_answer(lambda heard: None, seconds=8),
            lambda: lane.await_greeting(lambda heard: None, seconds=2),
            lambda: lane.bridge(other),
            lambda: lane.bridge(other),
            lambda: lane.enter(rng.choice("abc"), rng.choice(list(Role))),
            lambda: lane.leave_group(rng.choice("abc")),
            lambda: bank.mixer.hold(lane.row, rng.random() < 0.5),
            lane.quality,
        ]
        rng.choice(acts)()

    def move(self) -> None:
        """What happens between two ticks."""
        rng = self.rng
        for _ in range(rng.choice([0, 0, 1, 2, 5])):
            if len(self.lanes) < self.most:
                self.open()
        if rng.random() < 0.2:
            self.sit_down_or_rise()
        for seat in self.seats:
            noise = rng.randbytes(2 * (seat.rate // 50))
            seat.write(np.frombuffer(noise, np.int16))
            seat.read()
        for lane in list(self.lanes):
            packets = self.streams.get(lane.row)
            if packets:
                self.rig.wire(lane).arrive(packets.pop())
            if rng.random() < 0.1:
                self.rig.wire(lane).arrive(rubbish(rng))
            if rng.random() < 0.2:
                self.use(lane)
            if rng.random() < 0.06:
                self.close(lane)
                # At once the next one takes the row.
                if rng.random() < 0.5:
                    self.open()


@pytest.mark.parametrize("seed", range(2))
def test_nothing_of_a_closed_lane_is_left_in_its_row(seed: int, tmp_path: Path) -> None:
    rig = Rig()
    crowd = Crowd(rig, random.Random(seed), tmp_path)
    for _ in range(60):
        crowd.move()
        rig.tick()
    rows = [lane.row for lane in crowd.lanes]
    assert max(rows) >= 32
    crowd.close_all()
    tables = [table for table in tables_of(rig.bank) if not isinstance(table, Places | Tapes)]
    assert len({type(table) for table in tables}) >= 14
    for table in tables:
        for name, (_, _, fill) in table.LAYOUT.items():
            column = getattr(table, name)
            assert column.shape[0] == rig.bank.streams.hears.size, (type(table), name)
            assert np.all(column[rows] == fill), (type(table), name)


class Company:
    """A few lanes that belong together, their far ends, and all that comes of them."""

    TICKS = 110

    def __init__(self, rig: Rig, seed: int, path: Path) -> None:
        rng = random.Random(seed)
        self.rig, self.path = rig, path
        codecs = [rng.choice(CODECS) for _ in range(3)]
        self.keys: list[tuple[int, str]] = []
        self.lanes = [
            rig.lane(codec, dtmf=rng.choice([None, 101]), comfort_noise=rng.random() < 0.3)
            for codec in codecs
        ]
        self.arrivals: list[list[tuple[int, Packet]]] = [[] for _ in range(self.TICKS + 10)]
        for index, (lane, codec) in enumerate(zip(self.lanes, codecs, strict=True)):
            lane.on_digit = partial(self._pressed, index)
            codes, stream = encoded(codec, rng.randrange(len(SOUNDS))), Stream(codec=codec)
            size = 8 * rng.choice([10, 20, 30, 60])
            for at in range(0, min(len(codes), 160 * self.TICKS), size):
                packet = stream.packet(codes[at : at + size])
                if rng.random() < 0.95:
                    late = rng.choice([0, 0, 0, 0, 1, 3])
                    self.arrivals[at // 160 + late].append((index, packet))
        self.way = rng.choice(["bridge", "hold", "room"])
        self.renegotiates = rng.random() < 0.5
        self.at = 0

    def _pressed(self, index: int, digit: str, duration_ms: int) -> None:
        self.keys.append((index, digit))

    def move(self) -> None:
        """What the far ends send and the service orders before the next tick."""
        one, two, three = self.lanes
        for index, packet in self.arrivals[self.at]:
            self.rig.wire(self.lanes[index]).arrive(packet)
        if self.at == 3:
            one.record_call(self.path, lambda made: None)
            two.watch_answer(lambda heard: None, seconds=1)
            if self.way == "room":
                for lane, role in zip(self.lanes, list(Role)[:3], strict=True):
                    lane.enter("company", role)
            else:
                one.bridge(two)
        if self.at == 20:
            one.play(PROMPT, lambda played: None)
            three.send_digits("42")
        if self.at == 30 and self.way == "hold":
            self.rig.bank.mixer.hold(two.row, True)
        if self.at == 60 and self.renegotiates:
            two.start(remote=FAR, codec="PCMA", payload_type=8, dtmf_payload_type=101)
        self.at += 1

    def outcome(self) -> list[object]:
        """All that anybody hears, reads or is told."""
        found: list[object] = [self.keys]
        for lane in self.lanes:
            sent = self.rig.wire(lane).packets()
            found.append([(p.payload_type, p.payload, p.marker) for p in sent])
            quality = lane.close()
            found.append(replace(quality, first_packet_at=None, first_sent_at=None))
        self.rig.tick()
        found.append(self.path.read_bytes())
        return found


@pytest.mark.parametrize("seed", range(4))
def test_lanes_sound_as_they_do_alone_whoever_was_in_their_rows(seed: int, tmp_path: Path) -> None:
    alone, among = Rig(), Rig()
    crowd = Crowd(among, random.Random(1000 + seed), tmp_path, 6)
    for _ in range(30):
        crowd.move()
        among.tick()
    # Rows in the middle of whatever they did, taken over before the next tick.
    for lane in sorted(crowd.lanes, key=lambda lane: lane.row)[:3]:
        crowd.close(lane)
    first = Company(alone, seed, tmp_path / "alone.wav")
    second = Company(among, seed, tmp_path / "among.wav")
    for number in range(Company.TICKS):
        if number == 30:
            # Beyond 16 rows the arrays grow, under a prompt that plays.
            crowd.most = 20
        crowd.move()
        for company in (first, second):
            if number == 80:
                # The process stood still.
                company.rig.bank.pass_over(9)
                company.rig.clock.advance(0.18)
            company.move()
            company.rig.tick()
    outcomes = first.outcome(), second.outcome()
    crowd.close_all()
    for index, (mine, theirs) in enumerate(zip(*outcomes, strict=True)):
        assert mine == theirs, index
