"""Numbers that are bought: who may, what they cost, and when that is charged again."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from telephony.accounts.kyb import KybPolicy, check_may_buy
from telephony.accounts.model import NumberSource, PhoneNumber
from telephony.accounts.ports import Directory, KybStore, NumbersProvider, Offered, Repository
from telephony.base.errors import Conflict, NotFound, Refused
from telephony.calls.money import Kind, move
from telephony.calls.ports import LedgerStore

UPFRONT = "phone_numbers"
MONTHS = "phone_number_months"

Make = Callable[[Offered], PhoneNumber]


@dataclass(frozen=True, slots=True)
class Shop:
    """Sells, takes back and charges numbers. ``prepaid``: only to who can pay."""

    provider: NumbersProvider
    numbers: Repository[PhoneNumber]
    directory: Directory
    kyb: KybStore
    ledger: LedgerStore
    policy: KybPolicy
    prepaid: bool = False

    async def buy(self, organization: str, e164: str, make: Make, now: datetime) -> PhoneNumber:
        """``make`` gives the row of what is bought.

        Raises:
            Refused: business verification is wanted (code KYB_REQUIRED), or credit
                (INSUFFICIENT_CREDITS, 402).
            NotFound: nobody offers the number.
            Conflict: somebody has it.
        """
        check_may_buy(await self.kyb.get(organization), self.policy)
        offer = await self.provider.buy(e164)
        cost = offer.upfront_micro_usd + offer.monthly_micro_usd
        if self.prepaid and cost and (await self.ledger.balance(organization)).amount < cost:
            await self.provider.release(e164)
            raise Refused("there is not enough credit", code="INSUFFICIENT_CREDITS")
        # Due from the start: should this process die before it has charged the first month, the
        # next look at what is due finds it.
        number = replace(
            make(offer),
            source=NumberSource.MANAGED,
            upfront_micro_usd=offer.upfront_micro_usd,
            monthly_micro_usd=offer.monthly_micro_usd,
            next_charge_at=now,
        )
        await self.numbers.add(number)
        return await self.charge(number, now)

    async def add(self, number: PhoneNumber) -> None:
        """A number that a trunk of the organization's own carries. Raises Conflict."""
        if await self.provider.holds(number.e164):
            raise Conflict("e164: this number is for sale, and not to be imported")
        await self.numbers.add(number)

    async def release(self, organization: str, item: str) -> bool:
        """Give a number back; False: there is none."""
        number = await self.numbers.get(organization, item)
        if number is None or not await self.numbers.remove(organization, item):
            return False
        if number.source is NumberSource.MANAGED:
            await self.provider.release(number.e164)
        return True

    async def charge(self, number: PhoneNumber, now: datetime) -> PhoneNumber:
        """Charge every month that has begun; doing it again changes nothing."""
        due, last = number.next_charge_at, number.last_charged_at
        if due is None:
            return number
        while due <= now:
            if due == number.created_at:
                await self._post(number, UPFRONT, number.upfront_micro_usd, due)
            await self._post(number, MONTHS, number.monthly_micro_usd, due)
            last, due = due, _next(number.created_at, due)
        if due == number.next_charge_at:
            return number
        charged = replace(number, next_charge_at=due, last_charged_at=last)
        await self.numbers.replace(charged)
        return charged

    async def charge_all(self, now: datetime) -> None:
        """Every month of every number that has begun since."""
        for seen in self.directory.numbers():
            if seen.next_charge_at is None or seen.next_charge_at > now:
                continue
            # Read again: what is written back must not undo what another process wrote.
            number = await self.numbers.get(seen.organization, seen.id)
            if number is not None:
                await self._charge_if_there(number, now)

    async def _charge_if_there(self, number: PhoneNumber, now: datetime) -> None:
        try:
            await self.charge(number, now)
        except NotFound:
            return  # Released meanwhile: its last month is charged, and none comes after it.

    async def _post(self, number: PhoneNumber, metric: str, cost: int, at: datetime) -> None:
        if cost:
            await self.ledger.post(
                move(
                    f"{metric}_{number.id}_{at:%Y%m%d}",
                    number.organization,
                    Kind.DEBIT,
                    -cost,
                    f"revenue:{metric}",
                    at,
                    metric=metric,
                    provider="pool",
                    quantity=1,
                    note=number.id,
                )
            )


def _next(start: datetime, due: datetime) -> datetime:
    """The month's day after ``due`` on which ``start`` has its day, or the month's last."""
    months = due.year * 12 + due.month
    year, month = divmod(months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return due.replace(year=year, month=month + 1, day=day)
