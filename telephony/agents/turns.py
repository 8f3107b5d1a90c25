"""What was said, kept in order and posted to the service: late rather than never, never twice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from telephony.agents.service import Said
from telephony.base.clock import Clock, iso
from telephony.base.errors import TelephonyError

log = logging.getLogger("telephony.agents")

BATCH = 200
"""Turns of one request (contract section 3.5)."""
MOST = 10_000
"""Turns of one call; what is said beyond is not written down."""


class Poster(Protocol):
    """Where turns go."""

    async def post_turns(self, turns: Sequence[Said]) -> None: ...


class TurnLog:
    """Gives out indexes and posts in the background.

    A turn is posted when it begins and again when it is over, under the same index: so a worker
    that is killed in the middle of its greeting has greeted, as far as the next one knows.
    """

    def __init__(self, poster: Poster | None, clock: Clock, before: Sequence[Said] = ()) -> None:
        """``before``: the turns of the worker before; None of a poster: they are only kept."""
        self._poster = poster
        self._clock = clock
        self._said = {turn.index: turn for turn in before}
        self._next = max(self._said, default=-1) + 1
        self._unsent: dict[int, Said] = {}
        self._work: asyncio.Task[None] | None = None

    @property
    def turns(self) -> list[Said]:
        return [self._said[index] for index in sorted(self._said)]

    def begin(self, source: str, text: str) -> int:
        """A turn begins now: its index."""
        return self._put_new(source, text, iso(self._clock.now()), None)

    def end(self, index: int, text: str) -> None:
        """The turn is over, and this was said in it."""
        begun = self._said.get(index)
        if begun is not None:
            now = iso(self._clock.now())
            self._put(Said(index, begun.source, text, begun.started_at, now))

    def add(self, source: str, text: str, seconds: float = 0.0) -> int:
        """A turn that was ``seconds`` long and is over."""
        now = self._clock.now()
        return self._put_new(source, text, iso(now - timedelta(seconds=seconds)), iso(now))

    def summary(self, characters: int = 2000) -> str:
        """The last of what was said, a line a turn: for whoever takes over."""
        lines = [f"{turn.source}: {turn.text}" for turn in self.turns]
        return "\n".join(lines)[-characters:]

    async def flush(self, timeout: float = 10.0) -> bool:
        """Wait until everything is posted; False where it could not be in that time."""
        work = self._work
        if work is not None:
            await asyncio.wait([work], timeout=timeout)
        return not self._unsent

    async def close(self) -> None:
        """Post what is left, for a while."""
        if not await self.flush():
            log.warning("turns.lost count=%d", len(self._unsent))
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    def _put_new(self, source: str, text: str, started: str, ended: str | None) -> int:
        index = self._next
        self._next += 1
        self._put(Said(index, source, text, started, ended))
        return index

    def _put(self, turn: Said) -> None:
        if turn.index >= MOST:
            return
        self._said[turn.index] = turn
        if self._poster is None:
            return
        self._unsent[turn.index] = turn
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._send(self._poster), name="agent-turns")

    async def _send(self, poster: Poster) -> None:
        while self._unsent:
            batch = [self._unsent[index] for index in sorted(self._unsent)[:BATCH]]
            try:
                await poster.post_turns(batch)
            except TelephonyError as error:
                # They go with the next turn; the conversation does not wait for the record.
                log.warning("turns.not_posted count=%d: %s", len(batch), error)
                return
            for turn in batch:
                # A newer text of the same turn may have come meanwhile.
                if self._unsent.get(turn.index) is turn:
                    del self._unsent[turn.index]
