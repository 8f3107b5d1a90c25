"""CallbackQueue, CallbackReader and NextDue."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from telephony.base.errors import Conflict
from telephony.calls.callback import CallbackStatus

ORG = "org_default"


async def test_a_promise_is_read_back_whole(store: Any, make: Any) -> None:
    made = make.callback(
        60,
        from_number="+12025550123",
        source_session="s1",
        agent="agent_1",
        reason="wants to know",
        pipeline={"a": 1},
    )
    await store.callbacks.add(made)
    await store.callbacks.add(replace(made, reason="twice"))
    assert await store.callbacks.get(ORG, made.id) == made
    assert await store.callbacks.get("org_other", made.id) is None
    assert await store.callbacks.find("org_other", 10) == []


async def test_the_list_is_newest_first_and_filtered(store: Any, make: Any) -> None:
    made = []
    for index in range(3):
        made.append(make.callback(60, source_session=f"s{index}"))
        make.clock.advance(1)
        await store.callbacks.add(made[-1])
    assert await store.callbacks.find(ORG, 10) == made[::-1]
    assert await store.callbacks.find(ORG, 2) == made[:0:-1]
    assert await store.callbacks.find(ORG, 10, source_session="s1") == [made[1]]
    assert await store.callbacks.find(ORG, 10, status=CallbackStatus.FAILED) == []
    assert len(await store.callbacks.find(ORG, 10, status=CallbackStatus.SCHEDULED)) == 3


async def test_what_is_due_first_is_claimed_first_and_once(store: Any, make: Any) -> None:
    late, early, future = make.callback(-1), make.callback(-5), make.callback(60)
    for row in (late, early, future):
        await store.callbacks.add(row)
    now = make.clock.now()
    first = await store.callbacks.claim(now, 15)
    assert first.id == early.id
    assert first.status is CallbackStatus.DISPATCHING
    assert first.lease_until == now + timedelta(seconds=15)
    assert (await store.callbacks.claim(now, 15)).id == late.id
    assert await store.callbacks.claim(now, 15) is None


async def test_many_who_claim_at_once_never_get_the_same(store: Any, make: Any) -> None:
    for _ in range(10):
        await store.callbacks.add(make.callback(-1))
    now = make.clock.now()
    claimed = await asyncio.gather(*(store.callbacks.claim(now, 15) for _ in range(25)))
    ids = [row.id for row in claimed if row is not None]
    assert len(ids) == 10
    assert len(set(ids)) == 10


async def test_a_promise_is_taken_back(store: Any, make: Any) -> None:
    made = make.callback(60)
    await store.callbacks.add(made)
    make.clock.advance(1)
    now = make.clock.now()
    assert await store.callbacks.cancel("org_other", made.id, None, now) is None
    assert await store.callbacks.cancel(ORG, "cb_nobody", None, now) is None
    row = await store.callbacks.cancel(ORG, made.id, "changed her mind \x00", now)
    reason = row.metadata["cancel_reason"].replace("\ufffd", "\x00")
    assert (reason, row.metadata["x"]) == ("changed her mind \x00", 1)
    assert row == replace(
        made,
        status=CallbackStatus.CANCELLED,
        metadata=row.metadata,
        cancelled_at=now,
        updated_at=now,
    )
    assert await store.callbacks.get(ORG, made.id) == row
    with pytest.raises(Conflict, match="cancelled"):
        await store.callbacks.cancel(ORG, made.id, "again", now)
    assert await store.callbacks.claim(now + timedelta(hours=1), 15) is None
    assert await store.callbacks.get(ORG, made.id) == row


async def test_a_claimed_promise_is_taken_from_who_has_not_yet_tried(store: Any, make: Any) -> None:
    made = make.callback()
    await store.callbacks.add(made)
    now = make.clock.now()
    claimed = await store.callbacks.claim(now, 15)
    row = await store.callbacks.cancel(ORG, made.id, None, now)
    assert (row.status, row.lease_until, row.metadata) == (
        CallbackStatus.CANCELLED, None, {"x": 1},
    )  # fmt: skip
    with pytest.raises(Conflict):
        await store.callbacks.attempt(claimed, "session-1", now)
    with pytest.raises(Conflict):
        await store.callbacks.settle(claimed, CallbackStatus.DISPATCHED, None, now)
    assert (await store.callbacks.get(ORG, made.id)).status is CallbackStatus.CANCELLED


@pytest.mark.parametrize("status", [None, CallbackStatus.DISPATCHED, CallbackStatus.FAILED])
async def test_what_was_begun_cannot_be_taken_back(
    store: Any, make: Any, status: CallbackStatus | None
) -> None:
    made = make.callback()
    await store.callbacks.add(made)
    now = make.clock.now()
    claimed = await store.callbacks.claim(now, 15)
    await store.callbacks.attempt(claimed, "session-1", now)
    if status is not None:
        await store.callbacks.settle(claimed, status, None, now)
    before = await store.callbacks.get(ORG, made.id)
    with pytest.raises(Conflict, match="cannot be cancelled"):
        await store.callbacks.cancel(ORG, made.id, "too late", now)
    assert await store.callbacks.get(ORG, made.id) == before


async def test_whether_dialed_or_cancelled_only_one_of_the_two_happens(
    store: Any, make: Any
) -> None:
    for _ in range(8):
        made = make.callback()
        await store.callbacks.add(made)
        now = make.clock.now()
        claimed = await store.callbacks.claim(now, 15)
        tried, cancelled = await asyncio.gather(
            store.callbacks.attempt(claimed, "session-1", now),
            store.callbacks.cancel(ORG, made.id, None, now),
            return_exceptions=True,
        )
        assert isinstance(tried, Conflict) != isinstance(cancelled, Conflict)
        row = await store.callbacks.get(ORG, made.id)
        assert (row.attempted_at is None) == (row.status is CallbackStatus.CANCELLED)


async def test_the_way_of_a_callback_that_is_dialed(store: Any, make: Any) -> None:
    made = make.callback()
    await store.callbacks.add(made)
    claimed = await store.callbacks.claim(make.clock.now(), 15)
    make.clock.advance(1)
    await store.callbacks.attempt(claimed, "session-1", make.clock.now())
    row = await store.callbacks.get(ORG, made.id)
    assert (row.attempts, row.created_session) == (1, "session-1")
    assert row.attempted_at == make.clock.now()
    make.clock.advance(1)
    await store.callbacks.settle(claimed, CallbackStatus.DISPATCHED, None, make.clock.now())
    row = await store.callbacks.get(ORG, made.id)
    assert row.status is CallbackStatus.DISPATCHED
    assert row.dispatched_at == row.updated_at == make.clock.now()
    assert row.lease_until is None
    assert await store.callbacks.next_due() is None


async def test_an_attempt_may_be_written_again_but_not_another(store: Any, make: Any) -> None:
    await store.callbacks.add(make.callback())
    claimed = await store.callbacks.claim(make.clock.now(), 15)
    await store.callbacks.attempt(claimed, "session-1", make.clock.now())
    await store.callbacks.attempt(claimed, "session-1", make.clock.now())
    with pytest.raises(Conflict):
        await store.callbacks.attempt(claimed, "session-2", make.clock.now())
    assert (await store.callbacks.get(ORG, claimed.id)).attempts == 1


async def test_a_claim_without_attempt_is_free_when_its_lease_is_over(
    store: Any, make: Any
) -> None:
    await store.callbacks.add(make.callback())
    first = await store.callbacks.claim(make.clock.now(), 15)
    make.clock.advance(14.9)
    assert await store.callbacks.claim(make.clock.now(), 15) is None
    make.clock.advance(0.1)
    assert await store.callbacks.abandoned(make.clock.now()) == []
    second = await store.callbacks.claim(make.clock.now(), 15)
    assert second.id == first.id
    # The first holder comes back from wherever it was: it may neither dial nor settle.
    with pytest.raises(Conflict):
        await store.callbacks.attempt(first, "session-1", make.clock.now())
    with pytest.raises(Conflict):
        await store.callbacks.settle(first, CallbackStatus.FAILED, "x", make.clock.now())
    await store.callbacks.attempt(second, "session-2", make.clock.now())


async def test_what_is_put_back_is_as_it_was_and_can_be_claimed_again(
    store: Any, make: Any
) -> None:
    await store.callbacks.add(make.callback())
    first = await store.callbacks.claim(make.clock.now(), 15)
    await store.callbacks.attempt(first, "session-1", make.clock.now())
    await store.callbacks.settle(first, CallbackStatus.SCHEDULED, None, make.clock.now())
    row = await store.callbacks.get(ORG, first.id)
    assert row.status is CallbackStatus.SCHEDULED
    assert (row.created_session, row.attempted_at, row.lease_until) == (None, None, None)
    assert await store.callbacks.abandoned(make.clock.now()) == []
    second = await store.callbacks.claim(make.clock.now(), 15)
    await store.callbacks.attempt(second, "session-2", make.clock.now())
    row = await store.callbacks.get(ORG, first.id)
    assert (row.created_session, row.attempts) == ("session-2", 2)


async def test_a_late_attempt_is_refused(store: Any, make: Any) -> None:
    await store.callbacks.add(make.callback())
    claimed = await store.callbacks.claim(make.clock.now(), 15)
    make.clock.advance(15)
    with pytest.raises(Conflict):
        await store.callbacks.attempt(claimed, "session-1", make.clock.now())


async def test_an_attempt_whose_holder_died_is_abandoned_and_never_claimed(
    store: Any, make: Any
) -> None:
    await store.callbacks.add(make.callback())
    claimed = await store.callbacks.claim(make.clock.now(), 15)
    await store.callbacks.attempt(claimed, "session-1", make.clock.now())
    assert await store.callbacks.abandoned(make.clock.now()) == []
    assert await store.callbacks.next_due() == claimed.lease_until
    make.clock.advance(15)
    assert await store.callbacks.claim(make.clock.now(), 15) is None
    (left,) = await store.callbacks.abandoned(make.clock.now())
    assert left.created_session == "session-1"
    await store.callbacks.settle(left, CallbackStatus.FAILED, "interrupted", make.clock.now())
    row = await store.callbacks.get(ORG, claimed.id)
    assert (row.status, row.failure_cause) == (CallbackStatus.FAILED, "interrupted")
    assert await store.callbacks.abandoned(make.clock.now()) == []


async def test_what_is_scheduled_can_be_cancelled_but_not_what_is_claimed(
    store: Any, make: Any
) -> None:
    made = make.callback()
    await store.callbacks.add(made)
    await store.callbacks.claim(make.clock.now(), 15)
    with pytest.raises(Conflict):
        await store.callbacks.settle(made, CallbackStatus.CANCELLED, None, make.clock.now())
    other = make.callback(60)
    await store.callbacks.add(other)
    await store.callbacks.settle(other, CallbackStatus.CANCELLED, None, make.clock.now())
    row = await store.callbacks.get(ORG, other.id)
    assert row.cancelled_at == make.clock.now()


async def test_the_next_due_is_the_earliest(store: Any, make: Any) -> None:
    assert await store.callbacks.next_due() is None
    for seconds in (90, 30, 60):
        await store.callbacks.add(make.callback(seconds))
    assert await store.callbacks.next_due() == make.clock.now() + timedelta(seconds=30)
