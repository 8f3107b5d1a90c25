"""What was acknowledged survives the process that was told so."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from telephony.store import Store

CHILD = """
import asyncio, random, sys
from telephony.base.clock import ManualClock
from telephony.base.ids import Ids
from telephony.calls.call import Call
from telephony.calls.events import DigitPressed
from telephony.calls.outcome import Status
from telephony.calls.ports import Append
from telephony.calls.public import publish
from telephony.calls.state import Direction
from telephony.store import Store

async def main():
    store = await Store.open(sys.argv[1], "secret")
    clock = ManualClock()
    ids = Ids(random.Random(1), clock)
    now = clock.now()
    call = Call(id="c1", organization="o", direction=Direction.INBOUND, created_at=now,
                updated_at=now, status=Status.ACTIVE)
    seq = 0
    while True:
        batch = []
        for _ in range(5):
            seq += 1
            event = DigitPressed(at=now, leg="l", digit="1")
            batch.append(Append(publish(event, call, seq=seq, event_id=ids.make("evt"),
                                        created_at=now), call))
        await store.calls.append(batch)
        print(seq, flush=True)

asyncio.run(main())
"""


def killed_after(acknowledged: int, url: str) -> int:
    """Kill the child after that many words of it; the last ``seq`` that it acknowledged."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, url], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        words = [child.stdout.readline() for _ in range(acknowledged)]
        child.kill()
        words += child.stdout.read().splitlines(keepends=True)
    return int([word for word in words if word.endswith("\n")][-1])


@pytest.mark.parametrize("acknowledged", [1, 7, 40])
async def test_what_was_acknowledged_is_there_after_a_kill(url: str, acknowledged: int) -> None:
    seen = await asyncio.to_thread(killed_after, acknowledged, url)
    store = await Store.open(url, "secret")
    rows = await store.calls.events("c1")
    # Whole groups only, nothing between, nothing lost; one more may have been committed
    # whose word did not get out.
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) in (seen, seen + 5)
    assert [call.id for call in await store.calls.unfinished()] == ["c1"]
    await store.close()
