"""Several nodes on one database: whose call it is, and who closes it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.accounts.ports import Answer
from telephony.calls.ports import Append
from telephony.store import Store

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


async def two(url: str) -> tuple[Store, Store]:
    stores = [await Store.open(url, "a secret", node=name) for name in ("one", "two")]
    for store in stores:
        await store.start(NOW)
    return stores[0], stores[1]


async def close(*stores: Store) -> None:
    for store in stores:
        await store.close()


async def left(store: Store) -> list[str]:
    return [call.id for call in await store.calls.unfinished()]


async def test_a_start_closes_what_is_its_own(url: str, make: Any) -> None:
    one, two_ = await two(url)
    ours, theirs = make.life(ended=False), make.life(ended=False)
    await one.calls.append(ours)
    await two_.calls.append(theirs)
    assert await left(one) == [ours[0].call.id]
    assert await left(two_) == [theirs[0].call.id]
    # A restart under the same name.
    again = await Store.open(url, "a secret", node="one")
    await again.start(NOW)
    assert await left(again) == [ours[0].call.id]
    await close(one, two_, again)


async def test_what_the_dead_left_is_one_survivors(url: str, make: Any) -> None:
    one, two_ = await two(url)
    three = await Store.open(url, "a secret", node="three")
    batches = [make.life(ended=False) for _ in range(5)]
    for batch in batches:
        await one.calls.append(batch)
    await one.calls.append(make.life())
    found = await asyncio.gather(two_.calls.adopt(["one"]), three.calls.adopt(["one"]))
    adopted = [call.id for share in found for call in share]
    assert sorted(adopted) == sorted(batch[0].call.id for batch in batches)
    assert await left(one) == []
    # Its own row afterwards: the adopter writes it, and he who was taken for dead does not.
    batch = batches[0]
    holder = two_ if batch[0].call.id in [call.id for call in found[0]] else three
    (end,) = make.life(batch[-1].call, ended=True)[-1:]
    later = Append(end.event, end.call)
    await one.calls.append([later])
    row = await two_.calls.get(batch[0].call.organization, batch[0].call.id)
    assert row is not None and row.live
    await holder.calls.append([later])
    row = await two_.calls.get(batch[0].call.organization, batch[0].call.id)
    assert row is not None and not row.live
    await close(one, two_, three)


async def test_calls_of_before_there_were_nodes_are_closed_by_the_first(
    url: str, make: Any
) -> None:
    old = await Store.open(url, "a secret", node="")
    batch = make.life(ended=False)
    await old.calls.append(batch)
    one, two_ = await two(url)
    assert await left(one) == [batch[0].call.id]
    assert await left(two_) == []
    await close(old, one, two_)


async def test_beats_are_counted_and_names_have_one_holder(url: str) -> None:
    one, two_ = await two(url)
    assert await one.nodes.others() == {"two": 0}
    assert await two_.nodes.beat(NOW)
    assert await two_.nodes.beat(NOW)
    assert await one.nodes.others() == {"two": 2}
    again = await Store.open(url, "a secret", node="two")
    await again.start(NOW)
    assert await one.nodes.others() == {"two": 3}
    assert not await two_.nodes.beat(NOW)
    assert await again.nodes.beat(NOW)
    # What stops is not buried by one of the same name that came after it.
    await two_.nodes.end()
    assert await one.nodes.others() == {"two": 4}
    await again.nodes.end()
    assert await one.nodes.others() == {}
    await one.nodes.bury(["one"])
    assert not await one.nodes.beat(NOW)
    await close(one, two_, again)


async def test_live_calls_of_a_name_without_a_row_are_seen(url: str, make: Any) -> None:
    one, two_ = await two(url)
    await two_.calls.append(make.life(ended=False))
    await two_.calls.append(make.life())
    await two_.nodes.end()
    assert await one.nodes.others() == {"two": None}
    assert len(await one.calls.adopt(["two"])) == 1
    assert await one.nodes.others() == {}
    await close(one, two_)


async def test_a_node_is_asked_to_end_what_it_has(url: str) -> None:
    one, two_ = await two(url)
    heard: asyncio.Queue[str] = asyncio.Queue()
    one.orders.listen(heard.put_nowait)
    if url.startswith("sqlite"):
        assert not await two_.orders.end("a call")
    else:
        while heard.empty():
            assert await two_.orders.end("a call's")
            await asyncio.sleep(0.02)
        assert heard.get_nowait() == "a call's"
        # It comes back to listening when its connection breaks.
        await one.database.write(_cut)
        while not heard.empty():
            heard.get_nowait()
        async with asyncio.timeout(10):
            while heard.empty():
                await two_.orders.end("again")
                await asyncio.sleep(0.05)
    await close(one, two_)


async def _cut(connection: AsyncConnection) -> None:
    await connection.execute(
        sa.text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND datname = current_database() AND query LIKE 'LISTEN%'"
        )
    )


async def test_keys_of_the_dead_are_freed_and_of_the_living_are_not(url: str) -> None:
    one, two_ = await two(url)
    await one.idempotency.begin("o", "k1", "h", NOW)
    await two_.idempotency.begin("o", "k2", "h", NOW)
    again = await Store.open(url, "a secret", node="one")
    await again.start(NOW)
    assert await again.idempotency.begin("o", "k1", "h", NOW) is None
    assert await again.idempotency.recover(["two"]) == 1
    assert await again.idempotency.begin("o", "k2", "h", NOW) is None
    await again.idempotency.finish("o", "k2", Answer(200, b"{}"))
    assert await again.idempotency.recover(["one", "two"]) == 1
    await close(one, two_, again)
