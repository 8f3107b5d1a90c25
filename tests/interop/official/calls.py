"""Calls as the official client sees them: real ones, over a trunk to a softphone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from telephony.base.clock import iso
from telephony.testing.softphone import PhoneCall, Softphone
from tests.interop.official.kit import TO, World


@asynccontextmanager
async def dialled(world: World, **order: Any) -> AsyncIterator[tuple[Any, PhoneCall]]:
    """What ``voice.dial`` returned, and the call that it made, answered at the far end."""
    async with Softphone("gateway", port=world.gateway) as far:
        placed = await world.call("voice.dial", {"to": TO, **order})
        call = await far.incoming(10)
        assert TO in call.request.uri
        call.ring()
        await call.answer()
        yield placed, call
        call.hangup()


async def hears(world: World, session: str, call: PhoneCall) -> None:
    """Until the first sentence is over: it was said, and sound came of it."""
    await asyncio.to_thread(world.service.api.wait, session, "call.prompt.played")
    assert call.sound.received > 50


async def over(world: World, session: str) -> None:
    await asyncio.to_thread(world.service.api.ended, session)


async def a_call_is_placed_seen_and_ended(world: World) -> None:
    order = {
        "from": "+12025550100",
        "intent": {"language": "en", "region": None, "optimize_for": "latency"},
        "voice": None,
        "first_message": "Hello there",
        "variables": {"name": "Ada"},
        "metadata": {"dialplan": "official", "ticket": "T-7"},
        "max_duration_seconds": 120,
    }
    async with dialled(world, **order) as (placed, call):
        assert (placed.status, placed.to, placed.from_) == ("dialing", TO, "+12025550100")
        assert placed.call_control_id and placed.room_name
        session = placed.session_id
        await asyncio.to_thread(world.service.api.wait, session, "call.answered")
        live = await world.call("calls.get", session)
        assert (live.id, live.call_id, live.status) == (session, session, "active")
        assert (live.ended_at, live.report, live.language) == (None, None, "en")
        assert live.metadata["ticket"] == "T-7"
        early = await world.call.fails("calls.report", session)
        assert early.status == 404
        await hears(world, session, call)
        ended = await world.call("calls.end", session)
        assert ended.status == "ending"
        await call.ended(10)
    await over(world, session)
    again = await world.call("calls.end", session)
    assert again.status == "already_ended"

    detail = await world.call("calls.get", session)
    assert detail.status == "ended"
    assert detail.ended_at is not None and detail.duration_seconds is not None
    events = await world.call("calls.events", session)
    names = [event.event_type for event in events]
    assert names.index("call.initiated") < names.index("call.ringing")
    assert names.index("call.ringing") < names.index("call.answered")
    assert names[-1] == "call.hangup"
    assert {event.session_id for event in events} == {session}
    assert len({event.id for event in events}) == len(events)

    report = await world.call("calls.report", session)
    assert report.session_id == session
    assert report.outcome and report.summary
    assert report.metadata["ticket"] == "T-7"
    total = sum(int(line.cost_micro_usd) for line in report.cost_breakdown)
    assert int(report.cost_micro_usd) == total
    assert total == 10_000, "a minute begun is a minute"
    made_again = await world.call("calls.finalize_report", session, {"force_analysis": True})
    assert (made_again.session_id, made_again.cost_micro_usd) == (session, "10000")
    assert (made_again.outcome, made_again.summary) == (report.outcome, report.summary)
    assert await world.call("calls.finalize_report", session) == made_again
    await _is_charged(world, session)

    said = await world.call("sessions.transcript", session)
    assert [entry.index for entry in said.entries] == list(range(len(said.entries)))
    assert said.entries[0].source == "agent"
    assert "official client" in said.entries[0].text
    assert [e.text for e in detail.transcript.entries] == [e.text for e in said.entries]

    found = await world.call("calls.recording", session)
    wav = await asyncio.to_thread(httpx.get, found.url)
    assert wav.status_code == 200 and wav.content[:4] == b"RIFF"


async def _is_charged(world: World, session: str) -> None:
    """Once, however often the report was made; and usage says the same as the ledger."""
    balance = await world.call("credits.get_balance")
    entries = (await world.call("credits.get_ledger", limit=100)).entries
    mine = [entry for entry in entries if entry.session_id == session]
    assert [(entry.kind, entry.amount_micro_usd) for entry in mine] == [("debit", "-10000")]
    assert round(balance.balance_usd * 1_000_000) == sum(int(e.amount_micro_usd) for e in entries)
    assert balance.currency == "USD"
    granted = await world.command("credits", "grant", "2.50", "--note", "for the test")
    assert granted
    richer = await world.call("credits.get_balance")
    assert round(richer.balance_usd - balance.balance_usd, 6) == 2.5
    newest = await world.call("credits.get_ledger", limit=1)
    assert [(e.kind, e.amount_micro_usd) for e in newest.entries] == [("grant", "2500000")]
    before = await world.call("credits.get_ledger", limit=100, cursor=newest.next_cursor)
    assert [e.id for e in before.entries] == [e.id for e in entries]
    assert before.next_cursor is None

    used = await world.call("usage.get")
    assert used.total_sessions >= 1 and used.total_minutes > 0
    assert used.balance_usd == richer.balance_usd
    assert used.total_cost == sum(line.cost for line in used.breakdown) > 0
    debits = [e for e in entries if e.kind == "debit"]
    assert round(used.total_cost * 1_000_000) == -sum(int(e.amount_micro_usd) for e in debits)
    lines = {(line.metric, line.key_source): line for line in used.breakdown}
    outbound = lines["outbound_seconds", "MANAGED"]
    assert (outbound.charge_kind, outbound.quantity % 60) == ("minutes", 0), lines
    nothing = await world.call("usage.get", from_date="2020-01-01", to_date="2020-02-01")
    assert (nothing.total_sessions, nothing.total_cost, nothing.breakdown) == (0, 0, [])
    await world.call.refuses("from", "usage.get", from_date="yesterday")


async def a_browser_joins_no_call_without_a_room(world: World) -> None:
    """Where there are rooms one does: tests/interop/test_browser.py."""
    unknown = await world.call.fails("calls.web_join", "nobody")
    assert (unknown.status, unknown.code) == (404, "SESSION_NOT_FOUND")
    async with dialled(world, metadata={"dialplan": "official"}) as (placed, _):
        session = placed.session_id
        live = await world.call.fails("calls.web_join", session, {"display_name": "Ada"})
        assert (live.status, live.code) == (503, "ROOMS_NOT_CONFIGURED")
    await over(world, session)
    late = await world.call.fails("calls.web_join", session, {"display_name": "Ada"})
    assert (late.status, late.code) == (409, "CALL_NOT_LIVE")


async def a_call_is_watched_as_it_happens(world: World) -> None:
    async with dialled(world, metadata={"dialplan": "official"}) as (placed, call):
        session = placed.session_id
        watching = asyncio.create_task(world.call("sessions.stream", session))
        await hears(world, session, call)
        await asyncio.to_thread(world.service.api.wait, session, "call.answered")
        assert not watching.done()
        call.hangup()
        await call.ended(10)
        async with asyncio.timeout(20):
            seen = await watching
    kinds = [item.type for item in seen]
    assert kinds[-1] == "end" and kinds.count("end") == 1
    assert [item.status for item in seen if item.type == "status"][-1] == "ended"
    events = [item.event for item in seen if item.type == "event"]
    assert [e.event_type for e in events].count("call.answered") == 1
    assert any("official client" in item.turn.text for item in seen if item.type == "transcript")
    kept = await world.call("calls.events", session)
    # The stream has what the list has, in its order; only what came after the end may lack.
    assert [e.id for e in events] == [e.id for e in kept][: len(events)]
    assert "call.hangup" in [e.event_type for e in events]

    # Over, it is told again as a whole; behind a cursor, only what is new.
    replay = await world.call("sessions.stream", session)
    assert [i.event.id for i in replay if i.type == "event"] == [e.id for e in kept]
    assert replay[-1].type == "end"
    turns = max(i.turn.index for i in replay if i.type == "transcript")
    last = datetime.fromisoformat(kept[-1].created_at)
    cursor = f"{turns}:{int((last + timedelta(hours=1)).timestamp() * 1000)}"
    rest = await world.call("sessions.stream", session, cursor=cursor)
    assert [i.type for i in rest if i.type in ("event", "transcript")] == []
    assert rest[-1].type == "end"


def _but(**members: Any) -> dict[str, Any]:
    return {"to": TO, **members}


async def what_cannot_be_dialled_is_refused(world: World) -> None:
    await world.call.refuses("to", "voice.dial", {"to": "12025550123"})
    await world.call.refuses("intent.language", "voice.dial", _but(intent={"language": ""}))
    await world.call.refuses("llm.temperature", "voice.dial", _but(llm={"temperature": 2.5}))
    await world.call.not_found("voice.dial", _but(agent_id="agent_nobody"))


async def no_call_of_that_id(world: World) -> None:
    for name in ("get", "events", "report", "recording", "end"):
        for session in ("00000000-0000-0000-0000-000000000000", "a/b", "a%2Fb", "é:ü ?#"):
            await world.call.not_found(f"calls.{name}", session)
    await world.call.not_found("sessions.transcript", "a/b")
    await world.call.not_found("sessions.stream", "a/b/c")


async def a_promised_call_is_listed_and_taken_back(world: World) -> None:
    status, row = await world.api(
        "POST",
        "/v1/callbacks",
        {
            "to": TO,
            "scheduledAt": iso(datetime.now(UTC) + timedelta(hours=3)),
            "dialplan": "callback-desk",
            "reason": "asked for it",
        },
    )
    assert status in (200, 201), row
    found = await world.call("callbacks.get", row["id"])
    assert (found.id, found.status, found.to_number) == (row["id"], "scheduled", TO)
    assert found.reason == "asked for it"
    listed = await world.call("callbacks.list", status="scheduled", limit=50)
    assert found in listed
    assert await world.call("callbacks.list", status="dispatched", limit=50) == []
    assert await world.call("callbacks.list", source_session_id="nobody") == []
    gone = await world.call("callbacks.cancel", row["id"], {"reason": "no longer needed"})
    assert (gone.id, gone.status) == (row["id"], "cancelled")
    assert gone.cancelled_at is not None
    assert await world.call("callbacks.get", row["id"]) == gone
    assert gone in await world.call("callbacks.list", status="cancelled")
    again = await world.call.fails("callbacks.cancel", row["id"])
    assert again.status == 409
    await world.call.not_found("callbacks.cancel", "a/b")
    await world.call.not_found("callbacks.get", "a/b")
    await world.call.refuses("limit", "callbacks.list", limit=0)
