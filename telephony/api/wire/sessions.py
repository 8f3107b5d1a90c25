"""Sessions in the list, in detail, and their transcript (contract sections 3.3 and 3.5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from telephony.api.wire.base import Body, Camel, Int, Query, Time, seconds, stamp
from telephony.api.wire.credits import usd
from telephony.base.ids import phone_identity
from telephony.calls.call import Call
from telephony.calls.money import CostLine
from telephony.calls.ports import CallFilter
from telephony.calls.record import Turn
from telephony.calls.state import Direction


class SessionQuery(Query):
    """Filters are ANDed."""

    cursor: Annotated[str, Field(max_length=500)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    status: Annotated[str, Field(max_length=50)] | None = None
    kind: Annotated[str, Field(max_length=50)] | None = None
    agent: Annotated[str, Field(max_length=200)] | None = None
    since: Annotated[Time | None, Field(alias="from")] = None
    until: Annotated[Time | None, Field(alias="to")] = None

    def chosen(self) -> CallFilter:
        return CallFilter(
            status=self.status,
            kind=self.kind,
            agent=self.agent,
            since=self.since,
            until=self.until,
        )


class SessionEntry(Camel):
    """A row of the list. ``direction``, ``from``, ``to`` and ``dialplan`` are our own."""

    session_id: str
    created_at: str
    status: str
    kind: str
    pipeline_config: dict[str, Any]
    recording_object_path: str | None
    recording_duration_ms: int | None
    recording_status: str | None
    ended_at: str | None
    duration_seconds: float | int | None
    direction: str
    from_: Annotated[str, Field(alias="from")]
    to: str
    dialplan: str | None
    language: str
    failure_cause: str | None

    @classmethod
    def fields(cls, call: Call) -> dict[str, Any]:
        stored = call.recording_path is not None
        return {
            "sessionId": call.id,
            "createdAt": stamp(call.created_at),
            "status": call.status.value,
            "kind": call.kind,
            "pipelineConfig": {
                **call.pipeline,
                **({"agentId": call.agent} if call.agent else {}),
            },
            "recordingObjectPath": f"recordings/{call.id}.wav" if stored else None,
            "recordingDurationMs": call.recording_ms,
            "recordingStatus": call.recording_status,
            "endedAt": stamp(call.ended_at),
            "durationSeconds": seconds(call.duration_seconds) if call.ended_at else None,
            "direction": call.direction.value,
            "from": call.from_number,
            "to": call.to_number,
            "dialplan": call.dialplan,
            "language": call.language or "en",
            "failureCause": call.failure_cause,
        }

    @classmethod
    def of(cls, call: Call) -> SessionEntry:
        return cls.model_validate(cls.fields(call))


class SessionPage(Camel):
    entries: list[SessionEntry]
    next_cursor: str | None


class PhoneCall(Camel):
    call_control_id: str
    phone_number_id: str | None


class UsageRow(Camel):
    """What was used of one thing, in what the metric's name ends in; USD."""

    provider: str
    metric: str
    quantity: int
    cost: float

    @classmethod
    def of(cls, line: CostLine) -> UsageRow:
        return cls(
            provider=line.provider,
            metric=line.metric,
            quantity=line.quantity,
            cost=usd(line.cost_micro_usd),
        )


class SessionDetail(SessionEntry):
    """One session. ``phoneCall`` is null where nobody is on the telephone."""

    phone_call: PhoneCall | None
    usage: list[UsageRow]
    metadata: dict[str, Any]
    room_name: str | None
    updated_at: str

    @classmethod
    def with_usage(cls, call: Call, lines: Sequence[CostLine]) -> SessionDetail:
        phone = {"callControlId": phone_identity(call.id), "phoneNumberId": call.phone_number}
        return cls.model_validate(
            {
                **cls.fields(call),
                "phoneCall": None if call.direction is Direction.WEB else phone,
                "usage": [UsageRow.of(line) for line in lines],
                "metadata": call.metadata,
                "roomName": call.room,
                "updatedAt": stamp(call.updated_at),
            }
        )


class SessionTurn(Camel):
    """A transcript entry in camelCase. Latencies are an agent's; a dialplan has none."""

    id: str
    index: int
    source: str
    text: str
    started_at: str
    ended_at: str | None
    provider: str | None = None
    model: str | None = None
    eou_ms: float | None = None
    llm_ttft_ms: float | None = None
    tts_ttfb_ms: float | None = None
    latency_status: str | None
    conversational_latency_ms: float | None = None
    tool_calls: list[dict[str, str]] = []

    @classmethod
    def of(cls, turn: Turn) -> SessionTurn:
        return cls.model_validate(
            {
                "id": turn.id,
                "index": turn.index,
                "source": turn.source,
                "text": turn.text,
                "startedAt": stamp(turn.started_at),
                "endedAt": stamp(turn.ended_at),
                "latencyStatus": turn.latency_status,
                "provider": turn.metadata.get("provider"),
                "model": turn.metadata.get("model"),
            }
        )


class StreamQuery(Query):
    """``turn:milliseconds``; anything else is the beginning."""

    cursor: str | None = None


class PostedTurn(Body):
    """One turn of a worker's transcript (contract section 3.5)."""

    index: Annotated[Int, Field(ge=0, le=2**31 - 1)]
    source: Literal["user", "agent", "system"]
    text: Annotated[str, Field(min_length=1, max_length=16384)]
    started_at: Time
    ended_at: Time | None = None
    provider: Annotated[str, Field(max_length=200)] | None = None
    model: Annotated[str, Field(max_length=200)] | None = None

    def turn(self) -> Turn:
        named = {"provider": self.provider, "model": self.model}
        return Turn(
            id="",
            index=self.index,
            source=self.source,
            text=self.text,
            started_at=self.started_at,
            ended_at=self.ended_at,
            latency_status="complete",
            metadata={name: value for name, value in named.items() if value is not None},
        )


class PostedTurns(Body):
    """A batch of them; one index twice in it is the last one's."""

    turns: Annotated[list[PostedTurn], Field(min_length=1, max_length=200)]

    def distinct(self) -> list[Turn]:
        return list({posted.index: posted.turn() for posted in self.turns}.values())


class SessionTranscript(Camel):
    entries: list[SessionTurn]
