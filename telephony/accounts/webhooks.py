"""Where an organization wants to be told of what happens, and what was sent there."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from telephony.accounts.agents import LIFECYCLE, Agent, Hook
from telephony.base.errors import BadInput, Conflict

PREFIX = "whsec_"
SECRET_BYTES = 32
"""Of the secrets that we make."""

DEFAULT_TIMEOUT_MS = 5000


class WebhookEvent(StrEnum):
    """What an endpoint may ask to be told of (contract 16.5)."""

    PRE_CALL = "call.pre_call"
    STATUS = "call.status"
    REPORT = "call.report"
    ANALYSIS = "call.analysis"
    RECORDING = "call.recording"
    INITIATED = "call.initiated"
    RINGING = "call.ringing"
    ANSWERED = "call.answered"
    BRIDGED = "call.bridged"
    HOLD = "call.hold"
    UNHOLD = "call.unhold"
    MUTE = "call.mute"
    UNMUTE = "call.unmute"
    DTMF_SENT = "call.dtmf.sent"
    TRANSFER_INITIATED = "call.transfer.initiated"
    TRANSFER_COMPLETED = "call.transfer.completed"
    TRANSFER_FAILED = "call.transfer.failed"
    LEG_HANGUP = "call.leg.hangup"
    HANGUP = "call.hangup"
    SMS_RECEIVED = "sms.received"
    SMS_ACCEPTED = "sms.accepted"
    SMS_SENT = "sms.sent"
    SMS_DELIVERED = "sms.delivered"
    SMS_DELIVERY_FAILED = "sms.delivery_failed"
    SMS_SUBMISSION_UNKNOWN = "sms.submission_unknown"
    SMS_OPTED_OUT = "sms.opted_out"
    SMS_OPTED_IN = "sms.opted_in"


class SecretSource(StrEnum):
    """Whose secret signs: the organization's, or the endpoint's own."""

    WORKSPACE = "workspace"
    CUSTOM = "custom"


class ContentMode(StrEnum):
    """Whether what was said is sent along."""

    FULL = "full"
    METADATA_ONLY = "metadata_only"


class DeliveryStatus(StrEnum):
    """The contract's closed set."""

    PENDING = "pending"
    DELIVERING = "delivering"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpoint:
    """A URL that is told. ``auth_headers`` and ``signing_secret`` are sealed where they lie.

    ``agents`` count only where ``all_agents`` is False; ``filter_tags`` must all be among a
    session's tags. ``legacy_managed``: it mirrors a hook that lies with an agent.
    """

    id: str
    organization: str
    name: str
    url: str
    events: tuple[str, ...]
    all_agents: bool = True
    agents: tuple[str, ...] = ()
    filter_tags: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    auth_headers: dict[str, str] = field(default_factory=dict, repr=False)
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    secret_source: SecretSource = SecretSource.WORKSPACE
    signing_secret: str = field(default="", repr=False)
    extraction_fields: tuple[dict[str, Any], ...] = ()
    content_mode: ContentMode = ContentMode.FULL
    legacy_managed: bool = False
    created_at: datetime
    updated_at: datetime

    def own(self) -> WebhookEndpoint:
        """The endpoint, where it can be changed and deleted itself.

        Raises:
            Conflict: it is an agent's (code LEGACY_MANAGED).
        """
        if self.legacy_managed:
            raise Conflict(
                f"this endpoint is a hook of the agent {', '.join(self.agents)}: it is changed and"
                " deleted there (PATCH /v1/agents/{id}, webhooks)",
                code="LEGACY_MANAGED",
            )
        return self

    def checked(self) -> WebhookEndpoint:
        """The endpoint, once its members agree with each other; a secret that does not sign is
        not kept.

        Raises:
            BadInput: naming the member that is missing.
        """
        if not self.all_agents and not self.agents:
            raise BadInput(
                "agentIds: at least one agent is needed where allAgents is false", field="agentIds"
            )
        if self.secret_source is SecretSource.WORKSPACE:
            return replace(self, signing_secret="")
        if not self.signing_secret:
            raise BadInput(
                "signingSecret: is needed where signingSecretSource is custom",
                field="signingSecret",
            )
        return self


_TOLD = dict(
    zip(
        LIFECYCLE,
        (
            WebhookEvent.PRE_CALL,
            WebhookEvent.REPORT,
            WebhookEvent.STATUS,
            WebhookEvent.ANALYSIS,
            WebhookEvent.RECORDING,
        ),
        strict=True,
    )
)
"""What an agent's hook of each moment is told."""


def mirror_ids(agent: str) -> dict[str, str]:
    """The id of the endpoint of each of an agent's hooks, by moment. They stay, so that what was
    sent to a hook is still its own when it was taken away and given again."""
    return {moment: f"whe_{agent.removeprefix('agent_')}_{moment}" for moment in LIFECYCLE}


def mirrored(agent: Agent) -> tuple[WebhookEndpoint, ...]:
    """An agent's hooks as endpoints: what is told of calls is told to these, whoever made them."""
    ids = mirror_ids(agent.id)
    return tuple(_mirror(agent, moment, hook, ids[moment]) for moment, hook in agent.hooks.items())


def _mirror(agent: Agent, moment: str, hook: Hook, item: str) -> WebhookEndpoint:
    return WebhookEndpoint(
        id=item,
        organization=agent.organization,
        name=f"{agent.name[:100]} ({moment})",
        url=hook.url,
        events=(_TOLD[moment].value,),
        all_agents=False,
        agents=(agent.id,),
        headers=hook.headers,
        auth_headers=hook.auth_headers,
        timeout_ms=hook.timeout_ms or DEFAULT_TIMEOUT_MS,
        secret_source=SecretSource.CUSTOM if hook.secret else SecretSource.WORKSPACE,
        signing_secret=hook.secret,
        # Fields mean something after a call only.
        extraction_fields=agent.extracted if moment == "postCall" else (),
        legacy_managed=True,
        created_at=agent.updated_at,
        updated_at=agent.updated_at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAttempt:
    """One request that was made, and what came of it. ``trigger``: automatic or manual."""

    id: str
    number: int
    trigger: str
    request_url: str
    request_headers: dict[str, str] = field(default_factory=dict)
    request_body: dict[str, Any] = field(default_factory=dict)
    response_status: int | None = None
    response_body: str | None = None
    response_truncated: bool = False
    duration_ms: float
    error: str | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    """One event on its way to one endpoint. ``event_id`` is the ``webhook-id`` of every attempt.

    ``endpoint_name`` and ``endpoint_deleted`` are read with the row and not kept in it;
    ``attempts`` is empty on pages.
    """

    id: str
    organization: str
    event_id: str
    endpoint: str
    endpoint_name: str = ""
    endpoint_deleted: bool = False
    event: str
    session: str | None = None
    agent: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    status: DeliveryStatus = DeliveryStatus.PENDING
    attempt_count: int = 0
    http_status: int | None = None
    error: str | None = None
    payload: dict[str, Any] = field(default_factory=dict)
    attempts: tuple[DeliveryAttempt, ...] = ()
    occurred_at: datetime
    expires_at: datetime
    delivered_at: datetime | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries; None: whichever. ``since`` ≤ created < ``until``."""

    endpoint: str | None = None
    event: str | None = None
    agent: str | None = None
    status: str | None = None
    session: str | None = None
    event_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class EndpointOption:
    """An endpoint that deliveries can be asked for by, though it may be gone."""

    id: str
    name: str
    deleted: bool


def write_secret(random_bytes: bytes) -> str:
    """``whsec_`` and base64: the bytes are the key of the HMAC."""
    return PREFIX + base64.b64encode(random_bytes).decode()


def check_secret(text: str) -> str:
    """A signing secret of somebody's own. Raises ``ValueError`` in words.

    Customers write ``whsec_`` and base64, the base64 alone, or words of their own: the key of the
    HMAC is what the base64 of 24 to 64 bytes holds, else the text itself in UTF-8.
    """
    if not re.fullmatch(r"[!-~]{8,256}", text):
        raise ValueError("must have 8 to 256 visible ASCII characters, such as whsec_ and base64")
    return text
