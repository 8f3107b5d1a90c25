"""The ledger in memory, held to the same tests as the database's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from telephony.calls.money import CREDITS, Entry, Kind, Posting
from telephony.calls.ports import Balance, Used
from telephony.calls.record import CallReport
from telephony.store.ledger import cut, read_cursor


class MemoryLedger:
    """``LedgerStore``. ``check`` raises while the store is away; ``reports`` are the calls'."""

    def __init__(
        self, check: Callable[[], None], reports: Callable[[], Iterable[CallReport]]
    ) -> None:
        self._check = check
        self._reports = reports
        self.postings: dict[str, Posting] = {}

    async def post(self, posting: Posting) -> None:
        self._check()
        self.charge(posting)

    def charge(self, posting: Posting) -> None:
        """As ``post``, inside a write that was checked already."""
        self.postings.setdefault(posting.id, posting)

    async def balance(self, organization: str) -> Balance:
        self._check()
        found = self._credits(organization)
        return Balance(
            sum(x.amount for x in found), max((x.created_at for x in found), default=None)
        )

    async def page(
        self, organization: str, kind: Kind | None, limit: int, cursor: str | None
    ) -> tuple[list[Entry], str | None]:
        self._check()
        found = [x for x in self._credits(organization) if x.amount and kind in (None, x.kind)]
        if cursor is not None:
            after = read_cursor(cursor)
            found = [x for x in found if (x.created_at, x.posting) < after]
        found.sort(key=lambda x: (x.created_at, x.posting), reverse=True)
        return cut(found[: limit + 1], limit)

    async def used(self, organization: str, since: datetime, until: datetime) -> list[Used]:
        self._check()
        sums: dict[tuple[str, str], tuple[int, int]] = {}
        for x in self._credits(organization):
            if x.kind is Kind.DEBIT and since <= x.created_at < until:
                name = (x.provider or "", x.metric or "")
                quantity, cost = sums.get(name, (0, 0))
                sums[name] = (quantity + x.quantity, cost - x.amount)
        return [
            Used(provider=provider, metric=metric, quantity=quantity, cost_micro_usd=cost)
            for (provider, metric), (quantity, cost) in sorted(sums.items())
        ]

    async def talked(self, organization: str, since: datetime, until: datetime) -> tuple[int, int]:
        self._check()
        found = [
            report.timings.duration_ms
            for report in self._reports()
            if report.organization == organization and since <= report.created_at < until
        ]
        return len(found), sum(found)

    def _credits(self, organization: str) -> list[Entry]:
        return [
            entry
            for posting in self.postings.values()
            for entry in posting.entries
            if entry.account == CREDITS and entry.organization == organization
        ]
