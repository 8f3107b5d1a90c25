"""Outbound calls that a person, a machine or nobody answers, from the order to the report."""

from __future__ import annotations

import pytest

from telephony.calls.orders import DialOrder, MachineOrder
from telephony.calls.ports import AnswerHeard, GreetingHeard
from telephony.calls.public import CallEvent
from telephony.testing.carrier import FakeLeg
from tests.scenario.conftest import World

PLAN = """
name: reminder
start: hello
nodes:
  hello: {verb: say, text: Good morning. This is your reminder., next: desk}
  desk: {verb: dial, to: "1000", next: bye}
  bye: {verb: hangup}
"""
WHO = """
name: who
start: wait
nodes:
  wait: {verb: say, text: One moment please., next: look}
  look:
    verb: if
    when: {variable: {name: amd, equals: machine}}
    then: tape
    else: person
  tape: {verb: say, text: Hello tape., next: bye}
  person: {verb: say, text: Hello you., next: bye}
  bye: {verb: hangup}
"""
MACHINE = AnswerHeard("machine", 0.91, 4100, "long_greeting")
MESSAGE = "Please call {{from}} back."


async def answered(world: World, machine: MachineOrder | None, plan: str = PLAN) -> FakeLeg:
    world.plan(plan.split()[1], plan)
    order = DialOrder(
        organization="org_default",
        to="+12025550188",
        dialplan=plan.split()[1],
        machine=machine,
        variables={},
    )
    await world.switchboard.dial(order)
    await world.settle()
    leg = world.carrier.dialled[0]
    leg.answers()
    await world.settle()
    return leg


async def decide(world: World, leg: FakeLeg, heard: AnswerHeard) -> None:
    assert leg.media.asked is not None
    leg.media.asked[0](heard)
    await world.settle()


async def greeting_ends(world: World, leg: FakeLeg, how: str) -> None:
    assert leg.media.awaited is not None
    leg.media.awaited[0](GreetingHeard(how, 8000))
    await world.settle()


async def over(world: World) -> tuple[list[CallEvent], dict[str, object] | None, str]:
    session = next(iter(world.records.calls))
    rows = await world.until_over(session)
    report = world.records.reports[session]
    return rows, report.voicemail, report.outcome


def types(rows: list[CallEvent]) -> list[str]:
    return [row.event_type for row in rows]


async def test_nobody_asks_where_nothing_was_ordered(world: World) -> None:
    leg = await answered(world, None)
    assert leg.media.asked is None
    leg.leaves()
    _, voicemail, _ = await over(world)
    assert voicemail is None


async def test_the_greeting_does_not_wait_for_the_verdict(world: World) -> None:
    leg = await answered(world, MachineOrder(seconds=5.0))
    assert len(leg.media.playing) == 1
    assert leg.media.asked is not None
    assert leg.media.asked[1] == 5.0


async def test_a_person_changes_nothing(world: World) -> None:
    leg = await answered(world, MachineOrder(action="hangup"))
    await decide(world, leg, AnswerHeard("human", 0.93, 1800, "short_greeting"))
    assert len(leg.media.playing) == 1
    assert leg.outcome is None
    leg.leaves()
    rows, voicemail, outcome = await over(world)
    assert voicemail == {"detected": False, "amd_verdict": "human", "delivery": None}
    assert outcome == "abandoned"
    detected = next(row for row in rows if row.event_type == "call.amd.detected")
    assert detected.provider == "telephony"
    assert detected.payload | {"seq": 0} == {
        "seq": 0,
        "leg": leg.id,
        "verdict": "human",
        "confidence": 0.93,
        "time_ms": 1800,
        "reason": "short_greeting",
    }


async def test_a_machine_is_hung_up_on(world: World) -> None:
    leg = await answered(world, MachineOrder(action="hangup"))
    await decide(world, leg, MACHINE)
    rows, voicemail, outcome = await over(world)
    assert leg.outcome is not None
    assert voicemail == {"detected": True, "amd_verdict": "machine", "delivery": "not_attempted"}
    assert outcome == "voicemail"
    assert rows[-1].status == "ended"
    assert rows[-1].failure_cause is None
    assert rows[-1].payload["ended_by"] == "service"


async def test_without_an_order_a_machine_is_only_told(world: World) -> None:
    leg = await answered(world, MachineOrder())
    await decide(world, leg, MACHINE)
    assert leg.outcome is None
    assert len(leg.media.playing) == 1
    leg.leaves()
    _, voicemail, _ = await over(world)
    assert voicemail == {"detected": True, "amd_verdict": "machine", "delivery": "not_attempted"}


async def test_a_message_is_left_after_the_beep(world: World) -> None:
    leg = await answered(world, MachineOrder(action="leave_message", message=MESSAGE))
    await decide(world, leg, MACHINE)
    assert leg.media.playing == [], "the dialplan's sound stops"
    await greeting_ends(world, leg, "beep")
    ((sound, _, loop),) = leg.media.playing
    spoken = "Please call +12025550100 back."
    assert (sound.duration_ms, loop) == (100 * len(spoken), False)
    leg.media.finish_prompt()
    await world.settle()
    rows, voicemail, outcome = await over(world)
    assert voicemail == {"detected": True, "amd_verdict": "machine", "delivery": "delivered"}
    assert outcome == "voicemail"
    order = [t for t in types(rows) if t.startswith(("call.amd", "call.voicemail", "call.greet"))]
    assert order == [
        "call.amd.detected",
        "call.voicemail.started",
        "call.greeting.ended",
        "call.voicemail.ended",
    ]
    report = world.records.reports[next(iter(world.records.calls))]
    assert any(turn.text == spoken for turn in report.turns)


async def test_a_late_beep_makes_the_message_begin_again(world: World) -> None:
    leg = await answered(world, MachineOrder(action="leave_message", message="Call back."))
    await decide(world, leg, MACHINE)
    await greeting_ends(world, leg, "silence")
    assert leg.media.awaited is not None
    assert leg.media.awaited[2], "only a beep counts from now on"
    first = leg.media.playing[0]
    await greeting_ends(world, leg, "beep")
    assert len(leg.media.playing) == 1
    assert leg.media.playing[0] is not first
    leg.media.finish_prompt()
    await world.settle()
    rows, voicemail, _ = await over(world)
    assert voicemail is not None
    assert voicemail["delivery"] == "delivered"
    played = [r for r in rows if r.payload.get("node") == "voicemail"]
    assert [r.payload["reason"] for r in played] == ["stopped", "finished"]


async def test_no_late_beep_and_the_message_goes_on(world: World) -> None:
    leg = await answered(world, MachineOrder(action="leave_message", message="Call back."))
    await decide(world, leg, MACHINE)
    await greeting_ends(world, leg, "silence")
    await greeting_ends(world, leg, "timeout")
    leg.media.finish_prompt()
    await world.settle()
    _, voicemail, _ = await over(world)
    assert voicemail is not None
    assert voicemail["delivery"] == "delivered"


@pytest.mark.parametrize("message", ["", "  ", "{{nothing_of_that_name}}"])
async def test_without_a_message_there_is_none_to_leave(world: World, message: str) -> None:
    leg = await answered(world, MachineOrder(action="leave_message", message=message))
    await decide(world, leg, MACHINE)
    _, voicemail, outcome = await over(world)
    assert voicemail == {"detected": True, "amd_verdict": "machine", "delivery": "missing_message"}
    assert outcome == "voicemail"


async def test_a_greeting_that_never_ends(world: World) -> None:
    leg = await answered(world, MachineOrder(action="leave_message", message="Call back."))
    await decide(world, leg, MACHINE)
    await greeting_ends(world, leg, "timeout")
    _, voicemail, _ = await over(world)
    assert voicemail is not None
    assert voicemail["delivery"] == "greeting_timeout"


async def test_a_message_that_cannot_be_spoken(world: World) -> None:
    leg = await answered(world, MachineOrder(action="leave_message", message="Call back."))
    await decide(world, leg, MACHINE)
    world.voice.mute = True
    await greeting_ends(world, leg, "beep")
    _, voicemail, _ = await over(world)
    assert voicemail is not None
    assert voicemail["delivery"] == "playout_failed"


@pytest.mark.parametrize("after_beep", [False, True])
async def test_the_machine_hangs_up_first(world: World, after_beep: bool) -> None:
    leg = await answered(world, MachineOrder(action="leave_message", message="Call back."))
    await decide(world, leg, MACHINE)
    if after_beep:
        await greeting_ends(world, leg, "beep")
    leg.leaves()
    _, voicemail, outcome = await over(world)
    assert voicemail == {"detected": True, "amd_verdict": "machine", "delivery": "call_ended"}
    assert outcome == "completed", "a machine that hangs up has not given up"


async def test_who_was_dialled_for_the_person_is_not_left_with_the_machine(world: World) -> None:
    leg = await answered(world, MachineOrder(action="leave_message", message="Call back."))
    leg.media.finish_prompt()
    await world.settle()
    desk = world.carrier.dialled[1]
    desk.answers()
    await world.settle()
    assert leg.media.bridged is desk.media
    await decide(world, leg, MACHINE)
    assert desk.outcome is not None
    assert leg.outcome is None
    await greeting_ends(world, leg, "beep")
    leg.media.finish_prompt()
    await world.settle()
    _, voicemail, _ = await over(world)
    assert voicemail is not None
    assert voicemail["delivery"] == "delivered"


@pytest.mark.parametrize(
    ("heard", "says"), [(MACHINE, "Hello tape."), (None, "Hello you.")], ids=["machine", "pending"]
)
async def test_a_dialplan_can_ask_who_answered(
    world: World, heard: AnswerHeard | None, says: str
) -> None:
    leg = await answered(world, MachineOrder(), WHO)
    if heard is not None:
        await decide(world, leg, heard)
    leg.media.finish_prompt()
    await world.settle()
    ((sound, _, _),) = leg.media.playing
    assert sound.duration_ms == 100 * len(says)


async def test_a_verdict_after_the_end_is_nobodys(world: World) -> None:
    leg = await answered(world, MachineOrder(action="hangup"))
    assert leg.media.asked is not None
    leg.leaves()
    await world.settle()
    leg.media.asked[0](MACHINE)
    rows, voicemail, _ = await over(world)
    assert voicemail is None
    assert types(rows).count("call.hangup") == 1


TRANSFER = """
name: hand-over
start: send
nodes:
  send: {verb: transfer, to: "1000", refer: false, on_failed: bye}
  bye: {verb: hangup}
"""


@pytest.mark.parametrize("rung", [False, True])
async def test_who_a_transfer_is_calling_is_not_handed_a_tape(world: World, rung: bool) -> None:
    leg = await answered(
        world, MachineOrder(action="leave_message", message="Call back."), TRANSFER
    )
    desk = world.carrier.dialled[1]
    if rung:
        desk.rings()
        await world.settle()
    await decide(world, leg, MACHINE)
    if not rung:
        desk.rings()
        await world.settle()
    assert desk.outcome is not None
    assert desk.outcome.result == "canceled"
    await greeting_ends(world, leg, "beep")
    leg.media.finish_prompt()
    await world.settle()
    _, voicemail, outcome = await over(world)
    assert voicemail is not None
    assert voicemail["delivery"] == "delivered"
    assert outcome == "voicemail"
