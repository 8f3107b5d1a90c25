"""Business verifications in memory, held to the same tests as the database's."""

from __future__ import annotations

from collections.abc import Callable

from telephony.accounts.kyb import Kyb


class MemoryKyb:
    """``KybStore``. ``check`` raises while the store is away."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self.rows: dict[str, Kyb] = {}

    async def get(self, organization: str) -> Kyb | None:
        self._check()
        return self.rows.get(organization)

    async def put(self, kyb: Kyb) -> None:
        self._check()
        self.rows[kyb.organization] = kyb

    async def find(self) -> list[Kyb]:
        self._check()
        rows = sorted(self.rows.values(), key=lambda row: row.organization)
        return sorted(rows, key=lambda row: row.updated_at, reverse=True)
