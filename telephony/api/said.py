"""What was said in a session: an agent's own account, else what the events say."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from telephony.calls.events import Event, decode
from telephony.calls.public import CallEvent
from telephony.calls.record import Turn
from telephony.reports.transcript import transcript


def turns_of(session: str, events: Sequence[CallEvent], posted: Sequence[Turn]) -> list[Turn]:
    """Turns by index. An agent knows what was said; events know keys and prompts only."""
    return list(posted) or sorted(transcript(session, _facts(events)), key=lambda t: t.index)


def _facts(events: Sequence[CallEvent]) -> list[Event]:
    """The facts themselves; a row of a kind that this version does not know is passed over."""
    facts = []
    for event in events:
        try:
            facts.append(decode(event.kind, event.data))
        except (KeyError, ValidationError):
            continue
    return facts
