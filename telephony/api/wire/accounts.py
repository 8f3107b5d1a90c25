"""Trunks and phones: our own nouns, camelCase; secrets are written and never read."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from telephony.accounts import checks
from telephony.accounts.model import MediaEncryption, Phone, Transport, Trunk, TrunkKind
from telephony.api.wire.base import E164, Body, Camel, Int
from telephony.base.clock import iso

Gateways = Annotated[
    list[Annotated[str, AfterValidator(checks.gateway)]],
    Field(max_length=checks.MAX_GATEWAYS),
]
Sources = Annotated[
    list[Annotated[str, AfterValidator(checks.source)]], Field(max_length=checks.MAX_SOURCES)
]
CallerIds = Annotated[list[E164], Field(max_length=checks.MAX_CALLER_IDS)]
Credential = Annotated[str, AfterValidator(checks.credential)]
Country = Annotated[str, AfterValidator(checks.country)]
Digits = Annotated[str, AfterValidator(checks.digits)]
Headers = Annotated[dict[str, str], AfterValidator(checks.headers)]
Rate = Annotated[float, Field(strict=False, gt=0, le=10_000, allow_inf_nan=False)]
# An enum cannot be strict here: in JSON it is a string.
Carriage = Annotated[Transport, Field(strict=False)]
Kind = Annotated[TrunkKind, Field(strict=False)]
Encryption = Annotated[MediaEncryption, Field(strict=False)]
LiveKitTrunk = Annotated[str, AfterValidator(checks.livekit_trunk)]


class _TrunkOptions(Body):
    kind: Kind | None = None
    gateways: Gateways | None = None
    livekit_trunk_id: LiveKitTrunk | None = None
    media_encryption: Encryption | None = None
    transport: Carriage | None = None
    username: Credential | None = None
    password: Credential | None = None
    register_: Annotated[bool | None, Field(alias="register")] = None
    allowed_sources: Sources | None = None
    caller_ids: CallerIds | None = None
    country: Country | None = None
    strip: Digits | None = None
    prefix: Digits | None = None
    calls_per_second: Rate | None = None
    max_calls: Annotated[Int, Field(ge=1, le=100_000)] | None = None
    headers: Headers | None = None

    def given(self) -> dict[str, Any]:
        """The members that were sent, named as ``Trunk`` has them; null clears."""
        values: dict[str, Any] = {}
        for name in self.model_fields_set:
            value = getattr(self, name)
            field = _FIELDS.get(name, name)
            if value is None:
                if field in _CLEARED:
                    values[field] = _CLEARED[field]
            else:
                values[field] = tuple(value) if isinstance(value, list) else value
        return values


_FIELDS = {"register_": "register", "livekit_trunk_id": "livekit_trunk"}

_CLEARED: dict[str, Any] = {
    "livekit_trunk": "",
    "media_encryption": MediaEncryption.DISABLE,
    "transport": Transport.UDP,
    "username": "",
    "password": "",
    "register": False,
    "allowed_sources": (),
    "caller_ids": (),
    "country": "",
    "strip": "",
    "prefix": "",
    "calls_per_second": None,
    "max_calls": None,
    "headers": {},
}


class TrunkCreate(_TrunkOptions):
    name: Annotated[str, AfterValidator(checks.name)]

    def row(self, item: str, organization: str, now: datetime) -> Trunk:
        """Raises BadInput: it leads nowhere."""
        trunk = Trunk(
            id=item, organization=organization, created_at=now, updated_at=now, **self.given()
        )
        return checks.ways(trunk)


class TrunkPatch(_TrunkOptions):
    name: Annotated[str, AfterValidator(checks.name)] | None = None

    def changed(self, trunk: Trunk, now: datetime) -> Trunk:
        """Raises BadInput: it would lead nowhere."""
        return checks.ways(replace(trunk, updated_at=now, **self.given()))


class TrunkRow(Camel):
    """``hasPassword`` is all that is said of the secret; ``readOnly``: telephony.toml made it."""

    id: str
    organization_id: str
    name: str
    kind: str
    gateways: list[str]
    livekit_trunk_id: str | None
    media_encryption: str
    transport: str
    username: str | None
    has_password: bool
    register_: Annotated[bool, Field(alias="register")]
    allowed_sources: list[str]
    caller_ids: list[str]
    country: str | None
    strip: str
    prefix: str
    calls_per_second: float | None
    max_calls: int | None
    headers: dict[str, str]
    read_only: bool
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, trunk: Trunk) -> TrunkRow:
        return cls.model_validate(
            {
                "id": trunk.id,
                "organizationId": trunk.organization,
                "name": trunk.name,
                "kind": trunk.kind.value,
                "gateways": list(trunk.gateways),
                "livekitTrunkId": trunk.livekit_trunk or None,
                "mediaEncryption": trunk.media_encryption.value,
                "transport": trunk.transport.value,
                "username": trunk.username or None,
                "hasPassword": bool(trunk.password),
                "register": trunk.register,
                "allowedSources": list(trunk.allowed_sources),
                "callerIds": list(trunk.caller_ids),
                "country": trunk.country or None,
                "strip": trunk.strip,
                "prefix": trunk.prefix,
                "callsPerSecond": trunk.calls_per_second,
                "maxCalls": trunk.max_calls,
                "headers": trunk.headers,
                "readOnly": trunk.from_file,
                "createdAt": iso(trunk.created_at),
                "updatedAt": iso(trunk.updated_at),
            }
        )


Secret = Annotated[str, Field(min_length=1), AfterValidator(checks.credential)]
Label = Annotated[str, Field(max_length=120)]


class PhoneCreate(Body):
    user: Annotated[str, AfterValidator(checks.user)]
    password: Secret
    name: Label | None = None

    def row(self, item: str, organization: str, now: datetime) -> Phone:
        return Phone(
            id=item,
            organization=organization,
            user=self.user,
            password=self.password,
            name=self.name or "",
            created_at=now,
            updated_at=now,
        )


class PhonePatch(Body):
    """The user is the phone's identity and stays."""

    password: Secret | None = None
    name: Label | None = None

    def changed(self, phone: Phone, now: datetime) -> Phone:
        name = (self.name or "") if "name" in self.model_fields_set else phone.name
        return replace(phone, name=name, password=self.password or phone.password, updated_at=now)


class PhoneRow(Camel):
    id: str
    organization_id: str
    user: str
    name: str | None
    read_only: bool
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, phone: Phone) -> PhoneRow:
        return cls(
            id=phone.id,
            organization_id=phone.organization,
            user=phone.user,
            name=phone.name or None,
            read_only=phone.from_file,
            created_at=iso(phone.created_at),
            updated_at=iso(phone.updated_at),
        )
