"""Every setting, its kind and its default."""

from __future__ import annotations

import re
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from telephony.accounts.model import Phone, PhoneNumber, Trunk
from telephony.accounts.ports import Offered
from telephony.reports.cost import Rates
from telephony.settings.kinds import (
    Codecs,
    Host,
    MediaTimeout,
    Name,
    Networks,
    Origins,
    Port,
    PortRange,
    Workers,
    check_database,
    check_url,
    read_ports,
    read_timeout,
)
from telephony.settings.tables import (
    KybTable,
    NumberTable,
    PhoneTable,
    PoolTable,
    RatesTable,
    TrunkTable,
)

PREFIX = "TELEPHONY_"


class Settings(BaseSettings):
    """Every setting of the service. Paths are absolute once it is loaded.

    ``dialplans`` None: those that ship (``load`` takes ./dialplans where that exists).
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True
    )

    api_host: Host = "127.0.0.1"
    api_port: Port = 8080
    api_key: Annotated[str | None, Field(repr=False)] = None
    secret_key: Annotated[str | None, Field(repr=False)] = None
    public_url: Annotated[str, check_url("http", "https")] | None = None
    trusted_proxies: Networks = ()
    cors_origins: Origins = ("*",)
    sip_host: Host = "127.0.0.1"
    sip_port: Port = 5060
    external_address: Host | None = None
    accept_strangers: bool = False
    rtp_ports: Annotated[PortRange, NoDecode, BeforeValidator(read_ports)] = PortRange(20000, 29999)
    max_calls: Annotated[int, Field(ge=1, le=100_000)] = 1000
    calls_per_second: Annotated[float, Field(gt=0, le=10_000)] = 200.0
    drain_seconds: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    codecs: Codecs = ("PCMU", "PCMA", "G722")
    media_timeout: Annotated[MediaTimeout, NoDecode, BeforeValidator(read_timeout)] = MediaTimeout(
        30.0, 15.0
    )
    data_dir: Path = Path("./var")
    node: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None
    database_url: Annotated[str, AfterValidator(check_database)] | None = None
    dialplans: Path | None = None
    hold_music: Path | None = None
    default_dialplan: Name | None = None
    recording_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    livekit_url: Annotated[str, check_url("ws", "wss", "http", "https")] | None = None
    livekit_public_url: Annotated[str, check_url("ws", "wss", "http", "https")] | None = None
    livekit_api_key: Name | None = None
    livekit_api_secret: Annotated[str | None, Field(repr=False)] = None
    livekit_agent: Name = "telephony"
    livekit_sip_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")] = "sip-"
    media_workers: Workers = 0
    requests_per_second: Annotated[float, Field(gt=0, le=100_000)] = 100.0
    prepaid: bool = False
    media_io: Literal["auto", "epoll"] = "auto"
    room_workers: Workers = 0
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    trunks: list[TrunkTable] = []
    phones: list[PhoneTable] = []
    numbers: dict[str, NumberTable] = {}
    numbers_pool: dict[str, PoolTable] = {}
    kyb: KybTable = KybTable()
    rates: RatesTable | None = None

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: str | None) -> str | None:
        if value is not None and len(value) < 16:
            raise ValueError("must have at least 16 characters")
        return value

    @field_validator("api_key")
    @classmethod
    def _plain_key(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[!-~]{8,200}", value):
            raise ValueError("must have 8 to 200 characters and no space")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # ``load`` hands over what it has read, so that it knows where each value came from.
        return (init_settings,)

    # --- what follows from several settings --------------------------------------------------

    @property
    def database(self) -> str:
        """The database's URL; SQLite in the data folder where none is set."""
        return self.database_url or f"sqlite:///{self.data_dir / 'telephony.db'}"

    @property
    def recordings(self) -> Path:
        return self.data_dir / "recordings"

    @property
    def sip_on_loopback(self) -> bool:
        return _loopback(self.sip_host)

    @property
    def api_on_loopback(self) -> bool:
        return _loopback(self.api_host)

    def file_trunks(self, now: datetime) -> tuple[Trunk, ...]:
        """The file's trunks, with ids that stay the same."""
        return tuple(table.row(now) for table in self.trunks)

    def file_phones(self, now: datetime) -> tuple[Phone, ...]:
        """The file's phones."""
        return tuple(table.row(now) for table in self.phones)

    def file_numbers(self, now: datetime) -> tuple[PhoneNumber, ...]:
        """The file's numbers, their trunks by id."""
        ids = self._trunk_ids
        return tuple(
            table.row(e164, ids.get(table.trunk, table.trunk), now)
            for e164, table in self.numbers.items()
        )

    def offers(self) -> tuple[Offered, ...]:
        """The numbers that can be bought, their trunks by id."""
        ids = self._trunk_ids
        return tuple(
            table.offer(e164, ids.get(table.trunk, table.trunk))
            for e164, table in self.numbers_pool.items()
        )

    @property
    def rate_card(self) -> Rates | None:
        """What calls cost; None: nothing, and nobody counts."""
        return None if self.rates is None else self.rates.card(self._trunk_ids)

    @property
    def _trunk_ids(self) -> dict[str, str]:
        return {table.name: f"trunk_{table.name}" for table in self.trunks}


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
