"""How many calls at once and a second: what is over is told when to come again."""

from __future__ import annotations

from dataclasses import dataclass

from telephony.base.errors import Busy


@dataclass(slots=True)
class Admission:
    """A ceiling on live calls and a token bucket on new ones (``rate`` a second)."""

    max_calls: int
    rate: float
    live: int = 0
    _tokens: float = -1.0
    _at: float = 0.0

    @property
    def burst(self) -> float:
        """One second's worth, at least one call."""
        return max(1.0, self.rate)

    def enter(self, now: float) -> None:
        """Take a place; ``leave`` gives it back.

        Raises:
            Busy: no place, with whole seconds after which to try again.
        """
        if self._tokens < 0:
            self._tokens, self._at = self.burst, now
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self.live >= self.max_calls:
            raise Busy(f"all {self.max_calls} calls are taken", retry_after=5)
        if self._tokens < 1.0:
            raise Busy(f"more than {self.rate:g} new calls a second", retry_after=1)
        self._tokens -= 1.0
        self.live += 1

    def leave(self) -> None:
        self.live = max(0, self.live - 1)
