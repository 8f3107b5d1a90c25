"""The one writer of events: appends of all calls are committed in groups.

A group is what arrived within 5 ms, or 64 events. While the store is away the events wait in
order in memory; the calls go on, new ones are refused, and when it is back the queue is
written and every call that waited learns how long (design.md section 5).
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from telephony.base.clock import Clock
from telephony.base.errors import StoreUnavailable
from telephony.calls.events import EVENTS
from telephony.calls.ports import Append, CallStore
from telephony.calls.public import INFORMATIONAL

log = structlog.get_logger("telephony.switchboard.journal")

_INFORMATIONAL = frozenset(cls.__name__ for cls in INFORMATIONAL)
assert EVENTS.keys() >= _INFORMATIONAL


@dataclass(frozen=True, slots=True)
class JournalConfig:
    """``group_seconds`` is how long the first of a group waits for others.

    ``slow_seconds``: a commit that takes longer counts as the store being away. The ceilings
    are events waiting, of one call and of all.
    """

    group_seconds: float = 0.005
    group_events: int = 64
    slow_seconds: float = 2.0
    retry_seconds: float = 0.1
    retry_ceiling_seconds: float = 2.0
    call_ceiling: int = 1000
    ceiling: int = 50_000


class Journal:
    """Takes events in, commits them in order, and says when they are safe."""

    def __init__(
        self,
        store: CallStore,
        clock: Clock,
        config: JournalConfig = JournalConfig(),
        recovered: Callable[[float, set[str]], None] = lambda seconds, calls: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._config = config
        self._recovered = recovered
        self._queue: deque[Append] = deque()
        self._waiting: Counter[str] = Counter()
        self._committed: dict[str, int] = {}
        self._watchers: dict[str, list[tuple[int, asyncio.Future[bool]]]] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._down_since: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._singly = 0
        self.dropped: Counter[str] = Counter()
        self.appended = 0
        self.groups = 0

    # --- doors -----------------------------------------------------------------------------

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="journal")

    async def stop(self, timeout: float = 10.0) -> int:
        """Write what waits, then end. Returns how many events could not be written."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            done, _ = await asyncio.wait({self._task}, timeout=timeout)
            if not done:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)
        return len(self._queue)

    @property
    def down(self) -> bool:
        """The store does not take events now."""
        return self._down_since is not None

    @property
    def depth(self) -> int:
        return len(self._queue)

    def append(self, item: Append) -> bool:
        """Take an event in. False where it was dropped because too many wait."""
        session = item.event.session
        if self._over(session) and not self._make_room(item):
            self.dropped[session] += 1
            return False
        self._queue.append(item)
        self._waiting[session] += 1
        self._idle.clear()
        self._wake.set()
        return True

    async def committed(self, session: str, seq: int, timeout: float | None = None) -> bool:
        """Wait until the event ``seq`` of the call is on disk.

        False: that took too long, or it was dropped and never will be. True of a call that
        nobody knows any more.
        """
        if self._committed.get(session, 0) >= seq:
            return True
        if not self._waiting[session]:
            return session not in self.dropped
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._watchers.setdefault(session, []).append((seq, future))
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            # Where the loop stood still for so long, it may have been written all the same.
            return self._committed.get(session, 0) >= seq

    def holds(self, session: str) -> bool:
        """Whether the call is this process's, and not all of it may be read yet."""
        return session in self._committed or bool(self._waiting.get(session))

    def forget(self, session: str) -> None:
        """The call is over and written: keep nothing of it."""
        self._committed.pop(session, None)
        self.dropped.pop(session, None)
        if not self._waiting[session]:
            del self._waiting[session]

    async def idle(self) -> None:
        """Wait until nothing waits to be written."""
        await self._idle.wait()

    # --- ceilings --------------------------------------------------------------------------

    def _over(self, session: str) -> bool:
        return (
            len(self._queue) >= self._config.ceiling
            or self._waiting[session] >= self._config.call_ceiling
        )

    def _make_room(self, item: Append) -> bool:
        """Whether the event may come in over the ceiling: an informational one makes way.

        What moves state always comes in, to twice the ceiling; the hard bound behind that is
        what keeps memory finite when the store never returns.
        """
        if item.event.kind in _INFORMATIONAL:
            return False
        same_call = self._waiting[item.event.session] >= self._config.call_ceiling
        for index, queued in enumerate(self._queue):
            if same_call and queued.event.session != item.event.session:
                continue
            if queued.event.kind in _INFORMATIONAL:
                del self._queue[index]
                self._waiting[queued.event.session] -= 1
                self.dropped[queued.event.session] += 1
                return True
        return len(self._queue) < 2 * self._config.ceiling

    # --- the writer ------------------------------------------------------------------------

    async def _run(self) -> None:
        delay = self._config.retry_seconds
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._queue and not self._closing:
                await asyncio.sleep(self._config.group_seconds)
            while self._queue:
                if await self._write_group():
                    delay = self._config.retry_seconds
                    continue
                await asyncio.sleep(delay)
                delay = min(delay * 2, self._config.retry_ceiling_seconds)
            self._idle.set()
            if self._closing:
                return

    async def _write_group(self) -> bool:
        size = min(len(self._queue), 1 if self._singly else self._config.group_events)
        batch = [self._queue[i] for i in range(size)]
        try:
            async with asyncio.timeout(self._config.slow_seconds):
                await self._store.append(batch)
        except (StoreUnavailable, TimeoutError) as error:
            if self._down_since is None:
                self._down_since = self._clock.monotonic()
                log.error("the store does not take events; calls go on", error=str(error))
            return False
        except Exception:
            # A fault of ours in one event must not keep all others from the disk: one by one.
            if size > 1:
                self._singly = size
                return True
            log.exception("an event could not be written", call=batch[0].event.session)
            self.dropped[batch[0].event.session] += 1
            self._singly = max(0, self._singly - 1)
            self._leave_queue(batch)
            return True
        self._singly = max(0, self._singly - size)
        self._settle(batch)
        return True

    def _leave_queue(self, batch: list[Append]) -> None:
        """The batch waits no more, and who waits for it learns."""
        # What _make_room dropped meanwhile was informational and may have been in the batch; it
        # is no longer at the head, and counts as waiting no longer.
        done = {id(item) for item in batch}
        while self._queue and id(self._queue[0]) in done:
            self._waiting[self._queue.popleft().event.session] -= 1
        for session in {item.event.session for item in batch}:
            self._wake_watchers(session)

    def _settle(self, batch: list[Append]) -> None:
        self.groups += 1
        self.appended += len(batch)
        for item in batch:
            session = item.event.session
            self._committed[session] = max(self._committed.get(session, 0), item.event.seq)
        self._leave_queue(batch)
        if self._down_since is not None:
            seconds = self._clock.monotonic() - self._down_since
            self._down_since = None
            waited = {item.event.session for item in batch}
            waited.update(item.event.session for item in self._queue)
            log.warning("the store takes events again", seconds=round(seconds, 3))
            self._recovered(seconds, waited)

    def _wake_watchers(self, session: str) -> None:
        watchers = self._watchers.get(session)
        if not watchers:
            return
        upto = self._committed.get(session, 0)
        rest = []
        for seq, future in watchers:
            if future.done():
                continue
            # What nothing waits for any more was written or dropped: nothing more will come.
            if seq <= upto or not self._waiting[session]:
                future.set_result(seq <= upto)
            else:
                rest.append((seq, future))
        if rest:
            self._watchers[session] = rest
        else:
            del self._watchers[session]
