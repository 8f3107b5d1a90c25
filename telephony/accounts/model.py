"""Organizations, keys, numbers, trunks and phones as values."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from telephony.base.number import NumberRules

DEFAULT_ORGANIZATION = "org_default"
DEFAULT_TRUNK = "default"
"""Always exists as an id and means the first trunk there is."""


class Transport(StrEnum):
    """How a trunk's gateways are reached."""

    UDP = "udp"
    TCP = "tcp"


class TrunkKind(StrEnum):
    """Who speaks SIP on a trunk: we, or LiveKit's SIP service for us."""

    SIP = "sip"
    LIVEKIT = "livekit"


class MediaEncryption(StrEnum):
    """Whether the sound of a trunk that LiveKit speaks on is encrypted (SRTP)."""

    DISABLE = "disable"
    ALLOW = "allow"
    REQUIRE = "require"


class NumberDirection(StrEnum):
    """The contract's closed set."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    BOTH = "both"


class NumberSource(StrEnum):
    """Bought here, or carried by a trunk of the organization's own."""

    MANAGED = "managed"
    SIP_TRUNK = "sip_trunk"


class Scope(StrEnum):
    """What a key may do.

    ``read``: every GET. ``dial``: start, steer and end calls, callbacks and sessions.
    ``admin``: everything that is kept and is no call: numbers, trunks, agents, webhooks and so on.
    """

    READ = "read"
    DIAL = "dial"
    ADMIN = "admin"


EVERYTHING = frozenset(Scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """A tenant."""

    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key. Only ``digest`` (keyed BLAKE2) is kept of the secret; ``hint`` is its end.

    ``requests_per_second``: its own ceiling, None for the one of the settings.
    """

    id: str
    organization: str
    name: str
    digest: str
    hint: str
    live: bool
    created_at: datetime
    scopes: frozenset[Scope] = EVERYTHING
    requests_per_second: float | None = None
    last_used_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """A SIP trunk: where its gateways are, how it is known, how it writes numbers.

    ``gateways`` are ``host`` or ``host:port`` or ``sip:`` URIs, tried in order. ``headers`` go
    into every INVITE. ``from_file``: made by telephony.toml and read-only in the API.

    Of ``kind`` ``livekit`` it is LiveKit's SIP service that sends the INVITEs: through the
    outbound trunk ``livekit_trunk`` that it knows (``ST_…``), or where that is empty to the first
    gateway.
    """

    id: str
    organization: str
    name: str
    gateways: tuple[str, ...] = ()
    kind: TrunkKind = TrunkKind.SIP
    livekit_trunk: str = ""
    media_encryption: MediaEncryption = MediaEncryption.DISABLE
    transport: Transport = Transport.UDP
    username: str = ""
    password: str = field(default="", repr=False)
    register: bool = False
    allowed_sources: tuple[str, ...] = ()
    caller_ids: tuple[str, ...] = ()
    country: str = ""
    strip: str = ""
    prefix: str = ""
    calls_per_second: float | None = None
    max_calls: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    from_file: bool = False
    created_at: datetime
    updated_at: datetime

    @property
    def provider(self) -> str:
        """What the events of its calls say that they came over."""
        return self.kind.value

    @property
    def rules(self) -> NumberRules:
        return NumberRules(self.country, self.strip, self.prefix)

    def allows(self, address: str) -> bool:
        """Whether a request from this IP address is this trunk's."""
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        return any(ip in ipaddress.ip_network(net, strict=False) for net in self.allowed_sources)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """A SIP phone that may register here."""

    id: str
    organization: str
    user: str
    password: str = field(default="", repr=False)
    name: str = ""
    from_file: bool = False
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneNumber:
    """A number of ours. ``trunk`` is the trunk's id (``default`` for the first there is).

    The amounts and ``next_charge_at`` are those of a number that was bought.
    """

    id: str
    organization: str
    e164: str
    direction: NumberDirection = NumberDirection.OUTBOUND
    trunk: str | None = None
    provider_name: str | None = None
    label: str | None = None
    agent: str | None = None
    dialplan: str | None = None
    record: bool = False
    dispatch_template: dict[str, Any] | None = None
    source: NumberSource = NumberSource.SIP_TRUNK
    sms_automation: bool = False
    upfront_micro_usd: int = 0
    monthly_micro_usd: int = 0
    next_charge_at: datetime | None = None
    last_charged_at: datetime | None = None
    from_file: bool = False
    created_at: datetime
    updated_at: datetime
