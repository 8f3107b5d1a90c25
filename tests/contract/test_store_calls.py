"""CallStore and CallReader."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from telephony.base.errors import BadInput
from telephony.calls.ports import Append, CallFilter

ORG = "org_default"


async def test_what_was_appended_is_read_back_whole(store: Any, make: Any) -> None:
    batch = make.life()
    await store.calls.append(batch)
    call = batch[-1].call
    assert await store.calls.get(ORG, call.id) == call
    assert await store.calls.events(call.id) == [item.event for item in batch]
    assert await store.calls.events_of(ORG, call.id) == [item.event for item in batch]
    assert await store.calls.report(ORG, call.id) == batch[-1].report


async def test_a_foreign_id_is_no_id(store: Any, make: Any) -> None:
    batch = make.life()
    await store.calls.append(batch)
    call = batch[-1].call
    assert await store.calls.get("org_other", call.id) is None
    assert await store.calls.events_of("org_other", call.id) == []
    assert await store.calls.report("org_other", call.id) is None
    assert await store.calls.page("org_other", CallFilter(), 10, None) == ([], None)


async def test_an_empty_batch_is_nothing(store: Any) -> None:
    await store.calls.append([])


async def test_a_batch_may_come_again(store: Any, make: Any) -> None:
    batch = make.life()
    await store.calls.append(batch[:3])
    await store.calls.append(batch)
    again = replace(batch[0].event, id="evt_other", payload={"seq": 1, "changed": True})
    await store.calls.append([Append(again, batch[-1].call, batch[-1].report)])
    assert await store.calls.events(batch[0].call.id) == [item.event for item in batch]


async def test_a_batch_of_many_calls_leaves_each_as_its_last_event_did(
    store: Any, make: Any
) -> None:
    lives = [make.life() for _ in range(5)]
    mixed = [life[step] for step in range(4) for life in lives]
    await store.calls.append(mixed[:7])
    await store.calls.append(mixed[7:])
    for life in lives:
        assert await store.calls.get(ORG, life[0].call.id) == life[-1].call
        assert [e.seq for e in await store.calls.events(life[0].call.id)] == [1, 2, 3, 4]


async def test_only_calls_that_never_ended_are_unfinished(store: Any, make: Any) -> None:
    alive = [make.life(ended=False) for _ in range(2)]
    for batch in (*alive, make.life()):
        await store.calls.append(batch)
    assert await store.calls.unfinished() == [batch[-1].call for batch in alive]


async def test_pages_are_newest_first_and_stay_so_while_calls_come_in(
    store: Any, make: Any
) -> None:
    made = []
    for _ in range(7):
        batch = make.life()
        await store.calls.append(batch)
        made.append(batch[-1].call)
    seen = []
    cursor = None
    for _ in range(10):
        page, cursor = await store.calls.page(ORG, CallFilter(), 2, cursor)
        seen += page
        await store.calls.append(make.life())
        if cursor is None:
            break
    assert seen == made[::-1]


async def test_calls_of_one_instant_are_each_on_one_page(store: Any, make: Any) -> None:
    now = make.clock.now()
    made = set()
    for _ in range(5):
        call = make.call(created_at=now)
        made.add(call.id)
        await store.calls.append(make.life(call))
    first, cursor = await store.calls.page(ORG, CallFilter(), 3, None)
    rest, last = await store.calls.page(ORG, CallFilter(), 3, cursor)
    assert last is None
    assert {c.id for c in first} | {c.id for c in rest} == made
    assert len(first) + len(rest) == 5
    # The same place, told by time and id; and by the time alone nothing is after it.
    after = CallFilter(after=(now, first[-1].id))
    assert await store.calls.page(ORG, after, 3, None) == (rest, None)
    assert await store.calls.page(ORG, CallFilter(after=(now, "")), 3, None) == ([], None)
    later = CallFilter(after=(now + timedelta(microseconds=1), ""))
    assert await store.calls.page(ORG, later, 3, None) == (first, cursor)


async def test_a_page_that_is_exactly_full_is_the_last(store: Any, make: Any) -> None:
    await store.calls.append(make.life())
    page, cursor = await store.calls.page(ORG, CallFilter(), 1, None)
    assert len(page) == 1
    assert cursor is None


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "%%%", "AAAA", "ü", "MjAyNi0wMS0wNVQwOTowMDowMCB4", "x" * 500],
)
async def test_a_bad_cursor_is_bad_input(store: Any, cursor: str) -> None:
    with pytest.raises(BadInput) as caught:
        await store.calls.page(ORG, CallFilter(), 2, cursor)
    assert caught.value.field == "cursor"


async def test_filters_are_all_asked(store: Any, make: Any) -> None:
    start = make.clock.now()
    one = make.life(make.call(agent="agent_1", kind="cascade"))
    two = make.life(make.call(agent="agent_1"), ended=False)
    for batch in (one, two):
        await store.calls.append(batch)

    async def ids(**chosen: Any) -> list[str]:
        return [c.id for c in (await store.calls.page(ORG, CallFilter(**chosen), 10, None))[0]]

    first, second = one[0].call.id, two[0].call.id
    assert await ids() == [second, first]
    assert await ids(status="ended") == [first]
    assert await ids(status="active") == [second]
    assert await ids(kind="cascade") == [first]
    assert await ids(agent="agent_1") == [second, first]
    assert await ids(agent="agent_1", status="active") == [second]
    assert await ids(agent="agent_2") == []
    assert await ids(since=two[0].call.created_at) == [second]
    assert await ids(until=two[0].call.created_at) == [first]
    assert await ids(since=start, until=start + timedelta(days=1)) == [second, first]


async def test_what_the_wire_brought_is_kept_as_text(store: Any, make: Any) -> None:
    odd = "+49\udcff\x00'; DROP TABLE calls; --\u2028🎧"
    call = make.call(
        from_number=odd, metadata={"odd": odd, odd: ["\ud800", 1.5]}, dialplan="../" + odd
    )
    batch = make.life(call)
    event = replace(batch[0].event, sip_status=odd, payload={"seq": 1, "reason": odd})
    await store.calls.append([replace(batch[0], event=event), *batch[1:]])
    kept = await store.calls.get(ORG, call.id)
    assert "DROP TABLE" in kept.from_number
    assert (await store.calls.events(call.id))[0].seq == 1
    page, _ = await store.calls.page(ORG, CallFilter(), 10, None)
    assert len(page) == 1


async def test_old_recordings_are_listed_until_they_are_forgotten(store: Any, make: Any) -> None:
    made = []
    for name in ("a.wav", "b.wav"):
        call = make.call(recording_path=name, recording_status="ready", recording_ms=2000)
        await store.calls.append(make.life(call))
        made.append(call.id)
    await store.calls.append(make.life())
    await store.calls.append(make.life(make.call(recording_path="live.wav"), ended=False))
    make.clock.advance(3600)
    found = await store.calls.recordings_before(make.clock.now())
    assert [(r.session, r.path) for r in found] == [
        (made[0], Path("a.wav")),
        (made[1], Path("b.wav")),
    ]
    assert await store.calls.recordings_before(found[0].ended_at) == []
    assert len(await store.calls.recordings_before(make.clock.now(), limit=1)) == 1
    await store.calls.forget_recording(made[0])
    assert [r.session for r in await store.calls.recordings_before(make.clock.now())] == made[1:]
    call = await store.calls.get(ORG, made[0])
    assert (call.recording_path, call.recording_status, call.recording_ms) == (None, None, None)
