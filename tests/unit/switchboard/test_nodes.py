"""Who is dead among the nodes, and what is done about it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import pytest

from telephony.base.clock import ManualClock
from telephony.base.errors import StoreUnavailable
from telephony.calls.call import Call
from telephony.calls.outcome import Status
from telephony.calls.ports import Append
from telephony.calls.public import CallEvent
from telephony.calls.state import Direction
from telephony.switchboard.nodes import Nodes, NodesConfig, Watch

CLOCK = ManualClock()


def test_who_stands_still_for_so_many_looks_is_dead() -> None:
    watch = Watch(3)
    looks = [watch.look({"a": beat, "b": 7}) for beat in range(5)]
    # The first look only says where each stands.
    assert looks == [set(), set(), set(), {"b"}, {"b"}]


def test_one_beat_is_enough_to_live() -> None:
    watch = Watch(2)
    assert [watch.look({"a": beat}) for beat in (1, 1, 2, 2, 3, 3, 3)] == [
        set(), set(), set(), set(), set(), set(), {"a"},
    ]  # fmt: skip


def test_who_comes_back_begins_anew_and_who_has_no_row_is_dead_at_once() -> None:
    watch = Watch(1)
    assert watch.look({"a": 1, "b": None}) == {"b"}
    assert watch.look({}) == set()
    assert watch.look({"a": 1}) == set()
    assert watch.look({"a": 1}) == {"a"}


class Store:
    """``NodeStore`` and ``CallStore`` of a node among others that never beat again."""

    def __init__(self, others: dict[str, int | None], calls: list[Call]) -> None:
        self.rows = others
        self.calls = calls
        self.mine = True
        self.began = 0

    async def begin(self, now: datetime) -> None:
        self.began += 1
        self.mine = True

    async def beat(self, now: datetime) -> bool:
        return self.mine

    async def others(self) -> dict[str, int | None]:
        return dict(self.rows)

    async def bury(self, dead: Collection[str]) -> None:
        for node in dead:
            del self.rows[node]

    async def end(self) -> None:
        raise AssertionError("nobody stops here")

    async def append(self, batch: Sequence[Append]) -> None:
        raise AssertionError("closing is another's")

    async def unfinished(self) -> list[Call]:
        raise AssertionError("a start's, not a watch's")

    async def adopt(self, nodes: Collection[str]) -> list[Call]:
        found, self.calls = self.calls, []
        return found if "dead" in nodes else []

    async def events(self, session: str) -> list[CallEvent]:
        return []


def call(session: str) -> Call:
    now = CLOCK.now()
    return Call(
        id=session, organization="o", direction=Direction.INBOUND, created_at=now, updated_at=now,
        status=Status.ACTIVE,
    )  # fmt: skip


async def test_the_dead_are_closed_freed_and_buried_once() -> None:
    store = Store({"dead": 4}, [call("a"), call("b")])
    closed: list[str] = []
    freed: list[set[str]] = []

    async def close(one: Call) -> None:
        closed.append(one.id)

    async def free(dead: Collection[str]) -> None:
        freed.append(set(dead))

    nodes = Nodes(store, store, close, free, CLOCK, NodesConfig(patience=2))
    for _ in range(5):
        await nodes.turn()
    assert sorted(closed) == ["a", "b"]
    assert freed == [{"dead"}]
    assert store.rows == {}


async def test_a_call_that_is_ours_by_now_is_closed_once_the_store_is_back() -> None:
    store = Store({"dead": None}, [call("a"), call("b")])
    closed: list[str] = []
    away = True

    async def close(one: Call) -> None:
        if away:
            raise StoreUnavailable("away")
        closed.append(one.id)

    async def free(dead: Collection[str]) -> None:
        return None

    nodes = Nodes(store, store, close, free, CLOCK)
    with pytest.raises(StoreUnavailable):
        await nodes.turn()
    away = False
    await nodes.turn()
    assert sorted(closed) == ["a", "b"]


async def test_who_was_buried_alive_is_here_again() -> None:
    store = Store({}, [])
    store.mine = False

    async def nothing(one: object) -> None:
        return None

    nodes = Nodes(store, store, nothing, nothing, CLOCK)
    await nodes.turn()
    await nodes.turn()
    assert store.began == 1
