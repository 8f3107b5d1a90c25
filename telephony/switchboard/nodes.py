"""Several processes over one database: each beats, and closes what a dead one left open.

Nobody's clock is compared with another's. A node is dead when its count of beats has stood still
over so many looks in a row; while the database is away nobody looks, so nobody dies of that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

import structlog

from telephony.base.clock import Clock
from telephony.base.errors import StoreUnavailable
from telephony.calls.call import Call
from telephony.calls.ports import CallStore, NodeStore

log = structlog.get_logger("telephony.switchboard.nodes")


@dataclass(frozen=True, slots=True)
class NodesConfig:
    """A node that has not beaten for ``beat_seconds`` times ``patience`` is dead."""

    beat_seconds: float = 5.0
    patience: int = 6


class Watch:
    """Who stands still. Pure: counts looks and not time."""

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._seen: dict[str, tuple[int, int]] = {}

    def look(self, beats: Mapping[str, int | None]) -> set[str]:
        """The dead among the others; None is the count of one that has no row any more."""
        seen: dict[str, tuple[int, int]] = {}
        dead = set()
        for node, count in beats.items():
            if count is None:
                dead.add(node)
                continue
            before, still = self._seen.get(node, (None, 0))
            still = still + 1 if before == count else 0
            seen[node] = count, still
            if still >= self._patience:
                dead.add(node)
        self._seen = seen
        return dead


class Nodes:
    """This node's beat, and its eye on the others.

    ``close`` writes the end of a call; ``free`` gives back what else dead nodes held.
    """

    def __init__(
        self,
        store: NodeStore,
        calls: CallStore,
        close: Callable[[Call], Awaitable[None]],
        free: Callable[[Collection[str]], Awaitable[object]],
        clock: Clock,
        config: NodesConfig = NodesConfig(),
    ) -> None:
        self._store = store
        self._calls = calls
        self._close = close
        self._free = free
        self._clock = clock
        self._config = config
        self._watch = Watch(config.patience)
        # Ours by now, so that nobody else would close them.
        self._adopted: list[Call] = []

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(self._config.beat_seconds)
            try:
                await self.turn()
            except StoreUnavailable as error:
                log.warning("the nodes cannot be looked at", error=error.message)
            except Exception:
                log.exception("a look at the nodes failed")

    async def turn(self) -> None:
        """Beat, look, and bury who is dead. Raises StoreUnavailable."""
        if not await self._store.beat(self._clock.now()):
            log.error(
                "this node was taken for dead, or another process has its name (TELEPHONY_NODE):"
                " its calls may have been closed in the records"
            )
            await self._store.begin(self._clock.now())
        dead = self._watch.look(await self._store.others())
        if dead:
            found = await self._calls.adopt(dead)
            self._adopted += found
            log.warning("nodes are dead", nodes=sorted(dead), calls=len(found))
            await self._free(dead)
            await self._store.bury(dead)
        while self._adopted:
            await self._close(self._adopted[-1])
            self._adopted.pop()
