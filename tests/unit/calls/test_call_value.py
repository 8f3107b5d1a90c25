"""A call folded from its events, and what it permits."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.call import Call
from telephony.calls.outcome import Cause, EndedBy, Outcome, Status
from telephony.calls.public import TYPES, publish
from telephony.calls.state import LEG_TRANSITIONS, Direction, LegState

T0 = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
LEG, OTHER = "phone-x", "phone-x-2"


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def call(direction: Direction = Direction.INBOUND, **more: Any) -> Call:
    status = Status.RINGING if direction is Direction.INBOUND else Status.DIALING
    return Call(
        id="x",
        organization="org_default",
        direction=direction,
        created_at=T0,
        updated_at=T0,
        status=status,
        **more,
    )


OFFERED = e.LegOffered(at=T0, leg=LEG, from_number="+12025550188", dialled="front-desk")
DIALING = e.LegDialing(at=T0, leg=LEG, to="+12025550123", from_number="+12025550100")


def test_an_inbound_call_from_offer_to_end() -> None:
    live = call().apply(OFFERED)
    assert (live.status, live.live, live.active) == (Status.RINGING, True, False)
    live = live.apply(e.LegAnswered(at=at(2), leg=LEG))
    assert (live.status, live.answered_at) == (Status.ACTIVE, at(2))
    live = live.apply(e.LegEnded(at=at(9), leg=LEG, outcome=Outcome.completed(EndedBy.CALLER)))
    assert live.status is Status.ACTIVE
    done = live.apply(e.CallEnded(at=at(10), outcome=Outcome.completed(EndedBy.CALLER)))
    assert (done.status, done.failure_cause, done.duration_seconds) == (Status.ENDED, None, 8.0)
    again = done.apply(e.CallEnded(at=at(11), outcome=Outcome.busy()))
    assert (again.status, again.ended_at) == (Status.ENDED, at(10))


def test_an_outbound_call_rings_and_is_busy() -> None:
    live = call(Direction.OUTBOUND).apply(DIALING).apply(e.LegRinging(at=at(1), leg=LEG))
    assert live.status is Status.RINGING
    done = live.apply(e.LegEnded(at=at(2), leg=LEG, outcome=Outcome.busy())).apply(
        e.CallEnded(at=at(2), outcome=Outcome.busy())
    )
    assert (done.status, done.failure_cause, done.duration_seconds) == (Status.BUSY, "busy", 0.0)


def test_a_second_leg_moves_itself_and_not_the_call() -> None:
    live = call().apply(OFFERED).apply(e.LegAnswered(at=at(1), leg=LEG))
    live = live.apply(e.LegDialing(at=at(2), leg=OTHER, to="1000", from_number="x"))
    live = live.apply(e.LegRinging(at=at(3), leg=OTHER))
    live = live.apply(e.LegEnded(at=at(4), leg=OTHER, outcome=Outcome.no_answer()))
    assert live.status is Status.ACTIVE
    assert [leg.state for leg in live.legs] == [LegState.ANSWERED, LegState.ENDED]
    assert live.legs[1].direction is Direction.OUTBOUND


def test_every_cell_of_the_legs_table() -> None:
    makers: dict[str, e.LegEvent] = {
        "LegRinging": e.LegRinging(at=T0, leg=LEG),
        "LegEarlyMedia": e.LegEarlyMedia(at=T0, leg=LEG),
        "LegAnswered": e.LegAnswered(at=T0, leg=LEG),
        "LegEnded": e.LegEnded(at=T0, leg=LEG, outcome=Outcome.busy()),
    }
    from dataclasses import replace

    from telephony.calls.leg import Leg

    for state in LegState:
        for name, event in makers.items():
            leg = replace(Leg(LEG, Direction.INBOUND, "sip"), state=state)
            assert leg.apply(event).state is LEG_TRANSITIONS.get((state, name), state)


def test_what_is_permitted_when() -> None:
    play = c.Play(leg=LEG, playback="p", node="n", prompt=c.Prompt(text="x"))
    assert call().permit(play) == f"no leg {LEG}"
    ringing = call().apply(OFFERED)
    assert ringing.permit(play) == "the leg is not answered"
    assert ringing.permit(c.Answer(leg=LEG)) is None
    assert ringing.permit(c.Hangup(outcome=Outcome.busy())) is None
    active = ringing.apply(e.LegAnswered(at=at(1), leg=LEG))
    assert active.permit(play) is None
    assert active.permit(c.Answer(leg=LEG)) == "the leg is answered"
    assert active.permit(c.Ring(leg=LEG)) == "the leg is answered"
    assert active.permit(c.Bridge(leg=LEG, other=OTHER)) == "both legs must be answered"
    assert active.permit(c.Dial(leg=LEG, to="1000")) == "there is such a leg already"
    assert active.permit(c.Dial(leg=OTHER, to="1000")) is None
    gone = active.apply(e.LegEnded(at=at(2), leg=LEG, outcome=Outcome.completed(EndedBy.CALLER)))
    assert gone.permit(play) == "the leg has ended"
    over = gone.apply(e.CallEnded(at=at(2), outcome=Outcome.completed(EndedBy.CALLER)))
    assert over.permit(c.Hangup(outcome=Outcome.busy())) == "the call is over"
    outbound = call(Direction.OUTBOUND).apply(DIALING)
    assert outbound.permit(c.Answer(leg=LEG)) == "we called this leg"


def test_every_event_has_a_public_name_and_survives_its_encoding() -> None:
    assert set(TYPES) == set(e.EVENTS.values())
    samples: dict[Any, Any] = {
        "datetime": T0, "str": "x", "int": 1, "float": 1.5, "bool": True,
        "datetime | None": T0, "str | None": "x", "int | None": 1, "float | None": 1.5,
        "dict[str, str]": {"X-A": "1"}, "Outcome": Outcome.busy(),
        "MediaQuality | None": e.MediaQuality(packets_sent=5, mos=4.1, first_packet_at=T0),
    }  # fmt: skip
    for name, cls in e.EVENTS.items():
        event = cls(**{f.name: samples[f.type] for f in fields(cls)})
        assert e.decode(name, e.encode(event)) == event
        row = publish(event, call().apply(OFFERED), seq=3, event_id="evt_1", created_at=T0)
        assert row.payload["seq"] == 3
        assert "path" not in row.payload
        assert row.kind == name


def test_our_unanswered_leg_failed_to_dial_and_others_hung_up() -> None:
    ended = e.LegEnded(at=at(1), leg=LEG, outcome=Outcome.busy())
    outbound = call(Direction.OUTBOUND).apply(DIALING).apply(ended)
    row = publish(ended, outbound, seq=1, event_id="e", created_at=T0)
    assert (row.event_type, row.sip_status_code, row.failure_cause) == (
        "sip.dial_failed",
        486,
        "busy",
    )
    inbound = call().apply(OFFERED).apply(ended)
    row = publish(ended, inbound, seq=1, event_id="e", created_at=T0)
    assert (row.event_type, row.provider) == ("call.leg.hangup", "sip")


@pytest.mark.parametrize(
    ("outcome", "status", "cause", "result"),
    [
        (Outcome.completed(EndedBy.CALLER), "ended", None, "completed"),
        (Outcome.completed(EndedBy.CALLER).as_abandoned(), "ended", None, "abandoned"),
        (Outcome.transferred(), "ended", None, "transferred"),
        (Outcome.busy(), "busy", "busy", "busy"),
        (Outcome.no_answer(), "no_answer", "no_answer", "no_answer"),
        (Outcome.canceled(EndedBy.API), "canceled", "canceled", "canceled"),
        (Outcome.declined(), "failed", "declined", "declined"),
        (Outcome.declined(Cause.FORBIDDEN), "failed", "forbidden", "declined"),
        (Outcome.failed(Cause.NO_ROUTE), "failed", "no_route", "failed"),
        (Outcome.media_timeout(), "ended", "media_timeout", "dropped"),
        (Outcome.max_duration(), "ended", "max_duration", "completed"),
        (Outcome.interrupted(True), "ended", "interrupted", "interrupted"),
        (Outcome.interrupted(False), "failed", "interrupted", "interrupted"),
    ],
)
def test_the_table_of_endings(
    outcome: Outcome, status: str, cause: str | None, result: str
) -> None:
    found = outcome.cause.value if outcome.cause else None
    assert (outcome.status.value, found, outcome.result) == (status, cause, result)
    assert outcome.status.terminal
    assert outcome.by(EndedBy.API).ended_by is EndedBy.API


_STEPS = [
    OFFERED,
    DIALING,
    e.LegRinging(at=at(1), leg=LEG),
    e.LegEarlyMedia(at=at(1), leg=LEG),
    e.LegAnswered(at=at(2), leg=LEG),
    e.LegHeld(at=at(3), leg=LEG),
    e.LegUnheld(at=at(3), leg=LEG),
    e.LegDialing(at=at(3), leg=OTHER, to="1000", from_number=""),
    e.LegAnswered(at=at(4), leg=OTHER),
    e.LegEnded(at=at(5), leg=OTHER, outcome=Outcome.busy()),
    e.LegEnded(at=at(6), leg=LEG, outcome=Outcome.busy()),
    e.CallEnded(at=at(7), outcome=Outcome.busy()),
]


@given(st.lists(st.sampled_from(_STEPS), max_size=30))
def test_any_events_in_any_order_leave_a_call_that_holds_together(steps: list[e.Event]) -> None:
    live = call()
    ended = False
    for step in steps:
        live = live.apply(step)
        ended = ended or isinstance(step, e.CallEnded)
        assert len({leg.id for leg in live.legs}) == len(live.legs)
        assert live.status.terminal == ended
        assert live.duration_seconds >= 0
        for leg in live.legs:
            assert (leg.outcome is not None) == (leg.state is LegState.ENDED)
