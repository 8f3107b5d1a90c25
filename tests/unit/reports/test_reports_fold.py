"""Events → report."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telephony.calls import events as e
from telephony.calls.call import Call
from telephony.calls.outcome import Cause, EndedBy, Outcome, Status
from telephony.calls.public import publish
from telephony.calls.record import CallReport
from telephony.calls.state import Direction
from telephony.reports.fold import fold

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
ID = "0b9f8a52-7a3e-4a1c-9a55-3d0f2b7c1e11"
LEG = f"phone-{ID}"
SECOND = f"phone-{ID}-2"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def new_call(direction: Direction = Direction.INBOUND) -> Call:
    inbound = direction is Direction.INBOUND
    return Call(
        id=ID,
        organization="org_default",
        direction=direction,
        created_at=START,
        updated_at=START,
        status=Status.RINGING if inbound else Status.DIALING,
        from_number="+12025550123",
        to_number="+12025550199",
        metadata={"order": 7},
    )


def folded(events: list[e.Event], call: Call | None = None) -> CallReport:
    call = call or new_call()
    for event in events:
        call = call.apply(event)
    return fold(call, events)


def prompt(
    start: float, heard: float, total: float, text: str, heard_text: str, reason: str = "finished"
) -> e.PromptPlayed:
    return e.PromptPlayed(
        at=at(start + heard),
        leg=LEG,
        node="menu",
        text=text,
        heard_text=heard_text,
        source="tts",
        started_at=at(start),
        heard_ms=round(heard * 1000),
        total_ms=round(total * 1000),
        reason=reason,
    )


FRONT_DESK: list[e.Event] = [
    e.LegOffered(at=at(0), leg=LEG, from_number="+12025550123", dialled="front-desk"),
    e.LegAnswered(at=at(0.08), leg=LEG, codec="PCMU"),
    e.RecordingStarted(at=at(0.09), leg=LEG, recording="rec_1", kind="call", path="/r/1.wav"),
    e.DigitPressed(at=at(1.3), leg=LEG, digit="1", duration_ms=90),
    e.GatherCompleted(at=at(1.31), leg=LEG, node="menu", digits="1", reason="max"),
    prompt(0.1, 1.2, 6.4, "Welcome to the front desk. Press one.", "Welcome to", "barge_in"),
    e.VariableSet(at=at(1.4), name="topic", value="hours", report=True),
    e.VariableSet(at=at(1.4), name="scratch", value="x"),
    prompt(1.4, 3.0, 3.0, "We are open from nine to five.", "We are open from nine to five."),
    e.DigitPressed(at=at(5), leg=LEG, digit="2", duration_ms=90),
    e.GatherCompleted(at=at(5.01), leg=LEG, node="menu", digits="2", reason="max"),
    e.RecordingStarted(at=at(6), leg=LEG, recording="rec_2", kind="message", path="/r/2.wav"),
    e.DigitPressed(at=at(8), leg=LEG, digit="#", duration_ms=90),
    e.RecordingReady(
        at=at(8.01), leg=LEG, recording="rec_2", kind="message", path="/r/2.wav",
        duration_ms=2000, size=32044, reason="key",
    ),
    e.DigitPressed(at=at(9), leg=LEG, digit="4", secret=False),
    e.DigitPressed(at=at(9.5), leg=LEG, digit="2"),
    e.DigitPressed(at=at(9.8), leg=LEG, digit="#"),
    e.GatherCompleted(at=at(9.81), leg=LEG, node="ext", digits="42", reason="terminator"),
    e.DigitPressed(at=at(10), leg=LEG, digit="*", secret=True),
    e.DigitPressed(at=at(10.2), leg=LEG, digit="*", secret=True),
    e.GatherCompleted(
        at=at(10.3), leg=LEG, node="pin", digits="**", reason="max", secret=True
    ),
    e.CallbackScheduled(
        at=at(11), callback="cb_1", to="+12025550123", scheduled_at=at(3600), reason="asked"
    ),
    e.TransferStarted(at=at(12), leg=LEG, transfer="x_1", to="+12025550155", mode="bridge"),
    e.LegDialing(at=at(12), leg=SECOND, to="+12025550155", from_number="+12025550199"),
    e.LegRinging(at=at(13), leg=SECOND),
    e.LegEnded(at=at(14), leg=SECOND, outcome=Outcome.busy()),
    e.TransferFailed(
        at=at(14), leg=LEG, transfer="x_1", to="+12025550155", mode="bridge", cause="busy"
    ),
    e.RecordingReady(
        at=at(43), leg=LEG, recording="rec_1", kind="call", path="/r/1.wav",
        duration_ms=42900, size=1_372_844, reason="leg_ended",
    ),
    e.LegEnded(
        at=at(43.08), leg=LEG, outcome=Outcome.completed(EndedBy.CALLER),
        quality=e.MediaQuality(packets_received=2150, lost=3, mos=4.3, codec="PCMU"),
    ),
    e.CallEnded(at=at(43.08), outcome=Outcome.completed(EndedBy.CALLER), events_dropped=2),
]  # fmt: skip


def test_the_front_desk() -> None:
    report = folded(FRONT_DESK)
    assert report.outcome == "completed"
    assert report.status == "ended"
    assert report.failure_cause is None
    assert report.timings.answer_ms == 80
    assert report.timings.post_dial_delay_ms is None
    assert report.timings.first_audio_ms == 20
    assert report.timings.duration_ms == 43_000
    assert report.custom_data == {"topic": "hours"}
    assert report.metadata == {"order": 7}
    assert report.events_dropped == 2
    assert report.created_at == report.updated_at == at(43.08)
    assert report.analysis_status == "heuristic"
    assert report.structured_data == {
        "ended_by": "caller",
        "digits": "12#42#**",
        "messages": 1,
        "transferred_to": None,
    }
    (message,) = report.messages
    assert (message.path, message.duration_ms, message.ended_by) == ("/r/2.wav", 2000, "key")
    assert report.recording is not None
    assert report.recording["status"] == "ready"
    assert report.recording["duration_ms"] == 42900
    assert report.quality[LEG]["lost"] == 3
    assert report.scheduled_callback is not None
    assert report.scheduled_callback["id"] == "cb_1"
    assert report.scheduled_callback["scheduled_at"] == "2026-01-05T10:00:00.000Z"
    assert report.scheduled_callback["status"] == "scheduled"


def test_the_transcript_is_what_was_heard_and_pressed_in_order() -> None:
    turns = folded(FRONT_DESK).turns
    assert [(t.source, t.text, t.latency_status) for t in turns] == [
        ("agent", "Welcome to", "interrupted"),
        ("user", "pressed 1", "complete"),
        ("agent", "We are open from nine to five.", "complete"),
        ("user", "pressed 2", "complete"),
        ("user", "left a message of 2 s", "complete"),
        ("user", "pressed #, 4, 2, #", "complete"),
        ("user", "pressed **", "complete"),
        ("system", "a call back to +*********23 was promised", None),
        ("system", "transferring to +*********55", None),
        ("system", "the transfer to +*********55 failed: busy", None),
    ]
    assert [t.index for t in turns] == list(range(len(turns)))
    assert len({t.id for t in turns}) == len(turns)
    assert turns[0].metadata["heard_ms"] == 1200
    assert turns[0].ended_at == at(1.3)


def test_the_summary_is_one_sentence_without_a_whole_number() -> None:
    text = folded(FRONT_DESK).summary
    assert text == (
        "Inbound call from +*********23: answered, 43 s, pressed 1, 2, #, 4, 2, #, **; "
        "left a message of 2 s; a call back was promised for 2026-01-05 10:00 UTC; "
        "ended by the caller."
    )


def outbound(*events: e.Event, outcome: Outcome) -> CallReport:
    return folded(
        [
            e.CallRequested(at=at(0), leg=LEG, to="+12025550199", from_number="+12025550123"),
            e.LegDialing(at=at(0.1), leg=LEG, to="+12025550199", from_number="+12025550123"),
            *events,
            e.LegEnded(at=at(20), leg=LEG, outcome=outcome),
            e.CallEnded(at=at(20), outcome=outcome),
        ],
        new_call(Direction.OUTBOUND),
    )


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.busy(), "busy."),
        (Outcome.no_answer(), "not answered."),
        (Outcome.canceled(EndedBy.API), "canceled before it was answered."),
        (Outcome.declined(), "declined."),
        (Outcome.declined(Cause.BLOCKED), "declined (blocked)."),
        (Outcome.failed(Cause.NO_ROUTE), "failed (no way to the telephone network)."),
        (Outcome.interrupted(False), "interrupted when the service stopped."),
    ],
)
def test_what_was_never_answered(outcome: Outcome, words: str) -> None:
    report = outbound(e.LegRinging(at=at(2.1), leg=LEG), outcome=outcome)
    assert report.summary == f"Outbound call to +*********99: {words}"
    assert report.outcome == outcome.result
    assert report.failure_cause == (outcome.cause.value if outcome.cause else None)
    assert report.timings.post_dial_delay_ms == 2000
    assert report.timings.answer_ms is None
    assert report.timings.first_audio_ms is None
    assert report.timings.duration_ms == 0
    assert report.turns == ()


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        (Outcome.completed(EndedBy.CALLEE), "; ended by the callee."),
        (Outcome.completed(EndedBy.API), "; ended by the API."),
        (Outcome.completed(EndedBy.SERVICE), "."),
        (Outcome.completed(EndedBy.CALLER).as_abandoned(), "; the caller left before the end"),
        (Outcome.media_timeout(), "; dropped (media timeout)."),
        (Outcome.interrupted(True), "; interrupted when the service stopped."),
    ],
)
def test_how_answered_calls_end(outcome: Outcome, end: str) -> None:
    report = outbound(e.LegAnswered(at=at(5), leg=LEG), outcome=outcome)
    assert report.summary.startswith("Outbound call to +*********99: answered, 15 s" + end)


def test_a_transfer_is_told() -> None:
    report = outbound(
        e.LegAnswered(at=at(5), leg=LEG),
        e.TransferCompleted(at=at(9), leg=LEG, transfer="x", to="+12025550155", mode="refer"),
        outcome=Outcome.transferred(),
    )
    assert report.outcome == "transferred"
    assert "transferred to +*********55" in report.summary
    assert report.structured_data["transferred_to"] == "+12025550155"


def test_a_prompt_of_which_nothing_was_heard_was_not_said() -> None:
    unheard = replace(prompt(1, 0, 2, "Hello", ""), started_at=None)
    assert folded([*FRONT_DESK[:2], unheard]).turns == ()


def test_a_sound_file_is_named() -> None:
    file = replace(prompt(1, 2, 2, "", ""), source="greeting.wav")
    assert [t.text for t in folded([*FRONT_DESK[:2], file]).turns] == ["(greeting.wav)"]


def test_sound_before_the_answer_is_heard_from_the_answer_on() -> None:
    early = prompt(0.01, 3, 3, "Hello there", "Hello there")
    report = folded([FRONT_DESK[0], FRONT_DESK[1], early, FRONT_DESK[-1]])
    assert report.timings.first_audio_ms == 0


def test_without_prompts_the_engine_knows_when_sound_left() -> None:
    quality = e.MediaQuality(first_sent_at=at(0.2))
    ended = e.LegEnded(
        at=at(9), leg=LEG, outcome=Outcome.completed(EndedBy.CALLER), quality=quality
    )
    assert folded([*FRONT_DESK[:2], ended]).timings.first_audio_ms == 120


def test_a_recording_that_failed_says_why() -> None:
    events = [
        *FRONT_DESK[:3],
        e.RecordingFailed(
            at=at(3), leg=LEG, recording="rec_1", kind="call", path="/r/1.wav",
            error="no space left", duration_ms=2900,
        ),
    ]  # fmt: skip
    recording = folded(events).recording
    assert recording is not None
    assert (recording["status"], recording["error"]) == ("failed", "no space left")


def test_a_secret_never_is_in_a_report() -> None:
    events = [
        *FRONT_DESK[:2],
        e.DigitPressed(at=at(3), leg=LEG, digit="7", secret=True),
        e.DigitPressed(at=at(4), leg=LEG, digit="9"),
        e.GatherCompleted(at=at(4), leg=LEG, node="pin", digits="79", reason="max", secret=True),
        e.GatherCompleted(at=at(5), leg=LEG, node="pin", digits="79", reason="max", secret=True),
        FRONT_DESK[-1],
    ]
    report = folded(events)
    assert [t.text for t in report.turns] == ["pressed **", "pressed **"]
    assert "pressed **, **" in report.summary


def test_every_beginning_of_a_call_has_a_report() -> None:
    for length in range(len(FRONT_DESK) + 1):
        report = folded(FRONT_DESK[:length])
        assert report.summary.endswith(".")
    assert folded([]).outcome == ""
    assert folded(FRONT_DESK[:2]).status == "active"


def test_a_turn_keeps_its_id_while_the_call_goes_on() -> None:
    known: dict[str, str] = {}
    for length in range(len(FRONT_DESK) + 1):
        report = folded([x for x in FRONT_DESK[:length] if not isinstance(x, e.DigitPressed)])
        for turn in report.turns:
            assert known.setdefault(turn.id, turn.text) == turn.text


def test_rows_and_events_fold_the_same() -> None:
    call = new_call()
    rows = []
    for seq, event in enumerate(FRONT_DESK, 1):
        call = call.apply(event)
        rows.append(publish(event, call, seq=seq, event_id=f"evt_{seq}", created_at=event.at))
    report = fold(call, FRONT_DESK)
    assert fold(call, rows) == report
    assert fold(call, [*rows[:9], *FRONT_DESK[9:]]) == report
    # A row that a later version wrote is passed over, wherever it stands.
    strange: list[Any] = [replace(rows[5], kind="FromTheFuture"), replace(rows[1], data={"x": 1})]
    assert fold(call, [*rows, *strange]).turns == report.turns


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(FRONT_DESK), max_size=40))
def test_no_list_of_events_raises(events: list[e.Event]) -> None:
    report = fold(new_call(), events)
    assert [turn.index for turn in report.turns] == list(range(len(report.turns)))
    assert [t.started_at for t in report.turns] == sorted(t.started_at for t in report.turns)
    assert fold(new_call(), tuple(events)) == report


def detected(verdict: str) -> e.AnswerDetected:
    return e.AnswerDetected(at=at(4), leg=LEG, verdict=verdict, confidence=0.9, time_ms=3900)


@pytest.mark.parametrize(
    ("facts", "voicemail"),
    [
        ([], None),
        ([detected("human")], (False, "human", None)),
        ([detected("unknown")], (False, "unknown", None)),
        ([detected("machine")], (True, "machine", "not_attempted")),
        (
            [detected("machine"), e.VoicemailStarted(at=at(4), leg=LEG)],
            (True, "machine", "call_ended"),
        ),
        (
            [
                detected("machine"),
                e.VoicemailStarted(at=at(4), leg=LEG),
                e.GreetingEnded(at=at(9), leg=LEG, how="beep", time_ms=9000),
                e.VoicemailEnded(at=at(15), leg=LEG, delivery="delivered"),
            ],
            (True, "machine", "delivered"),
        ),
    ],
)
def test_what_became_of_a_message_for_a_machine(
    facts: list[e.Event], voicemail: tuple[bool, str, str | None] | None
) -> None:
    expected = voicemail and dict(
        zip(("detected", "amd_verdict", "delivery"), voicemail, strict=True)
    )
    assert folded(facts).voicemail == expected
