"""Dials each promised call once, at its time or as soon after it as a line is free.

An INVITE cannot be taken back. So the attempt and the session that it makes are written before
anything is sent; whoever dies after that leaves an attempt of which nobody knows what came,
and it is closed as interrupted, not dialed again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import structlog

from telephony.base.clock import Clock
from telephony.base.errors import Busy, Conflict, StoreUnavailable, TelephonyError
from telephony.base.ids import Ids
from telephony.base.number import mask
from telephony.calls.callback import Callback, CallbackStatus
from telephony.calls.outcome import Cause
from telephony.calls.ports import CallbackQueue, NextDue

log = structlog.get_logger("telephony.callbacks")

T = TypeVar("T")

Dial = Callable[[Callback, str], Awaitable[None]]
"""Make the call of a callback under this session id. Returns when the call exists; raises a
``TelephonyError`` when it cannot."""


class Queue(CallbackQueue, NextDue, Protocol):
    """What the scheduler needs of the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerConfig:
    """``lease_seconds``: how long a claim holds, and so how late a dead scheduler's work is
    taken over. ``patience_seconds``: how long after its time a callback waits for a free line.
    ``poll_seconds``: how late a row is noticed that another process wrote."""

    lease_seconds: float = 15.0
    patience_seconds: float = 3600.0
    poll_seconds: float = 30.0
    retry_seconds: float = 0.5
    retry_ceiling_seconds: float = 15.0


class Scheduler:
    """``start`` and ``stop``; ``nudge`` when a row is new."""

    def __init__(
        self,
        queue: Queue,
        dial: Dial,
        clock: Clock,
        ids: Ids,
        config: SchedulerConfig = SchedulerConfig(),
    ) -> None:
        self._queue = queue
        self._dial = dial
        self._clock = clock
        self._ids = ids
        self._config = config
        self._patience = timedelta(seconds=config.patience_seconds)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def start(self) -> None:
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="callbacks")

    async def stop(self, timeout: float = 5.0) -> None:
        """Claim nothing more; what is being dialed gets ``timeout`` seconds to be written."""
        self._closing = True
        self.nudge()
        if self._task is None:
            return
        done, _ = await asyncio.wait({self._task}, timeout=timeout)
        if not done:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    def nudge(self) -> None:
        """Something is new: look now."""
        self._wake.set()

    # --- the loop --------------------------------------------------------------------------

    async def _run(self) -> None:
        delay = self._config.retry_seconds
        while not self._closing:
            self._wake.clear()
            try:
                due = await self.work()
                wait = self._until(due)
                delay = self._config.retry_seconds
            except StoreUnavailable as error:
                log.warning("callbacks wait for the store", error=str(error))
                wait, delay = delay, self._longer(delay)
            except Exception:
                # One row's fault must not end what all the others were promised.
                log.exception("the callback scheduler met a fault")
                wait, delay = delay, self._longer(delay)
            if self._closing:
                return
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _until(self, due: datetime | None) -> float:
        if due is None:
            return self._config.poll_seconds
        ahead = (due - self._clock.now()).total_seconds()
        # Never nothing at all: a row that is due and that nobody can take must not spin the loop.
        return min(max(ahead, 0.01), self._config.poll_seconds)

    def _longer(self, delay: float) -> float:
        return min(delay * 2, self._config.retry_ceiling_seconds)

    async def work(self) -> datetime | None:
        """Do everything that is due now. Returns when there will be more, or None.

        Raises:
            StoreUnavailable: before anything was promised that this did not write.
        """
        await self._close_abandoned()
        while not self._closing:
            claimed = await self._queue.claim(self._clock.now(), self._config.lease_seconds)
            try:
                if claimed is None or not await self._carry_out(claimed):
                    break
            except Busy as busy:
                return self._clock.now() + timedelta(seconds=busy.retry_after)
        return await self._queue.next_due()

    async def _close_abandoned(self) -> None:
        for callback in await self._queue.abandoned(self._clock.now()):
            log.warning("a callback was interrupted", callback=callback.id)
            await self._settle(callback, CallbackStatus.FAILED, Cause.INTERRUPTED.value)

    async def _carry_out(self, callback: Callback) -> bool:
        """Whether the callback was dialed, or closed as one that cannot be. False: the lease
        was lost, which is for the next round, as what lost it may well go on.

        Raises:
            Busy: no line was free, or the service is being stopped; nothing was sent, and the
                promise stands.
        """
        session = self._ids.call()
        try:
            await self._surely(lambda: self._queue.attempt(callback, session, self._clock.now()))
        except Conflict:
            log.warning("a callback was taken away before it was dialed", callback=callback.id)
            return False
        log.info("dialing a callback", callback=callback.id, to=mask(callback.to_number))
        try:
            await self._dial(callback, session)
        except Busy as busy:
            if self._clock.now() < callback.scheduled_at + self._patience:
                await self._settle(callback, CallbackStatus.SCHEDULED, None)
                raise
            await self._settle(callback, CallbackStatus.FAILED, _cause(busy))
            return True
        except TelephonyError as error:
            log.warning("a callback could not be dialed", callback=callback.id, cause=error.code)
            await self._settle(callback, CallbackStatus.FAILED, _cause(error))
            return True
        except Exception:
            log.exception("dialing a callback met a fault", callback=callback.id)
            await self._settle(callback, CallbackStatus.FAILED, Cause.INTERNAL.value)
            return True
        await self._settle(callback, CallbackStatus.DISPATCHED, None)
        return True

    async def _settle(self, callback: Callback, status: CallbackStatus, cause: str | None) -> None:
        try:
            await self._surely(
                lambda: self._queue.settle(callback, status, cause, self._clock.now())
            )
        except Conflict:
            # Somebody else has closed it since: their word stands, ours would only change it.
            log.warning("a callback was settled by another", callback=callback.id)

    async def _surely(self, change: Callable[[], Awaitable[T]]) -> T:
        """Until the store takes it: a call that was made must not look as if it was not.

        Each change is safe to repeat, since a store may have taken it and failed to say so.
        """
        delay = self._config.retry_seconds
        while True:
            try:
                return await change()
            except StoreUnavailable as error:
                log.warning("a callback waits for the store", error=str(error))
            await asyncio.sleep(delay)
            delay = self._longer(delay)


def _cause(error: TelephonyError) -> str:
    """The taxonomy's word for why nothing was dialed."""
    words = {cause.value for cause in Cause}
    code = error.code.lower()
    return code if code in words else _BY_CODE.get(error.code, Cause.INTERNAL.value)


_BY_CODE = {
    "VALIDATION_ERROR": Cause.INVALID_NUMBER.value,
    "POLICY_REFUSED": Cause.REFUSED_BY_POLICY.value,
    "INSUFFICIENT_CREDITS": Cause.REFUSED_BY_POLICY.value,
    "TRUNK_BUSY": Cause.CAPACITY.value,
    "STORE_UNAVAILABLE": Cause.INTERNAL.value,
}
