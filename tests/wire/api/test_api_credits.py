"""Usage, credits, a report made again, a callback taken back (contract 4.4, 5, 10)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from telephony.base.clock import iso
from telephony.base.errors import Refused
from telephony.calls.money import EQUITY, Kind, move
from telephony.reports.cost import Rate, Rates

from .conftest import FOREIGN_KEY

ORG = "org_default"
CENT = Rates(Rate(inbound=Decimal("0.01"), recording=Decimal("0.002")))


async def grant(api: Any, amount: int, note: str = "") -> None:
    posting = api.ids.make("le")
    await api.store.ledger.post(
        move(posting, ORG, Kind.GRANT, amount, EQUITY, api.clock.now(), note=note)
    )


async def test_nothing_configured_costs_nothing(api: Any) -> None:
    call = await api.ended_call()
    report = (await api.get(f"/v1/calls/{call.id}/report")).body
    assert (report["cost_micro_usd"], report["cost_breakdown"]) == ("0", [])
    assert (await api.get("/v1/credits/ledger")).body == {"entries": [], "nextCursor": None}
    assert (await api.get("/v1/credits/balance")).body == {
        "balanceUsd": 0.0, "currency": "USD", "updatedAt": iso(api.clock.now()),
    }  # fmt: skip
    api.clock.advance(1)
    used = (await api.get("/v1/usage")).body
    assert used == {
        "totalSessions": 1, "totalMinutes": 1.033, "totalCost": 0.0, "minutesCost": 0.0,
        "minutesBilledSeconds": 0, "addOnCost": 0.0, "breakdown": [], "balanceUsd": 0.0,
        "currency": "USD",
    }  # fmt: skip


async def test_a_priced_call_stands_in_report_usage_and_ledger(api: Any) -> None:
    api.rates = CENT
    await grant(api, 5_000_000, "welcome")
    call = await api.ended_call(recorded=True)
    report = (await api.get(f"/v1/calls/{call.id}/report")).body
    lines = report["cost_breakdown"]
    assert lines == [
        {"provider": "sip", "metric": "inbound_seconds", "quantity": 62, "keySource": "MANAGED",
         "costMicroUsd": "10333"},
        {"provider": "telephony", "metric": "recording_seconds", "quantity": 2,
         "keySource": "MANAGED", "costMicroUsd": "67"},
        {"provider": "telephony", "metric": "recording_seconds", "quantity": 9,
         "keySource": "MANAGED", "costMicroUsd": "300"},
    ]  # fmt: skip
    assert report["cost_micro_usd"] == str(sum(int(line["costMicroUsd"]) for line in lines))
    detail = (await api.get(f"/v1/calls/{call.id}")).body["report"]
    assert detail["cost_breakdown"] == lines

    ledger = (await api.get("/v1/credits/ledger")).body
    assert [row["amountMicroUsd"] for row in ledger["entries"]] == [
        "-300",
        "-67",
        "-10333",
        "5000000",
    ]
    assert ledger["entries"][0] == {
        "id": f"charge_{call.id}_3", "kind": "debit", "amountMicroUsd": "-300",
        "metric": "recording_seconds", "provider": "telephony", "sessionId": call.id,
        "createdAt": report["created_at"], "note": None,
    }  # fmt: skip
    assert (ledger["entries"][3]["kind"], ledger["entries"][3]["note"]) == ("grant", "welcome")
    balance = (await api.get("/v1/credits/balance")).body
    assert balance == {
        "balanceUsd": 4.9893, "currency": "USD", "updatedAt": report["created_at"],
    }  # fmt: skip

    api.clock.advance(1)
    used = (await api.get("/v1/usage")).body
    assert (used["totalCost"], used["minutesCost"], used["addOnCost"]) == (
        0.0107, 0.010333, 0.000367,
    )  # fmt: skip
    assert (used["minutesBilledSeconds"], used["balanceUsd"]) == (62, 4.9893)
    assert used["breakdown"] == [
        {"provider": "sip", "type": None, "metric": "inbound_seconds", "keySource": "MANAGED",
         "chargeKind": "minutes", "quantity": 62, "cost": 0.010333},
        {"provider": "telephony", "type": None, "metric": "recording_seconds",
         "keySource": "MANAGED", "chargeKind": "add_on", "quantity": 11, "cost": 0.000367},
    ]  # fmt: skip


async def test_money_is_its_organizations_own(api: Any) -> None:
    api.rates = CENT
    await grant(api, 5_000_000)
    await api.ended_call()
    api.clock.advance(1)
    used = (await api.get("/v1/usage", key=FOREIGN_KEY)).body
    assert (used["totalSessions"], used["breakdown"], used["balanceUsd"]) == (0, [], 0)
    assert (await api.get("/v1/credits/ledger", key=FOREIGN_KEY)).body["entries"] == []
    assert (await api.get("/v1/credits/balance", key=FOREIGN_KEY)).body["balanceUsd"] == 0


async def test_what_is_free_is_counted_and_not_charged(api: Any) -> None:
    api.rates = Rates(Rate())
    await api.ended_call()
    api.clock.advance(1)
    ((line,), cost) = (
        (body := (await api.get("/v1/usage")).body)["breakdown"],
        body["totalCost"],
    )
    assert (line["chargeKind"], line["quantity"], line["cost"], cost) == ("free", 62, 0, 0)
    assert (await api.get("/v1/credits/ledger")).body["entries"] == []


async def test_usage_is_of_a_time(api: Any) -> None:
    await api.ended_call()
    ended = api.clock.now()
    api.clock.advance(3600)

    async def sessions(query: str = "") -> int:
        return int((await api.get(f"/v1/usage?{query}")).body["totalSessions"])

    later = iso(ended + timedelta(milliseconds=1))
    assert await sessions(f"from={iso(ended)}&to={later}") == 1
    assert await sessions(f"from={later}") == 0
    assert await sessions(f"to={iso(ended)}") == 0
    assert await sessions("from=2026-01-05T08:00:00%2B00:00&to=2026-01-05T12:00:00+01:00") == 1
    assert await sessions("from=&to=") == 1
    # Without a beginning it is this month's.
    api.clock.advance(40 * 86_400)
    assert await sessions() == 0
    assert await sessions("from=2025-01-01") == 1
    assert await sessions("to=2026-01-31") == 1


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("usage?from=yesterday", "from"),
        ("usage?to=never", "to"),
        ("usage?from=2026-01-02&to=2026-01-01", "to"),
        ("credits/ledger?limit=0", "limit"),
        ("credits/ledger?limit=-1", "limit"),
        ("credits/ledger?limit=many", "limit"),
        ("credits/ledger?kind=gift", "kind"),
        ("credits/ledger?cursor=x", "cursor"),
        (f"credits/ledger?cursor={'2' * 201}", "cursor"),
    ],
)
async def test_a_wrong_query_is_named(api: Any, path: str, field: str) -> None:
    reply = await api.get(f"/v1/{path}")
    assert (reply.status, reply.body["code"]) == (400, "VALIDATION_ERROR")
    assert field in [issue["path"] for issue in reply.body["issues"]]


async def test_the_ledger_in_pages(api: Any) -> None:
    api.rates = CENT
    for _ in range(3):
        await api.ended_call(recorded=True)
        await grant(api, 1)
        api.clock.advance(1)
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        page = (await api.get(f"/v1/credits/ledger?limit=4&cursor={cursor}")).body
        seen += [row["id"] for row in page["entries"]]
        cursor, pages = page["nextCursor"], pages + 1
        if cursor is not None:
            assert cursor == page["entries"][-1]["createdAt"]
    assert (len(seen), len(set(seen)), pages) == (12, 12, 3)
    grants = (await api.get("/v1/credits/ledger?kind=grant&limit=200")).body["entries"]
    assert [row["amountMicroUsd"] for row in grants] == ["1", "1", "1"]


# --- a report made again -------------------------------------------------------------------


async def test_a_report_is_made_again_and_costs_what_it_did(api: Any) -> None:
    api.rates = CENT
    call = await api.ended_call()
    path = f"/v1/calls/{call.id}/report"
    before = (await api.get(path)).body
    kept = api.store.calls.reports[call.id]
    api.store.calls.reports[call.id] = replace(kept, summary="", structured_data={})
    api.clock.advance(60)
    reply = await api.post(f"{path}/finalize", {"forceAnalysis": True, "retryWebhook": False})
    assert (reply.status, reply.body) == (200, {
        "session_id": call.id, "summary": before["summary"], "outcome": "completed",
        "cost_micro_usd": "10333", "webhook_deliveries": [],
        "webhook": {"status": "not_configured"},
    })  # fmt: skip
    after = (await api.get(path)).body
    assert after == before | {"updated_at": iso(api.clock.now())}
    for raw in (b"", b"{}", b'{"forceAnalysis": null}'):
        assert (await api.post(f"{path}/finalize", raw=raw)).status == 200
    assert len((await api.get("/v1/credits/ledger")).body["entries"]) == 1


async def test_what_has_no_report_cannot_be_finalized(api: Any) -> None:
    call, events = api.a_call()
    await api.keep(call, events)
    reply = await api.post(f"/v1/calls/{call.id}/report/finalize")
    assert (reply.status, reply.body["code"]) == (404, "NOT_FOUND")
    reply = await api.post("/v1/calls/nobody/report/finalize")
    assert (reply.status, reply.body["code"]) == (404, "SESSION_NOT_FOUND")
    done = await api.ended_call()
    reply = await api.post(f"/v1/calls/{done.id}/report/finalize", {"forceAnalysis": "yes"})
    assert (reply.status, reply.body["issues"][0]["path"]) == (400, "forceAnalysis")
    foreign = await api.post(f"/v1/calls/{done.id}/report/finalize", key=FOREIGN_KEY)
    assert foreign.status == 404


@pytest.mark.parametrize("which", [min, max, lambda rows: 3, None])
async def test_a_report_that_knows_more_than_the_events_is_left_alone(api: Any, which: Any) -> None:
    call = await api.ended_call()
    rows = api.store.calls.rows[call.id]
    if which is None:
        rows.clear()
    else:
        del rows[which(rows)]
    before = api.store.calls.reports[call.id]
    assert (await api.post(f"/v1/calls/{call.id}/report/finalize")).status == 200
    assert api.store.calls.reports[call.id] is before


# --- a callback taken back -----------------------------------------------------------------


async def test_a_callback_is_cancelled_once(api: Any) -> None:
    body = {"to": "+12025550123", "delaySeconds": 60, "reason": "asked", "metadata": {"a": 1}}
    made = (await api.post("/v1/callbacks", body)).body
    path = f"/v1/callbacks/{made['id']}"
    assert (await api.post(f"{path}/cancel", key=FOREIGN_KEY)).status == 404
    wrong = await api.post(f"{path}/cancel", {"reason": "x" * 501})
    assert (wrong.status, wrong.body["issues"][0]["path"]) == (400, "reason")
    api.clock.advance(1)
    reply = await api.post(f"{path}/cancel", {"reason": "x" * 500})
    now = iso(api.clock.now())
    assert (reply.status, reply.body) == (200, made | {
        "status": "cancelled", "cancelled_at": now, "updated_at": now,
        "metadata": {"a": 1, "cancel_reason": "x" * 500},
    })  # fmt: skip
    assert (await api.get(path)).body == reply.body
    again = await api.post(f"{path}/cancel")
    assert (again.status, again.body["code"]) == (409, "CONFLICT")
    assert (await api.post("/v1/callbacks/cb_nobody/cancel")).status == 404


async def test_a_callback_that_is_being_dialed_is_not_cancelled(api: Any) -> None:
    made = (await api.post("/v1/callbacks", {"to": "+12025550123"})).body
    claimed = await api.store.callbacks.claim(api.clock.now(), 15)
    await api.store.callbacks.attempt(claimed, "s", api.clock.now())
    reply = await api.post(f"/v1/callbacks/{made['id']}/cancel", raw=b"")
    assert (reply.status, reply.body["code"]) == (409, "CONFLICT")
    assert "being dialed" in reply.body["error"]
    dispatch = await api.post(f"/v1/callbacks/{made['id']}/dispatch")
    assert (dispatch.status, dispatch.body["code"]) == (501, "NOT_IMPLEMENTED")


async def test_a_dial_without_credit_is_402(api: Any) -> None:
    api.board.failure = Refused("no credit is left", code="INSUFFICIENT_CREDITS")
    reply = await api.post("/v1/sessions/phone", {"to": "+12025550123", "dialplan": "front-desk"})
    assert (reply.status, reply.body["code"]) == (402, "INSUFFICIENT_CREDITS")
