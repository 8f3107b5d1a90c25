"""The trace: what was done to each message and packet, in a closed list of actions.

A dropped packet without an entry is a bug; tests read the trace, and so do people.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import Enum

MAX_REASONS = 200
"""Reasons that are counted apart; what comes beyond is counted as ``other``."""


class Action(Enum):
    """Everything a trace entry can say was done."""

    SIP_RECEIVED = "sip.received"
    SIP_SENT = "sip.sent"
    SIP_DROPPED = "sip.dropped"
    SIP_REFUSED = "sip.refused"
    RTP_DROPPED = "rtp.dropped"
    RTP_LATCHED = "rtp.latched"
    TRANSPORT_FAILED = "transport.failed"
    TRANSPORT_CLOSED = "transport.closed"
    INTERNAL_ERROR = "internal.error"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing done. ``at`` is monotonic seconds; ``facts`` are short and masked."""

    at: float
    action: Action
    facts: dict[str, str | int | float] = field(default_factory=dict)


class Trace:
    """A bounded ring of entries, and a count a (action, reason) that is never forgotten."""

    def __init__(self, ceiling: int = 2000) -> None:
        self._entries: deque[Entry] = deque(maxlen=ceiling)
        self.counts: Counter[tuple[Action, str]] = Counter()

    def add(self, at: float, action: Action, **facts: str | int | float) -> None:
        """Append an entry; ``reason`` among the facts is what the counter is kept by."""
        self._entries.append(Entry(at, action, facts))
        kept_by = (action, str(facts.get("reason", "")))
        # A reason may hold what a stranger sent, a method for one: strangers must not be able to
        # make us count ever more things.
        if kept_by not in self.counts and len(self.counts) >= MAX_REASONS:
            kept_by = (action, "other")
        self.counts[kept_by] += 1

    def entries(self, action: Action | None = None) -> list[Entry]:
        """The entries still held, oldest first."""
        return [e for e in self._entries if action is None or e.action is action]
