"""Two processes' worth of connections on one database, and what survives them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from telephony.accounts.ports import Answer
from telephony.base.errors import Busy
from telephony.calls.callback import Callback
from telephony.store import Store
from telephony.store.callbacks import Callbacks

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


def callback(index: int) -> Callback:
    return Callback(
        id=f"cb_{index:03}", organization="o", to_number="+12025550100",
        scheduled_at=NOW, created_at=NOW, updated_at=NOW,
    )  # fmt: skip


async def test_many_that_start_at_once_on_an_empty_database(url: str) -> None:
    stores = await asyncio.gather(*(Store.open(url, "s", node=f"node{n}") for n in range(4)))
    await asyncio.gather(*(store.start(NOW) for store in stores))
    assert set(await stores[0].nodes.others()) == {"node1", "node2", "node3"}
    for store in stores:
        await store.close()


async def test_two_that_claim_from_one_database_share_the_rows(url: str) -> None:
    stores = [await Store.open(url, "s") for _ in range(2)]
    for index in range(40):
        await stores[0].callbacks.add(callback(index))

    async def drain(queue: Callbacks) -> list[str]:
        mine = []
        while (row := await queue.claim(NOW, 15)) is not None:
            mine.append(row.id)
            await queue.attempt(row, f"session-{row.id}", NOW)
        return mine

    shares = await asyncio.gather(*(drain(store.callbacks) for store in stores))
    claimed = [row for share in shares for row in share]
    assert sorted(claimed) == [f"cb_{index:03}" for index in range(40)]
    rows = await stores[1].callbacks.abandoned(NOW + timedelta(seconds=15))
    assert {row.attempts for row in rows} == {1}
    for store in stores:
        await store.close()


async def test_two_that_begin_one_key_at_once_are_one_that_handles(url: str) -> None:
    stores = [await Store.open(url, "s") for _ in range(2)]
    for key in range(10):
        results = await asyncio.gather(
            *(store.idempotency.begin("o", f"k{key}", "h", NOW) for store in stores * 2),
            return_exceptions=True,
        )
        assert results.count(None) == 1
        assert sum(isinstance(result, Busy) for result in results) == 3
    for store in stores:
        await store.close()


async def test_who_is_cancelled_while_he_begins_holds_no_key(url: str) -> None:
    store = await Store.open(url, "s")
    for turns in range(12):
        task = asyncio.ensure_future(store.idempotency.begin("o", f"k{turns}", "h", NOW))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for _ in range(100):
            try:
                assert await store.idempotency.begin("o", f"k{turns}", "h", NOW) is None
                break
            except Busy:
                await asyncio.sleep(0)
        else:
            pytest.fail("the key stays taken")
    await store.close()


async def test_answers_stand_and_open_keys_are_free_after_a_restart(url: str) -> None:
    store = await Store.open(url, "s")
    await store.idempotency.begin("o", "done", "h", NOW)
    await store.idempotency.finish("o", "done", Answer(200, b"{}"))
    await store.idempotency.begin("o", "open", "h", NOW)
    beside = await Store.open(url, "s")
    with pytest.raises(Busy):
        await beside.idempotency.begin("o", "open", "h", NOW)
    await beside.close()
    await store.close()

    store = await Store.open(url, "s")
    await store.start(NOW)
    assert await store.idempotency.begin("o", "done", "h", NOW) == Answer(200, b"{}")
    assert await store.idempotency.begin("o", "open", "h", NOW) is None
    await store.close()
