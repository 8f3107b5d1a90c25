"""Money: what a call costs, line by line, and how it is written down twice.

Amounts are whole micro-USD. A posting is one transaction of the ledger: entries over accounts
that sum to zero. What a customer has stands on ``CREDITS``; charges go from there to the
revenue of their metric, and what is granted or put right comes from ``EQUITY``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

CREDITS = "credits"
EQUITY = "equity"
MOST = 10**15
"""The largest amount of one posting: a thousand million USD. A slip of the hand is more."""

INBOUND = "inbound_seconds"
OUTBOUND = "outbound_seconds"
RECORDING = "recording_seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """One line of a call's bill. ``quantity`` is in what the metric's name ends in."""

    provider: str
    metric: str
    quantity: int
    cost_micro_usd: int
    key_source: str = "MANAGED"


class Kind(StrEnum):
    """The contract's closed set."""

    GRANT = "grant"
    DEBIT = "debit"
    TOPUP = "topup"
    REFUND = "refund"
    ADJUSTMENT = "adjustment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One side of a posting. ``created_at`` has whole milliseconds, as the wire shows it."""

    posting: str
    account: str
    organization: str
    kind: Kind
    amount: int
    created_at: datetime
    metric: str | None = None
    provider: str | None = None
    quantity: int = 0
    session: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Posting:
    """Entries that belong together.

    Raises:
        ValueError: they do not sum to zero, or are no two sides of one thing.
    """

    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        if sum(entry.amount for entry in self.entries) != 0:
            raise ValueError("the entries of a posting must sum to zero")
        accounts = {entry.account for entry in self.entries}
        if len(accounts) < 2 or len(accounts) != len(self.entries):
            raise ValueError("a posting has an entry for each of two accounts or more")
        if len({(entry.posting, entry.organization) for entry in self.entries}) != 1:
            raise ValueError("the entries of a posting carry one id and one organization")

    @property
    def id(self) -> str:
        return self.entries[0].posting

    @property
    def organization(self) -> str:
        return self.entries[0].organization


def charges(
    organization: str, session: str, lines: Sequence[CostLine], at: datetime
) -> tuple[Posting, ...]:
    """A posting for each line of a call's bill. The ids follow from the call, so that whoever
    posts them again changes nothing."""
    return tuple(
        move(
            f"charge_{session}_{number}",
            organization,
            Kind.DEBIT,
            -line.cost_micro_usd,
            f"revenue:{line.metric}",
            at,
            metric=line.metric,
            provider=line.provider,
            quantity=line.quantity,
            session=session,
        )
        for number, line in enumerate(lines, 1)
    )


def move(
    posting: str,
    organization: str,
    kind: Kind,
    amount: int,
    against: str,
    at: datetime,
    *,
    metric: str | None = None,
    provider: str | None = None,
    quantity: int = 0,
    session: str | None = None,
    note: str = "",
) -> Posting:
    """``amount`` onto a customer's credits (less than nothing: off them), against an account."""

    def side(account: str, value: int) -> Entry:
        return Entry(
            posting=posting,
            account=account,
            organization=organization,
            kind=kind,
            amount=value,
            created_at=at.replace(microsecond=at.microsecond // 1000 * 1000),
            metric=metric,
            provider=provider,
            quantity=quantity,
            session=session,
            note=note,
        )

    return Posting((side(CREDITS, amount), side(against, -amount)))
