"""Facts and rates → lines that add up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.calls import events as e
from telephony.calls.call import Call
from telephony.calls.money import charges
from telephony.calls.outcome import EndedBy, Outcome, Status
from telephony.calls.state import Direction
from telephony.reports.cost import Rate, Rates, price, total
from telephony.reports.fold import fold

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
DONE = Outcome.completed(EndedBy.CALLER)
CENT = Rates(Rate(inbound=Decimal("0.01"), outbound=Decimal("0.02"), recording=Decimal("0.0005")))


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def inbound(seconds: float, leg: str = "a", **members: Any) -> list[e.Event]:
    return [
        e.LegOffered(at=START, leg=leg, from_number="+1", dialled="+2", **members),
        e.LegAnswered(at=at(2), leg=leg),
        e.LegEnded(at=at(2 + seconds), leg=leg, outcome=DONE),
    ]


def outbound(seconds: float, leg: str = "b", **members: Any) -> list[e.Event]:
    return [
        e.LegDialing(at=at(5), leg=leg, to="+3", from_number="+2", **members),
        e.LegAnswered(at=at(9), leg=leg),
        e.LegEnded(at=at(9 + seconds), leg=leg, outcome=DONE),
    ]


def recorded(ms: int, leg: str = "a") -> e.Event:
    return e.RecordingReady(
        at=at(50), leg=leg, recording="r", kind="call", path="/x", duration_ms=ms, size=1
    )


def lines(facts: list[e.Event], rates: Rates | None = CENT) -> list[tuple[str, str, int, int]]:
    return [(x.provider, x.metric, x.quantity, x.cost_micro_usd) for x in price(facts, rates)]


def test_a_call_of_61_seconds_at_a_cent_a_minute() -> None:
    # 10166.67, rounded once.
    assert lines(inbound(61)) == [("sip", "inbound_seconds", 61, 10_167)]


def test_each_leg_and_recording_is_a_line_and_the_call_costs_their_sum() -> None:
    facts = [*inbound(61), *outbound(7), recorded(60_500)]
    assert lines(facts) == [
        ("sip", "inbound_seconds", 61, 10_167),
        ("sip", "outbound_seconds", 7, 2_333),
        ("telephony", "recording_seconds", 61, 508),
    ]
    assert total(price(facts, CENT)) == 13_008


@pytest.mark.parametrize(
    ("seconds", "increment", "counted"),
    [(60, 1, 60), (60.001, 1, 61), (60, 60, 60), (60.001, 60, 120), (0.001, 6, 6), (6, 6, 6)],
)
def test_time_is_counted_upwards_in_whole_increments(
    seconds: float, increment: int, counted: int
) -> None:
    rates = Rates(Rate(inbound=Decimal("0.06"), increment=increment))
    assert lines(inbound(seconds), rates) == [("sip", "inbound_seconds", counted, counted * 1000)]


def test_half_a_millionth_is_rounded_up() -> None:
    # Of one second: 0.5, 1.5 and 0.49 micro-USD.
    for usd, cost in (("0.00003", 1), ("0.00009", 2), ("0.0000294", 0)):
        ((_, _, _, found),) = lines(inbound(1), Rates(Rate(inbound=Decimal(usd))))
        assert found == cost


def test_a_trunk_may_have_rates_of_its_own() -> None:
    rates = Rates(CENT.default, {"trunk_far": Rate(outbound=Decimal("0.6"), increment=10)})
    facts = [*inbound(60, trunk="trunk_near"), *outbound(11, trunk="trunk_far")]
    assert lines(facts, rates) == [
        ("sip", "inbound_seconds", 60, 10_000),
        ("sip", "outbound_seconds", 20, 200_000),
    ]
    assert lines([*outbound(9, trunk="trunk_far"), recorded(1000, "b")], rates) == [
        ("sip", "outbound_seconds", 10, 100_000),
        ("telephony", "recording_seconds", 10, 0),
    ]


def test_what_was_not_used_is_no_line() -> None:
    ringing = [inbound(9)[0], e.LegEnded(at=at(9), leg="a", outcome=DONE)]
    assert lines(ringing) == []
    assert lines(inbound(0)) == []
    assert lines(inbound(-3)) == []
    assert lines([recorded(0)]) == []
    assert lines(inbound(61), None) == []
    assert lines([]) == []


def test_our_own_phones_talk_for_nothing() -> None:
    assert lines([*inbound(60, phone="1000"), *outbound(60, phone="1001")]) == []


def test_a_free_minute_is_counted() -> None:
    assert lines(inbound(60), Rates(Rate())) == [("sip", "inbound_seconds", 60, 0)]


def test_a_leg_that_is_not_over_counts_to_the_last_fact() -> None:
    facts = [*inbound(61)[:2], e.DigitPressed(at=at(12), leg="a", digit="1")]
    assert lines(facts) == [("sip", "inbound_seconds", 10, 1_667)]


def call() -> Call:
    return Call(
        id="s", organization="o", direction=Direction.INBOUND, created_at=START,
        updated_at=START, status=Status.RINGING,
    )  # fmt: skip


def test_the_report_carries_its_lines() -> None:
    facts = [*inbound(61), e.CallEnded(at=at(63), outcome=DONE)]
    report = fold(call(), facts, CENT)
    assert report.cost_micro_usd == "10167"
    assert report.cost_lines == price(facts, CENT)
    bare = fold(call(), facts)
    assert (bare.cost_micro_usd, bare.cost_lines) == ("0", ())


durations = st.floats(0, 100_000, allow_nan=False)
usd = st.decimals(0, 1000, places=9)


@given(
    legs=st.lists(st.tuples(st.booleans(), durations), max_size=6),
    kept=st.lists(st.integers(0, 10**7), max_size=3),
    rate=st.builds(Rate, inbound=usd, outbound=usd, recording=usd, increment=st.integers(1, 3600)),
)
def test_the_lines_of_any_call_add_up_and_what_is_posted_balances(
    legs: list[tuple[bool, float]], kept: list[int], rate: Rate
) -> None:
    facts: list[e.Event] = []
    for number, (came, seconds) in enumerate(legs):
        facts += (inbound if came else outbound)(seconds, f"leg{number}")
    facts += [recorded(ms) for ms in kept]
    facts.append(e.CallEnded(at=at(200_000), outcome=DONE))
    report = fold(call(), facts, Rates(rate))
    costs = [line.cost_micro_usd for line in report.cost_lines]
    assert report.cost_micro_usd == str(sum(costs))
    assert all(
        line.quantity > 0 and line.quantity % rate.increment == 0 for line in report.cost_lines
    )
    postings = charges("o", "s", report.cost_lines, report.created_at)
    assert [sum(entry.amount for entry in posting.entries) for posting in postings] == [0] * len(
        costs
    )
    assert [-posting.entries[0].amount for posting in postings] == costs
    assert len({posting.id for posting in postings}) == len(postings)
