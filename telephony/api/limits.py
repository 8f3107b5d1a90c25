"""Requests a second, a key: a bucket that fills as time goes by."""

from __future__ import annotations

import math
from collections import OrderedDict

BURST_SECONDS = 2.0
"""What a key may save up: so many seconds of its rate."""
CEILING = 4096
"""Keys remembered; one that is forgotten begins anew with a full bucket."""


class Rates:
    """One bucket a key. Called on the loop's thread."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, rate: float, now: float) -> int:
        """Take one request out: 0, or the whole seconds after which there will be one.

        ``rate``: requests a second. ``now``: monotonic seconds.
        """
        full = max(1.0, rate * BURST_SECONDS)
        held, since = self._buckets.pop(key, (full, now))
        held = min(full, held + rate * max(0.0, now - since))
        wait = 0 if held >= 1 else math.ceil((1 - held) / rate)
        self._buckets[key] = (held - 1 if held >= 1 else held, now)
        if len(self._buckets) > CEILING:
            self._buckets.popitem(last=False)
        return wait
