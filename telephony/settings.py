"""Settings: the environment (``TELEPHONY_*``) first, then ``telephony.toml``, then defaults.

Unknown keys are refused with the nearest known one. An error names the setting and where its
value came from. ``app.py`` makes the packages' own configurations of what stands here.
"""

from __future__ import annotations

import difflib
import os
import re
import secrets
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from telephony.accounts import checks
from telephony.accounts.model import (
    DEFAULT_ORGANIZATION,
    DEFAULT_TRUNK,
    NumberDirection,
    Phone,
    PhoneNumber,
    Transport,
    Trunk,
)
from telephony.base.errors import ConfigError
from telephony.base.number import is_e164

PREFIX = "TELEPHONY_"
FILE = "telephony.toml"
MASK = "********"
SECRETS = frozenset({"api_key", "secret_key", "livekit_api_secret"})

# The command line's own, and what says where the file is; neither is a setting of the service.
_NOT_OURS = frozenset({"CONFIG", "URL"})
# Kubernetes sets these for a Service that is called telephony; nobody means us by them.
_KUBERNETES = re.compile(r"SERVICE_(HOST|PORT)(_\w+)?|PORT|PORT_\d+_(TCP|UDP)(_\w+)?")

Network = IPv4Network | IPv6Network


class PortRange(NamedTuple):
    """First and last port, both included."""

    first: int
    last: int


class MediaTimeout(NamedTuple):
    """Seconds without a packet: before the first one, and after."""

    first: float
    later: float


def _listed(value: Any) -> Any:
    """A list as the environment writes it: by commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _ports(value: Any) -> Any:
    if isinstance(value, PortRange):
        return value
    found = re.fullmatch(r"\s*(\d{1,5})\s*-\s*(\d{1,5})\s*", str(value))
    if found is None:
        raise ValueError("must be first-last, such as 20000-29999")
    first, last = int(found[1]), int(found[2])
    if not 1024 <= first < last <= 65535:
        raise ValueError("must be two ports from 1024 to 65535, the lower one first")
    return PortRange(first, last)


def _timeout(value: Any) -> Any:
    if isinstance(value, MediaTimeout):
        return value
    parts = _listed(value) if isinstance(value, str) else value
    parts = parts if isinstance(parts, list) else [parts]
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) not in (1, 2) or not all(0 < n <= 86_400 for n in numbers):
        raise ValueError("must be seconds before the first packet and after, such as 30,15")
    return MediaTimeout(numbers[0], numbers[-1])


def _network(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return ip_network(value, strict=False)
        except ValueError:
            raise ValueError(f"{value!r} is no IP address or network") from None
    return value


def _host(value: str) -> str:
    text = value.strip().strip("[]")
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,253}", text):
            raise ValueError(f"{value!r} is no host name or address") from None
    return text


def _url(*schemes: str) -> AfterValidator:
    def check(value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in schemes or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"must be a URL that begins {' or '.join(s + '://' for s in schemes)}")
        return value.rstrip("/")

    return AfterValidator(check)


def _database(value: str) -> str:
    try:
        make_url(value)
    except ArgumentError:
        raise ValueError("is no database URL, such as sqlite:///var/telephony.db") from None
    return value


def _empty(value: Any) -> Any:
    """A variable that is set to nothing is one that is not set."""
    return None if value == "" else value


Port = Annotated[int, Field(ge=0, le=65535)]
Host = Annotated[str, AfterValidator(_host)]
Name = Annotated[str, Field(min_length=1)]
Workers = Annotated[int, Field(ge=0, le=256)] | Literal["auto"]
Networks = Annotated[
    tuple[Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)], ...],
    NoDecode,
    BeforeValidator(_listed),
]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrunkTable(_Table):
    """One ``[[trunks]]``."""

    name: Annotated[str, AfterValidator(checks.name)]
    gateways: Annotated[
        list[Annotated[str, AfterValidator(checks.gateway)]],
        Field(min_length=1, max_length=checks.MAX_GATEWAYS),
    ]
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
            gateways=tuple(self.gateways),
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


class PhoneTable(_Table):
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


class NumberTable(_Table):
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
    public_url: Annotated[str, _url("http", "https")] | None = None
    trusted_proxies: Networks = ()
    cors_origins: Origins = ("*",)
    sip_host: Host = "127.0.0.1"
    sip_port: Port = 5060
    external_address: Host | None = None
    accept_strangers: bool = False
    rtp_ports: Annotated[PortRange, NoDecode, BeforeValidator(_ports)] = PortRange(20000, 29999)
    max_calls: Annotated[int, Field(ge=1, le=100_000)] = 1000
    calls_per_second: Annotated[float, Field(gt=0, le=10_000)] = 200.0
    drain_seconds: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    media_timeout: Annotated[MediaTimeout, NoDecode, BeforeValidator(_timeout)] = MediaTimeout(
        30.0, 15.0
    )
    data_dir: Path = Path("./var")
    database_url: Annotated[str, AfterValidator(_database)] | None = None
    dialplans: Path | None = None
    default_dialplan: Name | None = None
    recording_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    livekit_url: Annotated[str, _url("ws", "wss", "http", "https")] | None = None
    livekit_api_key: Name | None = None
    livekit_api_secret: Annotated[str | None, Field(repr=False)] = None
    media_workers: Workers = 0
    room_workers: Workers = 0
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    trunks: list[TrunkTable] = []
    phones: list[PhoneTable] = []
    numbers: dict[str, NumberTable] = {}

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
        ids = {table.name: f"trunk_{table.name}" for table in self.trunks}
        return tuple(
            table.row(e164, ids.get(table.trunk, table.trunk), now)
            for e164, table in self.numbers.items()
        )


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and where each value came from: ``environment``, the file, ``default``."""

    settings: Settings
    sources: Mapping[str, str]

    def lines(self) -> list[tuple[str, str, str]]:
        """Name, value and source of each setting, secrets masked."""
        return [
            (name, show(name, getattr(self.settings, name)), self.sources.get(name, "default"))
            for name in Settings.model_fields
        ]


_SHAPES: dict[str, type[_Table]] = {
    "trunks": TrunkTable,
    "phones": PhoneTable,
    "numbers": NumberTable,
}


def load(environ: Mapping[str, str] | None = None) -> Loaded:
    """Read the environment and the file.

    Raises:
        ConfigError: naming the setting and its source.
    """
    environ = os.environ if environ is None else environ
    path, asked = _file(environ)
    from_file = _read(path, asked)
    from_env = _environment(environ)
    sources = dict.fromkeys(from_file, str(path))
    sources.update((name, f"environment ({PREFIX}{name.upper()})") for name in from_env)
    merged = {**from_file, **from_env}
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise _said(error, sources) from None
    settings = settings.model_copy(
        update={
            name: Path(value).expanduser().resolve()
            for name in ("data_dir", "dialplans")
            if (value := getattr(settings, name)) is not None
        }
    )
    if settings.dialplans is None and (here := Path("dialplans").resolve()).is_dir():
        settings = settings.model_copy(update={"dialplans": here})
    _consistent(settings, sources)
    return Loaded(settings, sources)


def _file(environ: Mapping[str, str]) -> tuple[Path, bool]:
    named = environ.get(f"{PREFIX}CONFIG")
    return (Path(named).expanduser(), True) if named else (Path(FILE), False)


def _read(path: Path, asked: bool) -> dict[str, Any]:
    if not asked and not path.exists():
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from None
    for key in values:
        if key not in Settings.model_fields:
            raise ConfigError(_unknown(key, Settings.model_fields, str(path)), field=key)
    return values


class _Given(EnvSettingsSource):
    """The library's reading of the environment, on the mapping that it is given."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._given = environ
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._given.items() if value != ""}


def _environment(environ: Mapping[str, str]) -> dict[str, Any]:
    known = {name for name in Settings.model_fields if name not in _SHAPES}
    for variable in environ:
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX)
        if name in _NOT_OURS or _KUBERNETES.fullmatch(name):
            continue
        if name.lower() in _SHAPES:
            raise ConfigError(f"{variable}: stands in {FILE} only", field=name.lower())
        if name.lower() not in known or name != name.upper():
            near = _unknown(variable, (PREFIX + k.upper() for k in known), "the environment")
            raise ConfigError(near, field=variable)
    return {name: value for name, value in _Given(environ)().items() if name in known}


def _unknown(key: str, known: Iterable[str], where: str) -> str:
    near = difflib.get_close_matches(key, list(known), n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{key} in {where} is no setting{hint}"


def _said(error: ValidationError, sources: Mapping[str, str]) -> ConfigError:
    said = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        loc = [part for part in item["loc"] if not _noise(part)]
        path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in loc).lstrip(".")
        top = str(loc[0]) if loc else ""
        message = "is required" if item["type"] == "missing" else item["msg"]
        message = message.removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            table = _SHAPES.get(top)
            names = [f.alias or n for n, f in table.model_fields.items()] if table else []
            near = difflib.get_close_matches(str(loc[-1]), names, n=1)
            message = "is no setting" + (f"; did you mean {near[0]}?" if near else "")
        source = sources.get(top, "default")
        line = f"{path} ({source}): {message}"
        if line not in said:
            said.append(line)
    return ConfigError("; ".join(said), field=str(error.errors()[0]["loc"][0]))


def _noise(part: int | str) -> bool:
    """Names that pydantic gives to the members of a union, which nobody has written."""
    return isinstance(part, str) and (
        part in {"int", "float"} or "[" in part or part.startswith("constrained")
    )


def _consistent(settings: Settings, sources: Mapping[str, str]) -> None:
    """What no single value can be blamed for."""
    names = [table.name for table in settings.trunks]
    _unique("trunks", names, sources)
    _unique("phones", [table.user for table in settings.phones], sources)
    where = sources.get("numbers", "default")
    known = {*names, *(f"trunk_{name}" for name in names), DEFAULT_TRUNK}
    for number, table in settings.numbers.items():
        if not is_e164(number):
            raise ConfigError(
                f"numbers ({where}): {number!r} is no E.164 number, such as +12025550123",
                field="numbers",
            )
        if table.trunk not in known:
            near = difflib.get_close_matches(table.trunk, sorted(known), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(
                f"numbers.{number}.trunk ({where}): there is no trunk {table.trunk!r}{hint}",
                field="numbers",
            )
    livekit = {
        name: getattr(settings, name) is not None
        for name in ("livekit_url", "livekit_api_key", "livekit_api_secret")
    }
    if any(livekit.values()) and not all(livekit.values()):
        missing = ", ".join(PREFIX + name.upper() for name, there in livekit.items() if not there)
        raise ConfigError(f"LiveKit needs all three of its settings; missing: {missing}")


def _unique(what: str, names: list[str], sources: Mapping[str, str]) -> None:
    for name in names:
        if names.count(name) > 1:
            where = sources.get(what, "default")
            raise ConfigError(f"{what} ({where}): {name} is there twice", field=what)


def show(name: str, value: Any) -> str:
    """A value as it may be printed."""
    if value is None:
        return "-"
    if name in SECRETS:
        return MASK
    if name == "database_url":
        return str(make_url(value).render_as_string(hide_password=True))
    if isinstance(value, PortRange):
        return f"{value.first}-{value.last}"
    if isinstance(value, MediaTimeout):
        return f"{value.first:g},{value.later:g}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if name == "trunks":
        return ", ".join(f"{t.name} ({', '.join(t.gateways)})" for t in value) or "-"
    if name == "phones":
        return ", ".join(p.user for p in value) or "-"
    if name == "numbers":
        return ", ".join(f"{n} → {t.dialplan or '-'}" for n, t in value.items()) or "-"
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value) or "-"
    return str(value)


def ensure_secret(data_dir: Path) -> str:
    """SECRET_KEY of a node that was given none: made once in ``<data>/secret.key``, mode 0600.

    Raises:
        ConfigError: it cannot be read or written, or is not what was written.
    """
    path = data_dir / "secret.key"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_secret(path)
        secret = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"secret_key: {path} cannot be used: {error}", field="secret_key"
        ) from None
    if len(secret) < 16:
        raise ConfigError(
            f"secret_key: {path} is damaged; restore it (keys and passwords hang on it)",
            field="secret_key",
        )
    return secret


def _make_secret(path: Path) -> None:
    # Written whole under another name first: whoever sees the file sees all of it, and of two
    # processes that start at once one link wins.
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        draft.unlink()
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
