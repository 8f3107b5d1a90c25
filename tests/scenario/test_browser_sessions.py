"""A browser's session: a call without a leg, which ends by order or by its time."""

from __future__ import annotations

import pytest

from telephony.base.errors import StoreUnavailable
from telephony.calls.orders import RoomOrder, RoomResult
from tests.scenario.conftest import World

ORG = "org_default"
ORDER = RoomOrder(organization=ORG, identity="anna", metadata={"crm": 1}, language="de")


async def test_it_is_on_disk_before_it_is_handed_out_and_ends_by_order(world: World) -> None:
    told: list[RoomResult] = []

    async def before(result: RoomResult) -> None:
        assert result.session_id not in world.records.calls
        told.append(result)

    result = await world.switchboard.open(ORDER, before)
    assert told == [result]
    call = world.records.calls[result.session_id]
    assert (call.status.value, call.kind, call.direction.value) == ("connecting", "cascade", "web")
    assert (call.room, call.language, call.metadata) == (result.room_name, "de", {"crm": 1})
    assert result.room_name == f"call-{result.session_id}"
    ended = await world.switchboard.end(ORG, result.session_id)
    assert ended is not None
    assert ended.status == "ending"
    rows = await world.until_over(result.session_id)
    assert [row.event_type for row in rows] == ["call.initiated", "call.hangup"]
    assert rows[0].payload["identity"] == "anna"
    assert rows[-1].status == "canceled"
    report = world.records.reports[result.session_id]
    assert report.summary.startswith("Browser session")
    assert world.switchboard.live == 0


async def test_nobody_has_a_session_for_ever(world: World) -> None:
    result = await world.switchboard.open(
        RoomOrder(organization=ORG, identity="anna", max_duration_seconds=30)
    )
    world.clock.advance(29)
    world.switchboard.recovered(0, {result.session_id})
    await world.settle()
    assert world.switchboard.live == 1
    world.clock.advance(2)
    # Something to look up at: the time that the task waits for is the test's.
    world.switchboard.recovered(0, {result.session_id})
    rows = await world.until_over(result.session_id)
    assert rows[-1].event_type == "call.hangup"
    assert world.records.reports[result.session_id].failure_cause == "max_duration"


async def test_while_the_store_is_away_nothing_is_handed_out(world: World) -> None:
    async def refuse(result: RoomResult) -> None:
        raise StoreUnavailable("no")

    with pytest.raises(StoreUnavailable):
        await world.switchboard.open(ORDER, refuse)
    assert world.records.calls == {}
    assert world.switchboard.live == 0
