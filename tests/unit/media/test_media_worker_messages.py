"""What a service and its workers say to one another: whole, in order, and nothing left out."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.calls.events import MediaQuality
from telephony.calls.ports import Media, Played, Recorded, Sound
from telephony.media.config import MediaConfig
from telephony.media.lane import Lane
from telephony.media.stats import TickStats
from telephony.media.terms import Terms
from telephony.media.workers.lane import RemoteLane
from telephony.media.workers.messages import FACTS, LANE_FACTS, LANE_ORDERS, MAX_MESSAGE, ORDERS
from telephony.media.workers.sounds import Sounds

NOW = datetime(2026, 1, 5, 9, 0, 0, 123456, tzinfo=UTC)


def public(cls: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(method)
        for name, method in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
    }


def test_every_method_of_the_port_goes_to_the_worker_with_all_it_is_given() -> None:
    port = public(Media)
    # It is answered from what the worker said last.
    port.pop("quality")
    rows = {name: fields for name, fields in LANE_ORDERS.items() if name in port}
    assert rows.keys() == port.keys()
    for name, fields in rows.items():
        assert list(fields) == [p for p in port[name].parameters if p != "self"], name


def test_a_remote_lane_takes_its_orders_as_a_lane_does() -> None:
    here, there = public(Lane), public(RemoteLane)
    # Terms are passed on as they come; only ways between workers are relays.
    for name in LANE_ORDERS.keys() - {"start", "relay"}:
        assert here[name] == there[name], name


def test_every_callback_of_a_lane_comes_back() -> None:
    lane = vars(Lane(None, 0, None))  # type: ignore[arg-type]
    assert {name for name in lane if name.startswith("on_")} == LANE_FACTS.keys()
    remote = vars(RemoteLane(None, 0, ("", 0), None))  # type: ignore[arg-type]
    assert remote.keys() >= LANE_FACTS.keys()


VALUES: list[tuple[Any, str, bool, tuple[Any, ...]]] = [
    (ORDERS, "begin", False, (MediaConfig(ports=(3000, 4000)),)),
    (ORDERS, "start", True, (Terms(remote=("::1", 4000), trusted_ip="10.0.0.1"),)),
    (ORDERS, "start", True, (Terms(remote=None, codec="PCMA", can_send=False),)),
    (ORDERS, "record_message", True, (Path("/a/ä.wav"), 4, 1.5, None)),
    (ORDERS, "stop", True, ()),
    (FACTS, "played", False, (7, Played(20, 40, False, NOW))),
    (FACTS, "recorded", False, (7, Recorded(Path("x"), 1, 2, "max", "no ☃"))),
    (FACTS, "counted", False, (7, MediaQuality(lost=-3, mos=None, first_packet_at=NOW))),
    (FACTS, "stats", False, (3, TickStats(late=4))),
    (FACTS, "on_digit", True, ("#", 160)),
]


@pytest.mark.parametrize(("table", "name", "of_lane", "values"), VALUES)
def test_what_is_said_is_what_is_heard(
    table: Any, name: str, of_lane: bool, values: tuple[Any, ...]
) -> None:
    row = table.row(name, of_lane=of_lane)
    said = (9, *values) if of_lane else values
    (found,) = table.take(bytearray(table.encode(row, *said, tail=b"tail")))
    assert found.row is row
    assert found.values == values
    assert found.lane == (9 if of_lane else 0)
    assert found.tail == b"tail"


@given(st.data())
def test_messages_are_whole_however_the_stream_is_cut(data: st.DataObject) -> None:
    row = ORDERS.row("send_digits", of_lane=True)
    wanted = data.draw(st.lists(st.tuples(st.integers(0, 9), st.text(), st.binary()), max_size=5))
    stream = b"".join(ORDERS.encode(row, n, text, tail=tail) for n, text, tail in wanted)
    received, found = bytearray(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        received += stream[:cut]
        stream = stream[cut:]
        found += [(m.lane, m.values[0], m.tail) for m in ORDERS.take(received)]
    assert found == wanted
    assert not received


@pytest.mark.parametrize(
    "octets",
    [
        (MAX_MESSAGE + 1).to_bytes(4) + b"\x00" + (0).to_bytes(4),
        (5).to_bytes(4) + b"\xff" + (0).to_bytes(4),
        (5).to_bytes(4) + b"\x00" + (9).to_bytes(4),
        (7).to_bytes(4) + b"\x00" + (2).to_bytes(4) + b"{}",
    ],
)
def test_what_is_no_message_is_a_fault(octets: bytes) -> None:
    with pytest.raises(ValueError):
        ORDERS.take(bytearray(octets))


def test_a_sound_has_one_number_and_the_least_used_lose_theirs() -> None:
    lost: list[int] = []
    sounds = Sounds(10, lost.append)
    first, second, third = (Sound(bytes([n]) * 4) for n in range(3))
    assert sounds.number(first) == sounds.number(Sound(b"\0" * 4)) == 1
    assert sounds.number(second) == 2
    assert sounds.number(first) == 1
    assert sounds.number(third) == 3
    assert lost == [2]
    assert sounds.number(second) == 4
    assert lost == [2, 1]
    assert sounds.number(Sound(b"\0" * 4, 16000)) == 5
    assert sounds.number(Sound(b"\0" * 12)) is None


def test_counts_of_several_engines_add_up() -> None:
    one, two = TickStats(), TickStats()
    one.add(0.001, 0.002, 1)
    two.add(0.030, 0.004, 1)
    one.merge(two)
    assert (one.ticks, one.late) == (2, 1)
    assert one.duration.total == 2
    assert one.duration.sum_ms == pytest.approx(6)
    assert one.lateness.max_ms == pytest.approx(30)
