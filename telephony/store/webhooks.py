"""Webhook endpoints with their secrets, sealed, and what was sent to them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

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
from telephony.base.errors import NotFound
from telephony.store.calls import read_cursor, write_cursor
from telephony.store.database import Database
from telephony.store.secrets import Cipher
from telephony.store.tables import (
    webhook_attempts,
    webhook_deliveries,
    webhook_endpoints,
    webhook_secrets,
)

_MEMBERS = tuple(c.name for c in webhook_endpoints.columns if c.name != "deleted_at")
FIXED = frozenset({"id", "organization", "created_at"})
"""What never changes of a row."""
_DELIVERY = tuple(c.name for c in webhook_deliveries.columns)
_ATTEMPT = tuple(c.name for c in webhook_attempts.columns if c.name != "delivery")


class Webhooks:
    """``WebhookStore`` over the database."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher

    async def find(self, organization: str) -> list[WebhookEndpoint]:
        return await self._read(webhook_endpoints.c.organization == organization)

    async def get(self, organization: str, endpoint: str) -> WebhookEndpoint | None:
        c = webhook_endpoints.c
        found = await self._read(c.organization == organization, c.id == endpoint)
        return found[0] if found else None

    async def add(self, endpoint: WebhookEndpoint) -> None:
        row = endpoint_row(endpoint, self._cipher)
        await self._change(sa.insert(webhook_endpoints).values(row))

    async def replace(self, endpoint: WebhookEndpoint) -> None:
        row = endpoint_row(endpoint, self._cipher)
        statement = _update(endpoint.organization, (endpoint.id,)).values(row)
        if not await self._change(statement):
            raise NotFound("not found")

    async def remove(self, organization: str, endpoint: str, now: datetime) -> bool:
        return await self._change(forget(organization, (endpoint,), now))

    async def secret(self, organization: str) -> str | None:
        query = sa.select(webhook_secrets.c.secret).where(
            webhook_secrets.c.organization == organization
        )

        async def work(connection: AsyncConnection) -> str | None:
            found: str | None = await connection.scalar(query)
            return found

        sealed = await self._database.read(work)
        return None if sealed is None else self._cipher.open(sealed, "the webhooks")

    async def keep_secret(
        self, organization: str, secret: str, now: datetime, *, instead: bool = False
    ) -> str:
        row = {
            "organization": organization,
            "secret": self._cipher.seal(secret),
            "created_at": now,
        }
        statement = self._database.insert(webhook_secrets).values(row)
        if instead:
            statement = statement.on_conflict_do_update(index_elements=["organization"], set_=row)
        else:
            statement = statement.on_conflict_do_nothing(index_elements=["organization"])
        await self._change(statement)
        return await self.secret(organization) or secret

    async def _read(self, *conditions: sa.ColumnElement[bool]) -> list[WebhookEndpoint]:
        c = webhook_endpoints.c
        query = (
            sa.select(*(c[name] for name in _MEMBERS))
            .where(*conditions, c.deleted_at.is_(None))
            .order_by(c.created_at, c.id)
        )

        async def work(connection: AsyncConnection) -> list[WebhookEndpoint]:
            return [self._endpoint(row) for row in await connection.execute(query)]

        return await self._database.read(work)

    async def _change(self, statement: Any) -> bool:
        async def work(connection: AsyncConnection) -> int:
            return (await connection.execute(statement)).rowcount

        return bool(await self._database.write(work))

    def _endpoint(self, row: sa.Row[Any]) -> WebhookEndpoint:
        members = dict(row._mapping)
        whose = f"webhook {members['id']}"
        for name in ("events", "agents", "extraction_fields"):
            members[name] = tuple(members[name])
        members["auth_headers"] = {
            name: self._cipher.open(sealed, whose)
            for name, sealed in members["auth_headers"].items()
        }
        members["signing_secret"] = self._cipher.open(members["signing_secret"], whose)
        members["secret_source"] = SecretSource(members["secret_source"])
        members["content_mode"] = ContentMode(members["content_mode"])
        return WebhookEndpoint(**members)


class Deliveries:
    """``DeliveryStore`` over the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, delivery: WebhookDelivery) -> None:
        row = {name: getattr(delivery, name) for name in _DELIVERY}
        row["status"] = delivery.status.value
        deliveries = self._database.insert(webhook_deliveries).values(row)
        changing = {k: v for k, v in row.items() if k not in FIXED}
        deliveries = deliveries.on_conflict_do_update(index_elements=["id"], set_=changing)
        attempts = self._database.insert(webhook_attempts).on_conflict_do_nothing(
            index_elements=["id"]
        )
        rows = [
            {name: getattr(attempt, name) for name in _ATTEMPT} | {"delivery": delivery.id}
            for attempt in delivery.attempts
        ]

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(deliveries)
            if rows:
                await connection.execute(attempts, rows)

        await self._database.write(work)

    async def get(self, organization: str, delivery: str) -> WebhookDelivery | None:
        c = webhook_deliveries.c
        found = _deliveries(*webhook_deliveries.columns).where(
            c.organization == organization, c.id == delivery
        )
        attempts = (
            sa.select(*(webhook_attempts.c[name] for name in _ATTEMPT))
            .where(webhook_attempts.c.delivery == delivery)
            .order_by(webhook_attempts.c.number)
        )

        async def work(connection: AsyncConnection) -> WebhookDelivery | None:
            row = (await connection.execute(found)).first()
            if row is None:
                return None
            made = [DeliveryAttempt(**a._mapping) for a in await connection.execute(attempts)]
            return replace(_delivery(row), attempts=tuple(made))

        return await self._database.read(work)

    async def page(
        self, organization: str, chosen: DeliveryFilter, limit: int, cursor: str | None
    ) -> tuple[list[WebhookDelivery], str | None]:
        c = webhook_deliveries.c
        shown = [column for column in webhook_deliveries.columns if column.name != "payload"]
        query = (
            _deliveries(*shown)
            .where(c.organization == organization, *_conditions(chosen))
            .order_by(c.created_at.desc(), c.id.desc())
            .limit(limit + 1)
        )
        if cursor is not None:
            at, last = read_cursor(cursor)
            query = query.where(sa.or_(c.created_at < at, sa.and_(c.created_at == at, c.id < last)))

        async def work(connection: AsyncConnection) -> list[WebhookDelivery]:
            return [_delivery(row) for row in await connection.execute(query)]

        found = await self._database.read(work)
        page = found[:limit]
        if len(found) <= limit:
            return page, None
        return page, write_cursor(page[-1].created_at, page[-1].id)

    async def endpoints(self, organization: str) -> list[EndpointOption]:
        c = webhook_endpoints.c
        used = sa.exists().where(webhook_deliveries.c.endpoint == c.id)
        query = (
            sa.select(c.id, c.name, c.deleted_at)
            .where(c.organization == organization, sa.or_(c.deleted_at.is_(None), used))
            .order_by(c.created_at, c.id)
        )

        async def work(connection: AsyncConnection) -> list[EndpointOption]:
            rows = await connection.execute(query)
            return [EndpointOption(row.id, row.name, row.deleted_at is not None) for row in rows]

        return await self._database.read(work)


def endpoint_row(endpoint: WebhookEndpoint, cipher: Cipher) -> dict[str, Any]:
    """The endpoint as its table keeps it."""
    row = {name: getattr(endpoint, name) for name in _MEMBERS}
    return row | {
        "events": list(endpoint.events),
        "agents": list(endpoint.agents),
        "extraction_fields": list(endpoint.extraction_fields),
        "auth_headers": {k: cipher.seal(v) for k, v in endpoint.auth_headers.items()},
        "signing_secret": cipher.seal(endpoint.signing_secret),
        "secret_source": endpoint.secret_source.value,
        "content_mode": endpoint.content_mode.value,
    }


def _update(organization: str, endpoints: Collection[str]) -> sa.Update:
    c = webhook_endpoints.c
    return sa.update(webhook_endpoints).where(
        c.id.in_(endpoints), c.organization == organization, c.deleted_at.is_(None)
    )


def forget(organization: str, endpoints: Collection[str], now: datetime) -> sa.Update:
    """What deletes endpoints."""
    # What could still be used elsewhere goes; the name stays for the deliveries.
    gone = {"auth_headers": {}, "headers": {}, "signing_secret": "", "deleted_at": now}
    return _update(organization, endpoints).values(gone)


def _deliveries(*columns: sa.Column[Any]) -> sa.Select[Any]:
    """Deliveries with what is to be said of their endpoints."""
    e = webhook_endpoints.c
    return sa.select(
        *columns, e.name.label("endpoint_name"), e.deleted_at.label("endpoint_deleted")
    ).join(webhook_endpoints, webhook_deliveries.c.endpoint == e.id)


def _delivery(row: sa.Row[Any]) -> WebhookDelivery:
    members = dict(row._mapping)
    members["status"] = DeliveryStatus(members["status"])
    members["endpoint_deleted"] = members["endpoint_deleted"] is not None
    return WebhookDelivery(**members)


def _conditions(chosen: DeliveryFilter) -> list[sa.ColumnElement[bool]]:
    c = webhook_deliveries.c
    wanted = (
        (c.endpoint, chosen.endpoint),
        (c.event, chosen.event),
        (c.agent, chosen.agent),
        (c.status, chosen.status),
        (c.session, chosen.session),
        (c.event_id, chosen.event_id),
    )
    conditions = [column == value for column, value in wanted if value is not None]
    if chosen.since is not None:
        conditions.append(c.created_at >= chosen.since)
    if chosen.until is not None:
        conditions.append(c.created_at < chosen.until)
    return conditions
