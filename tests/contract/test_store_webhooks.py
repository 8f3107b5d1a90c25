"""WebhookStore and DeliveryStore."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from telephony.accounts.webhooks import (
    ContentMode,
    DeliveryAttempt,
    DeliveryFilter,
    DeliveryStatus,
    EndpointOption,
    SecretSource,
    WebhookDelivery,
    WebhookEndpoint,
)
from telephony.base.errors import BadInput, NotFound

ORG = "org_default"
OTHER = "org_other"


def endpoint(make: Any, name: str = "CRM", **members: Any) -> WebhookEndpoint:
    make.clock.advance(1)
    now = make.clock.now()
    values: dict[str, Any] = {
        "id": make.ids.make("whe"),
        "organization": ORG,
        "name": name,
        "url": "https://crm.example/hook",
        "events": ("call.report", "call.hangup"),
        "created_at": now,
        "updated_at": now,
    }
    return WebhookEndpoint(**(values | members))


def delivery(make: Any, to: WebhookEndpoint, **members: Any) -> WebhookDelivery:
    make.clock.advance(1)
    now = make.clock.now()
    values: dict[str, Any] = {
        "id": make.ids.make("whd"),
        "organization": to.organization,
        "event_id": make.ids.make("msg"),
        "endpoint": to.id,
        "endpoint_name": to.name,
        "event": "call.report",
        "session": "s1",
        "agent": "agent_1",
        "tags": {"tier": "gold"},
        "occurred_at": now,
        "expires_at": now + timedelta(days=1),
        "created_at": now,
    }
    return WebhookDelivery(**(values | members))


def attempt(make: Any, number: int, **members: Any) -> DeliveryAttempt:
    values: dict[str, Any] = {
        "id": make.ids.make("wha"),
        "number": number,
        "trigger": "automatic",
        "request_url": "https://crm.example/hook",
        "request_headers": {"webhook-id": "msg_1"},
        "request_body": {"type": "call.report"},
        "response_status": 500,
        "response_body": "no",
        "duration_ms": 12.5,
        "created_at": make.clock.now(),
    }
    return DeliveryAttempt(**(values | members))


async def test_an_endpoint_is_made_changed_and_forgotten(store: Any, make: Any) -> None:
    one = endpoint(
        make,
        all_agents=False,
        agents=("agent_1",),
        filter_tags={"a": "b"},
        headers={"X-A": "1"},
        auth_headers={"Authorization": "Bearer of the CRM"},
        timeout_ms=900,
        secret_source=SecretSource.CUSTOM,
        signing_secret="whsec_of-our-own",
        extraction_fields=({"name": "x", "type": "string", "description": "y"},),
        content_mode=ContentMode.METADATA_ONLY,
    )
    two = endpoint(make, "Other")
    await store.webhooks.add(one)
    await store.webhooks.add(two)
    assert await store.webhooks.find(ORG) == [one, two]
    assert await store.webhooks.get(ORG, one.id) == one
    changed = replace(one, name="CRM 2", auth_headers={}, secret_source=SecretSource.WORKSPACE)
    await store.webhooks.replace(changed)
    assert await store.webhooks.get(ORG, one.id) == changed
    assert await store.webhooks.remove(ORG, one.id, make.clock.now()) is True
    assert await store.webhooks.remove(ORG, one.id, make.clock.now()) is False
    assert await store.webhooks.find(ORG) == [two]
    with pytest.raises(NotFound):
        await store.webhooks.replace(changed)


async def test_an_endpoint_of_others_is_none(store: Any, make: Any) -> None:
    one = endpoint(make)
    await store.webhooks.add(one)
    assert await store.webhooks.find(OTHER) == []
    assert await store.webhooks.get(OTHER, one.id) is None
    assert await store.webhooks.remove(OTHER, one.id, make.clock.now()) is False
    with pytest.raises(NotFound):
        await store.webhooks.replace(replace(one, organization=OTHER))
    assert await store.webhooks.find(ORG) == [one]


async def test_secrets_are_sealed_and_go_with_their_endpoint(store: Any, make: Any) -> None:
    one = endpoint(
        make,
        auth_headers={"X-Key": "plain-header-secret"},
        secret_source=SecretSource.CUSTOM,
        signing_secret="whsec_plain-signing-secret",
    )
    await store.webhooks.add(one)
    await store.webhooks.keep_secret(ORG, "whsec_plain-workspace-secret", make.clock.now())
    if not hasattr(store, "database"):
        return

    async def everything() -> str:
        async def work(connection: Any) -> str:
            rows = [
                (await connection.execute(sa.text(f"SELECT * FROM {table}"))).all()
                for table in ("webhook_endpoints", "webhook_secrets")
            ]
            return str(rows)

        text: str = await store.database.read(work)
        return text

    assert "plain" not in await everything()
    await store.webhooks.remove(ORG, one.id, make.clock.now())
    assert "X-Key" not in await everything()


async def test_the_first_secret_of_an_organization_stands(store: Any, make: Any) -> None:
    keep, now = store.webhooks.keep_secret, make.clock.now()
    assert await store.webhooks.secret(ORG) is None
    assert await keep(ORG, "whsec_1", now) == "whsec_1"
    assert await keep(ORG, "whsec_2", now) == "whsec_1"
    assert await keep(ORG, "whsec_3", now, instead=True) == "whsec_3"
    assert await store.webhooks.secret(ORG) == "whsec_3"
    assert await store.webhooks.secret(OTHER) is None


async def test_a_delivery_is_written_again_as_it_goes_on(store: Any, make: Any) -> None:
    to = endpoint(make)
    await store.webhooks.add(to)
    row = delivery(make, to, payload={"type": "call.report", "deep": [1, None]})
    await store.deliveries.put(row)
    assert await store.deliveries.get(ORG, row.id) == row
    first = attempt(make, 1)
    row = replace(row, status=DeliveryStatus.DELIVERING, attempt_count=1, attempts=(first,))
    await store.deliveries.put(row)
    second = attempt(make, 2, trigger="manual", response_status=204, response_body=None)
    row = replace(
        row,
        status=DeliveryStatus.SUCCEEDED,
        attempt_count=2,
        http_status=204,
        delivered_at=make.clock.now(),
    )
    await store.deliveries.put(replace(row, attempts=(second,)))
    assert await store.deliveries.get(ORG, row.id) == replace(row, attempts=(first, second))
    assert await store.deliveries.get(OTHER, row.id) is None
    assert await store.deliveries.get(ORG, "whd_x") is None


async def test_deliveries_are_chosen(store: Any, make: Any) -> None:
    crm, other = endpoint(make), endpoint(make, "Other")
    await store.webhooks.add(crm)
    await store.webhooks.add(other)
    one = delivery(make, crm)
    two = delivery(make, other, event="call.hangup", agent=None, session="s2")
    three = delivery(make, crm, status=DeliveryStatus.FAILED)
    for row in (one, two, three):
        await store.deliveries.put(row)

    async def chosen(**members: Any) -> list[str]:
        page, cursor = await store.deliveries.page(ORG, DeliveryFilter(**members), 10, None)
        assert cursor is None
        return [row.id for row in page]

    assert await chosen() == [three.id, two.id, one.id]
    assert await chosen(endpoint=crm.id) == [three.id, one.id]
    assert await chosen(event="call.hangup") == [two.id]
    assert await chosen(agent="agent_1", status="pending") == [one.id]
    assert await chosen(session="s2") == [two.id]
    assert await chosen(event_id=three.event_id) == [three.id]
    assert await chosen(since=two.created_at, until=three.created_at) == [two.id]
    assert await store.deliveries.page(OTHER, DeliveryFilter(), 10, None) == ([], None)


async def test_pages_meet_though_more_comes(store: Any, make: Any) -> None:
    to = endpoint(make)
    await store.webhooks.add(to)
    rows = [delivery(make, to) for _ in range(5)]
    rows[2] = replace(rows[2], created_at=rows[1].created_at)
    for row in rows:
        await store.deliveries.put(row)
    first, cursor = await store.deliveries.page(ORG, DeliveryFilter(), 3, None)
    await store.deliveries.put(delivery(make, to))
    second, end = await store.deliveries.page(ORG, DeliveryFilter(), 3, cursor)
    assert [r.id for r in (*first, *second)] == [rows[i].id for i in (4, 3, 2, 1, 0)]
    assert end is None
    with pytest.raises(BadInput, match="cursor"):
        await store.deliveries.page(ORG, DeliveryFilter(), 3, "x")


async def test_an_endpoint_that_is_gone_is_known_by_its_deliveries(store: Any, make: Any) -> None:
    used, unused, kept = (endpoint(make, name) for name in ("used", "unused", "kept"))
    for one in (used, unused, kept):
        await store.webhooks.add(one)
    row = delivery(make, used)
    await store.deliveries.put(row)
    for one in (used, unused):
        await store.webhooks.remove(ORG, one.id, make.clock.now())
    assert await store.deliveries.endpoints(ORG) == [
        EndpointOption(used.id, "used", True),
        EndpointOption(kept.id, "kept", False),
    ]
    assert await store.deliveries.endpoints(OTHER) == []
    found = await store.deliveries.get(ORG, row.id)
    assert (found.endpoint_name, found.endpoint_deleted) == ("used", True)
