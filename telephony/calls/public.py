"""CallEvent as the world sees it, and the table event → ``event_type``.

Used by the API, the stream and webhooks; nothing else names an ``event_type``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from telephony.calls import events as e
from telephony.calls.call import Call
from telephony.calls.outcome import Cause, Outcome
from telephony.calls.state import Direction

TYPES: dict[type[e.Event], str] = {
    e.LegOffered: "call.initiated",
    e.CallRequested: "call.initiated",
    e.SessionOpened: "call.initiated",
    e.LegDialing: "sip.dial_started",
    e.LegRinging: "call.ringing",
    e.LegEarlyMedia: "call.early_media",
    e.LegAnswered: "call.answered",
    e.LegHeld: "call.hold",
    e.LegUnheld: "call.unhold",
    e.LegMuted: "call.mute",
    e.LegUnmuted: "call.unmute",
    e.DigitPressed: "call.dtmf.received",
    e.ToneHeard: "call.tone.detected",
    e.DigitsSent: "call.dtmf.sent",
    e.PromptPlayed: "call.prompt.played",
    e.PromptFailed: "call.prompt.failed",
    e.GatherCompleted: "call.gather.completed",
    e.AnswerDetected: "call.amd.detected",
    e.VoicemailStarted: "call.voicemail.started",
    e.GreetingEnded: "call.greeting.ended",
    e.VoicemailEnded: "call.voicemail.ended",
    e.VariableSet: "call.variable.set",
    e.LegsBridged: "call.bridged",
    e.RoomJoined: "room_started",
    e.RoomLeft: "room_finished",
    e.RoomOpened: "room_started",
    e.RoomClosed: "room_finished",
    e.ConversationBegan: "call.answered",
    e.RoomInterrupted: "room.interrupted",
    e.RoomResumed: "room.resumed",
    e.AgentDispatched: "agent.dispatched",
    e.AgentDispatchFailed: "agent.dispatch_failed",
    e.AgentJoined: "worker.room_connected",
    e.AgentHeard: "worker.first_agent_audio",
    e.AgentSilent: "worker.no_first_audio_timeout",
    e.AgentLeft: "worker.room_disconnected",
    e.AgentMuted: "agent.muted",
    e.AgentUnmuted: "agent.unmuted",
    e.PeerJoined: "room.participant_joined",
    e.PeerLeft: "room.participant_left",
    e.MessageSent: "call.message_sent",
    e.RecordingStarted: "call.recording.started",
    e.RecordingReady: "call.recording.ready",
    e.RecordingFailed: "call.recording.failed",
    e.TransferStarted: "call.transfer.initiated",
    e.TransferCompleted: "call.transfer.completed",
    e.TransferFailed: "call.transfer.failed",
    e.CallbackScheduled: "call.callback.scheduled",
    e.RecordsDelayed: "call.records.delayed",
    e.LegEnded: "call.leg.hangup",
    e.CallEnded: "call.hangup",
}

# What may be dropped when the store stays away over the ceiling (design.md section 5): facts
# that move no state and that no report is the poorer for.
INFORMATIONAL = frozenset(
    {
        e.PromptPlayed,
        e.DigitsSent,
        e.ToneHeard,
        e.VariableSet,
        e.LegEarlyMedia,
        e.RoomInterrupted,
        e.RoomResumed,
        e.AgentMuted,
        e.AgentUnmuted,
    }
)

# Said in columns of their own; and where a file lies on this machine is nobody's business.
_LEFT_OUT = frozenset({"at", "outcome", "path"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEvent:
    """One row of ``call_events``: the public shape (contract section 4.2) and the fact itself.

    ``kind`` and ``data`` are the event as ``calls.events.encode`` writes it; the rest is
    derived from it and the call's state after it. ``seq`` numbers it within its call from 1.
    """

    id: str
    session: str
    organization: str
    seq: int
    provider: str
    event_type: str
    status: str
    failure_cause: str | None
    sip_status_code: int | None
    sip_status: str | None
    occurred_at: datetime
    created_at: datetime
    payload: dict[str, Any] = field(default_factory=dict)
    kind: str = ""
    data: dict[str, Any] = field(default_factory=dict)


def event_type(event: e.Event, call: Call) -> str:
    """The public name. A leg of ours that never was answered failed to dial."""
    if isinstance(event, e.LegEnded):
        leg = call.leg(event.leg)
        if leg is None or (leg.direction is Direction.OUTBOUND and leg.answered_at is None):
            return "sip.dial_failed"
    return TYPES[type(event)]


def publish(
    event: e.Event, call: Call, *, seq: int, event_id: str, created_at: datetime
) -> CallEvent:
    """The row of an event, given the call's state after it."""
    data = e.encode(event)
    outcome: Outcome | None = getattr(event, "outcome", None)
    payload: dict[str, Any] = {"seq": seq}
    payload.update((k, v) for k, v in data.items() if k not in _LEFT_OUT and v is not None)
    sip_status = getattr(event, "sip_status", None)
    sip_reason = None
    cause = None
    if outcome is not None:
        payload["ended_by"] = outcome.ended_by.value
        payload["outcome"] = outcome.result
        if outcome.retry_after is not None:
            payload["retry_after"] = outcome.retry_after
        sip_status, sip_reason = outcome.sip_status, outcome.sip_reason
        cause = outcome.cause.value if outcome.cause else None
    elif isinstance(event, e.TransferFailed):
        cause = event.cause
    elif isinstance(event, e.AgentDispatchFailed):
        cause = Cause.AGENT_UNAVAILABLE.value
    elif isinstance(event, e.AgentSilent):
        cause = Cause.SILENT_BOT.value
    status = call.status.value
    if isinstance(event, e.CallEnded):
        payload["duration_seconds"] = call.duration_seconds
    elif isinstance(event, e.MessageSent):
        # Here the row's status is the message's own (contract 4.8).
        status, payload["messageId"] = event.status, event.message
    provider = "telephony"
    if isinstance(event, (e.RoomEvent, e.RoomJoined, e.RoomLeft)):
        provider = event.provider
    if isinstance(event, e.LegEvent) and not isinstance(event, _OWN):
        leg = call.leg(event.leg)
        provider = leg.provider if leg is not None else getattr(event, "provider", provider)
    return CallEvent(
        id=event_id,
        session=call.id,
        organization=call.organization,
        seq=seq,
        provider=provider,
        event_type=event_type(event, call),
        status=status,
        failure_cause=cause,
        sip_status_code=sip_status,
        sip_status=sip_reason,
        occurred_at=event.at,
        created_at=created_at,
        payload=payload,
        kind=type(event).__name__,
        data=data,
    )


# What the service itself decided or did, on whatever leg.
_OWN = (
    e.CallRequested,
    e.PromptPlayed,
    e.PromptFailed,
    e.GatherCompleted,
    e.AnswerDetected,
    e.VoicemailStarted,
    e.GreetingEnded,
    e.VoicemailEnded,
    e.RecordingStarted,
    e.RecordingReady,
    e.RecordingFailed,
    e.LegsBridged,
    e.RoomJoined,
    e.RoomLeft,
)
