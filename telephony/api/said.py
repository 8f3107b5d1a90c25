"""What was said in a session: an agent's own account, else what the events say."""

from __future__ import annotations

from collections.abc import Sequence

from telephony.calls.public import CallEvent
from telephony.calls.record import Turn
from telephony.reports.fold import known
from telephony.reports.transcript import transcript


def turns_of(session: str, events: Sequence[CallEvent], posted: Sequence[Turn]) -> list[Turn]:
    """Turns by index. An agent knows what was said; events know keys and prompts only."""
    return list(posted) or sorted(transcript(session, known(events)), key=lambda t: t.index)
