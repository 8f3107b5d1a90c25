"""Whole calls through the switchboard: every one ends once, and its record says what happened."""

from __future__ import annotations

import random

import pytest

from telephony.base.errors import BadInput, Busy, StoreUnavailable
from telephony.calls.orders import DialOrder
from telephony.calls.outcome import Cause, Outcome
from telephony.calls.ports import ReferResult
from telephony.calls.public import CallEvent
from telephony.switchboard.recover import recover
from tests.scenario.conftest import World

ORG = "org_default"


def types(rows: list[CallEvent]) -> list[str]:
    return [row.event_type for row in rows]


def only_session(world: World) -> str:
    assert len(world.records.calls) == 1
    return next(iter(world.records.calls))


async def test_a_caller_hears_the_desk_presses_one_and_leaves(world: World) -> None:
    leg = world.carrier.offer("front-desk")
    await world.settle()
    assert leg.orders == ["answer"]
    assert len(leg.media.playing) >= 1
    leg.presses("1")
    await world.settle()
    leg.leaves()
    session = only_session(world)
    rows = await world.until_over(session)
    assert types(rows)[:3] == ["call.initiated", "call.answered", "call.recording.started"]
    assert types(rows).count("call.hangup") == 1
    assert types(rows)[-1] == "call.hangup"
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    created = [row.created_at for row in rows]
    assert created == sorted(set(created))
    cut = next(row for row in rows if row.event_type == "call.prompt.played")
    assert cut.payload["reason"] == "barge_in"
    assert 0 < cut.payload["heard_ms"] < cut.payload["total_ms"]
    assert cut.payload["text"].startswith(cut.payload["heard_text"])
    report = world.records.reports[session]
    assert report.outcome == "abandoned"
    assert report.recording is not None
    assert world.records.calls[session].recording_status == "ready"


async def test_a_message_is_left_with_the_key_that_ends_it(world: World) -> None:
    leg = world.carrier.offer("front-desk")
    await world.settle()
    leg.presses("2")
    await world.settle()
    while leg.media.playing and leg.media.message is None:
        leg.media.finish_prompt()
        await world.settle()
    assert leg.media.message is not None
    world.clock.advance(2)
    leg.presses("#")
    await world.settle()
    while leg.media.playing:
        leg.media.finish_prompt()
        await world.settle()
    session = only_session(world)
    rows = await world.until_over(session)
    assert world.records.calls[session].status == "ended"
    ready = [r for r in rows if r.event_type == "call.recording.ready"]
    assert {r.payload["kind"] for r in ready} == {"message", "call"}
    message = next(r for r in ready if r.payload["kind"] == "message")
    assert message.payload["reason"] == "key"
    report = world.records.reports[session]
    assert [m.duration_ms for m in report.messages] == [2000]
    assert report.outcome == "completed"


async def test_a_promise_is_written_down(world: World) -> None:
    leg = world.carrier.offer("+12025550100", "+12025550188", trunk="trunk_main")
    await world.settle()
    leg.presses("3")
    await world.settle()
    assert [row.to_number for row in world.promises.rows] == ["+12025550188"]
    leg.leaves()
    session = only_session(world)
    await world.until_over(session)
    assert world.records.reports[session].scheduled_callback is not None


async def test_the_operator_is_dialled_and_both_talk(world: World) -> None:
    leg = world.carrier.offer("front-desk")
    await world.settle()
    leg.presses("0")
    await world.settle()
    while leg.media.playing and not world.carrier.dialled:
        leg.media.finish_prompt()
        await world.settle()
    operator = world.carrier.dialled[0]
    assert operator.request is not None
    assert (operator.request.to, operator.request.phone) == ("1000", True)
    operator.rings()
    await world.settle()
    operator.answers()
    await world.settle()
    assert leg.media.bridged is operator.media
    leg.leaves()
    session = only_session(world)
    rows = await world.until_over(session)
    assert operator.outcome is not None
    assert "call.bridged" in types(rows)
    assert types(rows).count("call.leg.hangup") == 2
    assert world.records.calls[session].status == "ended"


async def test_a_busy_operator_leads_to_a_message(world: World) -> None:
    leg = world.carrier.offer("front-desk")
    await world.settle()
    leg.presses("0")
    await world.settle()
    while not world.carrier.dialled:
        leg.media.finish_prompt()
        await world.settle()
    world.carrier.dialled[0].leaves(Outcome.busy())
    await world.settle()
    while leg.media.playing and leg.media.message is None:
        leg.media.finish_prompt()
        await world.settle()
    assert leg.media.message is not None
    rows = world.records.rows[only_session(world)]
    assert "sip.dial_failed" in types(rows)


TRANSFER = """
name: hand-over
start: go
nodes:
  go: {verb: answer, next: send}
  send: {verb: transfer, to: "1000", ring_seconds: 5, on_failed: sorry}
  sorry: {verb: say, text: Nobody is there., next: end}
  end: {verb: hangup}
"""


@pytest.mark.parametrize("way", ["refer", "bridge", "refused", "unanswered"])
async def test_transfers(world: World, way: str) -> None:
    world.plan("hand-over", TRANSFER)
    assert world.carrier.take is not None
    leg = world.carrier.offer("hand-over")
    if way == "refer":
        leg.refer_result = ReferResult(True)
    elif way == "refused":
        leg.refer_result = ReferResult(False, supported=True, sip_status=603)
    await world.settle()
    assert leg.orders[:2] == ["answer", "refer 1000"]
    if way == "bridge":
        world.carrier.dialled[0].answers()
        await world.settle()
        assert leg.media.bridged is world.carrier.dialled[0].media
        world.carrier.dialled[0].leaves()
    elif way == "unanswered":
        world.carrier.dialled[0].leaves(Outcome.no_answer())
    if way in ("refused", "unanswered"):
        await world.settle()
        while leg.media.playing:
            leg.media.finish_prompt()
            await world.settle()
    session = only_session(world)
    rows = await world.until_over(session)
    call = world.records.calls[session]
    handed = way in ("refer", "bridge")
    assert world.records.reports[session].outcome == ("transferred" if handed else "completed")
    assert call.status == "ended"
    wanted = "call.transfer.completed" if handed else "call.transfer.failed"
    assert types(rows).count(wanted) == 1


async def test_no_voice_falls_back_and_says_so(world: World) -> None:
    world.voice.mute = True
    leg = world.carrier.offer("front-desk")
    await world.settle()
    assert leg.media.playing
    leg.leaves()
    rows = await world.until_over(only_session(world))
    failed = next(r for r in rows if r.event_type == "call.prompt.failed")
    assert failed.payload["fallback"] == "tone"


# --- outbound ------------------------------------------------------------------------------


def order(**more: object) -> DialOrder:
    members: dict[str, object] = {
        "organization": ORG,
        "to": "+12025550123",
        "dialplan": "callback-desk",
    }
    return DialOrder(**(members | more))  # type: ignore[arg-type]


async def test_the_request_and_the_attempt_are_on_disk_before_the_invite(world: World) -> None:
    result = await world.switchboard.dial(order())
    assert result.status == "dialing"
    assert result.call_control_id == f"phone-{result.session_id}"
    # Whoever is told of the call can read it at once.
    assert types(world.records.rows[result.session_id])[0] == "call.initiated"
    await world.settle()
    assert len(world.carrier.dialled) == 1
    assert types(world.records.rows[result.session_id]) == ["call.initiated", "sip.dial_started"]
    callee = world.carrier.dialled[0]
    assert callee.request is not None
    assert callee.request.from_number == "+12025550100"
    callee.rings()
    callee.answers()
    await world.settle()
    assert callee.media.playing
    callee.leaves()
    rows = await world.until_over(result.session_id)
    assert rows[-1].payload["ended_by"] == "callee"


@pytest.mark.parametrize(
    ("outcome", "status", "cause"),
    [
        (Outcome.busy(), "busy", "busy"),
        (Outcome.no_answer(), "no_answer", "no_answer"),
        (Outcome.declined(sip_status=603), "failed", "declined"),
        (Outcome.failed(Cause.UNREACHABLE), "failed", "unreachable"),
    ],
)
async def test_nobody_was_reached(world: World, outcome: Outcome, status: str, cause: str) -> None:
    result = await world.switchboard.dial(order())
    await world.settle()
    world.carrier.dialled[0].leaves(outcome)
    rows = await world.until_over(result.session_id)
    assert types(rows)[-2:] == ["sip.dial_failed", "call.hangup"]
    assert (rows[-1].status, rows[-1].failure_cause) == (status, cause)


async def test_ended_while_it_rings(world: World) -> None:
    result = await world.switchboard.dial(order())
    await world.settle()
    world.carrier.dialled[0].rings()
    ending = await world.switchboard.end(ORG, result.session_id)
    assert ending is not None
    assert ending.status == "ending"
    rows = await world.until_over(result.session_id)
    assert (rows[-1].status, rows[-1].payload["ended_by"]) == ("canceled", "api")
    assert world.carrier.dialled[0].orders == ["end"]
    again = await world.switchboard.end(ORG, result.session_id)
    assert again is not None
    assert again.status == "already_ended"
    assert await world.switchboard.end(ORG, "no such call") is None


async def test_a_test_key_gets_a_stub_with_a_record(world: World) -> None:
    result = await world.switchboard.dial(order(test=True))
    assert (result.status, result.call_control_id) == ("dialing-stub", "")
    await world.settle()
    rows = world.records.rows[result.session_id]
    assert types(rows) == ["call.initiated", "sip.dial_failed", "call.hangup"]
    assert (rows[-1].status, rows[-1].failure_cause) == ("failed", "no_route")
    assert result.session_id in world.records.reports
    assert not world.carrier.dialled


async def test_what_cannot_be_dialled_leaves_nothing(world: World) -> None:
    with pytest.raises(BadInput, match="dialplan"):
        await world.switchboard.dial(order(dialplan=None, from_number="+12025550199"))
    with pytest.raises(BadInput, match="no dialplan 'nope'"):
        await world.switchboard.dial(order(dialplan="nope"))
    with pytest.raises(BadInput, match="no trunk 'nope'"):
        await world.switchboard.dial(order(trunk="nope"))
    world.carrier.busy = Busy("full", code="TRUNK_BUSY")
    with pytest.raises(Busy):
        await world.switchboard.dial(order())
    assert world.records.calls == {}
    assert world.switchboard.live == 0


# --- refusals, storms ----------------------------------------------------------------------


async def test_refused_before_admission_leaves_a_metric_and_no_call(world: World) -> None:
    assert world.carrier.offer("nobody").outcome == Outcome.failed(Cause.NOT_FOUND, sip_status=404)
    legs = [world.carrier.offer("front-desk") for _ in range(51)]
    over = legs[-1].outcome
    assert over is not None
    assert (over.cause, over.sip_status) == (Cause.CAPACITY, 503)
    assert over.retry_after
    assert world.switchboard.live == 50
    assert world.switchboard.refused == {"not_found": 1, "capacity": 1}


async def test_an_absent_store_keeps_calls_and_refuses_new_ones(world: World) -> None:
    leg = world.carrier.offer("front-desk")
    await world.settle()
    world.records.away = True
    leg.presses("1")
    await world.settle()
    for _ in range(50):
        if world.journal.down:
            break
        await world.settle()
    assert world.journal.down
    refused = world.carrier.offer("front-desk").outcome
    assert refused is not None
    assert refused.sip_status == 503
    with pytest.raises(StoreUnavailable):
        await world.switchboard.dial(order())
    assert world.switchboard.problems()
    world.clock.advance(3)
    leg.presses("1")
    world.records.away = False
    await world.settle()
    for _ in range(100):
        if not world.journal.down:
            break
        await world.settle()
    await world.settle()
    session = only_session(world)
    rows = world.records.rows[session]
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    late = next(row for row in rows if row.event_type == "call.records.delayed")
    assert late.payload["seconds"] >= 3
    assert types(rows).count("call.dtmf.received") == 2


async def test_a_call_that_the_last_process_left_is_closed_with_its_report(world: World) -> None:
    leg = world.carrier.offer("front-desk")
    await world.settle()
    assert leg.orders == ["answer"]
    session = only_session(world)
    alive = world.records.calls[session]
    rows = list(world.records.rows[session])
    from pathlib import Path

    from telephony.calls.ports import Recorded

    copy = type(world.records)()
    copy.calls[session], copy.rows[session] = alive, rows
    found = Recorded(Path("x"), 1500, 48044, "interrupted")
    assert len(await recover(copy, world.clock, world.kit.ids, lambda path: found)) == 1
    assert copy.calls[session].status == "ended"
    assert copy.rows[session][-1].failure_cause == "interrupted"
    assert copy.reports[session].outcome == "interrupted"
    ready = [r for r in copy.rows[session] if r.event_type == "call.recording.ready"]
    assert [r.payload["reason"] for r in ready] == ["interrupted"]
    seqs = [row.seq for row in copy.rows[session]]
    assert seqs == list(range(1, len(seqs) + 1))
    assert await recover(copy, world.clock, world.kit.ids, lambda path: found) == []


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_happens_every_call_ends_once(world: World, seed: int) -> None:
    rng = random.Random(seed)
    world.plan("hand-over", TRANSFER)
    legs = [world.carrier.offer(rng.choice(["front-desk", "hand-over"])) for _ in range(5)]
    for _ in range(3):
        await world.switchboard.dial(order())
    for _ in range(60):
        await world.settle()
        leg = rng.choice(legs + world.carrier.dialled)
        acts = [
            lambda leg=leg: leg.presses(rng.choice("0123456789*#")),
            lambda leg=leg: leg.media.playing and leg.media.finish_prompt(),
            lambda leg=leg: leg.request is not None and leg.rings(),
            lambda leg=leg: leg.request is not None and leg.answers(),
            lambda leg=leg: rng.random() < 0.2 and leg.leaves(),
            lambda: world.clock.advance(rng.choice([0.5, 3, 10])),
        ]
        rng.choice(acts)()
    for leg in legs + world.carrier.dialled:
        leg.leaves()
    for session in list(world.records.calls):
        rows = await world.until_over(session)
        assert types(rows).count("call.hangup") == 1
        assert types(rows)[-1] == "call.hangup"
        assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
        assert world.records.calls[session].outcome is not None
        assert session in world.records.reports


async def test_a_caller_who_leaves_in_the_last_sentence_hung_up_himself(world: World) -> None:
    world.plan(
        "farewell",
        "name: farewell\nstart: bye\nnodes:\n"
        "  bye: {verb: say, text: Thank you and goodbye., farewell: true, next: end}\n"
        "  end: {verb: hangup}\n",
    )
    leg = world.carrier.offer("farewell")
    await world.settle()
    leg.leaves()
    rows = await world.until_over(only_session(world))
    assert rows[-1].payload["ended_by"] == "caller"
    assert world.records.reports[only_session(world)].outcome == "completed"
