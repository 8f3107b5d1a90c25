"""Who owes whom: every posting balances, is written once, and pages show each entry once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telephony.base.clock import iso
from telephony.base.errors import BadInput, StoreUnavailable
from telephony.calls.money import CREDITS, EQUITY, CostLine, Entry, Kind, Posting, move
from telephony.calls.ports import Append, Balance, Used
from telephony.store.tables import ledger_entries

ORG = "org_default"
LINES = (
    CostLine(provider="sip", metric="inbound_seconds", quantity=61, cost_micro_usd=10_167),
    CostLine(provider="sip", metric="inbound_seconds", quantity=3, cost_micro_usd=500),
    CostLine(provider="telephony", metric="recording_seconds", quantity=61, cost_micro_usd=0),
)


def grant(make: Any, amount: int, **members: Any) -> Posting:
    given_to = members.pop("organization", ORG)
    kind = members.pop("kind", Kind.GRANT)
    posting = make.ids.make("le")
    return move(posting, given_to, kind, amount, EQUITY, make.clock.now(), **members)


def priced(life: list[Append], lines: tuple[CostLine, ...] = LINES) -> list[Append]:
    """The batch with a bill in its report."""
    *before, last = life
    assert last.report is not None
    cost = str(sum(line.cost_micro_usd for line in lines))
    report = replace(last.report, cost_lines=lines, cost_micro_usd=cost)
    return [*before, replace(last, report=report)]


async def accounts(store: Any) -> Counter[str]:
    """What stands on each account of both sides, whatever organization."""
    sums: Counter[str] = Counter()
    if hasattr(store, "switch"):
        for posting in store.ledger.postings.values():
            for entry in posting.entries:
                sums[entry.account] += entry.amount
        return sums

    async def work(connection: Any) -> list[Any]:
        return list(await connection.execute(sa.select(ledger_entries)))

    for row in await store.database.read(work):
        sums[row.account] += row.amount
    return sums


async def test_a_call_is_charged_with_its_report_and_only_once(store: Any, make: Any) -> None:
    await store.ledger.post(grant(make, 1_000_000, note="welcome"))
    batch = priced(make.life(make.call()))
    for _ in range(2):
        await store.calls.append(batch)
    session = batch[-1].call.id
    assert (await store.ledger.balance(ORG)).amount == 1_000_000 - 10_667
    entries, cursor = await store.ledger.page(ORG, None, 10, None)
    assert cursor is None
    assert [(x.kind, x.amount, x.metric, x.provider, x.session, x.note) for x in entries] == [
        (Kind.DEBIT, -500, "inbound_seconds", "sip", session, ""),
        (Kind.DEBIT, -10_167, "inbound_seconds", "sip", session, ""),
        (Kind.GRANT, 1_000_000, None, None, None, "welcome"),
    ]
    assert await accounts(store) == {
        CREDITS: 989_333, EQUITY: -1_000_000,
        "revenue:inbound_seconds": 10_667, "revenue:recording_seconds": 0,
    }  # fmt: skip
    found = await store.calls.report(ORG, session)
    assert (found.cost_lines, found.cost_micro_usd) == (LINES, "10667")


async def test_a_report_made_again_charges_nothing(store: Any, make: Any) -> None:
    batch = priced(make.life(make.call()))
    await store.calls.append(batch)
    dearer = replace(batch[-1].report, summary="again", updated_at=make.clock.now())
    await store.calls.put_report(dearer)
    assert await store.calls.report(ORG, dearer.session) == dearer
    await store.calls.put_report(replace(dearer, organization="org_2", summary="stolen"))
    await store.calls.put_report(replace(dearer, session="nobody"))
    assert await store.calls.report(ORG, dearer.session) == dearer
    assert await store.calls.report(ORG, "nobody") is None
    assert (await store.ledger.balance(ORG)).amount == -10_667


async def test_what_cannot_be_written_is_not_charged(open_store: Any, make: Any) -> None:
    store = await open_store()
    batch = priced(make.life(make.call()))
    bad = replace(batch[-1], event=replace(batch[-1].event, seq=None))
    if hasattr(store, "switch"):
        store.down = True
    with pytest.raises(StoreUnavailable):
        await store.calls.append([*batch[:-1], bad])
    if hasattr(store, "switch"):
        store.down = False
    assert await accounts(store) == {}


async def test_balances_are_their_organizations_own(store: Any, make: Any) -> None:
    assert await store.ledger.balance(ORG) == Balance(0, None)
    mine = grant(make, 5)
    await store.ledger.post(mine)
    await store.ledger.post(mine)
    make.clock.advance(1)
    await store.ledger.post(grant(make, -7, kind=Kind.ADJUSTMENT, note="slip \x00 of the hand"))
    await store.ledger.post(grant(make, 11, organization="org_2"))
    assert await store.ledger.balance(ORG) == Balance(-2, make.clock.now())
    assert (await store.ledger.balance("org_2")).amount == 11
    ((theirs,), _) = await store.ledger.page("org_2", None, 10, None)
    assert theirs.amount == 11
    assert await store.ledger.used("org_2", make.clock.now(), make.clock.now()) == []


async def test_used_and_talked_are_of_a_time(store: Any, make: Any) -> None:
    first, second = priced(make.life(make.call())), priced(make.life(make.call()), LINES[:1])
    await store.calls.append(first)
    await store.calls.append(second)
    await store.calls.append(priced(make.life(make.call(organization="org_2"))))
    ended, after = first[-1].report.created_at, second[-1].report.created_at
    whole = (ORG, ended, after + timedelta(seconds=1))
    assert await store.ledger.used(*whole) == [
        Used(provider="sip", metric="inbound_seconds", quantity=125, cost_micro_usd=20_834),
        Used(provider="telephony", metric="recording_seconds", quantity=61, cost_micro_usd=0),
    ]
    assert await store.ledger.talked(*whole) == (2, 4000)
    # The end is not of the time, the beginning is.
    assert await store.ledger.talked(ORG, ended, after) == (1, 2000)
    assert (await store.ledger.used(ORG, ended, after))[0].quantity == 64
    assert await store.ledger.talked("org_3", *whole[1:]) == (0, 0)


async def read_all(store: Any, limit: int, kind: Kind | None = None) -> list[list[Entry]]:
    pages, cursor = [], None
    while True:
        page, cursor = await store.ledger.page(ORG, kind, limit, cursor)
        pages.append(page)
        if cursor is None:
            return pages


async def test_pages_show_each_entry_once_though_many_are_of_one_moment(
    store: Any, make: Any
) -> None:
    for of_one_moment in (1, 3, 1, 2, 4):
        for number in range(of_one_moment):
            await store.ledger.post(grant(make, number + 1))
        make.clock.advance(0.001)
    for limit in (1, 2, 3, 4, 5, 10, 11, 12):
        pages = await read_all(store, limit)
        entries = [entry for page in pages for entry in page]
        assert len({entry.posting for entry in entries}) == len(entries) == 11
        assert entries == sorted(entries, key=lambda x: (x.created_at, x.posting), reverse=True)
        assert all(1 <= len(page) <= limit for page in pages)
    # The cursor is the last row's time, and a client may make it itself.
    page, cursor = await store.ledger.page(ORG, None, 5, None)
    assert (len(page), cursor) == (4, iso(page[-1].created_at))
    rest, _ = await store.ledger.page(ORG, None, 50, iso(page[-1].created_at))
    assert len(rest) == 7


async def test_a_page_begun_goes_on_where_it_was_though_more_comes(store: Any, make: Any) -> None:
    for number in range(4):
        await store.ledger.post(grant(make, number + 1))
        make.clock.advance(1)
    first, cursor = await store.ledger.page(ORG, None, 2, None)
    await store.ledger.post(grant(make, 99))
    second, _ = await store.ledger.page(ORG, None, 2, cursor)
    assert [x.amount for x in (*first, *second)] == [4, 3, 2, 1]


async def test_a_page_of_one_kind(store: Any, make: Any) -> None:
    await store.calls.append(priced(make.life(make.call())))
    await store.ledger.post(grant(make, 1))
    await store.ledger.post(grant(make, 2, kind=Kind.TOPUP))
    ((only,), _) = await store.ledger.page(ORG, Kind.TOPUP, 10, None)
    assert only.amount == 2
    pages = await read_all(store, 1, Kind.DEBIT)
    assert [x.amount for page in pages for x in page] == [-500, -10_167]
    assert await store.ledger.page(ORG, Kind.REFUND, 10, None) == ([], None)


@pytest.mark.parametrize("cursor", ["", "yesterday", "2026-01-05", "2026-01-05T09:00:00", "~x"])
async def test_a_cursor_that_is_no_time_is_refused(store: Any, cursor: str) -> None:
    with pytest.raises(BadInput, match="cursor"):
        await store.ledger.page(ORG, None, 10, cursor)


amounts = st.integers(-(10**15), 10**15)
steps = st.one_of(
    st.tuples(st.just("move"), amounts, st.sampled_from(list(Kind)), st.integers(0, 5)),
    st.tuples(
        st.just("call"),
        st.lists(st.tuples(st.sampled_from(["x", "y"]), st.integers(0, 10**12)), max_size=3),
        st.booleans(),
        st.just(0),
    ),
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(todo=st.lists(steps, max_size=12))
async def test_any_sequence_of_postings_balances(store: Any, make: Any, todo: list[Any]) -> None:
    before = (await store.ledger.balance(ORG)).amount
    expected = before
    for what, value, third, again in todo:
        if what == "move":
            posting = grant(make, value, kind=third)
            for _ in range(1 + again):
                await store.ledger.post(posting)
            expected += value
        else:
            lines = tuple(
                CostLine(provider="sip", metric=metric, quantity=1, cost_micro_usd=cost)
                for metric, cost in value
            )
            batch = priced(make.life(make.call()), lines)
            for _ in range(1 + third):
                await store.calls.append(batch)
            expected -= int(batch[-1].report.cost_micro_usd)
    sums = await accounts(store)
    assert sums.total() == 0
    assert sums[CREDITS] == (await store.ledger.balance(ORG)).amount == expected


def test_a_posting_that_does_not_balance_cannot_be_made(make: Any) -> None:
    credit, equity = grant(make, 5).entries
    for wrong in (
        (credit,),
        (credit, replace(equity, amount=-4)),
        (credit, replace(equity, account=CREDITS)),
        (credit, replace(equity, organization="org_2")),
        (credit, replace(equity, posting="another")),
        (),
    ):
        with pytest.raises(ValueError, match="posting"):
            Posting(wrong)
