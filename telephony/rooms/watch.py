"""Who is dead in a room: the server says so after 20 s, we after five.

A dead publisher's stream goes on: the SDK makes up silence for what does not come. Who sends, even
silence, sends packets; so packets are counted where nothing is heard. Where none come of anybody,
and nothing from the server either, it is our own connection that is dead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LOOK_SECONDS = 0.5
DEAD_SECONDS = 3.0
"""Without a packet for so long. With the looks before it, and what the SDK makes up for a while,
noticed within 4.5 s."""
PAUSE_SECONDS = 1.0
"""Who was seen to send is not asked after for so long: the question costs a millisecond."""
OURSELVES = ""
"""Key of our own track, which is looked at where there is nobody else's."""
SUCCEEDED = 4
"""State of a path that is answered on (the SDK's ``PAIR_SUCCEEDED``)."""


@dataclass(frozen=True, slots=True)
class Count:
    """Packets of one track, and of the whole connection under it; whether that is answered on."""

    track: int
    connection: int
    answered: bool = True


def counted(stats: list[Any]) -> Count:
    """Of the SDK's statistics of one track."""
    track = connection = 0
    answered = False
    for one in stats:
        match one.WhichOneof("stats"):
            case "inbound_rtp":
                track += one.inbound_rtp.received.packets_received
            case "candidate_pair":
                pair = one.candidate_pair.candidate_pair
                connection += pair.packets_received + pair.responses_received
                answered = answered or pair.state == SUCCEEDED
            case _:
                pass
    return Count(track, connection, answered)


class Watch:
    """The tracks of one room that are silent. Times are monotonic seconds."""

    def __init__(self, died: Callable[[str], None], cut_off: Callable[[bool], None]) -> None:
        """``died``: a track's key, once; ``cut_off``: it is we who are, or no more."""
        self._died = died
        self._cut_off = cut_off
        self._cut = False
        self._since: dict[str, tuple[float, Count]] = {}
        self._told: set[str] = set()

    def lives(self, key: str) -> None:
        """Heard, muted or gone: nothing to look for."""
        self._since.pop(key, None)
        self._told.discard(key)

    def heard(self) -> None:
        """Something came: there is a connection."""
        if self._cut:
            self._cut = False
            self._cut_off(False)

    def due(self, key: str, now: float) -> bool:
        """Whether it is time to count what came of a track that is not heard."""
        known = self._since.get(key)
        return known is None or self._cut or now - known[0] >= PAUSE_SECONDS

    def silent(self, key: str, count: Count, now: float) -> None:
        """What is counted of a track that is not heard."""
        since, first = self._since.setdefault(key, (now, count))
        if count.connection != first.connection:
            self.heard()
        if count.track != first.track or (key == OURSELVES and count.answered):
            self._since[key] = (now, count)
            self._told.discard(key)
        elif now - since >= DEAD_SECONDS:
            if count.connection == first.connection and not count.answered:
                if not self._cut:
                    self._cut = True
                    self._cut_off(True)
            elif key != OURSELVES and key not in self._told:
                self._told.add(key)
                self._died(key)
