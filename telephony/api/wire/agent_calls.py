"""The calls of an agent (contract 7.5): snake_case, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from telephony.api.wire.base import Query, Snake, Time, seconds, stamp
from telephony.base.clock import iso
from telephony.calls.call import Call
from telephony.calls.ports import CallFilter


class AgentCallsQuery(Query):
    """``since`` ≤ created_at < ``cursor``, which is what the page before gave out."""

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Time | None = None
    since: Time | None = None

    def chosen(self, agent: str) -> CallFilter:
        return CallFilter(agent=agent, since=self.since, until=self.cursor)


class AgentCall(Snake):
    id: str
    call_id: str
    resource_uri: str
    agent_id: str
    status: str
    kind: str
    room_name: str | None
    language: str
    created_at: str
    ended_at: str | None
    duration_seconds: float | int | None
    recording_status: str | None

    @classmethod
    def of(cls, call: Call) -> AgentCall:
        return cls(
            id=call.id,
            call_id=call.id,
            resource_uri=f"/v1/calls/{call.id}",
            agent_id=call.agent or "",
            status=call.status.value,
            kind=call.kind,
            room_name=call.room,
            language=call.language or "en",
            created_at=iso(call.created_at),
            ended_at=stamp(call.ended_at),
            duration_seconds=seconds(call.duration_seconds) if call.ended_at else None,
            recording_status=call.recording_status,
        )


class AgentCalls(Snake):
    """``entries`` are the same rows again. ``next_cursor`` is when the oldest of them began."""

    calls: list[AgentCall]
    entries: list[AgentCall]
    next_cursor: str | None

    @classmethod
    def of(cls, calls: Sequence[Call], more: bool) -> AgentCalls:
        rows = [AgentCall.of(call) for call in calls]
        # To the microsecond: a millisecond can hold several, and would end amidst them.
        oldest = calls[-1].created_at.isoformat(timespec="microseconds") if more else ""
        return cls(calls=rows, entries=rows, next_cursor=oldest.replace("+00:00", "Z") or None)
