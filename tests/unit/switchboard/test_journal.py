"""The journal: groups in order, nothing lost while the store is away, ceilings that hold."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import pytest

from telephony.base.clock import ManualClock
from telephony.base.errors import StoreUnavailable
from telephony.calls.call import Call
from telephony.calls.events import DigitPressed, DigitsSent, Event
from telephony.calls.outcome import Status
from telephony.calls.ports import Append
from telephony.calls.public import CallEvent, publish
from telephony.calls.state import Direction
from telephony.switchboard.journal import Journal, JournalConfig

CLOCK = ManualClock()
FAST = JournalConfig(group_seconds=0.0, retry_seconds=0.0, retry_ceiling_seconds=0.0)


class Store:
    """A store that can be away, and remembers the groups it was given."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.away = False
        self.tries = 0
        self.asked = asyncio.Event()

    async def append(self, batch: Sequence[Append]) -> None:
        self.tries += 1
        self.asked.set()
        if self.away:
            raise StoreUnavailable("no disk")
        self.groups.append([item.event.seq for item in batch])

    async def unfinished(self) -> list[Call]:
        return []

    async def adopt(self, nodes: Collection[str]) -> list[Call]:
        return []

    async def events(self, session: str) -> list[CallEvent]:
        return []


def append(journal: Journal, seq: int, session: str = "a", event: Event | None = None) -> bool:
    call = Call(
        id=session,
        organization="org_default",
        direction=Direction.INBOUND,
        created_at=CLOCK.now(),
        updated_at=CLOCK.now(),
        status=Status.ACTIVE,
    )
    fact = event or DigitPressed(at=CLOCK.now(), leg="l", digit="1")
    row = publish(fact, call, seq=seq, event_id=f"evt_{seq}", created_at=CLOCK.now())
    return journal.append(Append(row, call))


async def test_what_comes_together_is_written_together_and_in_order() -> None:
    store = Store()
    journal = Journal(store, CLOCK, FAST)
    for seq in range(1, 101):
        append(journal, seq)
    journal.start()
    assert await journal.committed("a", 100, timeout=5)
    assert [seq for group in store.groups for seq in group] == list(range(1, 101))
    assert [len(group) for group in store.groups] == [64, 36]
    assert await journal.stop() == 0


async def test_committed_waits_for_its_own_event_only() -> None:
    store = Store()
    journal = Journal(store, CLOCK, FAST)
    append(journal, 1)
    assert not await journal.committed("a", 1, timeout=0.01)
    assert await journal.committed("never heard of", 7, timeout=0.01)
    journal.start()
    assert await journal.committed("a", 1, timeout=5)
    await journal.stop()


async def test_an_absent_store_loses_nothing_and_everyone_learns_how_long() -> None:
    store, told = Store(), list[tuple[float, set[str]]]()
    clock = ManualClock()
    journal = Journal(store, clock, FAST, lambda seconds, calls: told.append((seconds, calls)))
    store.away = True
    journal.start()
    append(journal, 1)
    append(journal, 1, "b")
    await store.asked.wait()
    await asyncio.sleep(0)
    assert journal.down
    clock.advance(12.5)
    append(journal, 2)
    store.away = False
    assert await journal.committed("a", 2, timeout=5)
    assert not journal.down
    assert told == [(12.5, {"a", "b"})]
    assert [seq for group in store.groups for seq in group] == [1, 1, 2]
    await journal.stop()


@pytest.mark.parametrize("over", ["call", "all"])
async def test_over_the_ceiling_what_moves_no_state_goes_first(over: str) -> None:
    store = Store()
    config = JournalConfig(
        call_ceiling=3 if over == "call" else 100, ceiling=100 if over == "call" else 3
    )
    journal = Journal(store, CLOCK, config)
    sent = DigitsSent(at=CLOCK.now(), leg="l", digits="1")
    assert append(journal, 1)
    assert append(journal, 2, event=sent)
    assert append(journal, 3)
    assert not append(journal, 4, event=sent)
    assert append(journal, 5)
    assert journal.dropped["a"] == 2
    assert journal.depth == 3
    journal.start()
    await journal.stop()
    assert [seq for group in store.groups for seq in group] == [1, 3, 5]


async def test_memory_stays_finite_when_the_store_never_returns() -> None:
    store = Store()
    journal = Journal(store, CLOCK, JournalConfig(call_ceiling=10, ceiling=10))
    taken = sum(append(journal, seq) for seq in range(1, 100))
    assert taken == 20
    assert journal.dropped["a"] == 79


async def test_stopping_says_what_could_not_be_written() -> None:
    store = Store()
    store.away = True
    journal = Journal(store, CLOCK, JournalConfig(group_seconds=0.0, retry_seconds=0.01))
    journal.start()
    append(journal, 1)
    assert await journal.stop(timeout=0.05) == 1


async def test_one_event_that_cannot_be_written_stops_no_other() -> None:
    store = Store()
    take = store.append

    async def refuse(batch: Sequence[Append]) -> None:
        if any(item.event.seq == 3 for item in batch):
            raise ValueError("a fault of ours")
        await take(batch)

    store.append = refuse  # type: ignore[method-assign]
    journal = Journal(store, CLOCK, FAST)
    for seq in range(1, 6):
        append(journal, seq)
    journal.start()
    assert await journal.committed("a", 5, timeout=5)
    assert sorted(seq for group in store.groups for seq in group) == [1, 2, 4, 5]
    assert journal.dropped["a"] == 1
    append(journal, 6)
    assert await journal.committed("a", 6, timeout=5)
    assert await journal.stop() == 0


async def test_what_makes_way_while_it_is_being_written_is_counted_once() -> None:
    """Else an event that came in meanwhile would pass for committed."""
    store = Store()
    take, turns = store.append, asyncio.Semaphore(0)

    async def slowly(batch: Sequence[Append]) -> None:
        store.asked.set()
        await turns.acquire()
        await take(batch)

    store.append = slowly  # type: ignore[method-assign]
    journal = Journal(store, CLOCK, JournalConfig(group_seconds=0, group_events=2, call_ceiling=2))
    append(journal, 1, event=DigitsSent(at=CLOCK.now(), leg="l", digits="1"))
    append(journal, 2)
    journal.start()
    await store.asked.wait()
    assert append(journal, 3)
    turns.release()
    assert await journal.committed("a", 2, timeout=5)
    assert not await journal.committed("a", 3, timeout=0.01)
    turns.release()
    assert await journal.committed("a", 3, timeout=5)
    await journal.stop()


async def test_who_waits_for_an_event_that_was_dropped_does_not_wait_for_ever() -> None:
    store = Store()
    journal = Journal(store, CLOCK, JournalConfig(group_seconds=0, call_ceiling=1, ceiling=1))
    assert append(journal, 1)
    assert append(journal, 2)
    assert not append(journal, 3)
    waiting = asyncio.create_task(journal.committed("a", 3))
    await asyncio.sleep(0)
    journal.start()
    assert not await asyncio.wait_for(waiting, 5)
    assert not await journal.committed("a", 3)
    await journal.stop()


class Held(Store):
    """A store that takes events when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.released = asyncio.Event()

    async def append(self, batch: Sequence[Append]) -> None:
        self.asked.set()
        await self.released.wait()
        await super().append(batch)


async def test_what_is_written_when_the_time_is_over_is_written() -> None:
    """After a stall both come in one turn of the loop: the disk's answer and the time-out."""
    store = Held()
    journal = Journal(store, CLOCK, FAST)
    journal.start()
    append(journal, 1)
    await store.asked.wait()
    waiting = asyncio.create_task(journal.committed("a", 1, 0))
    store.released.set()
    assert await waiting
    await journal.stop()
