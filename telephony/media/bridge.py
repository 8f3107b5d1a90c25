"""Who hears whom: lanes in groups, each hearing all others of its group and never itself.

A bridge is a group of two. What a tick needs is worked out when a group changes, not in the tick.
"""

from __future__ import annotations

import numpy as np

from telephony.audio.mix import limit
from telephony.media.columns import Flags, Rows, Samples

_NOBODY: Rows = np.empty(0, np.int64)


class Mixer:
    """Groups by name; a lane is in one at most."""

    def __init__(self) -> None:
        self._members: dict[str, set[int]] = {}
        self._group: dict[int, str] = {}
        self._changed = False
        self._to = self._from = _NOBODY
        self._room_rows = self._room_of = self._starts = _NOBODY

    def bridge(self, first: int, second: int) -> None:
        """Two lanes hear each other and nobody else."""
        if first == second:
            return
        self.leave(first)
        self.leave(second)
        name = f"bridge {first} {second}"
        self._join(first, name)
        self._join(second, name)

    def enter(self, row: int, name: str) -> None:
        """A lane joins a room."""
        name = f"room {name}"
        if self._group.get(row) != name:
            self.leave(row)
            self._join(row, name)

    def leave(self, row: int) -> None:
        """A lane hears nobody and is heard by nobody; the other one of a bridge as well."""
        name = self._group.pop(row, None)
        if name is None:
            return
        self._changed = True
        members = self._members[name]
        members.discard(row)
        if name.startswith("bridge "):
            for other in members:
                del self._group[other]
            members.clear()
        if not members:
            del self._members[name]

    def is_in(self, row: int, name: str) -> bool:
        """Whether a lane is in this room."""
        return self._group.get(row) == f"room {name}"

    def group(self, row: int) -> frozenset[int]:
        """Whom a lane hears."""
        members = self._members.get(self._group.get(row, ""), set())
        return frozenset(members - {row})

    def mix(self, voice: Samples, out: Samples, sounding: Flags) -> None:
        """Add to ``out`` (lanes, 160), which holds the prompts, what each lane hears of the others.

        ``voice`` is what each lane says; both int16. Lanes that hear somebody are marked in
        ``sounding``. Sums are limited, never wrapped.
        """
        if self._changed:
            self._work_out()
        if self._to.size:
            heard = out[self._to].astype(np.int32) + voice[self._from]
            out[self._to] = limit(heard)
            sounding[self._to] = True
        if self._room_rows.size:
            said = voice[self._room_rows].astype(np.int32)
            everybody = np.add.reduceat(said, self._starts, axis=0)
            heard = everybody[self._room_of] - said + out[self._room_rows]
            out[self._room_rows] = limit(heard)
            sounding[self._room_rows] = True

    def _join(self, row: int, name: str) -> None:
        self._members.setdefault(name, set()).add(row)
        self._group[row] = name
        self._changed = True

    def _work_out(self) -> None:
        pairs: list[tuple[int, ...]] = []
        rows: list[int] = []
        of: list[int] = []
        starts: list[int] = []
        for members in self._members.values():
            ordered = sorted(members)
            if len(ordered) == 2:
                pairs += [(ordered[0], ordered[1]), (ordered[1], ordered[0])]
            elif len(ordered) > 2:
                of += [len(starts)] * len(ordered)
                starts.append(len(rows))
                rows += ordered
        table = np.array(pairs, np.int64).reshape(-1, 2)
        self._to, self._from = table[:, 0], table[:, 1]
        self._room_rows = np.array(rows, np.int64)
        self._room_of = np.array(of, np.int64)
        self._starts = np.array(starts, np.int64)
        self._changed = False
