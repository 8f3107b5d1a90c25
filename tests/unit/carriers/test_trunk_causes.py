"""Every row of design.md section 9, "How a call ends", and the way back."""

from __future__ import annotations

import pytest

from telephony.calls.outcome import Cause, EndedBy, Outcome, Status
from telephony.carriers.statuses import outcome_of_status
from telephony.carriers.trunk.causes import (
    REFUSALS,
    best_of,
    hangup_reason,
    outcome_of,
    refusal,
)
from telephony.sip.events import By, Ending, EndKind

ROWS = [
    (486, "busy", "busy", "busy"),
    (600, "busy", "busy", "busy"),
    (408, "no_answer", "no_answer", "no_answer"),
    (480, "no_answer", "no_answer", "no_answer"),
    (603, "failed", "declined", "declined"),
    (403, "failed", "forbidden", "declined"),
    (607, "failed", "blocked", "declined"),
    (608, "failed", "blocked", "declined"),
    (404, "failed", "not_found", "failed"),
    (410, "failed", "not_found", "failed"),
    (604, "failed", "not_found", "failed"),
    (484, "failed", "invalid_number", "failed"),
    (488, "failed", "media_incompatible", "failed"),
    (606, "failed", "media_incompatible", "failed"),
]
NAMED = {row[0] for row in ROWS}


@pytest.mark.parametrize(("status", "call_status", "cause", "result"), ROWS)
def test_a_final_response_means_what_the_table_says(
    status: int, call_status: str, cause: str, result: str
) -> None:
    outcome = outcome_of_status(status, "Reason")
    assert outcome.status.value == call_status
    assert outcome.cause is not None
    assert outcome.cause.value == cause
    assert outcome.result == result
    assert (outcome.sip_status, outcome.sip_reason) == (status, "Reason")
    assert outcome.ended_by is EndedBy.CALLEE


@pytest.mark.parametrize("status", [s for s in range(300, 700) if s not in NAMED])
def test_everything_else_is_the_carriers_fault(status: int) -> None:
    outcome = outcome_of_status(status)
    assert (outcome.status, outcome.cause) == (Status.FAILED, Cause.CARRIER_ERROR)


@pytest.mark.parametrize(
    ("q850", "status", "cause"),
    [
        (1, Status.FAILED, Cause.NOT_FOUND),
        (17, Status.BUSY, Cause.BUSY),
        (19, Status.NO_ANSWER, Cause.NO_ANSWER),
        (21, Status.FAILED, Cause.DECLINED),
        (28, Status.FAILED, Cause.INVALID_NUMBER),
        (34, Status.FAILED, Cause.CARRIER_ERROR),
    ],
)
def test_the_networks_cause_speaks_where_the_status_is_silent(
    q850: int, status: Status, cause: Cause
) -> None:
    outcome = outcome_of_status(503, q850=q850)
    assert (outcome.status, outcome.cause) == (status, cause)
    assert outcome_of_status(486, q850=q850).cause is Cause.BUSY


@pytest.mark.parametrize(
    ("ending", "inbound", "status", "cause", "by"),
    [
        (Ending(EndKind.BYE, By.REMOTE, answered=True), True, "ended", None, "caller"),
        (Ending(EndKind.BYE, By.REMOTE, answered=True), False, "ended", None, "callee"),
        (Ending(EndKind.BYE, By.LOCAL, answered=True), False, "ended", None, "service"),
        (Ending(EndKind.CANCELLED, By.REMOTE), True, "canceled", "canceled", "caller"),
        (Ending(EndKind.TIMEOUT, By.NETWORK), False, "failed", "unreachable", "service"),
        (Ending(EndKind.TRANSPORT, By.NETWORK), False, "failed", "unreachable", "service"),
        (Ending(EndKind.NO_ACK, By.NETWORK, answered=True), True, "ended", "network", "service"),
        (Ending(EndKind.EXPIRED, By.NETWORK, answered=True), True, "ended", "network", "service"),
        (Ending(EndKind.GONE, By.REMOTE, 481, answered=True), 0, "ended", "network", "service"),
        (Ending(EndKind.REDIRECTED, By.REMOTE, 302), 0, "failed", "carrier_error", "callee"),
        (Ending(EndKind.REJECTED, By.REMOTE, 486), False, "busy", "busy", "callee"),
        (Ending(EndKind.REJECTED, By.LOCAL, 480), True, "no_answer", "no_answer", "service"),
    ],
)
def test_every_kind_of_ending(
    ending: Ending, inbound: bool, status: str, cause: str | None, by: str
) -> None:
    outcome = outcome_of(ending, inbound=bool(inbound))
    assert outcome.status.value == status
    assert (outcome.cause.value if outcome.cause else None) == cause
    assert outcome.ended_by.value == by


def test_every_kind_has_an_outcome_both_ways() -> None:
    for kind in EndKind:
        for answered in (False, True):
            for inbound in (False, True):
                ending = Ending(kind, By.NETWORK, 500, answered=answered)
                assert outcome_of(ending, inbound=inbound).status.terminal


def test_of_several_phones_the_one_that_says_most_counts() -> None:
    silent = Ending(EndKind.TIMEOUT, By.NETWORK)
    away = Ending(EndKind.REJECTED, By.REMOTE, 480)
    busy = Ending(EndKind.REJECTED, By.REMOTE, 486)
    never = Ending(EndKind.REJECTED, By.REMOTE, 603)
    assert best_of([silent, away]).cause is Cause.NO_ANSWER
    assert best_of([silent, away, busy]).cause is Cause.BUSY
    assert best_of([busy, never, silent]).cause is Cause.DECLINED


def test_every_cause_has_a_refusal() -> None:
    assert set(REFUSALS) == {None, *Cause}
    for cause in Cause:
        assert 400 <= refusal(Outcome.failed(cause)) < 700


def test_a_status_that_was_asked_for_is_sent() -> None:
    assert refusal(Outcome.failed(Cause.CAPACITY, sip_status=503)) == 503
    assert refusal(Outcome.declined(Cause.FORBIDDEN, 607)) == 607
    # What belongs to their CANCEL, to a challenge or to a success cannot refuse.
    for status in (487, 401, 407, 200, 180):
        assert refusal(Outcome.failed(Cause.BUSY, sip_status=status)) == 486


def test_hang_up_reasons() -> None:
    assert hangup_reason(Outcome.completed(EndedBy.SERVICE)) == "Q.850;cause=16"
    assert hangup_reason(Outcome.media_timeout()) == "Q.850;cause=102"
