"""Numbers that can be bought: those that the settings put up, less those that somebody has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from telephony.accounts.ports import Directory, Offered
from telephony.base.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class Pool:
    """``NumbersProvider`` over the settings' own pool. What is bought is in the directory, and so
    is no longer offered; what is released is not, and so is offered again."""

    offers: Sequence[Offered]
    directory: Directory

    async def available(
        self, area_code: str | None, locality: str | None, limit: int
    ) -> list[Offered]:
        wanted = locality.casefold() if locality else ""
        found = [
            offer
            for offer in self.offers
            if (area_code is None or offer.e164.startswith(f"+1{area_code}"))
            and wanted in (offer.locality or "").casefold()
            and self.directory.number(offer.e164) is None
        ]
        return found[:limit]

    async def holds(self, e164: str) -> bool:
        return any(offer.e164 == e164 for offer in self.offers)

    async def buy(self, e164: str) -> Offered:
        offer = next((offer for offer in self.offers if offer.e164 == e164), None)
        if offer is None:
            raise NotFound("not found")
        if self.directory.number(e164) is not None:
            raise Conflict("e164: this number is not available any more")
        return offer

    async def release(self, e164: str) -> None:
        """It is offered again once nobody has it."""


def friendly(e164: str) -> str:
    """A number as people write it: North America's in their way, others as they are."""
    found = re.fullmatch(r"\+1(\d{3})(\d{3})(\d{4})", e164)
    return f"({found[1]}) {found[2]}-{found[3]}" if found else e164
