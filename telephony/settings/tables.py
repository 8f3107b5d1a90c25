"""The tables of telephony.toml: trunks, phones and numbers, as rows of the default organization,
and the rate card of all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from telephony.accounts import checks
from telephony.accounts.kyb import KybPolicy
from telephony.accounts.model import (
    DEFAULT_ORGANIZATION,
    DEFAULT_TRUNK,
    MediaEncryption,
    NumberDirection,
    Phone,
    PhoneNumber,
    Transport,
    Trunk,
    TrunkKind,
)
from telephony.accounts.ports import Offered
from telephony.base.errors import BadInput
from telephony.base.number import is_e164
from telephony.reports.cost import Rate, Rates
from telephony.settings.kinds import Name, Price, Usd, check_url


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrunkTable(Table):
    """One ``[[trunks]]``."""

    name: Annotated[str, AfterValidator(checks.name)]
    kind: TrunkKind = TrunkKind.SIP
    gateways: Annotated[
        list[Annotated[str, AfterValidator(checks.gateway)]],
        Field(max_length=checks.MAX_GATEWAYS),
    ] = []
    livekit_trunk: Annotated[str, AfterValidator(checks.livekit_trunk)] = ""
    media_encryption: MediaEncryption = MediaEncryption.DISABLE
    transport: Transport = Transport.UDP
    username: Annotated[str, AfterValidator(checks.credential)] = ""
    password: SecretStr = SecretStr("")
    register_: Annotated[bool, Field(alias="register")] = False
    allowed_sources: Annotated[
        list[Annotated[str, AfterValidator(checks.source)]], Field(max_length=checks.MAX_SOURCES)
    ] = []
    caller_ids: list[str] = []
    country: Annotated[str, AfterValidator(checks.country)] = ""
    strip: Annotated[str, AfterValidator(checks.digits)] = ""
    prefix: Annotated[str, AfterValidator(checks.digits)] = ""
    calls_per_second: Annotated[float, Field(gt=0, le=10_000)] | None = None
    max_calls: Annotated[int, Field(ge=1, le=100_000)] | None = None
    headers: Annotated[dict[str, str], AfterValidator(checks.headers)] = {}

    @model_validator(mode="after")
    def _leads_somewhere(self) -> TrunkTable:
        try:
            checks.ways(self.row(datetime.min.replace(tzinfo=UTC)))
        except BadInput as error:
            raise ValueError(error.message) from None
        return self

    @field_validator("caller_ids")
    @classmethod
    def _numbers(cls, value: list[str]) -> list[str]:
        for number in value:
            if not is_e164(number):
                raise ValueError(f"{number!r} is no E.164 number, such as +12025550100")
        return value

    def row(self, now: datetime) -> Trunk:
        return Trunk(
            id=f"trunk_{self.name}",
            organization=DEFAULT_ORGANIZATION,
            name=self.name,
            kind=self.kind,
            gateways=tuple(self.gateways),
            livekit_trunk=self.livekit_trunk,
            media_encryption=self.media_encryption,
            transport=self.transport,
            username=self.username,
            password=self.password.get_secret_value(),
            register=self.register_,
            allowed_sources=tuple(self.allowed_sources),
            caller_ids=tuple(self.caller_ids),
            country=self.country,
            strip=self.strip,
            prefix=self.prefix,
            calls_per_second=self.calls_per_second,
            max_calls=self.max_calls,
            headers=self.headers,
            from_file=True,
            created_at=now,
            updated_at=now,
        )


class PhoneTable(Table):
    """One ``[[phones]]``."""

    user: Annotated[str, AfterValidator(checks.user)]
    password: Annotated[SecretStr, Field(min_length=1)]
    name: str = ""

    def row(self, now: datetime) -> Phone:
        return Phone(
            id=f"phone_{self.user}",
            organization=DEFAULT_ORGANIZATION,
            user=self.user,
            password=self.password.get_secret_value(),
            name=self.name,
            from_file=True,
            created_at=now,
            updated_at=now,
        )


class NumberTable(Table):
    """What one line of ``[numbers]`` says of its number."""

    dialplan: Name | None = None
    agent: Name | None = None
    trunk: Name = DEFAULT_TRUNK
    label: str | None = None
    direction: NumberDirection = NumberDirection.BOTH
    record: bool = False

    def row(self, e164: str, trunk: str, now: datetime) -> PhoneNumber:
        return PhoneNumber(
            id=f"num_{e164.removeprefix('+')}",
            organization=DEFAULT_ORGANIZATION,
            e164=e164,
            direction=self.direction,
            trunk=trunk,
            label=self.label,
            agent=self.agent,
            dialplan=self.dialplan,
            record=self.record,
            from_file=True,
            created_at=now,
            updated_at=now,
        )


class PoolTable(Table):
    """What one line of ``[numbers_pool]`` says of a number that can be bought: USD in quotes."""

    trunk: Name = DEFAULT_TRUNK
    upfront: Price = 0
    monthly: Price = 0
    state: Name | None = None
    locality: Name | None = None
    rate_center: Name | None = None

    def offer(self, e164: str, trunk: str) -> Offered:
        return Offered(
            e164=e164,
            trunk=trunk,
            upfront_micro_usd=self.upfront,
            monthly_micro_usd=self.monthly,
            state=self.state,
            locality=self.locality,
            rate_center=self.rate_center,
        )


class KybTable(Table):
    """``[kyb]``: who looks at business verifications, and what they attest."""

    review: Literal["self_hosted", "manual"] = "self_hosted"
    version: Name = KybPolicy().version
    text: Name = KybPolicy().text
    terms_version: Name = KybPolicy().terms_version
    terms_url: Annotated[str, check_url("http", "https")] | None = None

    def policy(self) -> KybPolicy:
        return KybPolicy(
            manual=self.review == "manual",
            version=self.version,
            text=self.text,
            terms_version=self.terms_version,
            terms_url=self.terms_url,
        )


class RateTable(Table):
    """Of ``[rates.trunks]``, what one trunk has of its own; the rest is as in ``[rates]``."""

    inbound: Usd | None = None
    outbound: Usd | None = None
    recording: Usd | None = None
    increment: Annotated[int, Field(ge=1, le=3600)] | None = None

    def rate(self, base: Rate) -> Rate:
        return Rate(
            inbound=base.inbound if self.inbound is None else self.inbound,
            outbound=base.outbound if self.outbound is None else self.outbound,
            recording=base.recording if self.recording is None else self.recording,
            increment=base.increment if self.increment is None else self.increment,
        )


class RatesTable(RateTable):
    """``[rates]``: USD a minute, and seconds that are counted at once."""

    trunks: dict[str, RateTable] = {}

    def card(self, ids: Mapping[str, str]) -> Rates:
        """``ids`` are those of the file's trunks, by name; others are named by their id."""
        base = self.rate(Rate())
        return Rates(
            base, {ids.get(name, name): table.rate(base) for name, table in self.trunks.items()}
        )

    def shown(self) -> str:
        """In one line."""
        said = [_amounts(self)]
        said += [f"{name} ({_amounts(table)})" for name, table in self.trunks.items()]
        return ", ".join(text for text in said if text) or "-"


def _amounts(table: RateTable) -> str:
    names = ("inbound", "outbound", "recording", "increment")
    given = [(name, getattr(table, name)) for name in names]
    return ", ".join(
        f"{name} {value:f}" if isinstance(value, Decimal) else f"{name} {value} s"
        for name, value in given
        if value is not None
    )
