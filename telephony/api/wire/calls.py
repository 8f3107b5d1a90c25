"""Calls, their events and reports (contract sections 4.1 to 4.6): snake_case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from telephony.api.wire.base import Body, Camel, Snake, seconds, stamp
from telephony.base.clock import iso
from telephony.calls.call import Call
from telephony.calls.money import CostLine
from telephony.calls.orders import EndResult
from telephony.calls.public import CallEvent
from telephony.calls.record import CallReport, Message, Timings, Turn

MessageUrl = Callable[[Message], str]


class CallTurn(Snake):
    """A transcript entry in snake_case."""

    id: str
    index: int
    source: str
    text: str
    started_at: str
    ended_at: str | None
    provider: str | None = None
    model: str | None = None
    metadata: dict[str, Any]
    eou_ms: float | None = None
    llm_ttft_ms: float | None = None
    tts_ttfb_ms: float | None = None
    latency_status: str | None
    conversational_latency_ms: float | None = None

    @classmethod
    def of(cls, turn: Turn) -> CallTurn:
        return cls(
            id=turn.id,
            index=turn.index,
            source=turn.source,
            text=turn.text,
            started_at=iso(turn.started_at),
            ended_at=stamp(turn.ended_at),
            provider=turn.metadata.get("provider"),
            model=turn.metadata.get("model"),
            latency_status=turn.latency_status,
            metadata=turn.metadata,
        )


class CallTranscript(Snake):
    entries: list[CallTurn]

    @classmethod
    def of(cls, turns: Sequence[Turn]) -> CallTranscript:
        return cls(entries=[CallTurn.of(turn) for turn in sorted(turns, key=lambda t: t.index)])


class EventRow(Snake):
    """CallEvent as clients read it."""

    id: str
    session_id: str
    organization_id: str
    provider: str
    event_type: str
    status: str
    failure_cause: str | None
    sip_status_code: int | None
    sip_status: str | None
    occurred_at: str
    payload: dict[str, Any]
    created_at: str

    @classmethod
    def of(cls, event: CallEvent) -> EventRow:
        return cls(
            id=event.id,
            session_id=event.session,
            organization_id=event.organization,
            provider=event.provider,
            event_type=event.event_type,
            status=event.status,
            failure_cause=event.failure_cause,
            sip_status_code=event.sip_status_code,
            sip_status=event.sip_status,
            occurred_at=iso(event.occurred_at),
            payload=event.payload,
            created_at=iso(event.created_at),
        )


class EventList(Snake):
    events: list[EventRow]


class TimingsRow(Snake):
    """Milliseconds; null where the step did not happen."""

    post_dial_delay_ms: int | None
    answer_ms: int | None
    first_audio_ms: int | None
    duration_ms: int

    @classmethod
    def of(cls, timings: Timings) -> TimingsRow:
        return cls(
            post_dial_delay_ms=timings.post_dial_delay_ms,
            answer_ms=timings.answer_ms,
            first_audio_ms=timings.first_audio_ms,
            duration_ms=timings.duration_ms,
        )


class MessageRow(Snake):
    """A message that a caller left. ``url`` is signed and lives as long as the recording's."""

    id: str
    url: str
    duration_ms: int
    size_bytes: int
    ended_by: str
    created_at: str


class Artifacts(Snake):
    messages: list[MessageRow]
    recording: dict[str, Any] | None
    timings: TimingsRow
    media_quality: dict[str, dict[str, Any]]
    events_dropped: int


class CostRow(Camel):
    """A line of the bill; camelCase inside a snake_case reply (contract 1.4)."""

    provider: str
    metric: str
    quantity: int
    key_source: Literal["BYOK", "MANAGED"]
    cost_micro_usd: str

    @classmethod
    def of(cls, line: CostLine) -> CostRow:
        return cls.model_validate(
            {
                "provider": line.provider,
                "metric": line.metric,
                "quantity": line.quantity,
                "key_source": line.key_source,
                "cost_micro_usd": str(line.cost_micro_usd),
            }
        )


class FinalizeBody(Body):
    """Either may be absent; the analysis is run again in any case, since it costs nothing."""

    force_analysis: bool | None = None
    retry_webhook: bool | None = None


class WebhookState(Snake):
    status: Literal["not_configured"] = "not_configured"


class FinalizeReply(Snake):
    """What the report says now (contract 4.4). ``webhook`` is what TS reads."""

    session_id: str
    summary: str
    outcome: str
    cost_micro_usd: str
    webhook_deliveries: list[dict[str, Any]] = []
    webhook: WebhookState = WebhookState()

    @classmethod
    def of(cls, report: CallReport) -> FinalizeReply:
        return cls(
            session_id=report.session,
            summary=report.summary,
            outcome=report.outcome,
            cost_micro_usd=report.cost_micro_usd,
        )


class ReportBody(Snake):
    """CallReport. ``status`` and ``failure_cause`` are our own; the ``post_call_*`` TS's."""

    session_id: str
    organization_id: str
    summary: str
    outcome: str
    status: str
    failure_cause: str | None
    structured_data: dict[str, Any]
    custom_data: dict[str, Any]
    transcript: CallTranscript
    cost_micro_usd: str
    cost_breakdown: list[CostRow]
    artifacts: Artifacts
    metadata: dict[str, Any]
    scheduled_callback: dict[str, Any] | None
    voicemail: dict[str, Any] | None
    analysis_status: Literal["heuristic", "completed", "failed"]
    analysis_provider: str | None = None
    analysis_model: str | None = None
    analysis_error: str | None = None
    analysis_completed_at: str | None = None
    webhook_deliveries: list[dict[str, Any]] = []
    post_call_webhook_status: str = "not_configured"
    post_call_webhook_attempts: int = 0
    post_call_webhook_next_retry_at: str | None = None
    post_call_webhook_delivered_at: str | None = None
    post_call_webhook_error: str | None = None
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, report: CallReport, message_url: MessageUrl) -> ReportBody:
        recording = report.recording
        if recording is not None:
            # Where it lies on this machine is nobody's business; /recording says how to get it.
            recording = {k: v for k, v in recording.items() if k != "path"}
        return cls.model_validate(
            {
                "session_id": report.session,
                "organization_id": report.organization,
                "summary": report.summary,
                "outcome": report.outcome,
                "status": report.status,
                "failure_cause": report.failure_cause,
                "structured_data": report.structured_data,
                "custom_data": report.custom_data,
                "transcript": CallTranscript.of(report.turns),
                "cost_micro_usd": report.cost_micro_usd,
                "cost_breakdown": [CostRow.of(line) for line in report.cost_lines],
                "artifacts": Artifacts(
                    messages=[
                        MessageRow(
                            id=message.id,
                            url=message_url(message),
                            duration_ms=message.duration_ms,
                            size_bytes=message.size,
                            ended_by=message.ended_by,
                            created_at=iso(message.created_at),
                        )
                        for message in report.messages
                    ],
                    recording=recording,
                    timings=TimingsRow.of(report.timings),
                    media_quality=report.quality,
                    events_dropped=report.events_dropped,
                ),
                "metadata": report.metadata,
                "scheduled_callback": report.scheduled_callback,
                "voicemail": report.voicemail,
                "analysis_status": report.analysis_status,
                "created_at": iso(report.created_at),
                "updated_at": iso(report.updated_at),
            }
        )


class CallDetail(Snake):
    """One call. ``direction``, ``from``, ``to`` and the like are our own additions."""

    id: str
    call_id: str
    resource_uri: str
    agent_id: str | None
    status: str
    kind: str
    room_name: str | None
    language: str
    pipeline_config: dict[str, Any]
    metadata: dict[str, Any]
    created_at: str
    updated_at: str
    ended_at: str | None
    duration_seconds: float | int | None
    recording_status: str | None
    recording_duration_ms: int | None
    recording_resource_uri: str
    report: ReportBody | None
    transfers: list[dict[str, Any]] = []
    transcript: CallTranscript
    span_tree: dict[str, Any] = {}
    direction: str
    from_number: str
    to_number: str
    dialplan: str | None
    failure_cause: str | None
    answered_at: str | None

    @classmethod
    def of(cls, call: Call, report: ReportBody | None, turns: Sequence[Turn]) -> CallDetail:
        return cls(
            id=call.id,
            call_id=call.id,
            resource_uri=f"/v1/calls/{call.id}",
            agent_id=call.agent,
            status=call.status.value,
            kind=call.kind,
            room_name=call.room,
            language=call.language or "en",
            pipeline_config=call.pipeline,
            metadata=call.metadata,
            created_at=iso(call.created_at),
            updated_at=iso(call.updated_at),
            ended_at=stamp(call.ended_at),
            duration_seconds=seconds(call.duration_seconds) if call.ended_at else None,
            recording_status=call.recording_status,
            recording_duration_ms=call.recording_ms,
            recording_resource_uri=f"/v1/calls/{call.id}/recording",
            report=report,
            transcript=CallTranscript.of(turns),
            direction=call.direction.value,
            from_number=call.from_number,
            to_number=call.to_number,
            dialplan=call.dialplan,
            failure_cause=call.failure_cause,
            answered_at=stamp(call.answered_at),
        )


class RecordingUrl(Snake):
    url: str


class EndReply(Snake):
    """``ended_at`` stands only where the call was over already."""

    ok: bool = True
    status: Literal["ending", "already_ended"]
    ended_at: str | None = None

    @classmethod
    def of(cls, result: EndResult) -> EndReply:
        return cls.model_validate({"status": result.status, "ended_at": stamp(result.ended_at)})
