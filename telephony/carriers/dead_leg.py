"""A leg that could not be dialled."""

from __future__ import annotations

from collections.abc import Callable

from telephony.calls.outcome import Outcome
from telephony.calls.ports import Media, ReferResult
from telephony.carriers.silence import NO_SOUND


class DeadLeg:
    """A leg that ended before it began; it takes every order and does nothing."""

    def __init__(self, leg: str) -> None:
        self.id = leg
        self.media: Media = NO_SOUND

    def answer(self) -> None:
        """Nothing."""

    def ring(self) -> None:
        """Nothing."""

    def end(self, outcome: Outcome) -> None:
        """It has ended."""

    def refer(self, to: str, headers: dict[str, str], done: Callable[[ReferResult], None]) -> None:
        """Nobody to be sent anywhere."""
        done(ReferResult(completed=False, supported=False))
