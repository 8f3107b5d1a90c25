"""Things that happen at once, or when nobody expects them: the record still tells the truth."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from telephony.base.errors import Busy
from telephony.calls import events as e
from telephony.calls.callback import Callback
from telephony.calls.orders import DialOrder
from telephony.calls.outcome import Outcome, Status
from telephony.calls.ports import Media, Recorded, ReferResult
from telephony.calls.public import CallEvent
from telephony.calls.record import CallReport
from telephony.calls.role import Role
from telephony.switchboard.recover import recover
from telephony.testing.carrier import FakeLeg
from tests.scenario.conftest import World


def types(rows: list[CallEvent]) -> list[str]:
    return [row.event_type for row in rows]


def only_session(world: World) -> str:
    (session,) = world.records.calls
    return session


async def over(world: World) -> tuple[list[CallEvent], CallReport]:
    session = only_session(world)
    rows = await world.until_over(session)
    return rows, world.records.reports[session]


async def hear_all(world: World, leg: FakeLeg) -> None:
    for _ in range(50):
        await world.settle()
        if not leg.media.playing:
            return
        leg.media.finish_prompt()


DIALS = """
name: dials
start: first
nodes:
  first: {verb: answer, next: ask}
  ask:
    verb: menu
    prompt: Press one.
    choices: {1: try}
    tries: 5
  try: {verb: dial, to: "1000", ringback: false, next: ask, on_answered: ask}
"""

HANDS_OVER = """
name: hands-over
start: go
nodes:
  go: {verb: answer, next: send}
  send: {verb: transfer, to: "1000", ring_seconds: 5, on_failed: end}
  end: {verb: hangup}
"""


# --- further legs --------------------------------------------------------------------------


async def test_parties_that_left_make_room_for_others(world: World) -> None:
    world.plan("dials", DIALS)
    leg = world.carrier.offer("dials")
    for tries in range(1, 13):
        await world.settle()
        leg.presses("1")
        await world.settle()
        assert len(world.carrier.dialled) == tries
        world.carrier.dialled[-1].leaves(Outcome.busy())
    leg.leaves()
    await over(world)


@pytest.mark.parametrize("by", ["caller", "api"])
async def test_a_party_that_never_answered_was_cancelled(world: World, by: str) -> None:
    world.plan("dials", DIALS)
    leg = world.carrier.offer("dials")
    await world.settle()
    leg.presses("1")
    await world.settle()
    world.carrier.dialled[0].rings()
    await world.settle()
    if by == "caller":
        leg.leaves()
    else:
        await world.switchboard.end("org_default", only_session(world))
    rows, report = await over(world)
    failed = next(row for row in rows if row.event_type == "sip.dial_failed")
    assert (failed.failure_cause, failed.payload["ended_by"]) == ("canceled", by)
    assert rows[-1].status == "ended"
    assert report.outcome == "completed"


async def test_nobody_is_dialled_for_a_caller_who_is_gone(world: World) -> None:
    """He hung up while the attempt waited for the disk: an INVITE now would ring for nobody."""
    world.plan("dials", DIALS)
    leg = world.carrier.offer("dials")
    await world.settle()
    world.records.away = True
    leg.presses("1")
    for _ in range(20):
        await asyncio.sleep(0)
    leg.leaves()
    world.records.away = False
    await over(world)
    assert world.carrier.dialled == []


async def test_a_dial_that_was_ended_before_it_began_sends_nothing(world: World) -> None:
    result = await world.switchboard.dial(
        DialOrder(organization="org_default", to="+12025550199", dialplan="front-desk")
    )
    world.records.away = True
    await world.switchboard.end("org_default", result.session_id)
    await asyncio.sleep(0.01)
    world.records.away = False
    _, report = await over(world)
    assert report.status == "canceled"
    assert [leg.orders for leg in world.carrier.dialled] in ([], [["end"]])


async def test_a_refer_cut_off_by_the_caller_dials_nobody(world: World) -> None:
    world.plan("hands-over", HANDS_OVER)
    leg = world.carrier.offer("hands-over")
    waiting = []
    leg.refer = lambda to, headers, done: waiting.append(done)  # type: ignore[method-assign]
    await world.settle()
    waiting[0](ReferResult(completed=False, supported=False, sip_status=487))
    leg.leaves()
    rows, _ = await over(world)
    assert world.carrier.dialled == []
    assert types(rows).count("call.transfer.failed") == 1
    assert rows[-1].status == "ended"


async def test_a_party_that_answers_and_leaves_at_once_ends_the_transfer(world: World) -> None:
    world.plan("hands-over", HANDS_OVER)
    leg = world.carrier.offer("hands-over")
    await world.settle()
    party = world.carrier.dialled[0]
    party.answers()
    party.leaves()
    rows, report = await over(world)
    assert report.outcome == "transferred"
    assert types(rows).count("call.transfer.completed") == 1
    assert "end" in leg.orders


async def test_a_room_without_a_way_in_takes_on_failed(world: World) -> None:
    world.plan(
        "meet",
        """
name: meet
start: join
nodes:
  join: {verb: join_room, room: den, next: left, on_failed: full}
  left: {verb: say, text: You have left., next: end}
  full: {verb: say, text: The room is full., next: end}
  end: {verb: hangup}
""",
    )

    def refuse(room: str, identity: str, media: Media, role: Role) -> None:
        raise Busy("the room is full")

    world.rooms.join = refuse  # type: ignore[method-assign]
    leg = world.carrier.offer("meet")
    await hear_all(world, leg)
    _, report = await over(world)
    assert [turn.text for turn in report.turns] == ["The room is full."]


# --- promises ------------------------------------------------------------------------------


async def test_a_promise_made_in_the_last_breath_is_in_the_record(world: World) -> None:
    world.plan(
        "promise",
        """
name: promise
start: go
nodes:
  go: {verb: answer, next: promise}
  promise: {verb: queue_callback, in: 15m, dialplan: callback-desk, next: end}
  end: {verb: hangup}
""",
    )
    add = world.promises.add

    async def slowly(callback: Callback) -> None:
        await asyncio.sleep(0.02)
        await add(callback)

    world.promises.add = slowly  # type: ignore[method-assign]
    world.carrier.offer("promise")
    await world.settle()
    rows, report = await over(world)
    assert types(rows).count("call.callback.scheduled") == 1
    assert report.scheduled_callback is not None
    (row,) = world.promises.rows
    # "promise" was dialled, which is no number to show.
    assert row.from_number is None
    assert report.scheduled_callback["from_number"] is None


async def test_a_callback_promised_to_whom_we_called_shows_our_number(world: World) -> None:
    world.plan(
        "later",
        """
name: later
start: promise
nodes:
  promise: {verb: queue_callback, in: 15m, dialplan: callback-desk, next: end}
  end: {verb: hangup}
""",
    )
    await world.switchboard.dial(
        DialOrder(organization="org_default", to="+12025550199", dialplan="later")
    )
    await world.settle()
    world.carrier.dialled[0].answers()
    _, report = await over(world)
    (row,) = world.promises.rows
    assert (row.to_number, row.from_number) == ("+12025550199", "+12025550100")
    assert report.scheduled_callback is not None
    assert report.scheduled_callback["from_number"] == "+12025550100"


# --- the record ----------------------------------------------------------------------------


async def test_keys_of_a_secret_stay_secret_while_the_call_ends(world: World) -> None:
    world.plan(
        "pin",
        """
name: pin
start: ask
nodes:
  ask: {verb: gather, prompt: Your code., variable: code, min: 4, max: 8, secret: true, next: end}
  end: {verb: hangup}
""",
    )
    leg = world.carrier.offer("pin")
    await world.settle()
    leg.presses("1")
    await world.settle()
    await world.switchboard.end("org_default", only_session(world))
    leg.presses("7")
    rows, _ = await over(world)
    digits = [r.payload["digit"] for r in rows if r.event_type == "call.dtmf.received"]
    assert digits == ["*", "*"]


async def test_a_recording_that_never_becomes_whole_has_failed(world: World) -> None:
    leg = world.carrier.offer("front-desk")
    await world.settle()
    leg.media.finish = lambda: None  # type: ignore[method-assign]
    leg.leaves()
    session = only_session(world)
    for _ in range(30):
        world.clock.advance(0.1)
        await asyncio.sleep(0.01)
    rows = await world.until_over(session)
    assert types(rows).count("call.recording.failed") == 1
    assert world.records.calls[session].recording_status == "failed"


async def test_a_fault_of_ours_drops_an_answered_call(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    leg = world.carrier.offer("front-desk")
    await world.settle()
    session = world.switchboard._sessions[only_session(world)]
    assert session._program is not None

    def fault(event: e.Event, now: float) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(session._program, "step", fault)
    leg.presses("1")
    rows, report = await over(world)
    assert rows[-1].status == "ended"
    assert (report.outcome, report.failure_cause) == ("dropped", "internal")


async def test_a_report_that_cannot_be_made_keeps_no_call_alive(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> CallReport:
        raise ValueError("a fault of ours")

    monkeypatch.setattr("telephony.switchboard.session.fold", fault)
    leg = world.carrier.offer("front-desk")
    await world.settle()
    leg.leaves()
    session = only_session(world)
    for _ in range(100):
        await asyncio.sleep(0.002)
    assert types(world.records.rows[session])[-1] == "call.hangup"
    assert not world.records.calls[session].live
    assert world.switchboard.live == 0


async def test_a_voice_with_a_fault_is_one_prompt_lost(world: World) -> None:
    leg = world.carrier.offer("front-desk")
    tone = world.voice.tone

    async def fault(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    world.voice.render = fault  # type: ignore[assignment, method-assign]
    await world.settle()
    assert [sound for sound, *_ in leg.media.playing] == [tone("fallback")]
    leg.leaves()
    rows, _ = await over(world)
    assert "call.prompt.failed" in types(rows)


async def test_keys_without_end_fill_no_disk(world: World) -> None:
    """The far end can press keys, or hold and un-hold, as often as it likes."""
    world.switchboard._kit = world.kit = replace(
        world.kit, config=replace(world.kit.config, log_ceiling=30, queue_ceiling=20)
    )
    leg = world.carrier.offer("front-desk")
    await world.settle()
    for _ in range(40):
        leg.presses("5" * 10)
        await world.settle()
    leg.leaves()
    rows, report = await over(world)
    assert types(rows).count("call.dtmf.received") < 40
    assert report.events_dropped > 300
    assert rows[-1].event_type == "call.hangup"


# --- what the last process left ------------------------------------------------------------


def unreadable(rows: list[CallEvent]) -> list[CallEvent]:
    """As a later version may have written: a kind of event that nobody knows here."""
    return [*rows, replace(rows[-1], seq=rows[-1].seq + 1, kind="LegTeleported", data={})]


async def test_recovery_passes_over_what_it_cannot_read(world: World) -> None:
    world.plan("dials", DIALS)
    leg = world.carrier.offer("dials")
    await world.settle()
    leg.presses("1")
    await world.settle()
    session = only_session(world)
    left = type(world.records)()
    left.calls[session] = world.records.calls[session]
    left.rows[session] = unreadable(world.records.rows[session])
    nothing = Recorded(Path("x"), 0, 0, "failed", "nothing was written")
    closed = await recover(left, world.clock, world.kit.ids, lambda path: nothing)
    assert [call.id for call in closed] == [session]
    first, second, last = left.rows[session][-3:]
    assert [row.failure_cause for row in (first, second, last)] == ["interrupted"] * 3
    # The first leg was answered, the second never was.
    assert first.data["outcome"]["status"] == "ended"
    assert second.data["outcome"]["status"] == "failed"
    assert last.status == "ended"


async def test_a_call_whose_end_is_written_and_not_its_row_ends_once(world: World) -> None:
    leg = world.carrier.offer("front-desk")
    await world.settle()
    session = only_session(world)
    left = type(world.records)()
    left.calls[session] = world.records.calls[session]
    leg.leaves()
    rows, report = await over(world)
    left.rows[session] = list(rows)
    nothing = Recorded(Path("x"), 0, 0, "failed", "nothing was written")
    await recover(left, world.clock, world.kit.ids, lambda path: nothing)
    assert {row.id for row in left.rows[session]} == {row.id for row in rows}
    assert left.calls[session].status is Status.ENDED
    assert left.calls[session].outcome == world.records.calls[session].outcome
    assert left.reports[session].outcome == report.outcome


async def test_one_call_that_cannot_be_closed_stops_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.carrier.offer("front-desk")
    world.carrier.offer("front-desk")
    await world.settle()
    left = type(world.records)()
    left.calls, left.rows = dict(world.records.calls), dict(world.records.rows)
    bad = next(iter(left.calls))

    def salvage(path: Path) -> Recorded:
        if bad in str(path):
            raise RuntimeError("a fault of ours")
        return Recorded(path, 0, 0, "failed", "nothing was written")

    assert len(await recover(left, world.clock, world.kit.ids, salvage)) == 2
    assert [call.live for call in left.calls.values()] == [True, False]


CONFERENCE = """
name: meet
start: first
nodes:
  first: {verb: answer, next: join}
  join: {verb: join_room, room: den, role: coach, mute_key: "6"}
"""


async def test_a_key_mutes_a_member_and_unmutes_it_in_its_role(world: World) -> None:
    world.plan("meet", CONFERENCE)
    leg = world.carrier.offer("meet")
    await world.settle()
    for _ in range(3):
        leg.presses("6")
        await world.settle()
    assert list(world.rooms.roles.values()) == [
        [Role.COACH, Role.LISTENER, Role.COACH, Role.LISTENER]
    ]
    leg.leaves()
    rows, _ = await over(world)
    assert [row.event_type for row in rows if "mute" in row.event_type] == [
        "call.mute",
        "call.unmute",
        "call.mute",
    ]
