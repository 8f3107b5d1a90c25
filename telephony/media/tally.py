"""What became of the sound of legs that are over, all together, for ``/metrics``."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import accumulate

from telephony.calls.events import MediaQuality

MOS = (1.5, 2.0, 2.5, 3.0, 3.25, 3.5, 3.75, 4.0, 4.2, 4.3, 4.4)
"""G.711 without fault is 4.41; under 3.6 (R 70) many are dissatisfied (G.107 Annex B)."""
SHARES = (0.0, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)

COUNTED = (
    "packets_received",
    "packets_sent",
    "lost",
    "late",
    "duplicated",
    "concealed",
    "scaled_ms",
    "underruns",
    "remote_lost",
)
"""Members of MediaQuality that are summed up."""


class Spread:
    """Counts by upper bound; the last one has none."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.sum = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def add(self, value: float) -> None:
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[tuple[str, int]]:
        """How many are at most each bound, as Prometheus has them."""
        names = [*map(str, self.bounds), "+Inf"]
        return list(zip(names, accumulate(self._counts), strict=True))


class Tally:
    """Legs that were heard at all count; ``counts`` by the names of ``COUNTED``."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.mos = Spread(MOS)
        self.remote_mos = Spread(MOS)
        self.loss = Spread(SHARES)
        self.jitter = Spread(SECONDS)
        self.round_trip = Spread(SECONDS)
        self.buffer = Spread(SECONDS)

    def add(self, leg: MediaQuality) -> None:
        """A leg is over."""
        for name in COUNTED:
            self.counts[name] += getattr(leg, name) or 0
        if leg.packets_received:
            self.loss.add(leg.lost / (leg.lost + leg.packets_received))
            self.jitter.add(leg.jitter_ms / 1000)
            self.buffer.add(leg.buffer_ms / 1000)
        for spread, value in (
            (self.mos, leg.mos),
            (self.remote_mos, leg.remote_mos),
            (self.round_trip, None if leg.round_trip_ms is None else leg.round_trip_ms / 1000),
        ):
            if value is not None:
                spread.add(value)
