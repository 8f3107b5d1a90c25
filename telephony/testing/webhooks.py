"""Webhook endpoints and deliveries in memory, held to the same tests as the database's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from telephony.accounts.agents import Agent
from telephony.accounts.webhooks import (
    DeliveryFilter,
    EndpointOption,
    WebhookDelivery,
    WebhookEndpoint,
    mirror_ids,
    mirrored,
)
from telephony.base.errors import NotFound
from telephony.store.calls import read_cursor, write_cursor


class MemoryWebhooks:
    """``WebhookStore``. ``check`` raises while the store is away."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self.rows: dict[str, WebhookEndpoint] = {}
        self.gone: set[str] = set()
        self.secrets: dict[str, str] = {}

    def named(self) -> list[WebhookEndpoint]:
        """Those that are deleted too, oldest first."""
        return sorted(self.rows.values(), key=lambda row: (row.created_at, row.id))

    async def find(self, organization: str) -> list[WebhookEndpoint]:
        self._check()
        return [
            row
            for row in self.named()
            if row.organization == organization and row.id not in self.gone
        ]

    async def get(self, organization: str, endpoint: str) -> WebhookEndpoint | None:
        return next((row for row in await self.find(organization) if row.id == endpoint), None)

    async def add(self, endpoint: WebhookEndpoint) -> None:
        self._check()
        self.rows[endpoint.id] = endpoint

    async def replace(self, endpoint: WebhookEndpoint) -> None:
        if await self.get(endpoint.organization, endpoint.id) is None:
            raise NotFound("not found")
        self.rows[endpoint.id] = endpoint

    async def remove(self, organization: str, endpoint: str, now: datetime) -> bool:
        row = await self.get(organization, endpoint)
        if row is None:
            return False
        self._forget(row.id)
        return True

    def mirror(self, agent: Agent) -> None:
        """The endpoints of an agent's hooks as those are now."""
        endpoints = {endpoint.id: endpoint for endpoint in mirrored(agent)}
        self.unmirror(agent.id)
        self.gone -= endpoints.keys()
        for item, endpoint in endpoints.items():
            old = self.rows.get(item, endpoint)
            self.rows[item] = replace(endpoint, created_at=old.created_at)

    def unmirror(self, agent: str) -> None:
        """An agent's hooks are gone."""
        for item in self.rows.keys() & set(mirror_ids(agent).values()):
            self._forget(item)

    def _forget(self, item: str) -> None:
        self.rows[item] = replace(self.rows[item], headers={}, auth_headers={}, signing_secret="")
        self.gone.add(item)

    async def secret(self, organization: str) -> str | None:
        self._check()
        return self.secrets.get(organization)

    async def keep_secret(
        self, organization: str, secret: str, now: datetime, *, instead: bool = False
    ) -> str:
        self._check()
        if instead or organization not in self.secrets:
            self.secrets[organization] = secret
        return self.secrets[organization]


class MemoryDeliveries:
    """``DeliveryStore``."""

    def __init__(self, check: Callable[[], None], webhooks: MemoryWebhooks) -> None:
        self._check = check
        self._webhooks = webhooks
        self.rows: dict[str, WebhookDelivery] = {}

    async def put(self, delivery: WebhookDelivery) -> None:
        self._check()
        old = self.rows.get(delivery.id)
        known = {} if old is None else {attempt.id: attempt for attempt in old.attempts}
        attempts = {attempt.id: attempt for attempt in delivery.attempts} | known
        ordered = tuple(sorted(attempts.values(), key=lambda attempt: attempt.number))
        self.rows[delivery.id] = replace(delivery, attempts=ordered)

    async def get(self, organization: str, delivery: str) -> WebhookDelivery | None:
        self._check()
        row = self.rows.get(delivery)
        return None if row is None or row.organization != organization else self._shown(row)

    async def page(
        self, organization: str, chosen: DeliveryFilter, limit: int, cursor: str | None
    ) -> tuple[list[WebhookDelivery], str | None]:
        self._check()
        found = [
            replace(self._shown(row), attempts=(), payload={})
            for row in self.rows.values()
            if row.organization == organization and _chosen(row, chosen)
        ]
        found.sort(key=lambda row: (row.created_at, row.id), reverse=True)
        if cursor is not None:
            after = read_cursor(cursor)
            found = [row for row in found if (row.created_at, row.id) < after]
        page = found[:limit]
        if len(found) <= limit:
            return page, None
        return page, write_cursor(page[-1].created_at, page[-1].id)

    async def endpoints(self, organization: str) -> list[EndpointOption]:
        self._check()
        used = {row.endpoint for row in self.rows.values()}
        gone = self._webhooks.gone
        return [
            EndpointOption(row.id, row.name, row.id in gone)
            for row in self._webhooks.named()
            if row.organization == organization and (row.id not in gone or row.id in used)
        ]

    def _shown(self, row: WebhookDelivery) -> WebhookDelivery:
        endpoint = self._webhooks.rows[row.endpoint]
        return replace(
            row,
            endpoint_name=endpoint.name,
            endpoint_deleted=endpoint.id in self._webhooks.gone,
        )


def _chosen(row: WebhookDelivery, chosen: DeliveryFilter) -> bool:
    return (
        chosen.endpoint in (None, row.endpoint)
        and chosen.event in (None, row.event)
        and chosen.agent in (None, row.agent)
        and chosen.status in (None, row.status.value)
        and chosen.session in (None, row.session)
        and chosen.event_id in (None, row.event_id)
        and (chosen.since is None or row.created_at >= chosen.since)
        and (chosen.until is None or row.created_at < chosen.until)
    )
