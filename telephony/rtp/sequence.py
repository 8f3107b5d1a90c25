"""All arithmetic modulo 2^16 and 2^32, and what RFC 3550 derives from it.

Nothing else in the project compares or wraps a sequence number or a timestamp by hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

U16 = 1 << 16
U32 = 1 << 32

MAX_DROPOUT = 3000
MAX_MISORDER = 100
MIN_SEQUENTIAL = 2


def add16(value: int, step: int) -> int:
    """``value + step`` modulo 2^16; ``step`` may be negative."""
    return (value + step) % U16


def add32(value: int, step: int) -> int:
    """``value + step`` modulo 2^32; ``step`` may be negative."""
    return (value + step) % U32


def diff16(new: int, old: int) -> int:
    """How far ``new`` lies after ``old``, -32768 to 32767 (RFC 1982 in its signed form)."""
    return (new - old + 0x8000) % U16 - 0x8000


def diff32(new: int, old: int) -> int:
    """How far ``new`` lies after ``old``, -2^31 to 2^31 - 1."""
    return (new - old + 0x80000000) % U32 - 0x80000000


def newer16(new: int, old: int) -> bool:
    """Whether sequence number ``new`` comes after ``old``."""
    return 0 < (new - old) % U16 < 0x8000


def newer32(new: int, old: int) -> bool:
    """Whether timestamp ``new`` comes after ``old``."""
    return 0 < (new - old) % U32 < 0x80000000


def extend16(value: int, near: int) -> int:
    """The number congruent to ``value`` modulo 2^16 that lies nearest to ``near``.

    ``near`` is an extended number; the result is negative where a stream began just after a wrap.
    """
    return near + diff16(value, near % U16)


def extend32(value: int, near: int) -> int:
    """The number congruent to ``value`` modulo 2^32 that lies nearest to ``near``."""
    return near + diff32(value, near % U32)


def diff16_array(new: npt.NDArray[np.uint16], old: npt.NDArray[np.uint16]) -> npt.NDArray[np.int16]:
    """``diff16`` of uint16 arrays; int16, same shape."""
    return np.subtract(new, old, dtype=np.uint16).view(np.int16)


def diff32_array(new: npt.NDArray[np.uint32], old: npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
    """``diff32`` of uint32 arrays; int32, same shape."""
    return np.subtract(new, old, dtype=np.uint32).view(np.int32)


def extend16_array(
    value: npt.NDArray[np.uint16], near: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """``extend16`` of arrays; ``near`` and the result are int64."""
    return near + diff16_array(value, near.astype(np.uint16))


def extend32_array(
    value: npt.NDArray[np.uint32], near: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """``extend32`` of arrays; ``near`` and the result are int64."""
    return near + diff32_array(value, near.astype(np.uint32))


@dataclass(slots=True)
class SourceCounter:
    """One source's sequence numbers: validity, loss and duplicates (RFC 3550 A.1 and A.3).

    Counts survive a restart of the numbering: a phone that begins again at 0 has lost nothing.
    """

    probation: int = MIN_SEQUENTIAL
    """Packets in order wanted before the source counts as valid; 1 takes the first one."""
    received: int = 0
    """Packets taken, duplicates included."""
    duplicates: int = 0
    late: int = 0
    """Packets that came after a later one, duplicates not included."""
    restarts: int = 0
    base: int = -1
    """Extended first sequence number of the present numbering; -1 before the source is valid."""
    highest: int = -1
    """Extended highest sequence number, cycles above bit 16; -1 before the source is valid."""
    _seen: int = 0
    _next_of_jump: int = -1
    _trial: int = -1
    _trial_count: int = 0
    _expected_before: int = 0
    _prior_expected: int = 0
    _prior_received: int = 0

    @property
    def expected(self) -> int:
        """Packets sent as far as the numbers tell, over all restarts."""
        if self.highest < 0:
            return 0
        return self._expected_before + self.highest - self.base + 1

    @property
    def lost(self) -> int:
        """Packets that never came, duplicates not set off against them; never negative."""
        return max(0, self.expected - (self.received - self.duplicates))

    @property
    def cumulative_lost(self) -> int:
        """The report block's field: duplicates count as received, 24 bits signed (RFC 3550 A.3)."""
        return max(-0x800000, min(0x7FFFFF, self.expected - self.received))

    def update(self, sequence: int) -> bool:
        """Take one packet's sequence number; False says that the packet is not to be used yet."""
        if self.highest < 0:
            return self._try(sequence)
        step = diff16(sequence, self.highest % U16)
        if step > MAX_DROPOUT or step < -MAX_MISORDER:
            # RFC 3550 A.1: two in a row after a jump are a restart, one alone is a stray.
            if sequence != self._next_of_jump:
                self._next_of_jump = add16(sequence, 1)
                return False
            self._expected_before = self.expected
            self.restarts += 1
            self._begin(add16(sequence, -1))
            step = 1
        self._next_of_jump = -1
        self._count(step)
        return True

    def fraction_lost(self) -> int:
        """Loss since the last call in 256ths, for a report block (RFC 3550 A.3)."""
        expected = self.expected - self._prior_expected
        received = self.received - self._prior_received
        self._prior_expected, self._prior_received = self.expected, self.received
        if expected <= 0 or received >= expected:
            return 0
        return min(255, ((expected - received) << 8) // expected)

    def _try(self, sequence: int) -> bool:
        self._trial_count = self._trial_count + 1 if sequence == self._trial else 1
        self._trial = add16(sequence, 1)
        if self._trial_count < self.probation:
            return False
        self._begin(add16(sequence, 1 - self._trial_count))
        for _ in range(self._trial_count - 1):
            self._count(1)
        return True

    def _begin(self, sequence: int) -> None:
        self.base = self.highest = sequence
        self._seen = 1
        self.received += 1

    def _count(self, step: int) -> None:
        self.received += 1
        if step > 0:
            self.highest += step
            self._seen = (self._seen << step | 1) & _WINDOW
            return
        bit = 1 << -step
        if self._seen & bit:
            self.duplicates += 1
        else:
            self._seen |= bit
            self.late += 1
            # A packet from before the first one we saw was sent as well.
            self.base = min(self.base, self.highest + step)


_WINDOW = (1 << MAX_MISORDER + 1) - 1


@dataclass(slots=True)
class JitterMeter:
    """Inter-arrival jitter (RFC 3550 A.8), in timestamp units."""

    jitter: float = 0.0
    maximum: float = 0.0
    _transit: float | None = None

    def update(self, timestamp: int, arrival: float) -> None:
        """Take a packet's ``timestamp`` and its ``arrival`` in the same units (seconds x clock)."""
        transit = (arrival - timestamp) % U32
        if self._transit is not None:
            moved = abs((transit - self._transit + 0x80000000) % U32 - 0x80000000)
            self.jitter += (moved - self.jitter) / 16
            self.maximum = max(self.maximum, self.jitter)
        self._transit = transit

    def reset(self) -> None:
        """Forget the last transit: the next packet belongs to another timestamp base."""
        self._transit = None
