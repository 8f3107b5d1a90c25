"""What an agent says was said, and how news of a call reaches whoever waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from telephony.calls.record import Turn
from telephony.store import Store

ORG = "org_default"


def turn(make: Any, index: int, text: str, **members: Any) -> Turn:
    values: dict[str, Any] = {
        "id": "",
        "index": index,
        "source": "user",
        "text": text,
        "started_at": make.clock.now(),
        "metadata": {"provider": "p", "model": None},
    }
    return Turn(**(values | members))


async def test_turns_are_kept_by_index_and_replaced(store: Any, make: Any) -> None:
    call = make.call()
    await store.calls.append(make.life(call))
    first, second = turn(make, 0, "hello"), turn(make, 4, "who is there?", source="agent")
    assert await store.calls.put_turns(ORG, call.id, [second, first]) is True
    corrected = replace(second, text="Who is there?", ended_at=make.clock.now())
    assert await store.calls.put_turns(ORG, call.id, [corrected]) is True
    found = await store.calls.turns_of(ORG, call.id)
    assert [replace(t, id="") for t in found] == [first, corrected]
    assert [t.id for t in found] == [f"turn_{call.id}_0", f"turn_{call.id}_4"]


async def test_turns_of_another_organization_are_neither_read_nor_written(
    store: Any, make: Any
) -> None:
    call = make.call()
    await store.calls.append(make.life(call))
    assert await store.calls.put_turns("org_other", call.id, [turn(make, 0, "x")]) is False
    assert await store.calls.put_turns(ORG, "no such call", [turn(make, 0, "x")]) is False
    await store.calls.put_turns(ORG, call.id, [turn(make, 0, "x")])
    assert await store.calls.turns_of("org_other", call.id) == []


async def test_events_after_one_that_is_known(store: Any, make: Any) -> None:
    call = make.call()
    await store.calls.append(make.life(call))
    assert [e.seq for e in await store.calls.events_of(ORG, call.id, 2)] == [3, 4]
    assert await store.calls.events_of("org_other", call.id, 2) == []


async def told(changed: asyncio.Event) -> None:
    await asyncio.wait_for(changed.wait(), 5)
    changed.clear()


async def test_who_watches_a_call_is_told_of_each_write(store: Any, make: Any) -> None:
    call, other = make.call(), make.call()
    life = make.life(call)
    told_of: list[str] = []
    stop = store.calls.changes.watch(call.id, lambda: told_of.append("call"))
    await store.calls.append(make.life(other))
    await store.calls.append(life[:2])
    await asyncio.sleep(0)
    assert "call" in told_of
    told_of.clear()
    await store.calls.put_turns(ORG, call.id, [turn(make, 0, "x")])
    assert told_of
    stop()
    await asyncio.sleep(0)
    told_of.clear()
    await store.calls.append(life[2:])
    assert told_of == []


async def test_what_another_process_writes_is_told_too(url: str, make: Any) -> None:
    here, there = [await Store.open(url, "s") for _ in range(2)]
    call = make.call()
    life = make.life(call)
    await there.calls.append(life[:1])
    changed = asyncio.Event()
    stop: Callable[[], None] = here.calls.changes.watch(call.id, changed.set)
    # The first word only says that the watch has begun.
    await told(changed)
    for item in life[1:]:
        await there.calls.append([item])
        await told(changed)
        assert (await here.calls.events_of(ORG, call.id))[-1].seq == item.event.seq
    await there.calls.put_turns(ORG, call.id, [turn(make, 0, "x")])
    await told(changed)
    stop()
    for store in (here, there):
        await store.close()
