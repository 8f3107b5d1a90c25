"""Facts and rates → what a call costs, line by line.

Every answered leg that is not one of our own phones is a line: the seconds from its answer to
its end, in whole increments; and so is each recording. A line is rounded once, half up, to
micro-USD, and a call costs the sum of its lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from telephony.calls import events as e
from telephony.calls.money import INBOUND, OUTBOUND, RECORDING, CostLine

_SECOND = timedelta(seconds=1)
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """USD a minute of each thing, exactly as it was written; seconds that are counted at once."""

    inbound: Decimal = _NOTHING
    outbound: Decimal = _NOTHING
    recording: Decimal = _NOTHING
    increment: int = 1


@dataclass(frozen=True, slots=True)
class Rates:
    """The rate card: ``trunks`` by id, where a trunk has rates of its own."""

    default: Rate
    trunks: Mapping[str, Rate] = field(default_factory=dict)

    def of(self, trunk: str | None) -> Rate:
        return self.default if trunk is None else self.trunks.get(trunk, self.default)


def price(facts: Sequence[e.Event], rates: Rates | None) -> tuple[CostLine, ...]:
    """The lines of a call, its legs in the order in which they began, then its recordings.

    Without rates there are none. What is not over yet counts to the last fact.
    """
    if rates is None or not facts:
        return ()
    lines: list[CostLine | None] = []
    rate_of: dict[str, Rate] = {}
    for begun in facts:
        if not isinstance(begun, (e.LegOffered, e.LegDialing)):
            continue
        rate = rate_of[begun.leg] = rates.of(begun.trunk)
        if begun.phone is not None:
            continue
        came = isinstance(begun, e.LegOffered)
        lines.append(
            _line(
                begun.provider,
                INBOUND if came else OUTBOUND,
                _talked(begun.leg, facts),
                rate.inbound if came else rate.outbound,
                rate.increment,
            )
        )
    for kept in facts:
        if isinstance(kept, e.RecordingReady):
            rate = rate_of.get(kept.leg, rates.default)
            length = timedelta(milliseconds=kept.duration_ms)
            lines.append(_line("telephony", RECORDING, length, rate.recording, rate.increment))
    return tuple(line for line in lines if line is not None)


def used(facts: Sequence[e.Event]) -> tuple[CostLine, ...]:
    """What a call used, its lines without a price: where nobody has set one, or it still lives."""
    return price(facts, Rates(Rate()))


def total(lines: Iterable[CostLine]) -> int:
    """Micro-USD."""
    return sum(line.cost_micro_usd for line in lines)


def _talked(leg: str, facts: Sequence[e.Event]) -> timedelta:
    """From a leg's answer to its end."""
    answered: datetime | None = None
    for fact in facts:
        if not isinstance(fact, e.LegEvent) or fact.leg != leg:
            continue
        if isinstance(fact, e.LegAnswered) and answered is None:
            answered = fact.at
        elif isinstance(fact, e.LegEnded) and answered is not None:
            return fact.at - answered
    return timedelta() if answered is None else facts[-1].at - answered


def _line(
    provider: str, metric: str, length: timedelta, usd_a_minute: Decimal, increment: int
) -> CostLine | None:
    """None where nothing was used."""
    if length <= timedelta():
        return None
    # Upwards to whole increments: floor division of what is negative is a ceiling.
    seconds = -(-length // (increment * _SECOND)) * increment
    exact = Fraction(usd_a_minute) * 1_000_000 * seconds / 60
    return CostLine(
        provider=provider,
        metric=metric,
        quantity=seconds,
        cost_micro_usd=int(exact + Fraction(1, 2)),
    )
