"""Wall time in dialplans: opening hours, holidays, and when it is next nine o'clock."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_HOLIDAY = re.compile(r"(?:(\d{4})-)?(\d{2})-(\d{2})")
MIDNIGHT = 24 * 60


def minutes(text: str, *, end: bool = False) -> int | None:
    """``HH:MM`` as minutes of the day, or None; ``24:00`` only as an end."""
    if end and text == "24:00":
        return MIDNIGHT
    match = _TIME.fullmatch(text)
    return None if match is None else int(match.group(1)) * 60 + int(match.group(2))


def days(text: str) -> frozenset[int] | None:
    """``mon-fri`` or ``mon,wed,sat-sun`` as weekdays (Monday 0), or None. ``fri-mon`` wraps."""
    found: set[int] = set()
    for part in text.lower().replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            return None
        begin = DAYS.index(first)
        count = (DAYS.index(last) - begin) % 7 if dash else 0
        found.update((begin + i) % 7 for i in range(count + 1))
    return frozenset(found)


def is_holiday_text(text: str) -> bool:
    """Whether it is ``YYYY-MM-DD`` or ``MM-DD``, and a day that exists (in a leap year)."""
    match = _HOLIDAY.fullmatch(text)
    if match is None:
        return False
    try:
        date(int(match.group(1) or 2000), int(match.group(2)), int(match.group(3)))
    except ValueError:
        return False
    return True


def is_holiday(moment: datetime, zone: str, holidays: Collection[str]) -> bool:
    """Whether the local day of an aware time is one of the holidays."""
    local = moment.astimezone(ZoneInfo(zone))
    return f"{local:%Y-%m-%d}" in holidays or f"{local:%m-%d}" in holidays


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of the day on some days. ``begin`` and ``end`` are minutes of the local wall time.

    ``begin`` is in, ``end`` is out. Where ``end`` ≤ ``begin`` the window runs over midnight and
    belongs to the day on which it begins.
    """

    days: frozenset[int]
    begin: int
    end: int
    zone: str | None = None

    def holds(self, moment: datetime, zone: str) -> bool:
        """Whether an aware time falls into it. What the clock on the wall says decides, so an
        hour that daylight saving repeats counts twice and one that it skips not at all.
        """
        local = moment.astimezone(ZoneInfo(self.zone or zone))
        minute = local.hour * 60 + local.minute
        today = local.weekday()
        if self.begin < self.end:
            return today in self.days and self.begin <= minute < self.end
        if minute >= self.begin:
            return today in self.days
        return minute < self.end and (today - 1) % 7 in self.days


def next_time(moment: datetime, minute: int, zone: str) -> datetime:
    """The next time, after ``moment``, that the wall clock of ``zone`` shows ``minute``; UTC.

    A time that daylight saving skips comes as much later as the clock jumped.
    """
    local = moment.astimezone(ZoneInfo(zone))
    at = time(minute // 60, minute % 60)
    for ahead in range(3):
        day = local.date() + timedelta(days=ahead)
        found = datetime.combine(day, at, ZoneInfo(zone)).astimezone(UTC)
        if found > moment:
            return found
    return moment + timedelta(days=1)
