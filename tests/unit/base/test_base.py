"""Clock, ids, numbers and trace."""

from __future__ import annotations

import random
import re
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.base.clock import ManualClock, iso, parse_iso
from telephony.base.ids import Ids, phone_identity, room_name
from telephony.base.number import NumberRules, is_e164, mask, to_e164, to_trunk
from telephony.base.trace import MAX_REASONS, Action, Trace


def test_iso_has_three_digits_and_a_z() -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, 987654, tzinfo=timezone(timedelta(hours=2)))
    assert iso(datetime(900, 3, 1, tzinfo=UTC)) == "0900-03-01T00:00:00.000Z"
    assert iso(moment) == "2026-03-01T10:00:00.987Z"
    assert parse_iso("2026-03-01T10:00:00.987Z") == moment.replace(microsecond=987000)
    with pytest.raises(ValueError, match="naive"):
        iso(datetime(2026, 3, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="no time zone"):
        parse_iso("2026-03-01T10:00:00")


def test_a_manual_clock_goes_forward_only() -> None:
    clock = ManualClock()
    wall, mono = clock.now(), clock.monotonic()
    clock.advance(1.5)
    assert (clock.now() - wall).total_seconds() == 1.5
    assert clock.monotonic() - mono == 1.5
    clock.step_wall(-3600)
    assert clock.now() < wall
    assert clock.monotonic() - mono == 1.5
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


def test_call_ids_are_random_and_others_sort_by_time() -> None:
    clock = ManualClock()
    ids = Ids(random.Random(1), clock)
    calls = {ids.call() for _ in range(100)}
    assert len(calls) == 100
    assert all(uuid.UUID(c).version == 4 for c in calls)
    made = [ids.make("evt") for _ in range(5000)]
    clock.step_wall(-5)  # a clock that is set back must not make ids that sort before
    made += [ids.make("evt") for _ in range(100)]
    clock.advance(10)
    made.append(ids.make("evt"))
    assert made == sorted(set(made))
    assert all(re.fullmatch(r"evt_[0-9a-f]{32}", m) for m in made)
    assert uuid.UUID(made[0].removeprefix("evt_")).version == 7


def test_the_names_of_a_call() -> None:
    assert phone_identity("x") == "phone-x"
    assert phone_identity("x", 2) == "phone-x-2"
    assert room_name("x") == "call-x"


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("+12025550123", True),
        ("+15551234567", True),
        ("+491701234567", True),
        ("+0123456789", False),
        ("12025550123", False),
        ("+123456", False),
        ("+1234567", True),
        ("+123456789012345", True),
        ("+1234567890123456", False),
        ("+1202555 0123", False),
        ("+12025550123\n", False),
    ],
)
def test_e164_is_the_contracts_pattern(text: str, good: bool) -> None:
    assert is_e164(text) is good


@pytest.mark.parametrize(
    ("text", "rules", "number"),
    [
        ("+12025550123", NumberRules(), "+12025550123"),
        ("12025550123", NumberRules(), "+12025550123"),
        ("(202) 555-0123", NumberRules(country="US"), "+12025550123"),
        ("0170 1234567", NumberRules(country="de"), "+491701234567"),
        ("0012025550123", NumberRules(strip="00", prefix="+"), "+12025550123"),
        ("912025550123", NumberRules(strip="9", prefix="+"), "+12025550123"),
        ("front-desk", NumberRules(), None),
        ("1000", NumberRules(), None),
        ("", NumberRules(country="US"), None),
    ],
)
def test_numbers_as_trunks_write_them(text: str, rules: NumberRules, number: str | None) -> None:
    assert to_e164(text, rules) == number


def test_numbers_go_back_as_the_trunk_wants_them() -> None:
    rules = NumberRules(strip="00", prefix="+")
    assert to_trunk("+12025550123", rules) == "0012025550123"
    assert to_trunk("+12025550123", NumberRules()) == "+12025550123"


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
def test_a_masked_number_keeps_two_digits(number: str) -> None:
    hidden = mask(number)
    assert len(hidden) == len(number)
    assert sum(c.isdigit() for c in hidden) == 2
    assert hidden.endswith(number[-2:])


def test_names_are_not_masked() -> None:
    assert mask("front-desk") == "front-desk"
    assert mask("1000") == "1000"


def test_the_trace_is_bounded_and_counts_for_ever() -> None:
    trace = Trace(ceiling=3)
    for i in range(10):
        trace.add(float(i), Action.SIP_DROPPED, reason="too big")
    assert [e.at for e in trace.entries()] == [7.0, 8.0, 9.0]
    assert trace.counts[(Action.SIP_DROPPED, "too big")] == 10
    assert trace.entries(Action.SIP_SENT) == []


def test_strangers_cannot_make_us_count_ever_more_things() -> None:
    trace = Trace()
    for i in range(1000):
        trace.add(0.0, Action.SIP_REFUSED, reason=f"METHOD{i} 501")
    assert len(trace.counts) <= MAX_REASONS + len(Action)
    assert trace.counts[(Action.SIP_REFUSED, "other")] == 1000 - MAX_REASONS
    assert trace.counts.total() == 1000


def test_times_are_aware() -> None:
    assert ManualClock().now().tzinfo is UTC
