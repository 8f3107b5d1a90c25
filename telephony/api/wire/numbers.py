"""Phone numbers (contract section 6): PY's superset of the row."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from telephony.accounts.model import (
    DEFAULT_TRUNK,
    NumberDirection,
    NumberSource,
    PhoneNumber,
)
from telephony.accounts.pool import friendly
from telephony.accounts.ports import Offered
from telephony.accounts.routing import SetupStatus
from telephony.api.wire.base import E164, Body, Camel, Query, stamp
from telephony.base.clock import iso
from telephony.ledger.credits import MICRO

NEVER_CHARGED = "9999-12-31T23:59:59.000Z"
"""``nextChargeAt`` must be a time even where nothing is ever charged."""

Label = Annotated[str, Field(max_length=120)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Direction = Annotated[NumberDirection, Field(strict=False)]


class NumberImport(Body):
    """``dialplan`` and ``record`` are our own additions."""

    e164: E164
    sip_connection_installation_id: Name | None = None
    sip_trunk_id: Name | None = None
    sip_provider_name: Label | None = None
    direction: Direction | None = None
    dispatch_metadata_template: dict[str, Any] | None = None
    label: Label | None = None
    agent_id: Name | None = None
    dialplan: Name | None = None
    record: bool | None = None

    @property
    def trunk(self) -> str:
        """The newer name wins where both are given; without either it is the first trunk."""
        return self.sip_connection_installation_id or self.sip_trunk_id or DEFAULT_TRUNK

    @property
    def trunk_field(self) -> str:
        newer = self.sip_connection_installation_id is not None
        return "sipConnectionInstallationId" if newer else "sipTrunkId"

    @property
    def _usual(self) -> NumberDirection:
        """The contract names no default here: who says what answers wants it to be called."""
        answered = self.dialplan is not None or self.agent_id is not None
        return NumberDirection.BOTH if answered else NumberDirection.OUTBOUND

    def row(self, item: str, organization: str, now: datetime) -> PhoneNumber:
        return PhoneNumber(
            id=item,
            organization=organization,
            e164=self.e164,
            direction=self.direction or self._usual,
            trunk=self.trunk,
            provider_name=self.sip_provider_name,
            label=self.label,
            agent=self.agent_id,
            dialplan=self.dialplan,
            record=bool(self.record),
            dispatch_template=self.dispatch_metadata_template,
            created_at=now,
            updated_at=now,
        )


class NumberBuy(Body):
    """``dialplan`` and ``record`` are our own additions."""

    e164: E164
    direction: Direction | None = None
    dispatch_metadata_template: dict[str, Any] | None = None
    label: Label | None = None
    agent_id: Name | None = None
    dialplan: Name | None = None
    record: bool | None = None

    def row(self, item: str, organization: str, offer: Offered, now: datetime) -> PhoneNumber:
        return PhoneNumber(
            id=item,
            organization=organization,
            e164=self.e164,
            direction=self.direction or NumberDirection.OUTBOUND,
            trunk=offer.trunk,
            label=self.label,
            agent=self.agent_id,
            dialplan=self.dialplan,
            record=bool(self.record),
            dispatch_template=self.dispatch_metadata_template,
            created_at=now,
            updated_at=now,
        )


class AvailableQuery(Query):
    """``areaCode``: of North America."""

    area_code: Annotated[str, Field(pattern=r"^[0-9]{3}$")] | None = Field(None, alias="areaCode")
    locality: Annotated[str, Field(max_length=120)] | None = None
    limit: Annotated[int, Field(ge=1, le=50)] = 10


class Region(Camel):
    state: str | None
    locality: str | None
    rate_center: str | None


class AvailableRow(Camel):
    """A number that can be bought, and what that costs in USD."""

    e164: str
    friendly_name: str
    monthly_cost_usd: float
    upfront_cost_usd: float
    features: list[str]
    region: Region

    @classmethod
    def of(cls, offer: Offered) -> AvailableRow:
        return cls(
            e164=offer.e164,
            friendly_name=friendly(offer.e164),
            monthly_cost_usd=offer.monthly_micro_usd / MICRO,
            upfront_cost_usd=offer.upfront_micro_usd / MICRO,
            features=list(offer.features),
            region=Region(
                state=offer.state, locality=offer.locality, rate_center=offer.rate_center
            ),
        )


class NumberPatch(Body):
    """An explicit null clears what can be cleared; what is absent stays."""

    direction: Direction | None = None
    dispatch_metadata_template: dict[str, Any] | None = None
    label: Label | None = None
    agent_id: Name | None = None
    sms_automation_enabled: bool | None = None
    dialplan: Name | None = None
    record: bool | None = None

    def changed(self, number: PhoneNumber, now: datetime) -> PhoneNumber:
        sent = self.model_fields_set
        cleared = {
            field: getattr(self, name)
            for name, field in (
                ("dispatch_metadata_template", "dispatch_template"),
                ("label", "label"),
                ("agent_id", "agent"),
                ("dialplan", "dialplan"),
            )
            if name in sent
        }
        return replace(
            number,
            updated_at=now,
            direction=self.direction or number.direction,
            record=number.record if self.record is None else self.record,
            sms_automation=(
                number.sms_automation
                if self.sms_automation_enabled is None
                else self.sms_automation_enabled
            ),
            **cleared,
        )


class Released(Camel):
    """A number was given back."""

    released: bool = True


class Setup(Camel):
    status: str
    inbound_ready: bool
    outbound_ready: bool
    agent_ready: bool
    forwarding_required: bool
    forwarding_sip_uri: str | None
    sip_connection_ready: bool
    issues: list[str]


class NumberRow(Camel):
    """``trunk``, ``dialplan``, ``record`` and ``readOnly`` are our own additions."""

    id: str
    organization_id: str
    e164: str
    source: str
    provider_resource_id: str | None = None
    telnyx_phone_number_id: str | None = None
    sip_trunk_id: str | None = None
    sip_connection_installation_id: str | None
    sip_provider_name: str | None
    direction: str
    dispatch_metadata_template: dict[str, Any] | None
    label: str | None
    sms10dlc_profile_id: Annotated[str | None, Field(alias="sms10dlcProfileId")] = None
    sms_campaign_id: str | None = None
    sms_assignment_status: str | None = None
    sms_assignment_updated_at: str | None = None
    telnyx_messaging_profile_id: str | None = None
    sms_messaging_profile_status: str = "pending"
    sms_messaging_profile_updated_at: str | None = None
    sms_messaging_profile_error: str | None = None
    sms_automation_enabled: bool
    agent_id: str | None
    setup_status: Setup
    next_charge_at: str
    last_charged_at: str | None
    suspended_at: str | None = None
    billing_suspended_at: str | None = None
    compliance_suspended_at: str | None = None
    suspension_reason: str | None = None
    created_at: str
    updated_at: str
    trunk: str | None
    dialplan: str | None
    record: bool
    read_only: bool

    @classmethod
    def of(cls, number: PhoneNumber, setup: SetupStatus, forward_to: str | None) -> NumberRow:
        """``forward_to``: the SIP URI that the carrier must send calls to, or None."""
        bought = number.source is NumberSource.MANAGED
        return cls.model_validate(
            {
                "id": number.id,
                "organizationId": number.organization,
                "e164": number.e164,
                "source": number.source.value,
                "sipConnectionInstallationId": None if bought else number.trunk,
                "sipProviderName": number.provider_name,
                "direction": number.direction.value,
                "dispatchMetadataTemplate": number.dispatch_template,
                "label": number.label,
                "smsAutomationEnabled": number.sms_automation,
                "agentId": number.agent,
                "nextChargeAt": stamp(number.next_charge_at) or NEVER_CHARGED,
                "lastChargedAt": stamp(number.last_charged_at),
                "setupStatus": {
                    "status": setup.status,
                    "inboundReady": setup.inbound_ready,
                    "outboundReady": setup.outbound_ready,
                    "agentReady": setup.agent_ready,
                    "forwardingRequired": forward_to is not None,
                    "forwardingSipUri": forward_to,
                    "sipConnectionReady": setup.connection_ready,
                    "issues": list(setup.issues),
                },
                "createdAt": iso(number.created_at),
                "updatedAt": iso(number.updated_at),
                "trunk": number.trunk,
                "dialplan": number.dialplan,
                "record": number.record,
                "readOnly": number.from_file,
            }
        )
