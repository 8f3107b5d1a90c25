"""What a whole call costs, and what nobody may begin with nothing to pay it from."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from telephony.base.errors import Refused, StoreUnavailable
from telephony.calls.money import EQUITY, Kind, move
from telephony.calls.orders import DialOrder
from telephony.calls.ports import Recorded
from telephony.ledger.credits import Prepaid
from telephony.reports.cost import Rate, Rates
from telephony.switchboard.recover import recover
from telephony.testing.store import MemoryStore
from tests.scenario.conftest import World

ORG = "org_default"
CARD = Rates(
    Rate(inbound=Decimal("0.01"), outbound=Decimal("0.5")),
    {"trunk_main": Rate(outbound=Decimal("0.02"), increment=6)},
)
ONWARD = """
start: over
nodes:
  over: { verb: dial, to: "+12025550177", ring_seconds: 5, ringback: false, next: end }
  end: { verb: hangup }
"""


def with_kit(world: World, **members: object) -> None:
    world.kit = replace(world.kit, **members)
    world.switchboard._kit = world.kit


def order() -> DialOrder:
    return DialOrder(organization=ORG, to="+12025550111", dialplan="after-hours", record=False)


async def test_a_dialled_call_of_61_seconds(world: World) -> None:
    with_kit(world, rates=CARD)
    result = await world.switchboard.dial(order())
    await world.settle()
    (callee,) = world.carrier.dialled
    callee.rings()
    world.clock.advance(20)
    callee.answers()
    await world.settle()
    world.clock.advance(61)
    callee.leaves()
    await world.until_over(result.session_id)
    report = world.records.reports[result.session_id]
    (line,) = report.cost_lines
    # The trunk counts in sixes: 66 s at 0.02 a minute.
    assert (line.metric, line.quantity, line.cost_micro_usd) == ("outbound_seconds", 66, 22_000)
    assert report.cost_micro_usd == "22000"


async def test_nobody_answered_and_nothing_is_paid(world: World) -> None:
    with_kit(world, rates=CARD)
    result = await world.switchboard.dial(order())
    await world.settle()
    world.carrier.dialled[0].leaves()
    await world.until_over(result.session_id)
    report = world.records.reports[result.session_id]
    assert (report.cost_micro_usd, report.cost_lines) == ("0", ())


async def test_a_call_that_died_with_its_process_is_charged_on_the_next_start(
    world: World,
) -> None:
    leg = world.carrier.offer("front-desk")
    await world.settle()
    (session,) = world.records.calls
    store = MemoryStore()
    store.calls.calls[session] = world.records.calls[session]
    store.calls.rows[session] = {row.seq: row for row in world.records.rows[session]}
    world.clock.advance(61)
    lost = Recorded(world.kit.config.recordings, 0, 0, "failed", "gone")
    for _ in range(2):
        await recover(store.calls, world.clock, world.kit.ids, lambda path: lost, CARD)
    assert (await store.ledger.balance(ORG)).amount == -10_167
    leg.leaves()


# --- paid in advance -----------------------------------------------------------------------


async def prepaid(world: World, micro: int) -> MemoryStore:
    store = MemoryStore()
    with_kit(world, rates=CARD, afford=Prepaid(store.ledger, world.clock).check)
    if micro:
        now = world.clock.now() - timedelta(seconds=1)
        await store.ledger.post(move("le_1", ORG, Kind.GRANT, micro, EQUITY, now))
    return store


@pytest.mark.parametrize("micro", [0, -1])
async def test_nothing_is_sent_without_credit(world: World, micro: int) -> None:
    await prepaid(world, micro)
    with pytest.raises(Refused) as caught:
        await world.switchboard.dial(order())
    assert caught.value.code == "INSUFFICIENT_CREDITS"
    await world.settle()
    assert not world.carrier.dialled
    assert not world.records.calls
    assert world.switchboard._admission.live == 0


async def test_a_millionth_is_enough_to_begin_and_a_test_call_needs_none(world: World) -> None:
    await prepaid(world, 1)
    result = await world.switchboard.dial(order())
    await world.settle()
    world.carrier.dialled[0].leaves()
    await world.until_over(result.session_id)
    await prepaid(world, 0)
    assert (await world.switchboard.dial(replace(order(), test=True))).status == "dialing-stub"


async def test_nobody_dials_while_nobody_knows(world: World) -> None:
    store = await prepaid(world, 1)
    store.down = True
    with pytest.raises(StoreUnavailable):
        await world.switchboard.dial(order())
    assert not world.records.calls


async def test_what_was_enough_is_so_for_a_second_and_what_was_not_is_looked_at_anew(
    world: World,
) -> None:
    store = await prepaid(world, 1)
    check = world.kit.afford
    await check(ORG)
    now = world.clock.now()
    await store.ledger.post(move("le_2", ORG, Kind.ADJUSTMENT, -1, EQUITY, now, note="x"))
    world.clock.advance(0.999)
    await check(ORG)
    with pytest.raises(Refused):
        await check("org_2")
    world.clock.advance(0.001)
    with pytest.raises(Refused):
        await check(ORG)
    await store.ledger.post(move("le_3", ORG, Kind.GRANT, 1, EQUITY, now))
    await check(ORG)


async def test_a_dialplan_sends_nobody_on_without_credit(world: World) -> None:
    await prepaid(world, 0)
    world.plan("onward", ONWARD)
    world.carrier.offer("onward")
    await world.settle()
    (session,) = world.records.calls
    rows = await world.until_over(session)
    failed = next(row for row in rows if row.event_type == "sip.dial_failed")
    assert failed.failure_cause == "refused_by_policy"
    assert not world.carrier.dialled
