"""How well the engine keeps time: two histograms and a few counters."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, fields

BOUNDS_MS = (
    0.25,
    0.5,
    1.0,
    2.0,
    3.0,
    4.0,
    5.0,
    6.0,
    8.0,
    10.0,
    12.5,
    15.0,
    20.0,
    30.0,
    50.0,
    100.0,
)
"""Upper bounds of the histograms' buckets; one more is open."""
LATE_MS = 5.0
"""A tick that starts more than this after its time is late."""


@dataclass(slots=True)
class Histogram:
    """Counts a bucket of ``BOUNDS_MS``, with sum and maximum; milliseconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    total: int = 0
    sum_ms: float = 0.0
    max_ms: float = 0.0

    def add(self, ms: float) -> None:
        self.counts[bisect_left(BOUNDS_MS, ms)] += 1
        self.total += 1
        self.sum_ms += ms
        if ms > self.max_ms:
            self.max_ms = ms

    def merge(self, other: Histogram) -> None:
        """Count what the other counted as well."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.total += other.total
        self.sum_ms += other.sum_ms
        self.max_ms = max(self.max_ms, other.max_ms)

    def percentile(self, share: float) -> float:
        """The value that ``share`` (0 to 1) of all are at most, interpolated in its bucket."""
        wanted, seen = share * self.total, 0
        for index, count in enumerate(self.counts):
            if count and seen + count >= wanted:
                low = BOUNDS_MS[index - 1] if index else 0.0
                high = BOUNDS_MS[index] if index < len(BOUNDS_MS) else self.max_ms
                return min(self.max_ms, low + (high - low) * (wanted - seen) / count)
            seen += count
        return self.max_ms


@dataclass(slots=True)
class TickStats:
    """Since the engine started. ``ticks`` counts those with at least one lane open."""

    ticks: int = 0
    late: int = 0
    failed: int = 0
    """Ticks that a fault of ours cut short."""
    passed_over: int = 0
    """Ticks that never ran because the process stood still."""
    duration: Histogram = field(default_factory=Histogram)
    lateness: Histogram = field(default_factory=Histogram)

    def add(self, late: float, duration: float, lanes: int) -> None:
        """Take one tick; times in seconds."""
        if not lanes:
            return
        self.ticks += 1
        late_ms = max(0.0, late * 1000)
        if late_ms > LATE_MS:
            self.late += 1
        self.duration.add(duration * 1000)
        self.lateness.add(late_ms)

    def merge(self, other: TickStats) -> None:
        """Count what another engine counted as well."""
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if isinstance(mine, Histogram):
                mine.merge(theirs)
            else:
                setattr(self, one.name, mine + theirs)

    def figures(self) -> dict[str, float]:
        """Plain numbers for ``/metrics`` and the benchmarks; times in milliseconds."""
        return {
            "ticks": self.ticks,
            "late_ticks": self.late,
            "failed_ticks": self.failed,
            "passed_over_ticks": self.passed_over,
            "tick_p50_ms": self.duration.percentile(0.5),
            "tick_p99_ms": self.duration.percentile(0.99),
            "tick_max_ms": self.duration.max_ms,
            "lateness_p50_ms": self.lateness.percentile(0.5),
            "lateness_p99_ms": self.lateness.percentile(0.99),
            "lateness_max_ms": self.lateness.max_ms,
        }
