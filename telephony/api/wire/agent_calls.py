"""The calls of an agent (contract 7.5): snake_case, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from telephony.api.wire.base import Query, Snake, Time, parse_time, seconds, stamp
from telephony.base.clock import iso
from telephony.calls.call import Call
from telephony.calls.ports import CallFilter

_AFTER = "~"
"""Between a cursor's time and the call of that time which was the last."""


def _place(text: str) -> tuple[datetime, str]:
    at, _, last = text.partition(_AFTER)
    return parse_time(at), last


def _cursor(text: str) -> str:
    _place(text)
    return text


class AgentCallsQuery(Query):
    """``since`` ≤ created_at. ``cursor``: what the page before gave out, or a time."""

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[str, Field(max_length=200), AfterValidator(_cursor)] | None = None
    since: Time | None = None

    def chosen(self, agent: str) -> CallFilter:
        if self.cursor is None:
            return CallFilter(agent=agent, since=self.since)
        # No id comes before the empty one: of a time alone all that is older follows.
        return CallFilter(agent=agent, since=self.since, after=_place(self.cursor))


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
    """``entries`` are the same rows again. ``next_cursor`` is when the oldest of them began; where
    the page ends amidst calls of one moment it says as well which of them was the last."""

    calls: list[AgentCall]
    entries: list[AgentCall]
    next_cursor: str | None

    @classmethod
    def of(cls, calls: Sequence[Call], limit: int) -> AgentCalls:
        """A page of at most ``limit`` of one call more than that."""
        page = calls[:limit]
        rows = [AgentCall.of(call) for call in page]
        cursor = None
        if len(calls) > limit:
            last, following = page[-1], calls[limit]
            # To the microsecond, which is how the list is in order.
            at = last.created_at.isoformat(timespec="microseconds").replace("+00:00", "Z")
            tied = following.created_at == last.created_at
            cursor = f"{at}{_AFTER}{last.id}" if tied else at
        return cls(calls=rows, entries=rows, next_cursor=cursor)
