"""What a link orders of its stay in a room, and what the stay tells it.

A stay is where the SDK is, in this process or in a worker's; the link is where the call is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from telephony.audio.mix import Samples

Tell = Callable[..., None]
"""``tell(fact, *values)``: ``in`` · ``over`` reason · ``away`` · ``back`` seconds · ``came``
identity, kind · ``went`` identity, kind, reason · ``dead`` identity · ``heard`` identity ·
``digit`` digit · ``agents`` heard."""


class Staying(Protocol):
    """What a link orders of a stay, wherever it is. Facts come as ``Tell`` has them."""

    def enter(self, url: str, token: str) -> None:
        """Connect, again where it was lost. ``in`` or ``over`` follows."""
        ...

    def send(self, data: bytes, topic: str) -> None: ...

    def send_digits(self, digits: str) -> None: ...

    def mute(self, on: bool) -> None:
        """Whether agents are not heard."""
        ...

    def say(self) -> Samples | None:
        """What the room says in this tick: (20 ms,) or nothing."""
        ...

    def hear(self, frame: Samples) -> None:
        """20 ms of the leg."""
        ...

    def close(self) -> None:
        """Leave for good; nothing is told any more. Idempotent."""
        ...
