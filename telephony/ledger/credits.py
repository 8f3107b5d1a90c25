"""What stands on an organization's credits, and how it comes there by hand.

What calls cost is charged by the store, with their reports.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from telephony.base.clock import Clock
from telephony.base.errors import BadInput, Refused
from telephony.calls.money import EQUITY, MOST, Kind, Posting, move
from telephony.calls.ports import LedgerStore

MICRO = 1_000_000
MAX_NOTE = 500
_USD = re.compile(r"[+-]?\d{1,12}(\.\d{1,6})?", re.ASCII)


def parse_usd(text: str) -> int:
    """Micro-USD of an amount such as ``25`` or ``-0.5``.

    Raises:
        BadInput: no decimal number, or finer than a millionth.
    """
    if _USD.fullmatch(text) is None:
        raise BadInput(
            f"amount: {text[:40]!r} is no amount of USD, such as 25 or -0.50", field="amount"
        )
    return int(Decimal(text) * MICRO)


def granted(posting: str, organization: str, amount: int, note: str, now: datetime) -> Posting:
    """Micro-USD that an organization gets.

    Raises:
        BadInput: nothing, less than nothing, or more than anybody means.
    """
    if amount <= 0:
        raise BadInput("amount: a grant is more than nothing", field="amount")
    return _moved(posting, organization, Kind.GRANT, amount, note, now)


def adjusted(posting: str, organization: str, amount: int, note: str, now: datetime) -> Posting:
    """A correction, up or down, with the reason for it.

    Raises:
        BadInput: of nothing, of more than anybody means, or without a note.
    """
    if amount == 0:
        raise BadInput("amount: an adjustment changes something", field="amount")
    if not note.strip():
        raise BadInput("note: an adjustment says why", field="note")
    return _moved(posting, organization, Kind.ADJUSTMENT, amount, note, now)


def _moved(
    posting: str, organization: str, kind: Kind, amount: int, note: str, now: datetime
) -> Posting:
    if abs(amount) > MOST:
        raise BadInput(f"amount: at most {MOST // MICRO:,} USD at once", field="amount")
    if len(note) > MAX_NOTE:
        raise BadInput(f"note: at most {MAX_NOTE} characters", field="note")
    return move(posting, organization, kind, amount, EQUITY, now, note=note)


class Prepaid:
    """Lets nobody begin what costs money with nothing left to pay it from.

    A call is charged when it ends, so those that were begun before may go below zero. A balance
    is a sum over all that ever happened: what was found to be enough is so for ``seconds``.
    """

    def __init__(self, ledger: LedgerStore, clock: Clock, seconds: float = 1.0) -> None:
        self._ledger = ledger
        self._clock = clock
        self._seconds = seconds
        self._enough: dict[str, float] = {}

    async def check(self, organization: str) -> None:
        """
        Raises:
            Refused: no credit is left (code INSUFFICIENT_CREDITS).
            StoreUnavailable: nobody knows.
        """
        now = self._clock.monotonic()
        if self._enough.get(organization, now) > now:
            return
        if (await self._ledger.balance(organization)).amount <= 0:
            raise Refused("no credit is left", code="INSUFFICIENT_CREDITS")
        self._enough[organization] = now + self._seconds
