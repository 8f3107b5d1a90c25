"""Ids: a call is one UUIDv4; everything else carries a prefix and sorts by time (UUIDv7)."""

from __future__ import annotations

import random
import uuid

from telephony.base.clock import Clock


class Ids:
    """Makes ids from an injected source of randomness and a clock."""

    def __init__(self, rng: random.Random, clock: Clock) -> None:
        self._rng = rng
        self._clock = clock
        self._last = 0

    def call(self) -> str:
        """A session id, which is the call id: UUIDv4 (at least 122 random bits)."""
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def make(self, prefix: str) -> str:
        """``prefix_`` and a UUIDv7 (RFC 9562 §5.7) in hex; strictly rising within a process."""
        millis = int(self._clock.now().timestamp() * 1000)
        # 12 bits of counter after the milliseconds (RFC 9562 §6.2, method 1) keep ids of one
        # millisecond in order, and a wall clock that steps back from going back with it.
        stamp = max(millis << 12, self._last + 1)
        self._last = stamp
        value = (
            ((stamp >> 12) & ((1 << 48) - 1)) << 80
            | 0x7 << 76
            | (stamp & 0xFFF) << 64
            | 0b10 << 62
            | self._rng.getrandbits(62)
        )
        return f"{prefix}_{value:032x}"


def phone_identity(call: str, leg: int = 1) -> str:
    """The caller's identity in the room and ``callControlId``; later legs carry their number."""
    return f"phone-{call}" if leg == 1 else f"phone-{call}-{leg}"


def call_of(identity: str) -> str:
    """The call that a leg of this identity belongs to."""
    # What follows a UUID's 36 characters is the leg's number.
    return identity.removeprefix("phone-")[:36]


def room_name(call: str) -> str:
    """The name of a call's own room."""
    return f"call-{call}"
