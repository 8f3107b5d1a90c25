"""How often a trunk may be asked, and how many of its calls may be up."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from telephony.accounts.model import Trunk
from telephony.base.errors import Busy


@dataclass(slots=True)
class _Use:
    live: int
    starts: deque[float]


class TrunkCaps:
    """``max_calls`` (both directions) and ``calls_per_second`` (outbound) of every trunk."""

    def __init__(self) -> None:
        self._use: dict[str, _Use] = {}

    def refusal(self, trunk: Trunk, now: float) -> Busy | None:
        """Why no further call may leave over this trunk now, or None. Counts nothing."""
        use = self._use.get(trunk.id)
        if use is None:
            return None
        if trunk.max_calls is not None and use.live >= trunk.max_calls:
            return Busy(
                f"trunk {trunk.name}: {trunk.max_calls} calls are up",
                retry_after=5,
                code="TRUNK_BUSY",
            )
        rate = trunk.calls_per_second
        if rate is None:
            return None
        # Rates below one a second are one call in 1/rate seconds.
        window, allowed = (1.0, int(rate)) if rate >= 1 else (1.0 / rate if rate > 0 else 60.0, 1)
        while use.starts and now - use.starts[0] >= window:
            use.starts.popleft()
        if len(use.starts) >= allowed:
            wait = max(1, round(window - (now - use.starts[0]) + 0.5))
            return Busy(
                f"trunk {trunk.name}: {rate:g} calls a second are reached",
                retry_after=wait,
                code="TRUNK_BUSY",
            )
        return None

    def begin(self, trunk_id: str, now: float, *, outbound: bool) -> None:
        """A call begins on the trunk."""
        use = self._use.setdefault(trunk_id, _Use(0, deque(maxlen=10_000)))
        use.live += 1
        if outbound:
            use.starts.append(now)

    def end(self, trunk_id: str) -> None:
        """A call is over."""
        use = self._use.get(trunk_id)
        if use is not None:
            use.live = max(0, use.live - 1)

    def live(self, trunk_id: str) -> int:
        """Calls up on the trunk."""
        use = self._use.get(trunk_id)
        return use.live if use is not None else 0

    def keep(self, trunk_ids: frozenset[str]) -> None:
        """Forget trunks that are gone and idle."""
        for trunk_id in [t for t, u in self._use.items() if t not in trunk_ids and not u.live]:
            del self._use[trunk_id]
