"""Timers as a value (RFC 3261 table 4, RFC 6026), and the one alarm clock of an agent."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Protocol


class Owner(Protocol):
    """Who sets an alarm."""

    def on_alarm(self, name: str, now: float) -> None:
        """The alarm ``name`` is due."""


Key = tuple[Owner, str]
"""Whose alarm, and which."""


@dataclass(frozen=True, slots=True)
class Timers:
    """Seconds. Two agents in one test may differ; nothing here is process-wide.

    t1: estimate of the round trip (RFC 3261 §17.1.1.1).
    t2: the longest interval between retransmissions of a non-INVITE request or a final response.
    t4: how long a message may stay in the network.
    d: how long a UAC answers retransmissions of a final response over UDP; at least 32 s.
    """

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    d: float = 32.0

    @property
    def timeout(self) -> float:
        """64*T1: Timers B, F, H, L and M, and the wait for an ACK."""
        return 64 * self.t1


class Alarms:
    """A heap of deadlines, each named by a key; setting a key again replaces its deadline.

    A replaced or cancelled entry stays in the heap until it comes to the top, so the heap is
    rebuilt when the dead outnumber the living.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Key]] = []
        self._live: dict[Key, tuple[float, int]] = {}
        self._serial = 0

    def __len__(self) -> int:
        return len(self._live)

    def set(self, key: Key, at: float) -> None:
        """Let ``key`` be due at ``at``."""
        self._serial += 1
        self._live[key] = (at, self._serial)
        heapq.heappush(self._heap, (at, self._serial, key))
        if len(self._heap) > 64 and len(self._heap) > 4 * len(self._live):
            self._heap = [(when, serial, k) for k, (when, serial) in self._live.items()]
            heapq.heapify(self._heap)

    def cancel(self, key: Key) -> None:
        """Forget ``key``, if it is set."""
        self._live.pop(key, None)

    def deadline(self, key: Key) -> float | None:
        """When ``key`` is due."""
        entry = self._live.get(key)
        return None if entry is None else entry[0]

    def next(self) -> float | None:
        """The earliest deadline."""
        while self._heap:
            at, serial, key = self._heap[0]
            if self._live.get(key) == (at, serial):
                return at
            heapq.heappop(self._heap)
        return None

    def pop(self, now: float) -> Key | None:
        """The earliest key due at ``now``, taken out; ``None`` when nothing is due."""
        at = self.next()
        if at is None or at > now:
            return None
        _, _, key = heapq.heappop(self._heap)
        del self._live[key]
        return key
