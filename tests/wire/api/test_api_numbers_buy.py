"""Numbers of the pool: looked for, bought, charged by the month, given back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from telephony.accounts.ports import Offered
from telephony.calls.money import EQUITY, Kind, move

from .conftest import FOREIGN_KEY

ORG = "org_default"
POOL = (
    Offered(
        e164="+12025550150",
        trunk="trunk_main",
        upfront_micro_usd=1_000_000,
        monthly_micro_usd=2_500_000,
        state="DC",
        locality="Washington",
        rate_center="WSHNGTNZN1",
    ),
    Offered(e164="+12025550151", trunk="default"),
    Offered(e164="+14155550152", trunk="default", locality="San Francisco"),
    Offered(e164="+442079460153", trunk="default", locality="London"),
)
FIRST, FREE = POOL[0].e164, POOL[1].e164


@pytest.fixture
async def shop(start: Any) -> Any:
    return await start(pool=POOL)


async def found(api: Any, query: str = "", **options: Any) -> list[str]:
    reply = await api.get(f"/v1/phone-numbers/available{query}", **options)
    assert reply.status == 200, reply.body
    return [row["e164"] for row in reply.body]


async def micro(api: Any) -> int:
    amount: int = (await api.store.ledger.balance(ORG)).amount
    return amount


async def test_what_is_offered_says_what_it_costs(shop: Any) -> None:
    rows = (await shop.get("/v1/phone-numbers/available")).body
    assert len(rows) == 4
    assert rows[0] == {
        "e164": FIRST,
        "friendlyName": "(202) 555-0150",
        "monthlyCostUsd": 2.5,
        "upfrontCostUsd": 1.0,
        "features": ["voice"],
        "region": {"state": "DC", "locality": "Washington", "rateCenter": "WSHNGTNZN1"},
    }
    assert rows[3]["friendlyName"] == "+442079460153"
    assert await found(shop, "?areaCode=202") == [FIRST, FREE]
    assert await found(shop, "?areaCode=207") == []
    assert await found(shop, "?locality=san%20FRAN") == ["+14155550152"]
    assert await found(shop, "?areaCode=&locality=&limit=2") == [FIRST, FREE]
    assert await found(shop, "?areaCode=202&locality=london") == []


async def test_without_a_pool_there_is_nothing_to_buy(api: Any) -> None:
    assert await found(api) == []
    reply = await api.post("/v1/phone-numbers", {"e164": FIRST})
    assert (reply.status, reply.body["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("areaCode=20", "areaCode"),
        ("areaCode=2025", "areaCode"),
        ("areaCode=20x", "areaCode"),
        ("areaCode=%D9%A2%D9%A0%D9%A2", "areaCode"),
        ("locality=" + "x" * 121, "locality"),
        ("limit=0", "limit"),
        ("limit=51", "limit"),
        ("limit=1.5", "limit"),
    ],
)
async def test_a_wrong_question_is_named(shop: Any, query: str, path: str) -> None:
    reply = await shop.get(f"/v1/phone-numbers/available?{query}")
    assert (reply.status, reply.body["issues"][0]["path"]) == (400, path)


async def test_a_number_is_bought_and_given_back(shop: Any) -> None:
    await shop.post("/v1/trunks", {"name": "main", "gateways": ["gw"]})
    body = {"e164": FREE, "direction": "both", "dialplan": "front-desk", "label": "Desk",
            "dispatchMetadataTemplate": {"a": "{{b}}"}, "agentId": None}  # fmt: skip
    reply = await shop.post("/v1/phone-numbers", body)
    assert reply.status == 200, reply.body
    row = reply.body
    assert (row["source"], row["e164"], row["direction"]) == ("managed", FREE, "both")
    assert (row["label"], row["dispatchMetadataTemplate"]) == ("Desk", {"a": "{{b}}"})
    assert row["sipConnectionInstallationId"] is None
    # Nobody has to tell a carrier where we are: who runs the pool did.
    assert row["setupStatus"]["forwardingRequired"] is False
    assert row["setupStatus"]["forwardingSipUri"] is None
    assert row["setupStatus"]["status"] == "ready"
    assert (await shop.get(f"/v1/phone-numbers/{row['id']}")).body == row
    assert FREE not in await found(shop)
    assert FREE not in await found(shop, key=FOREIGN_KEY)
    for key in (shop.key, FOREIGN_KEY):
        again = await shop.post("/v1/phone-numbers", {"e164": FREE}, key=key)
        assert (again.status, again.body["code"]) == (409, "CONFLICT")
    reply = await shop.ask("DELETE", f"/v1/phone-numbers/{row['id']}")
    assert reply.body == {"released": True}
    assert FREE in await found(shop)
    assert (await shop.ask("DELETE", f"/v1/phone-numbers/{row['id']}")).status == 404
    assert (await shop.post("/v1/phone-numbers", {"e164": FREE}, key=FOREIGN_KEY)).status == 200


async def test_a_number_says_that_its_trunk_is_missing(shop: Any) -> None:
    row = (await shop.post("/v1/phone-numbers", {"e164": FIRST})).body
    assert row["direction"] == "outbound"
    assert row["setupStatus"]["status"] == "action_required"
    assert row["setupStatus"]["issues"] == ["trunk trunk_main does not exist"]
    assert row["setupStatus"]["outboundReady"] is False


async def test_what_is_for_sale_is_not_imported(shop: Any) -> None:
    reply = await shop.post("/v1/phone-numbers/import", {"e164": FREE})
    assert (reply.status, reply.body["code"]) == (409, "CONFLICT")
    assert await micro(shop) == 0
    row = (await shop.post("/v1/phone-numbers/import", {"e164": "+12025550100"})).body
    assert (row["source"], row["nextChargeAt"]) == ("sip_trunk", "9999-12-31T23:59:59.000Z")


@pytest.mark.parametrize(
    ("change", "status", "path"),
    [
        ({"e164": None}, 400, "e164"),
        ({"e164": "2025550151"}, 400, "e164"),
        ({"direction": "sideways"}, 400, "direction"),
        ({"label": "x" * 121}, 400, "label"),
        ({"dispatchMetadataTemplate": "x"}, 400, "dispatchMetadataTemplate"),
        ({"agentId": ""}, 400, "agentId"),
        ({"agentId": "x" * 201}, 400, "agentId"),
        ({"agentId": "agent_x"}, 404, None),
        ({"dialplan": "nope"}, 400, "dialplan"),
        ({"record": "yes"}, 400, "record"),
        ({"e164": "+12025550199"}, 404, None),
    ],
)
async def test_a_wrong_purchase_is_named(
    shop: Any, change: dict[str, Any], status: int, path: str | None
) -> None:
    reply = await shop.post("/v1/phone-numbers", {"e164": FIRST, **change})
    assert reply.status == status
    if path is not None:
        assert path in [issue["path"] for issue in reply.body["issues"]]
    assert (await shop.get("/v1/phone-numbers")).body == []
    assert await micro(shop) == 0


async def test_a_label_just_inside_is_taken(shop: Any) -> None:
    reply = await shop.post("/v1/phone-numbers", {"e164": FREE, "label": "x" * 120})
    assert reply.body["label"] == "x" * 120


# --- money -----------------------------------------------------------------------------------


async def test_months_are_charged_once_each(start: Any) -> None:
    api = await start(pool=POOL)
    api.clock.step_wall(26 * 86_400)  # The 31st of January.
    row = (await api.post("/v1/phone-numbers", {"e164": FIRST})).body
    assert row["nextChargeAt"] == "2026-02-28T09:00:00.000Z"
    assert row["lastChargedAt"] == "2026-01-31T09:00:00.000Z"
    assert await micro(api) == -3_500_000
    shop = api.shop
    await shop.charge_all(api.clock.now())
    assert await micro(api) == -3_500_000
    # Three months at once, as after a long stop; the day comes back where the month has it.
    await shop.charge_all(datetime(2026, 4, 30, 9, 0, tzinfo=UTC))
    assert await micro(api) == -3_500_000 - 3 * 2_500_000
    row = (await api.get(f"/v1/phone-numbers/{row['id']}")).body
    assert row["lastChargedAt"] == "2026-04-30T09:00:00.000Z"
    assert row["nextChargeAt"] == "2026-05-31T09:00:00.000Z"
    # One that died between charging and writing so charges the same months again: once.
    (number,) = api.store.directory.numbers()
    await api.store.numbers.replace(replace(number, next_charge_at=number.created_at))
    await shop.charge_all(datetime(2026, 4, 30, 9, 0, tzinfo=UTC))
    assert await micro(api) == -3_500_000 - 3 * 2_500_000
    entries, _ = await api.store.ledger.page(ORG, Kind.DEBIT, 50, None)
    assert sorted({entry.metric for entry in entries}) == ["phone_number_months", "phone_numbers"]
    await api.ask("DELETE", f"/v1/phone-numbers/{row['id']}")
    await shop.charge_all(datetime(2027, 1, 1, tzinfo=UTC))
    assert await micro(api) == -3_500_000 - 3 * 2_500_000


async def test_who_pays_before_must_be_able_to(start: Any) -> None:
    api = await start(pool=POOL, prepaid=True)

    async def give(amount: int) -> None:
        name = f"grant_{amount}"
        await api.store.ledger.post(
            move(name, ORG, Kind.GRANT, amount, EQUITY, api.clock.now(), note="test")
        )

    await give(3_499_999)
    reply = await api.post("/v1/phone-numbers", {"e164": FIRST})
    assert (reply.status, reply.body["code"]) == (402, "INSUFFICIENT_CREDITS")
    assert (await api.get("/v1/phone-numbers")).body == []
    assert (await api.post("/v1/phone-numbers", {"e164": FREE})).status == 200
    await give(1)
    assert (await api.post("/v1/phone-numbers", {"e164": FIRST})).status == 200
    assert await micro(api) == 0
