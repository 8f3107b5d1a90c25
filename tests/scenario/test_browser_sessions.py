"""A browser's session: a call without a leg, from its first row to its last."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from telephony.base.errors import (
    BadInput,
    Busy,
    Conflict,
    NotFound,
    StoreUnavailable,
    TelephonyError,
    Unavailable,
)
from telephony.calls.orders import RoomOrder, RoomResult
from telephony.calls.ports import Recorded
from telephony.calls.public import CallEvent
from telephony.switchboard.recover import recover
from telephony.switchboard.switchboard import Switchboard
from telephony.testing.web import FakeWeb
from tests.scenario.conftest import Records, World

ORG = "org_default"
ORDER = RoomOrder(
    organization=ORG,
    identity="anna",
    metadata={"crm": 1},
    language="de",
    prompt="Be kind.",
    ttl_seconds=600,
)


class Web:
    """A world whose rooms browsers come to."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rooms = FakeWeb(world.clock)
        kit = replace(world.kit, agents=self.rooms, attendance=self.rooms)
        self.board = world.switchboard = Switchboard(
            kit, world.records, world.switchboard._dialplans, None
        )

    async def open(self, order: RoomOrder = ORDER) -> RoomResult:
        result = await self.board.open(order)
        await self.world.settle()
        return result

    async def both(self, order: RoomOrder = ORDER) -> RoomResult:
        """A session that has begun."""
        result = await self.open(order)
        self.rooms.agent_comes(result.room_name)
        self.rooms.browser_comes(result.room_name)
        await self.world.settle()
        return result

    async def wait(self, seconds: float, session: str) -> None:
        """Time passes, and the task that waits for the test's time looks up."""
        self.world.clock.advance(seconds)
        self.board.recovered(0, {session})
        await self.world.settle()
        self.board.recovered(0, {session})
        await self.world.settle()

    def types(self, session: str) -> list[str]:
        rows = self.world.records.rows[session]
        return [r.event_type for r in rows if r.event_type != "call.records.delayed"]

    async def over(self, session: str) -> tuple[CallEvent, str, str | None]:
        """The last row, the report's outcome, and its cause."""
        rows = await self.world.until_over(session)
        report = self.world.records.reports[session]
        return rows[-1], report.outcome, report.failure_cause


@pytest.fixture
async def web(world: World) -> AsyncIterator[Web]:
    yield Web(world)


async def test_it_is_on_disk_before_it_is_handed_out(web: Web) -> None:
    told: list[RoomResult] = []

    async def before(result: RoomResult) -> None:
        assert result.session_id not in web.world.records.calls
        assert web.rooms.called == []
        told.append(result)

    result = await web.board.open(ORDER, before)
    assert told == [result]
    call = web.world.records.calls[result.session_id]
    assert (call.status.value, call.kind, call.direction.value) == ("connecting", "cascade", "web")
    assert (call.room, call.language, call.metadata) == (result.room_name, "de", {"crm": 1})
    assert result.room_name == f"call-{result.session_id}"
    ((room, dispatch),) = web.rooms.called
    assert (room, dispatch.agent_name) == (result.room_name, "desk")
    assert web.rooms.made == [(room, 660)]
    metadata = json.loads(dispatch.metadata)
    assert metadata["session_id"] == result.session_id
    assert metadata["identity"] == "anna"
    assert metadata["participant_kind"] == "browser"
    assert metadata["agent"]["prompt"] == "Be kind."


async def test_from_the_first_row_to_the_last(web: Web) -> None:
    result = await web.both()
    session = result.session_id
    call = web.world.records.calls[session]
    assert call.status.value == "active"
    assert call.answered_at is not None
    web.world.clock.advance(43)
    web.rooms.browser_goes(result.room_name)
    await web.world.settle()
    await web.wait(11, session)
    last, outcome, cause = await web.over(session)
    assert web.types(session) == [
        "call.initiated",
        "room_started",
        "agent.dispatched",
        "worker.room_connected",
        "room.participant_joined",
        "call.answered",
        "room.participant_left",
        "room_finished",
        "call.hangup",
    ]
    assert (last.status, last.payload["ended_by"], outcome, cause) == (
        "ended",
        "caller",
        "completed",
        None,
    )
    assert web.world.records.calls[session].duration_seconds == 54
    report = web.world.records.reports[session]
    assert report.summary == "Browser session: answered, 54 s; ended by the caller."
    assert report.timings.duration_ms == 54_000
    assert web.rooms.deleted == [result.room_name]
    assert web.rooms.watched == set()
    assert web.board.live == 0


async def test_the_agent_ends_it_by_closing_the_room(web: Web) -> None:
    result = await web.both()
    web.rooms.somebody_closes(result.room_name)
    last, outcome, _ = await web.over(result.session_id)
    assert (last.status, last.payload["ended_by"], outcome) == ("ended", "agent", "completed")
    assert web.types(result.session_id).count("room_finished") == 1


async def test_the_api_ends_it_and_the_room_is_closed(web: Web) -> None:
    result = await web.both()
    ended = await web.board.end(ORG, result.session_id)
    assert ended is not None
    assert ended.status == "ending"
    last, outcome, _ = await web.over(result.session_id)
    assert (last.status, last.payload["ended_by"], outcome) == ("ended", "api", "completed")
    assert web.rooms.deleted == [result.room_name]
    again = await web.board.end(ORG, result.session_id)
    assert again is not None
    assert again.status == "already_ended"


async def test_ended_before_anybody_came_it_is_canceled(web: Web) -> None:
    result = await web.open()
    await web.board.end(ORG, result.session_id)
    last, _, cause = await web.over(result.session_id)
    assert (last.status, cause) == ("canceled", "canceled")
    assert web.types(result.session_id) == [
        "call.initiated",
        "room_started",
        "agent.dispatched",
        "room_finished",
        "call.hangup",
    ]


async def test_a_token_that_nobody_used_ends_it(web: Web) -> None:
    result = await web.open()
    await web.wait(599, result.session_id)
    assert web.board.live == 1
    await web.wait(2, result.session_id)
    last, _, cause = await web.over(result.session_id)
    assert (last.status, cause) == ("no_answer", "no_answer")


async def test_nobody_has_a_session_for_ever(web: Web) -> None:
    """The longest duration counts from the beginning, however long somebody waited for it."""
    result = await web.open(replace(ORDER, max_duration_seconds=30))
    await web.wait(500, result.session_id)
    web.rooms.agent_comes(result.room_name)
    web.rooms.browser_comes(result.room_name)
    await web.world.settle()
    await web.wait(29, result.session_id)
    assert web.board.live == 1
    await web.wait(2, result.session_id)
    _, outcome, cause = await web.over(result.session_id)
    assert (outcome, cause) == ("completed", "max_duration")


async def test_an_agent_that_never_comes_is_called_twice(web: Web) -> None:
    result = await web.open()
    web.rooms.browser_comes(result.room_name)
    await web.world.settle()
    await web.wait(21, result.session_id)
    assert len(web.rooms.called) == 2
    await web.wait(21, result.session_id)
    last, _, cause = await web.over(result.session_id)
    assert (last.status, cause) == ("failed", "agent_unavailable")
    assert web.rooms.deleted == [result.room_name]


async def test_an_agent_that_cannot_be_called_again_is_said(web: Web) -> None:
    result = await web.both()
    web.rooms.agent_goes(result.room_name)
    await web.world.settle()
    web.rooms.fault = Unavailable("the server is away")
    await web.wait(4, result.session_id)
    last, outcome, cause = await web.over(result.session_id)
    assert (last.status, outcome, cause) == ("ended", "dropped", "agent_unavailable")
    assert "agent.dispatch_failed" in web.types(result.session_id)
    # The server is away for the closing too: that the room is gone nobody knows.
    finished = [r for r in web.world.records.rows[result.session_id] if "finished" in r.event_type]
    assert [row.payload["reason"] for row in finished] == ["lost"]


async def test_where_nobody_can_be_called_there_is_no_session(web: Web) -> None:
    web.rooms.fault = Unavailable("no")
    with pytest.raises(TelephonyError) as raised:
        await web.board.open(ORDER)
    assert raised.value.code == "SESSION_CREATE_FAILED"
    (session,) = web.world.records.calls
    last, _, cause = await web.over(session)
    assert (last.status, cause) == ("failed", "agent_unavailable")
    assert web.types(session) == ["call.initiated", "agent.dispatch_failed", "call.hangup"]
    assert web.board.live == 0


async def test_ended_while_its_agent_is_being_called_it_leaves_no_room(web: Web) -> None:
    web.rooms.gate.clear()
    opening = asyncio.create_task(web.board.open(ORDER))
    await web.world.settle()
    (session,) = web.world.records.calls
    await web.board.end(ORG, session)
    await web.over(session)
    web.rooms.gate.set()
    with pytest.raises(TelephonyError) as raised:
        await opening
    assert raised.value.code == "SESSION_CREATE_FAILED"
    await web.world.settle()
    assert web.rooms.rooms == set()
    assert web.types(session) == ["call.initiated", "call.hangup"]


async def test_ended_while_a_second_agent_is_being_called_too(web: Web) -> None:
    result = await web.both()
    web.rooms.agent_goes(result.room_name)
    web.rooms.gate.clear()
    await web.world.settle()
    await web.wait(4, result.session_id)
    await web.board.end(ORG, result.session_id)
    await web.over(result.session_id)
    web.rooms.gate.set()
    await web.world.settle()
    assert len(web.rooms.called) == 2
    assert web.rooms.rooms == set()


async def test_what_is_wrong_is_said_before_anything_is_kept(web: Web) -> None:
    with pytest.raises(NotFound):
        await web.board.open(replace(ORDER, agent="agent_nobody"))
    with pytest.raises(BadInput, match="name"):
        await web.board.open(replace(ORDER, prompt="Hello {{name}}", variables={}))
    with pytest.raises(BadInput, match="systemPrompt"):
        await web.board.open(replace(ORDER, prompt="x" * 70_000))
    web.rooms.problem = "no worker"
    with pytest.raises(Unavailable, match="no worker"):
        await web.board.open(ORDER)
    assert web.world.records.calls == {}
    assert web.board.live == 0


async def test_while_the_store_is_away_nothing_is_handed_out(web: Web) -> None:
    async def refuse(result: RoomResult) -> None:
        raise StoreUnavailable("no")

    with pytest.raises(StoreUnavailable):
        await web.board.open(ORDER, refuse)
    assert web.world.records.calls == {}
    assert web.rooms.called == []
    assert web.board.live == 0


async def test_what_a_dead_process_left_open_is_closed_with_its_room(web: Web) -> None:
    result = await web.both()
    session, world = result.session_id, web.world
    left = Records()
    left.calls[session] = world.records.calls[session]
    left.rows[session] = list(world.records.rows[session])
    nothing = Recorded(Path("x"), 0, 0, "failed", "no recording")
    closed = await recover(left, world.clock, world.kit.ids, lambda path: nothing)
    assert [call.id for call in closed] == [session]
    assert [row.event_type for row in left.rows[session][-2:]] == ["room_finished", "call.hangup"]
    assert left.reports[session].failure_cause == "interrupted"


# --- into a session that is under way ------------------------------------------------------


async def test_texts_reach_the_agent_one_after_another(web: Web) -> None:
    result = await web.both()
    call = web.world.records.calls[result.session_id]
    first = await web.board.tell(call, "long " * 3200, "respond")
    second = await web.board.tell(call, "on checkout", "context")
    await web.world.settle()
    packets = [json.loads(data) for _, data, _ in web.rooms.sent]
    assert [(p["type"], p["message_id"]) for p in packets] == [
        ("contextual_update", first),
        ("user_message", first),
        ("contextual_update", second),
    ]
    assert {room for room, _, _ in web.rooms.sent} == {result.room_name}
    rows = [r for r in web.world.records.rows[result.session_id] if "message" in r.event_type]
    assert [(row.payload["messageId"], row.status) for row in rows] == [
        (first, "accepted"),
        (second, "accepted"),
        (first, "delivered"),
        (second, "delivered"),
    ]
    assert all("checkout" not in json.dumps(row.payload) for row in rows)
    # What became of a text says nothing of the call.
    assert web.world.records.calls[result.session_id].status.value == "active"


async def test_a_text_that_nobody_gets_has_failed(web: Web) -> None:
    result = await web.both()
    web.rooms.fault = Unavailable("the server is away")
    await web.board.tell(web.world.records.calls[result.session_id], "Hi", "respond")
    await web.world.settle()
    row = web.world.records.rows[result.session_id][-1]
    assert (row.event_type, row.status) == ("call.message_sent", "failed")
    assert row.payload["error"] == "the server is away"


async def test_too_many_texts_at_once_are_refused(web: Web) -> None:
    call = web.world.records.calls[(await web.both()).session_id]
    for _ in range(100):
        await web.board.tell(call, "Hi", "context")
    with pytest.raises(Busy):
        await web.board.tell(call, "Hi", "context")
    await web.world.settle()
    await web.board.tell(call, "Hi", "context")


async def test_a_colleague_is_told_where_and_not_once_it_is_over(web: Web) -> None:
    result = await web.both()
    call = web.world.records.calls[result.session_id]
    where = await web.board.join(call, "web_1", 300)
    assert (where.room_name, where.identity) == (result.room_name, "web_1")
    assert (where.expires_at - web.world.clock.now()).total_seconds() == 300
    await web.board.end(ORG, result.session_id)
    await web.over(result.session_id)
    with pytest.raises(Conflict):
        await web.board.join(call, "web_1", 300)
    over = web.world.records.calls[result.session_id]
    with pytest.raises(Conflict):
        await web.board.join(over, "web_1", 300)
    with pytest.raises(Conflict) as raised:
        await web.board.tell(over, "Hi", "respond")
    assert raised.value.code == "CALL_NOT_LIVE"


async def test_a_text_for_a_call_that_another_process_has(web: Web) -> None:
    result = await web.both()
    call = web.world.records.calls[result.session_id]
    other = Switchboard(
        replace(web.world.kit, agents=web.rooms, attendance=web.rooms), web.world.records, {}, None
    )
    message = await other.tell(call, "Hi", "respond")
    ((room, data, _),) = web.rooms.sent
    assert (room, json.loads(data)["message_id"]) == (result.room_name, message)
    assert (await other.join(call, "web_1", 300)).room_name == result.room_name
    web.rooms.rooms.clear()
    with pytest.raises(Conflict):
        await other.tell(call, "Hi", "respond")
    with pytest.raises(Conflict):
        await other.join(call, "web_1", 300)
