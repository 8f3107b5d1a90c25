"""One key, one event: whatever is lost, repeated, late or split."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.rtp.packet import Packet
from telephony.rtp.telephone_event import (
    DIGITS,
    MAX_DURATION,
    Event,
    Receiver,
    Released,
    plan,
)
from telephony.testing import pcap

VECTORS = Path(__file__).parents[2] / "vectors" / "rtp"
SIPP = Path("/usr/share/sip-tester")
TICK = 0.02


def arrivals(digits: str, **options: int) -> list[tuple[float, int, bytes]]:
    """(seconds, timestamp, payload) of a plan."""
    return [(p.tick * TICK, 8000 + p.start * 160, p.payload) for p in plan(digits, **options)]


def hear(packets: list[tuple[float, int, bytes]], ssrc: int = 1) -> tuple[str, list[Released]]:
    receiver = Receiver()
    keys = [receiver.receive(payload, stamp, ssrc, at) for at, stamp, payload in packets]
    receiver.expire(1e9)
    return "".join(k.digit for k in keys if k is not None), receiver.take_released()


@given(st.text(alphabet=DIGITS, max_size=12))
def test_what_is_planned_is_heard(digits: str) -> None:
    heard, released = hear(arrivals(digits))
    assert heard == digits
    assert [r.digit for r in released] == list(digits)
    assert all(r.duration == 800 and not r.timed_out for r in released)


def test_the_plan_is_rfc_4733() -> None:
    packets = plan("5", duration_ms=100)
    events = [Event.parse(p.payload) for p in packets]
    assert [e.duration for e in events if e] == [160, 320, 480, 640, 800, 800, 800]
    assert [e.end for e in events if e] == [False] * 4 + [True] * 3
    assert [p.marker for p in packets] == [True] + [False] * 6
    assert {p.start for p in packets} == {0}
    assert [p.tick for p in packets] == list(range(7))
    later = plan("1,2")
    assert later[-1].start - later[0].start >= 5 + 5 + 25
    with pytest.raises(ValueError, match="no key"):
        plan("1x")


@pytest.mark.parametrize("lost", range(1, 8))
def test_any_number_of_packets_at_either_end_may_be_lost(lost: int) -> None:
    one = arrivals("7")
    kept = one[lost:]
    assert hear(kept)[0] == ("7" if kept else "")
    heard, released = hear(one[: 7 - lost])
    assert heard == ("7" if lost < 7 else "")
    assert [r.timed_out for r in released] == ([lost >= 3] if lost < 7 else [])


def test_every_subset_of_packets_is_one_key() -> None:
    one = arrivals("3")
    for mask in range(1, 128):
        assert hear([p for bit, p in enumerate(one) if mask >> bit & 1])[0] == "3"


@pytest.mark.parametrize(("loss", "share"), [(0.1, 1.0), (0.3, 0.995)])
def test_random_loss(loss: float, share: float) -> None:
    rng = random.Random(4733)
    digits = "".join(rng.choice(DIGITS) for _ in range(1000))
    heard, _ = hear([p for p in arrivals(digits) if rng.random() >= loss])
    assert len(heard) >= share * len(digits)
    if share == 1.0:
        assert heard == digits


def test_duplicates_and_reordering_up_to_a_second_add_no_key() -> None:
    rng = random.Random(1)
    for _ in range(200):
        packets = [p for p in arrivals("159") for _ in range(rng.randint(1, 3))]
        moved = sorted((at + rng.choice([0, 0, rng.random() * 0.9]), s, p) for at, s, p in packets)
        heard, _ = hear(moved)
        assert sorted(heard) == ["1", "5", "9"]


def test_the_same_key_twice_is_two_even_if_the_first_never_ended() -> None:
    assert hear(arrivals("11"))[0] == "11"
    unended = [p for p in arrivals("11") if not Event.parse(p[2]).end]  # type: ignore[union-attr]
    assert hear(unended)[0] == "11"


def test_a_long_press_in_segments_is_one_key() -> None:
    receiver = Receiver()
    heard, total, start = [], 160, 4_294_900_000
    for tick in range(1, 900):
        total = tick * 160
        segment, within = divmod(total, MAX_DURATION)
        stamp = (start + segment * MAX_DURATION) % 2**32
        event = Event(5, False, 10, within)
        heard.append(receiver.receive(bytes(event), stamp, 1, tick * TICK))
    end = Event(5, True, 10, total % MAX_DURATION)
    for _ in range(3):
        heard.append(receiver.receive(bytes(end), stamp, 1, 900 * TICK))
    assert [k.digit for k in heard if k] == ["5"]
    assert receiver.take_released() == [Released("5", total, False)]


def test_a_key_whose_packets_cease_is_released_by_time() -> None:
    receiver = Receiver(hold_timeout=0.5)
    receiver.receive(bytes(Event(1, False, 10, 160)), 100, 1, 10.0)
    assert receiver.held == "1"
    receiver.expire(10.4)
    assert receiver.held == "1"
    receiver.expire(10.5)
    assert receiver.held is None
    assert receiver.take_released() == [Released("1", 160, True)]
    assert receiver.receive(bytes(Event(1, True, 10, 320)), 100, 1, 10.6) is None


def test_flash_tones_and_noise_are_no_keys() -> None:
    receiver = Receiver()
    assert receiver.receive(bytes(Event(16, True, 0, 800)), 1, 1, 0.0) is None
    assert receiver.receive(b"\x01\x0a", 1, 1, 0.0) is None
    assert receiver.receive(b"", 1, 1, 0.0) is None


@given(st.lists(st.tuples(st.binary(max_size=6), st.integers(0, 2**32 - 1)), max_size=60))
def test_noise_never_raises_nor_piles_up(packets: list[tuple[bytes, int]]) -> None:
    receiver = Receiver()
    for index, (payload, stamp) in enumerate(packets):
        receiver.receive(payload, stamp, 1, index * TICK)
    assert len(receiver.take_released()) <= 16


@given(
    st.builds(Event, st.integers(0, 255), st.booleans(), st.integers(0, 63), st.integers(0, 65535))
)
def test_payloads_round_trip(event: Event) -> None:
    assert Event.parse(bytes(event)) == event


def captured(file: Path, payload_type: int = 101) -> dict[int, str]:
    """Keys by destination port."""
    receivers: dict[int, Receiver] = {}
    keys: dict[int, str] = {}
    for datagram in pcap.read(file.read_bytes()):
        one = Packet.parse(datagram.payload)
        if one is None or one.payload_type != payload_type:
            continue
        port = datagram.destination[1]
        receiver = receivers.setdefault(port, Receiver())
        key = receiver.receive(one.payload, one.timestamp, one.ssrc, datagram.at)
        keys[port] = keys.get(port, "") + (key.digit if key else "")
    return keys


def test_rtpproxys_capture_gives_its_19_keys() -> None:
    assert captured(VECTORS / "rtpproxy" / "dtmf.pcapng") == {
        24272: "123456789*0#5",
        24270: "54321#",
    }


@pytest.mark.parametrize("name", [*"0123456789", "star", "pound"])
def test_sipps_captures_repeat_one_sequence_number_and_are_one_key(name: str) -> None:
    keys = captured(SIPP / f"dtmf_2833_{name}.pcap")
    assert list(keys.values()) == [{"star": "*", "pound": "#"}.get(name, name)]


def test_sipp_playing_one_capture_twice_is_two_keys() -> None:
    receiver, heard = Receiver(), ""
    packets = [
        (d.at, p)
        for d in pcap.read((SIPP / "dtmf_2833_1.pcap").read_bytes())
        if (p := Packet.parse(d.payload)) is not None
    ]
    for start in (0.0, 2.0):
        for at, one in packets:
            now = start + at - packets[0][0]
            key = receiver.receive(one.payload, one.timestamp, one.ssrc, now)
            heard += key.digit if key else ""
    assert heard == "11"
