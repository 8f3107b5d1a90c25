"""Callbacks (contract section 5), and our own way to make one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from telephony.api.wire.base import E164, Body, Int, Query, Snake, Time, stamp
from telephony.base.clock import iso
from telephony.calls.callback import Callback, CallbackStatus

Name = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(max_length=4000)]


class CallbackQuery(Query):
    status: CallbackStatus | None = None
    source_session_id: Name | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 25


class CallbackCreate(Body):
    """Our own: whom to call, and when. Without ``scheduledAt`` it is due at once."""

    to: E164
    from_: Annotated[E164 | None, Field(alias="from")] = None
    scheduled_at: Time | None = None
    delay_seconds: Annotated[Int, Field(ge=0, le=366 * 86_400)] | None = None
    dialplan: Name | None = None
    agent_id: Name | None = None
    source_session_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    reason: Annotated[str, Field(max_length=500)] | None = None
    instructions: Text | None = None
    summary: Text | None = None
    metadata: dict[str, Any] | None = None

    def row(self, item: str, organization: str, due: datetime, now: datetime) -> Callback:
        return Callback(
            id=item,
            organization=organization,
            to_number=self.to,
            from_number=self.from_,
            scheduled_at=due,
            agent=self.agent_id,
            dialplan=self.dialplan,
            source_session=self.source_session_id,
            reason=self.reason,
            instructions=self.instructions,
            summary=self.summary,
            metadata=self.metadata or {},
            created_at=now,
            updated_at=now,
        )


class CallbackCancel(Body):
    """Why; it is kept as ``metadata.cancel_reason``."""

    reason: Annotated[str, Field(max_length=500)] | None = None


class CallbackRow(Snake):
    """``attempts`` and ``dialplan`` are our own additions."""

    id: str
    organization_id: str
    source_session_id: str | None
    created_session_id: str | None
    agent_id: str | None
    phone_number_id: str | None
    to_number: str
    from_number: str | None
    scheduled_at: str
    status: str
    reason: str | None
    instructions: str | None
    summary: str | None
    pipeline_config: dict[str, Any]
    metadata: dict[str, Any]
    failure_cause: str | None
    attempted_at: str | None
    dispatched_at: str | None
    cancelled_at: str | None
    created_at: str
    updated_at: str
    attempts: int
    dialplan: str | None

    @classmethod
    def of(cls, row: Callback) -> CallbackRow:
        return cls(
            id=row.id,
            organization_id=row.organization,
            source_session_id=row.source_session,
            created_session_id=row.created_session,
            agent_id=row.agent,
            phone_number_id=row.phone_number,
            to_number=row.to_number,
            from_number=row.from_number,
            scheduled_at=iso(row.scheduled_at),
            status=row.status.value,
            reason=row.reason,
            instructions=row.instructions,
            summary=row.summary,
            pipeline_config=row.pipeline,
            metadata=row.metadata,
            failure_cause=row.failure_cause,
            attempted_at=stamp(row.attempted_at),
            dispatched_at=stamp(row.dispatched_at),
            cancelled_at=stamp(row.cancelled_at),
            created_at=iso(row.created_at),
            updated_at=iso(row.updated_at),
            attempts=row.attempts,
            dialplan=row.dialplan,
        )


class CallbackList(Snake):
    callbacks: list[CallbackRow]
