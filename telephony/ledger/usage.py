"""What an organization used in a time, and what that cost (contract section 10)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from telephony.calls.money import INBOUND, OUTBOUND
from telephony.calls.ports import LedgerStore, Used

_MINUTES = frozenset({INBOUND, OUTBOUND})


@dataclass(frozen=True, slots=True)
class Usage:
    """Amounts are micro-USD. ``talked_ms`` counts from each call's answer to its end; the billed
    seconds are those of legs, in whole increments."""

    sessions: int
    talked_ms: int
    lines: tuple[Used, ...]
    balance: int

    @property
    def billed_seconds(self) -> int:
        return sum(line.quantity for line in self.lines if line.metric in _MINUTES)

    @property
    def minutes_cost(self) -> int:
        return sum(line.cost_micro_usd for line in self.lines if line.metric in _MINUTES)

    @property
    def cost(self) -> int:
        return sum(line.cost_micro_usd for line in self.lines)


def charge_kind(line: Used) -> str:
    """The contract's word for why something is on the bill."""
    if line.cost_micro_usd == 0:
        return "free"
    return "minutes" if line.metric in _MINUTES else "add_on"


async def usage(ledger: LedgerStore, organization: str, since: datetime, until: datetime) -> Usage:
    """Of the calls that ended from ``since`` on and before ``until``."""
    sessions, talked = await ledger.talked(organization, since, until)
    lines = await ledger.used(organization, since, until)
    balance = await ledger.balance(organization)
    return Usage(sessions, talked, tuple(lines), balance.amount)
