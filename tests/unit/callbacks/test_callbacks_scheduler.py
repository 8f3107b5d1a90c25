"""The scheduler over a queue in memory, by a manual clock."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog

from telephony.base.clock import ManualClock
from telephony.base.errors import BadInput, Busy, StoreUnavailable, TelephonyError
from telephony.base.ids import Ids
from telephony.callbacks.scheduler import Scheduler, SchedulerConfig
from telephony.calls.callback import Callback, CallbackStatus
from telephony.testing.store import MemoryStore

FAST = SchedulerConfig(retry_seconds=0.001, retry_ceiling_seconds=0.002)


class World:
    """A queue, a clock, and a telephone that remembers what it was told to dial."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore()
        self.queue = self.store.callbacks
        self.dialed: list[tuple[str, str]] = []
        self.error: Exception | None = None
        self.seen: list[Callback] = []
        self.ids = Ids(random.Random(5), self.clock)
        self.scheduler = self.make()

    def make(self) -> Scheduler:
        return Scheduler(self.queue, self.dial, self.clock, self.ids, FAST)

    async def dial(self, callback: Callback, session: str) -> None:
        self.seen.append(self.queue.rows[callback.id])
        if self.error is not None:
            raise self.error
        self.dialed.append((callback.id, session))

    async def promise(self, name: str = "cb_1", in_seconds: float = 0.0) -> Callback:
        now = self.clock.now()
        row = Callback(
            id=name,
            organization="org_default",
            to_number="+12025550100",
            scheduled_at=now + timedelta(seconds=in_seconds),
            created_at=now,
            updated_at=now,
        )
        await self.queue.add(row)
        return row

    def row(self, name: str = "cb_1") -> Callback:
        return self.queue.rows[name]


@pytest.fixture
def world() -> World:
    return World()


async def test_what_is_due_is_dialed_once(world: World) -> None:
    await world.promise()
    assert await world.scheduler.work() is None
    assert [name for name, _ in world.dialed] == ["cb_1"]
    row = world.row()
    assert row.status is CallbackStatus.DISPATCHED
    assert row.created_session == world.dialed[0][1]
    assert row.attempts == 1
    assert row.failure_cause is None
    await world.scheduler.work()
    assert len(world.dialed) == 1


async def test_the_attempt_is_written_before_anything_is_sent(world: World) -> None:
    await world.promise()
    await world.scheduler.work()
    (then,) = world.seen
    assert then.status is CallbackStatus.DISPATCHING
    assert then.attempted_at == world.clock.now()
    assert then.created_session == world.dialed[0][1]


async def test_what_is_not_due_waits_until_it_is(world: World) -> None:
    await world.promise(in_seconds=60)
    due = await world.scheduler.work()
    assert due == world.clock.now() + timedelta(seconds=60)
    world.clock.advance(59.9)
    await world.scheduler.work()
    assert world.dialed == []
    world.clock.advance(0.1)
    await world.scheduler.work()
    assert len(world.dialed) == 1


async def test_many_are_dialed_in_the_order_of_their_times(world: World) -> None:
    for name, seconds in (("late", -1), ("early", -9), ("middle", -5)):
        await world.promise(name, seconds)
    await world.scheduler.work()
    assert [name for name, _ in world.dialed] == ["early", "middle", "late"]
    assert len({session for _, session in world.dialed}) == 3


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (TelephonyError("no trunk", code="NO_ROUTE"), "no_route"),
        (BadInput("to: not a number"), "invalid_number"),
        (RuntimeError("a fault of ours"), "internal"),
    ],
)
async def test_what_cannot_be_dialed_is_failed_with_its_cause(
    world: World, error: Exception, cause: str
) -> None:
    await world.promise()
    await world.promise("cb_2", 1)
    world.error = error
    with structlog.testing.capture_logs() as logs:
        await world.scheduler.work()
    assert "+12025550100" not in str(logs)
    assert (world.row().status, world.row().failure_cause) == (CallbackStatus.FAILED, cause)
    world.error = None
    world.clock.advance(1)
    await world.scheduler.work()
    assert [name for name, _ in world.dialed] == ["cb_2"]


@pytest.mark.parametrize("code", ["CAPACITY", "TRUNK_BUSY"])
async def test_a_promise_waits_for_a_free_line(world: World, code: str) -> None:
    """More were promised for nine o'clock than may be dialed in one second, or a restart."""
    await world.promise()
    world.error = Busy("full", retry_after=7, code=code)
    assert await world.scheduler.work() == world.clock.now() + timedelta(seconds=7)
    assert world.row().status is CallbackStatus.SCHEDULED
    world.clock.advance(7)
    world.error = None
    await world.scheduler.work()
    assert world.row().status is CallbackStatus.DISPATCHED
    assert len(world.dialed) == 1
    assert world.row().created_session == world.dialed[0][1]


async def test_a_promise_does_not_wait_for_a_line_for_ever(world: World) -> None:
    await world.promise()
    world.error = Busy("full")
    world.clock.advance(3600)
    await world.scheduler.work()
    assert (world.row().status, world.row().failure_cause) == (CallbackStatus.FAILED, "capacity")


async def test_an_attempt_whose_dialer_died_is_interrupted_and_not_dialed_again(
    world: World,
) -> None:
    await world.promise()
    claimed = await world.queue.claim(world.clock.now(), 15)
    assert claimed is not None
    await world.queue.attempt(claimed, "session-of-the-dead", world.clock.now())
    due = await world.scheduler.work()
    assert due == claimed.lease_until
    assert world.row().status is CallbackStatus.DISPATCHING
    world.clock.advance(15)
    await world.scheduler.work()
    row = world.row()
    assert (row.status, row.failure_cause) == (CallbackStatus.FAILED, "interrupted")
    assert row.created_session == "session-of-the-dead"
    assert world.dialed == []


async def test_a_claim_whose_holder_died_before_the_attempt_is_dialed(world: World) -> None:
    await world.promise()
    await world.queue.claim(world.clock.now(), 15)
    await world.scheduler.work()
    assert world.dialed == []
    world.clock.advance(15)
    await world.scheduler.work()
    assert len(world.dialed) == 1
    assert world.row().attempts == 1


async def test_a_cancelled_promise_is_not_kept(world: World) -> None:
    row = await world.promise(in_seconds=1)
    await world.queue.settle(row, CallbackStatus.CANCELLED, None, world.clock.now())
    world.clock.advance(2)
    assert await world.scheduler.work() is None
    assert world.dialed == []


async def test_a_store_that_goes_away_while_dialing_learns_what_came_of_it(world: World) -> None:
    await world.promise()

    async def dial(callback: Callback, session: str) -> None:
        world.dialed.append((callback.id, session))
        world.store.down = True
        asyncio.get_running_loop().call_later(0.02, setattr, world.store, "down", False)

    scheduler = Scheduler(world.queue, dial, world.clock, world.ids, FAST)
    await scheduler.work()
    assert len(world.dialed) == 1
    assert world.row().status is CallbackStatus.DISPATCHED


async def test_a_store_that_is_away_dials_nothing(world: World) -> None:
    await world.promise()
    world.store.down = True
    with pytest.raises(StoreUnavailable):
        await world.scheduler.work()
    assert world.dialed == []


async def test_a_lease_that_ran_out_before_the_attempt_was_written_dials_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.promise()
    attempt = world.queue.attempt

    async def late(callback: Callback, session: str, now: datetime) -> None:
        world.clock.advance(20)
        await attempt(callback, session, world.clock.now())

    monkeypatch.setattr(world.queue, "attempt", late)
    due = await world.scheduler.work()
    assert world.dialed == []
    assert due is not None
    assert due <= world.clock.now()
    monkeypatch.undo()
    await world.scheduler.work()
    assert len(world.dialed) == 1


async def test_somebody_elses_word_stands(world: World) -> None:
    await world.promise()

    async def dial(callback: Callback, session: str) -> None:
        world.queue.rows[callback.id] = replace(
            world.queue.rows[callback.id], status=CallbackStatus.FAILED, failure_cause="theirs"
        )

    await Scheduler(world.queue, dial, world.clock, world.ids, FAST).work()
    assert world.row().failure_cause == "theirs"


# --- the loop ------------------------------------------------------------------------------


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_nudge_wakes_the_loop(world: World) -> None:
    world.scheduler.start()
    await asyncio.sleep(0)
    await world.promise()
    world.scheduler.nudge()
    await until(lambda: world.row().status is CallbackStatus.DISPATCHED)
    await world.scheduler.stop()
    assert len(world.dialed) == 1


async def test_the_loop_outlives_a_store_that_is_away(world: World) -> None:
    await world.promise()
    world.store.down = True
    world.scheduler.start()
    await asyncio.sleep(0.01)
    world.store.down = False
    await until(lambda: world.dialed)
    await world.scheduler.stop()


async def test_the_loop_outlives_a_fault(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.promise()
    faults = [RuntimeError("a fault of ours")]
    claim = world.queue.claim

    async def faulty(now: datetime, lease_seconds: float) -> Callback | None:
        if faults:
            raise faults.pop()
        return await claim(now, lease_seconds)

    monkeypatch.setattr(world.queue, "claim", faulty)
    world.scheduler.start()
    await until(lambda: world.dialed)
    await world.scheduler.stop()


async def test_stopping_writes_what_was_being_dialed(world: World) -> None:
    go_on = asyncio.Event()

    async def dial(callback: Callback, session: str) -> None:
        world.dialed.append((callback.id, session))
        await go_on.wait()

    await world.promise("one", -2)
    await world.promise("two", -1)
    scheduler = Scheduler(world.queue, dial, world.clock, world.ids, FAST)
    scheduler.start()
    await until(lambda: world.dialed)
    asyncio.get_running_loop().call_later(0.01, go_on.set)
    await scheduler.stop()
    assert world.row("one").status is CallbackStatus.DISPATCHED
    assert world.row("two").status is CallbackStatus.SCHEDULED


async def test_stopping_does_not_wait_for_ever(world: World) -> None:
    async def dial(callback: Callback, session: str) -> None:
        world.dialed.append((callback.id, session))
        await asyncio.Event().wait()

    await world.promise()
    scheduler = Scheduler(world.queue, dial, world.clock, world.ids, FAST)
    scheduler.start()
    await until(lambda: world.dialed)
    await scheduler.stop(timeout=0.01)
    assert world.row().status is CallbackStatus.DISPATCHING
    await Scheduler(world.queue, dial, world.clock, world.ids, FAST).stop()
