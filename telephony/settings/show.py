"""Settings as they may be printed: secrets masked."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import make_url

from telephony.settings.kinds import MediaTimeout, PortRange
from telephony.settings.tables import KybTable, RatesTable

MASK = "********"
SECRETS = frozenset({"api_key", "secret_key", "livekit_api_secret"})


def show(name: str, value: Any) -> str:
    """A value as it may be printed."""
    if value is None:
        return "-"
    if name in SECRETS:
        return MASK
    if name == "database_url":
        return str(make_url(value).render_as_string(hide_password=True))
    if isinstance(value, PortRange):
        return f"{value.first}-{value.last}"
    if isinstance(value, MediaTimeout):
        return f"{value.first:g},{value.later:g}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if name == "trunks":
        return ", ".join(f"{t.name} ({', '.join(t.gateways)})" for t in value) or "-"
    if name == "phones":
        return ", ".join(p.user for p in value) or "-"
    if name == "numbers":
        return ", ".join(f"{n} → {t.dialplan or '-'}" for n, t in value.items()) or "-"
    if name == "numbers_pool":
        return f"{len(value)} numbers" if value else "-"
    if isinstance(value, KybTable):
        return value.review
    if isinstance(value, RatesTable):
        return value.shown()
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value) or "-"
    return str(value)
