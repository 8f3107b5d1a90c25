"""Events → CallReport: the only way one is made.

A pure function of the whole list, so the same however the events came, and total: any
beginning of a call's events gives a report of that much.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from telephony.base.clock import iso
from telephony.calls import events as e
from telephony.calls.call import Call
from telephony.calls.callback import CallbackStatus
from telephony.calls.outcome import Outcome
from telephony.calls.public import CallEvent
from telephony.calls.record import CallReport, Message
from telephony.reports.cost import Rates, price, total
from telephony.reports.summary import summary
from telephony.reports.timings import timings
from telephony.reports.transcript import transcript

_QUALITY = TypeAdapter(e.MediaQuality)


def fold(
    call: Call, events: Sequence[e.Event | CallEvent], rates: Rates | None = None
) -> CallReport:
    """The report of a call from its events, oldest first; ``call`` is its row."""
    facts = known(events)
    outcome = _outcome(call, facts)
    measured = timings(facts)
    turns = transcript(call.id, facts)
    messages = _messages(facts)
    begun = facts[0].at if facts else call.created_at
    ended = facts[-1].at if facts else call.updated_at
    cause = outcome.cause if outcome is not None else None
    lines = price(facts, rates)
    return CallReport(
        session=call.id,
        organization=call.organization,
        summary=summary(call, outcome, facts, measured, turns, messages),
        outcome=outcome.result if outcome is not None else "",
        status=(outcome.status if outcome is not None else call.status).value,
        failure_cause=cause.value if cause is not None else None,
        timings=measured,
        turns=turns,
        messages=messages,
        quality=_quality(facts),
        recording=_recording(facts),
        custom_data={x.name: x.value for x in facts if isinstance(x, e.VariableSet) and x.report},
        structured_data=_structured(outcome, facts, len(messages)),
        scheduled_callback=_callback(call, facts),
        voicemail=_voicemail(facts),
        metadata=dict(call.metadata),
        cost_micro_usd=str(total(lines)),
        cost_lines=lines,
        events_dropped=max(
            (x.events_dropped for x in facts if isinstance(x, e.CallEnded)), default=0
        ),
        created_at=max(begun, ended),
        updated_at=max(begun, ended),
    )


def known(events: Iterable[e.Event | CallEvent]) -> list[e.Event]:
    """The facts themselves; a row of a kind that this version does not know is passed over."""
    facts: list[e.Event] = []
    for event in events:
        if isinstance(event, e.Event):
            facts.append(event)
            continue
        try:
            facts.append(e.decode(event.kind, event.data))
        except (KeyError, ValidationError):
            continue
    return facts


def _outcome(call: Call, facts: Sequence[e.Event]) -> Outcome | None:
    ended = next((x for x in facts if isinstance(x, e.CallEnded)), None)
    return ended.outcome if ended is not None else call.outcome


def _messages(facts: Sequence[e.Event]) -> tuple[Message, ...]:
    return tuple(
        Message(
            id=x.recording,
            path=x.path,
            duration_ms=x.duration_ms,
            size=x.size,
            ended_by=x.reason,
            created_at=x.at,
        )
        for x in facts
        if isinstance(x, e.RecordingReady) and x.kind == "message"
    )


def _quality(facts: Sequence[e.Event]) -> dict[str, dict[str, Any]]:
    return {
        x.leg: _QUALITY.dump_python(x.quality, mode="json")
        for x in facts
        if isinstance(x, e.LegEnded) and x.quality is not None
    }


def _recording(facts: Sequence[e.Event]) -> dict[str, Any] | None:
    """The recording of the call; None where there was none."""
    recording: dict[str, Any] | None = None
    for event in facts:
        match event:
            case e.RecordingStarted(kind="call"):
                recording = {
                    "id": event.recording,
                    "status": "pending",
                    "path": event.path,
                    "channels": 2,
                    "started_at": iso(event.at),
                    "duration_ms": None,
                    "size": None,
                    "error": None,
                }
            case e.RecordingReady(kind="call"):
                recording = (recording or {"id": event.recording, "channels": 2}) | {
                    "status": "ready",
                    "path": event.path,
                    "duration_ms": event.duration_ms,
                    "size": event.size,
                    "error": None,
                }
            case e.RecordingFailed(kind="call"):
                recording = (recording or {"id": event.recording, "channels": 2}) | {
                    "status": "failed",
                    "path": event.path,
                    "duration_ms": event.duration_ms,
                    "error": event.error,
                }
            case _:
                pass
    return recording


def _structured(outcome: Outcome | None, facts: Sequence[e.Event], messages: int) -> dict[str, Any]:
    """What can be said without a model. Digits of secrets are stars already."""
    digits = "".join("*" if x.secret else x.digit for x in facts if isinstance(x, e.DigitPressed))
    transferred = [x.to for x in facts if isinstance(x, e.TransferCompleted)]
    return {
        "ended_by": outcome.ended_by.value if outcome is not None else None,
        "digits": digits,
        "messages": messages,
        "transferred_to": transferred[-1] if transferred else None,
    }


def _voicemail(facts: Sequence[e.Event]) -> dict[str, Any] | None:
    """Who answered and what became of the message (contract 4.3); None where nobody looked."""
    found = next((x for x in facts if isinstance(x, e.AnswerDetected)), None)
    if found is None:
        return None
    delivery = None
    if found.verdict == "machine":
        ended = [x.delivery for x in facts if isinstance(x, e.VoicemailEnded)]
        started = any(isinstance(x, e.VoicemailStarted) for x in facts)
        delivery = ended[-1] if ended else "call_ended" if started else "not_attempted"
    return {
        "detected": found.verdict == "machine",
        "amd_verdict": found.verdict,
        "delivery": delivery,
    }


def _callback(call: Call, facts: Sequence[e.Event]) -> dict[str, Any] | None:
    """The last promise, in the contract's words (section 5), as it stood when it was made."""
    promised = [x for x in facts if isinstance(x, e.CallbackScheduled)]
    if not promised:
        return None
    last = promised[-1]
    return {
        "id": last.callback,
        "organization_id": call.organization,
        "source_session_id": call.id,
        "created_session_id": None,
        "agent_id": call.agent,
        "phone_number_id": call.phone_number,
        "to_number": last.to,
        "from_number": last.from_number,
        "scheduled_at": iso(last.scheduled_at),
        "status": CallbackStatus.SCHEDULED.value,
        "reason": last.reason or None,
        "instructions": None,
        "summary": None,
        "pipeline_config": {},
        "metadata": {},
        "failure_cause": None,
        "attempted_at": None,
        "dispatched_at": None,
        "cancelled_at": None,
        "created_at": iso(last.at),
        "updated_at": iso(last.at),
    }
