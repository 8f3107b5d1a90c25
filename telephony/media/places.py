"""Rows of a bank: the lowest free one is taken, so that what a tick goes through stays short."""

from __future__ import annotations

import heapq


class Places:
    """``height`` is one past the highest row that is taken. Taking and giving cost O(log n)."""

    def __init__(self) -> None:
        self.height = 0
        self._taken: set[int] = set()
        self._free: list[int] = []

    def take(self) -> int:
        """The lowest free row."""
        while self._free:
            row = heapq.heappop(self._free)
            if row < self.height:
                break
        else:
            row = self.height
            self.height += 1
        self._taken.add(row)
        return row

    def give(self, row: int) -> None:
        """It is free again."""
        self._taken.remove(row)
        if row != self.height - 1:
            heapq.heappush(self._free, row)
            return
        # Free rows above what is taken stay in the heap until they come up, and are passed over.
        while self.height and self.height - 1 not in self._taken:
            self.height -= 1
