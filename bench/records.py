"""What the service wrote about the calls of a run, read from its own database."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

COUNTS = {
    "ended": "SELECT COUNT(*) FROM calls WHERE ended_at IS NOT NULL",
    "reports": "SELECT COUNT(*) FROM call_reports",
    "hangups": "SELECT COUNT(*) FROM call_events WHERE event_type = 'call.hangup'",
    "recordings": "SELECT COUNT(*) FROM calls WHERE recording_status = 'ready'",
    "recorded_ms": "SELECT COALESCE(SUM(recording_ms), 0) FROM calls",
    "prompts": "SELECT COUNT(*) FROM call_events WHERE event_type = 'call.prompt.played'",
    "digits": "SELECT COUNT(*) FROM call_events WHERE event_type = 'call.dtmf.received'",
    "events": "SELECT COUNT(*) FROM call_events",
    "concealed": (
        "SELECT COALESCE(SUM(leg.value ->> 'concealed'), 0)"
        " FROM call_reports, json_each(call_reports.report, '$.quality') AS leg"
    ),
    "concealed_calls": (
        "SELECT COUNT(DISTINCT call_reports.rowid)"
        " FROM call_reports, json_each(call_reports.report, '$.quality') AS leg"
        " WHERE leg.value ->> 'concealed' > 0"
    ),
}


@dataclass(frozen=True, slots=True)
class Records:
    """Counts over all calls. ``concealed``: frames that were made up, on all legs."""

    ended: int
    reports: int
    hangups: int
    recordings: int
    recorded_ms: int
    prompts: int
    digits: int
    events: int
    concealed: int
    concealed_calls: int


def read(folder: str) -> Records:
    with sqlite3.connect(f"file:{Path(folder) / 'telephony.db'}?mode=ro", uri=True) as store:
        return Records(**{name: store.execute(q).fetchone()[0] for name, q in COUNTS.items()})
