"""Usage and credits (contract section 10): camelCase; USD as numbers, entries in micro-USD."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from telephony.api.wire.base import Camel, Page200, Query, Time
from telephony.base.clock import iso
from telephony.base.errors import BadInput
from telephony.calls.money import Entry, Kind
from telephony.calls.ports import Balance, Used
from telephony.ledger.credits import MICRO
from telephony.ledger.usage import Usage, charge_kind


class UsageQuery(Query):
    """``from`` ≤ end of a call < ``to``: without them this month (UTC) until now."""

    from_: Annotated[Time | None, Field(alias="from")] = None
    to: Time | None = None

    def span(self, now: datetime) -> tuple[datetime, datetime]:
        """Raises BadInput where it ends before it begins."""
        until = self.to or now
        first = until.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        since = self.from_ or first
        if since > until:
            raise BadInput("to: must not be before from", field="to")
        return since, until


class UsageLine(Camel):
    """``type`` is for what a model does; telephony has none."""

    provider: str
    type: Literal["stt", "llm", "tts"] | None = None
    metric: str
    key_source: str = "MANAGED"
    charge_kind: str
    quantity: int
    cost: float

    @classmethod
    def of(cls, used: Used) -> UsageLine:
        return cls(
            provider=used.provider,
            metric=used.metric,
            charge_kind=charge_kind(used),
            quantity=used.quantity,
            cost=usd(used.cost_micro_usd),
        )


class UsageSummary(Camel):
    """``totalMinutes``: what calls lasted. ``minutesBilledSeconds``: what their legs are billed."""

    total_sessions: int
    total_minutes: float
    total_cost: float
    minutes_cost: float
    minutes_billed_seconds: int
    add_on_cost: float
    breakdown: list[UsageLine]
    balance_usd: float
    currency: Literal["USD"] = "USD"

    @classmethod
    def of(cls, found: Usage) -> UsageSummary:
        return cls(
            total_sessions=found.sessions,
            total_minutes=round(found.talked_ms / 60_000, 3),
            total_cost=usd(found.cost),
            minutes_cost=usd(found.minutes_cost),
            minutes_billed_seconds=found.billed_seconds,
            add_on_cost=usd(found.cost - found.minutes_cost),
            breakdown=[UsageLine.of(line) for line in found.lines],
            balance_usd=usd(found.balance),
        )


class BalanceReply(Camel):
    balance_usd: float
    currency: Literal["USD"] = "USD"
    updated_at: str

    @classmethod
    def of(cls, balance: Balance, now: datetime) -> BalanceReply:
        """Nothing ever happened: it is what it is now."""
        return cls(balance_usd=usd(balance.amount), updated_at=iso(balance.updated_at or now))


class LedgerQuery(Query):
    """``kind`` is MCP's."""

    limit: Page200 = 50
    cursor: Annotated[str, Field(max_length=200)] | None = None
    kind: Kind | None = None


class LedgerRow(Camel):
    """``note`` is our own: why somebody changed it by hand."""

    id: str
    kind: Kind
    amount_micro_usd: str
    metric: str | None
    provider: str | None
    session_id: str | None
    created_at: str
    note: str | None

    @classmethod
    def of(cls, entry: Entry) -> LedgerRow:
        return cls(
            id=entry.posting,
            kind=entry.kind,
            amount_micro_usd=str(entry.amount),
            metric=entry.metric,
            provider=entry.provider,
            session_id=entry.session,
            created_at=iso(entry.created_at),
            note=entry.note or None,
        )


class LedgerPage(Camel):
    entries: list[LedgerRow]
    next_cursor: str | None


def usd(micro: int) -> float:
    """Dollars, as near as a float is."""
    return micro / MICRO
