"""Reading the environment and the file, and saying what is wrong with either."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from telephony.accounts.model import DEFAULT_TRUNK, TrunkKind
from telephony.base.errors import ConfigError
from telephony.base.number import is_e164
from telephony.settings.model import PREFIX, Settings
from telephony.settings.show import show
from telephony.settings.tables import (
    KybTable,
    NumberTable,
    PhoneTable,
    PoolTable,
    RatesTable,
    Table,
    TrunkTable,
)

FILE = "telephony.toml"

# The command line's own, and what says where the file is; neither is a setting of the service.
_NOT_OURS = frozenset({"CONFIG", "URL"})
# Kubernetes sets these for a Service that is called telephony; nobody means us by them.
_KUBERNETES = re.compile(r"SERVICE_(HOST|PORT)(_\w+)?|PORT|PORT_\d+_(TCP|UDP)(_\w+)?")


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


_SHAPES: dict[str, type[Table]] = {
    "trunks": TrunkTable,
    "phones": PhoneTable,
    "numbers": NumberTable,
    "numbers_pool": PoolTable,
    "kyb": KybTable,
    "rates": RatesTable,
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
            for name in ("data_dir", "dialplans", "hold_music")
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
    known = {*names, *(f"trunk_{name}" for name in names), DEFAULT_TRUNK}
    _numbers("numbers", {n: t.trunk for n, t in settings.numbers.items()}, known, sources)
    _numbers("numbers_pool", {n: t.trunk for n, t in settings.numbers_pool.items()}, known, sources)
    for number in settings.numbers_pool:
        if number in settings.numbers:
            where = sources.get("numbers_pool", "default")
            raise ConfigError(
                f"numbers_pool ({where}): {number} is in [numbers] too", field="numbers_pool"
            )
    for trunk in settings.rates.trunks if settings.rates is not None else ():
        # Whether a trunk that the API made is there is seen when a call goes over it.
        if trunk not in names and not trunk.startswith("trunk_"):
            near = difflib.get_close_matches(trunk, sorted(names), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            where = sources.get("rates", "default")
            raise ConfigError(
                f"rates.trunks.{trunk} ({where}): there is no trunk {trunk!r}{hint}", field="rates"
            )
    livekit = {
        name: getattr(settings, name) is not None
        for name in ("livekit_url", "livekit_api_key", "livekit_api_secret")
    }
    if any(livekit.values()) and not all(livekit.values()):
        missing = ", ".join(PREFIX + name.upper() for name, there in livekit.items() if not there)
        raise ConfigError(f"LiveKit needs all three of its settings; missing: {missing}")
    if settings.livekit_public_url is not None and settings.livekit_url is None:
        raise ConfigError(
            f"livekit_public_url ({sources.get('livekit_public_url', 'default')}): there is no"
            f" LiveKit server: {PREFIX}LIVEKIT_URL is not set",
            field="livekit_public_url",
        )
    for table in settings.trunks:
        if table.kind is TrunkKind.LIVEKIT and settings.livekit_url is None:
            raise ConfigError(
                f"trunks ({sources.get('trunks', 'default')}): {table.name} is LiveKit's, and"
                f" {PREFIX}LIVEKIT_URL is not set",
                field="trunks",
            )


def _numbers(
    what: str, trunks: Mapping[str, str], known: set[str], sources: Mapping[str, str]
) -> None:
    """Numbers are numbers, and their trunks are there."""
    where = sources.get(what, "default")
    for number, trunk in trunks.items():
        if not is_e164(number):
            raise ConfigError(
                f"{what} ({where}): {number!r} is no E.164 number, such as +12025550123",
                field=what,
            )
        if trunk not in known:
            near = difflib.get_close_matches(trunk, sorted(known), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(
                f"{what}.{number}.trunk ({where}): there is no trunk {trunk!r}{hint}", field=what
            )


def _unique(what: str, names: list[str], sources: Mapping[str, str]) -> None:
    for name in names:
        if names.count(name) > 1:
            where = sources.get(what, "default")
            raise ConfigError(f"{what} ({where}): {name} is there twice", field=what)
