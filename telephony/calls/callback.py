"""Who wants to be called, when, and what came of it (contract section 5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class CallbackStatus(StrEnum):
    """The contract's closed set."""

    SCHEDULED = "scheduled"
    DISPATCHING = "dispatching"
    DISPATCHED = "dispatched"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """A promised call. ``dialplan`` runs it; ``lease_until`` and ``attempts`` are the queue's."""

    id: str
    organization: str
    to_number: str
    scheduled_at: datetime
    created_at: datetime
    updated_at: datetime
    status: CallbackStatus = CallbackStatus.SCHEDULED
    from_number: str | None = None
    source_session: str | None = None
    created_session: str | None = None
    agent: str | None = None
    phone_number: str | None = None
    dialplan: str | None = None
    reason: str | None = None
    instructions: str | None = None
    summary: str | None = None
    pipeline: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    failure_cause: str | None = None
    attempts: int = 0
    lease_until: datetime | None = None
    attempted_at: datetime | None = None
    dispatched_at: datetime | None = None
    cancelled_at: datetime | None = None
