"""CallReport: the shape of a finished call (contract section 4.3), folded from its events."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from telephony.calls.money import CostLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One thing said or pressed. ``source``: ``agent``, ``user`` or ``system``.

    ``text`` is what was really heard: of a prompt cut short, the part up to the cut.
    ``latency_status`` is ``interrupted`` for such a one, else ``complete``.
    """

    id: str
    index: int
    source: str
    text: str
    started_at: datetime
    ended_at: datetime | None = None
    latency_status: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that a caller left."""

    id: str
    path: str
    duration_ms: int
    size: int
    ended_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Gaps in milliseconds, derived from event times; None where the step did not happen.

    ``post_dial_delay``: INVITE to ringing (RFC 6076 §4.4 calls its sum SRD). ``answer``: INVITE
    or offer to 200. ``first_audio``: answer to the first sample that we sent.
    """

    post_dial_delay_ms: int | None = None
    answer_ms: int | None = None
    first_audio_ms: int | None = None
    duration_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReport:
    """A finished call. ``quality`` has one entry a leg, as ``MediaQuality`` in JSON."""

    session: str
    organization: str
    summary: str
    outcome: str
    status: str
    failure_cause: str | None
    timings: Timings
    turns: tuple[Turn, ...] = ()
    messages: tuple[Message, ...] = ()
    quality: dict[str, dict[str, Any]] = field(default_factory=dict)
    recording: dict[str, Any] | None = None
    custom_data: dict[str, Any] = field(default_factory=dict)
    structured_data: dict[str, Any] = field(default_factory=dict)
    scheduled_callback: dict[str, Any] | None = None
    voicemail: dict[str, Any] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    analysis_status: str = "heuristic"
    cost_micro_usd: str = "0"
    cost_lines: tuple[CostLine, ...] = ()
    events_dropped: int = 0
    created_at: datetime
    updated_at: datetime
