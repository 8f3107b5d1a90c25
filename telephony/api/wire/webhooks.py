"""Webhook endpoints and deliveries (contract section 9): camelCase; secrets are only written."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from telephony.accounts.webhooks import (
    ContentMode,
    DeliveryAttempt,
    DeliveryFilter,
    DeliveryStatus,
    EndpointOption,
    SecretSource,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
    check_secret,
)
from telephony.api.wire.base import Body, Camel, Int, Page100, Query, Time, stamp
from telephony.api.wire.extraction import ExtractionFields
from telephony.api.wire.hooks import AuthHeaders, Headers, Url, auth_values
from telephony.base.clock import iso
from telephony.base.errors import BadInput

Name = Annotated[str, Field(min_length=1, max_length=120)]
Id = Annotated[str, Field(min_length=1, max_length=200)]
Event = Annotated[WebhookEvent, Field(strict=False)]
Events = Annotated[list[Event], Field(min_length=1, max_length=100)]
Ids = Annotated[list[Id], Field(max_length=100)]
TagName = Annotated[str, Field(min_length=1, max_length=64)]
Tags = Annotated[dict[TagName, Annotated[str, Field(max_length=256)]], Field(max_length=50)]
Secret = Annotated[str, AfterValidator(check_secret)]
Source = Annotated[SecretSource, Field(strict=False)]
Mode = Annotated[ContentMode, Field(strict=False)]


class _Options(Body):
    all_agents: bool | None = None
    agent_ids: Ids | None = None
    filter_tags: Tags | None = None
    headers: Headers | None = None
    auth_headers: AuthHeaders | None = None
    timeout_ms: Annotated[Int, Field(ge=100, le=30_000)] | None = None
    signing_secret_source: Source | None = None
    signing_secret: Secret | None = None
    extraction_fields: ExtractionFields | None = None
    content_mode: Mode | None = None

    def _onto(self, endpoint: WebhookEndpoint, **members: Any) -> WebhookEndpoint:
        """What was given, in place of what was there. Null and absent leave it as it is, save
        that null empties lists and maps.

        Raises:
            BadInput: members that do not agree.
        """
        sent = self.model_fields_set
        if self.all_agents is not None:
            members["all_agents"] = self.all_agents
        if "agent_ids" in sent:
            members["agents"] = tuple(dict.fromkeys(self.agent_ids or ()))
        if "filter_tags" in sent:
            members["filter_tags"] = self.filter_tags or {}
        if "headers" in sent:
            members["headers"] = self.headers or {}
        if "auth_headers" in sent:
            members["auth_headers"] = auth_values(
                self.auth_headers, endpoint.auth_headers, "authHeaders"
            )
        if self.timeout_ms is not None:
            members["timeout_ms"] = self.timeout_ms
        if "extraction_fields" in sent:
            fields = self.extraction_fields or ()
            members["extraction_fields"] = tuple(field.kept() for field in fields)
        if self.content_mode is not None:
            members["content_mode"] = self.content_mode
        members |= self._secret()
        return replace(endpoint, **members).checked()

    def _secret(self) -> dict[str, Any]:
        source = self.signing_secret_source
        if self.signing_secret is None:
            return {} if source is None else {"secret_source": source}
        if source is SecretSource.WORKSPACE:
            raise BadInput("signingSecret: needs signingSecretSource custom", field="signingSecret")
        # Who gives a secret means it to be used.
        return {"secret_source": SecretSource.CUSTOM, "signing_secret": self.signing_secret}


class WebhookCreate(_Options):
    """``signingSecret`` alone means ``signingSecretSource`` custom."""

    name: Name
    url: Url
    events: Events

    def row(self, item: str, organization: str, now: datetime) -> WebhookEndpoint:
        """Raises BadInput where members do not agree."""
        endpoint = WebhookEndpoint(
            id=item,
            organization=organization,
            name=self.name,
            url=self.url,
            events=_names(self.events),
            created_at=now,
            updated_at=now,
        )
        return self._onto(endpoint)


class WebhookPatch(_Options):
    """Partial: what is absent stays, null empties lists and maps and leaves the rest."""

    name: Name | None = None
    url: Url | None = None
    events: Events | None = None

    def changed(self, endpoint: WebhookEndpoint, now: datetime) -> WebhookEndpoint:
        """Raises BadInput where members do not agree."""
        return self._onto(
            endpoint,
            name=self.name or endpoint.name,
            url=self.url or endpoint.url,
            events=_names(self.events) if self.events is not None else endpoint.events,
            updated_at=now,
        )


def _names(events: list[WebhookEvent]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(event.value for event in events))


class AuthHeaderStatus(Camel):
    """That there is one."""

    name: str
    configured: bool = True


class WebhookRow(Camel):
    """An endpoint without its secrets. ``legacyManaged``: it is a hook that lies with an agent, and
    is changed and deleted there."""

    id: str
    name: str
    url: str
    events: list[str]
    all_agents: bool
    agent_ids: list[str]
    filter_tags: dict[str, str]
    headers: dict[str, str]
    auth_headers: list[AuthHeaderStatus]
    timeout_ms: int
    signing_secret_source: str
    has_custom_signing_secret: bool
    extraction_fields: list[dict[str, Any]]
    content_mode: str
    legacy_managed: bool
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, endpoint: WebhookEndpoint, **more: Any) -> WebhookRow:
        """``more``: members of a shape that adds some."""
        return cls.model_validate(
            {
                "id": endpoint.id,
                "name": endpoint.name,
                "url": endpoint.url,
                "events": list(endpoint.events),
                "allAgents": endpoint.all_agents,
                "agentIds": list(endpoint.agents),
                "filterTags": endpoint.filter_tags,
                "headers": endpoint.headers,
                "authHeaders": [{"name": name} for name in endpoint.auth_headers],
                "timeoutMs": endpoint.timeout_ms,
                "signingSecretSource": endpoint.secret_source.value,
                "hasCustomSigningSecret": bool(endpoint.signing_secret),
                "extractionFields": list(endpoint.extraction_fields),
                "contentMode": endpoint.content_mode.value,
                "legacyManaged": endpoint.legacy_managed,
                "createdAt": iso(endpoint.created_at),
                "updatedAt": iso(endpoint.updated_at),
            }
            | more
        )


class WebhookMade(WebhookRow):
    """``signingSecret`` is our own: the organization's secret, once, in the answer that made it."""

    signing_secret: str | None


class WebhookList(Camel):
    data: list[WebhookRow]


# --- deliveries ------------------------------------------------------------------------------

Filter = Annotated[str, Field(max_length=200)]


class DeliveryQuery(Query):
    """``from`` ≤ createdAt < ``to``. An event or status that there is not finds nothing."""

    endpoint_id: Annotated[Filter | None, Field(alias="endpointId")] = None
    event: Filter | None = None
    agent_id: Annotated[Filter | None, Field(alias="agentId")] = None
    status: DeliveryStatus | None = None
    session_id: Annotated[Filter | None, Field(alias="sessionId")] = None
    event_id: Annotated[Filter | None, Field(alias="eventId")] = None
    from_: Annotated[Time | None, Field(alias="from")] = None
    to: Time | None = None
    cursor: Annotated[str, Field(max_length=300)] | None = None
    limit: Page100 = 50

    def filter(self) -> DeliveryFilter:
        return DeliveryFilter(
            endpoint=self.endpoint_id,
            event=self.event,
            agent=self.agent_id,
            status=self.status.value if self.status is not None else None,
            session=self.session_id,
            event_id=self.event_id,
            since=self.from_,
            until=self.to,
        )


class _Delivery(Camel):
    id: str
    event_id: str
    endpoint_id: str
    endpoint_name: str
    endpoint_kind: str = "workspace"
    endpoint_deleted: bool
    event: str
    session_id: str | None
    agent_id: str | None
    webhook_tags: dict[str, str]
    status: str
    http_status: int | None
    error: str | None
    occurred_at: str
    expires_at: str
    delivered_at: str | None
    created_at: str
    can_redeliver: bool


def _members(row: WebhookDelivery) -> dict[str, Any]:
    return {
        "id": row.id,
        "event_id": row.event_id,
        "endpoint_id": row.endpoint,
        "endpoint_name": row.endpoint_name,
        "endpoint_deleted": row.endpoint_deleted,
        "event": row.event,
        "session_id": row.session,
        "agent_id": row.agent,
        "webhook_tags": row.tags,
        "status": row.status.value,
        "http_status": row.http_status,
        "error": row.error,
        "occurred_at": iso(row.occurred_at),
        "expires_at": iso(row.expires_at),
        "delivered_at": stamp(row.delivered_at),
        "created_at": iso(row.created_at),
        # Nobody is there to whom a deleted endpoint's could be sent again.
        "can_redeliver": not row.endpoint_deleted,
    }


class DeliveryRow(_Delivery):
    """``attempts`` is how many there were."""

    attempts: int

    @classmethod
    def of(cls, row: WebhookDelivery) -> DeliveryRow:
        return cls(attempts=row.attempt_count, **_members(row))


class OptionRow(Camel):
    """An endpoint to choose deliveries by."""

    id: str
    name: str
    kind: str = "workspace"
    deleted: bool

    @classmethod
    def of(cls, option: EndpointOption) -> OptionRow:
        return cls(id=option.id, name=option.name, deleted=option.deleted)


class DeliveryPage(Camel):
    data: list[DeliveryRow]
    next_cursor: str | None
    endpoint_options: list[OptionRow]


class AttemptRow(Camel):
    """One request and its answer."""

    id: str
    attempt_number: int
    trigger: str
    request_url: str
    request_headers: dict[str, str]
    request_body: dict[str, Any]
    response_status: int | None
    response_body: str | None
    response_truncated: bool
    duration_ms: float
    error: str | None
    created_at: str

    @classmethod
    def of(cls, attempt: DeliveryAttempt) -> AttemptRow:
        return cls(
            id=attempt.id,
            attempt_number=attempt.number,
            trigger=attempt.trigger,
            request_url=attempt.request_url,
            request_headers=attempt.request_headers,
            request_body=attempt.request_body,
            response_status=attempt.response_status,
            response_body=attempt.response_body,
            response_truncated=attempt.response_truncated,
            duration_ms=attempt.duration_ms,
            error=attempt.error,
            created_at=iso(attempt.created_at),
        )


class DeliveryDetail(_Delivery):
    """Here ``attempts`` are the requests themselves."""

    attempt_count: int
    request_payload: dict[str, Any]
    attempts: list[AttemptRow]

    @classmethod
    def of(cls, row: WebhookDelivery) -> DeliveryDetail:
        return cls(
            attempt_count=row.attempt_count,
            request_payload=row.payload,
            attempts=[AttemptRow.of(attempt) for attempt in row.attempts],
            **_members(row),
        )
