"""One sentence about a call, generated: what stands in the report until a model writes it."""

from __future__ import annotations

from collections.abc import Sequence

from telephony.base.number import mask
from telephony.calls import events as e
from telephony.calls.call import Call
from telephony.calls.outcome import EndedBy, Outcome
from telephony.calls.record import Message, Timings, Turn
from telephony.calls.state import Direction
from telephony.reports.transcript import USER, spoken_seconds

_ENDINGS = {
    "busy": "busy",
    "no_answer": "not answered",
    "canceled": "canceled before it was answered",
    "declined": "declined",
    "failed": "failed",
    "interrupted": "interrupted when the service stopped",
}

_CAUSES = {
    "no_route": "no way to the telephone network",
    "not_found": "there is no such number",
    "invalid_number": "the number is not valid",
    "unreachable": "the far end did not answer",
    "media_incompatible": "no common codec",
    "carrier_error": "refused by the carrier",
    "agent_unavailable": "no agent was available",
    "silent_bot_no_agent_audio": "the agent never said a word",
}


def summary(
    call: Call,
    outcome: Outcome | None,
    events: Sequence[e.Event],
    timings: Timings,
    turns: Sequence[Turn],
    messages: Sequence[Message],
) -> str:
    """``Inbound call from +120****0123: answered, 43 s, pressed 1, 2; left a message of 2 s.``

    Numbers are masked, since summaries travel further than calls do.
    """
    parts = [", ".join(_course(call, outcome, events, timings, turns))]
    parts += [f"left a message of {spoken_seconds(m.duration_ms)}" for m in messages]
    for event in events:
        if isinstance(event, e.TransferCompleted):
            parts.append(f"transferred to {mask(event.to)}")
        elif isinstance(event, e.CallbackScheduled):
            parts.append(f"a call back was promised for {event.scheduled_at:%Y-%m-%d %H:%M} UTC")
    if outcome is not None:
        parts += _end(outcome)
    return f"{_who(call)}: {'; '.join(parts)}."


def _who(call: Call) -> str:
    if call.direction is Direction.INBOUND:
        return f"Inbound call from {mask(call.from_number) or 'an unknown number'}"
    if call.direction is Direction.WEB:
        return "Browser session"
    return f"Outbound call to {mask(call.to_number)}"


def _course(
    call: Call,
    outcome: Outcome | None,
    events: Sequence[e.Event],
    timings: Timings,
    turns: Sequence[Turn],
) -> list[str]:
    if any(isinstance(event, e.LegAnswered | e.ConversationBegan) for event in events) and (
        outcome is None or outcome.status.value == "ended"
    ):
        course = ["answered", spoken_seconds(timings.duration_ms)]
        pressed = [turn.text.removeprefix("pressed ") for turn in turns if _keys(turn)]
        if pressed:
            course.append("pressed " + ", ".join(pressed))
        return course
    if outcome is None:
        return [call.status.value.replace("_", " ")]
    ending = _ENDINGS.get(outcome.result, outcome.result.replace("_", " "))
    cause = outcome.cause.value if outcome.cause else ""
    if cause and outcome.result in {"failed", "declined"} and cause != "declined":
        ending += f" ({_CAUSES.get(cause, cause.replace('_', ' '))})"
    return [ending]


def _keys(turn: Turn) -> bool:
    return turn.source == USER and turn.text.startswith("pressed ")


def _end(outcome: Outcome) -> list[str]:
    if outcome.result == "abandoned":
        return ["the caller left before the end of the dialogue"]
    if outcome.result == "dropped":
        cause = outcome.cause.value if outcome.cause else "unknown"
        return [f"dropped ({cause.replace('_', ' ')})"]
    if outcome.result == "completed" and outcome.ended_by is not EndedBy.SERVICE:
        return [f"ended by the {'API' if outcome.ended_by is EndedBy.API else outcome.ended_by}"]
    if outcome.result == "failed" and outcome.status.value == "ended" and outcome.cause is not None:
        return [_CAUSES.get(outcome.cause.value, outcome.cause.value.replace("_", " "))]
    if outcome.result == "interrupted" and outcome.status.value == "ended":
        return ["interrupted when the service stopped"]
    return []
