"""Turns are posted in the background, again where they could not be, and never twice otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from telephony.agents import turns
from telephony.agents.service import Said
from telephony.agents.turns import TurnLog
from telephony.base.clock import ManualClock
from telephony.base.errors import Unavailable


class Posted:
    def __init__(self) -> None:
        self.batches: list[list[Said]] = []
        self.broken = False
        self.gate: asyncio.Event | None = None

    async def post_turns(self, turns: Sequence[Said]) -> None:
        self.batches.append(list(turns))
        if self.gate is not None:
            await self.gate.wait()
        if self.broken:
            raise Unavailable("away")

    def texts(self) -> list[list[str]]:
        return [[turn.text for turn in batch] for batch in self.batches]


async def test_a_turn_is_posted_when_it_begins_and_when_it_is_over() -> None:
    posted, clock = Posted(), ManualClock()
    log = TurnLog(posted, clock)
    index = log.begin("agent", "Hello there.")
    await log.flush()
    clock.advance(1.5)
    log.end(index, "Hello")
    await log.flush()
    assert posted.texts() == [["Hello there."], ["Hello"]]
    last = posted.batches[1][0]
    assert (last.index, last.started_at) == (0, "2026-01-05T09:00:00.000Z")
    assert last.ended_at == "2026-01-05T09:00:01.500Z"


async def test_what_changed_while_it_was_on_its_way_goes_again() -> None:
    posted = Posted()
    posted.gate = asyncio.Event()
    log = TurnLog(posted, ManualClock())
    index = log.begin("agent", "whole")
    await asyncio.sleep(0)
    log.end(index, "part")
    posted.gate.set()
    assert await log.flush()
    assert posted.texts() == [["whole"], ["part"]]


async def test_what_could_not_be_posted_goes_with_the_next() -> None:
    posted = Posted()
    posted.broken = True
    log = TurnLog(posted, ManualClock())
    log.add("user", "one")
    assert not await log.flush()
    posted.broken = False
    log.add("agent", "two")
    assert await log.flush()
    assert posted.texts() == [["one"], ["one", "two"]]


async def test_in_batches_of_what_the_contract_allows() -> None:
    posted = Posted()
    log = TurnLog(posted, ManualClock())
    for number in range(450):
        log.add("user", str(number))
    assert await log.flush()
    assert [len(batch) for batch in posted.batches] == [200, 200, 50]


async def test_a_ceiling_and_nobody_to_post_to() -> None:
    log = TurnLog(None, ManualClock())
    for _ in range(turns.MOST + 5):
        log.add("user", "x")
    assert len(log.turns) == turns.MOST
    assert await log.flush()
    await log.close()


async def test_closing_does_not_wait_for_ever() -> None:
    posted = Posted()
    posted.gate = asyncio.Event()
    log = TurnLog(posted, ManualClock())
    log.add("user", "x")
    assert not await log.flush(0.01)
    posted.gate.set()
    await log.close()
    assert posted.texts() == [["x"]]


def test_the_summary_is_the_end_of_it() -> None:
    said = Said(0, "user", "hello", "t"), Said(1, "agent", "hi", "t")
    log = TurnLog(None, ManualClock(), said)
    assert log.summary() == "user: hello\nagent: hi"
    assert log.summary(9) == "agent: hi"
