"""What the worker is told by its environment, checked before anything is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from telephony.base.errors import ConfigError

NAME = "telephony"
HEALTH_PORT = 8081


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """How a worker reaches LiveKit and the service."""

    livekit_url: str
    livekit_key: str
    livekit_secret: str = field(repr=False)
    api_key: str = field(repr=False)
    """Of the service, with the scopes read and dial: turns are posted with it, calls ended."""
    api_url: str = ""
    """Where the service's API is. Empty: where the call's dispatch says that it is."""
    name: str = NAME
    """Under which the worker registers; the service's setting ``LIVEKIT_AGENT`` is the same."""
    script: Path | None = None
    """What an agent without a script of its own goes by; None: the one that ships."""
    health_host: str = "127.0.0.1"
    health_port: int = HEALTH_PORT
    idle_processes: int = 1
    """Processes kept warm: the next call is answered without waiting for a start."""
    max_calls: int = 10
    """Calls at once; beyond, LiveKit asks another worker of the name."""


_NAMES = (
    ("livekit_url", ("LIVEKIT_URL", "TELEPHONY_LIVEKIT_URL")),
    ("livekit_key", ("LIVEKIT_API_KEY", "TELEPHONY_LIVEKIT_API_KEY")),
    ("livekit_secret", ("LIVEKIT_API_SECRET", "TELEPHONY_LIVEKIT_API_SECRET")),
    ("api_key", ("TELEPHONY_API_KEY",)),
)


def read(environment: Mapping[str, str]) -> WorkerConfig:
    """The worker's configuration.

    Raises:
        ConfigError: something is missing or malformed; every missing name is in the message.
    """
    found: dict[str, str] = {}
    missing: list[str] = []
    for name, variables in _NAMES:
        value = next((environment[v] for v in variables if environment.get(v)), "")
        if not value:
            missing.append(variables[0])
        found[name] = value
    if missing:
        raise ConfigError(
            f"not set: {', '.join(missing)}. The worker joins rooms of a LiveKit server "
            "(LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET) and posts what was said with a "
            "key of the service (TELEPHONY_API_KEY, made by: telephony keys create)",
            field=missing[0],
        )
    _check_url("LIVEKIT_URL", found["livekit_url"], ("ws", "wss", "http", "https"))
    api_url = environment.get("TELEPHONY_API_URL", "")
    if api_url:
        _check_url("TELEPHONY_API_URL", api_url, ("http", "https"))
    script = environment.get("TELEPHONY_AGENT_SCRIPT", "")
    if script and not Path(script).is_file():
        raise ConfigError(
            f"TELEPHONY_AGENT_SCRIPT: no file {script}", field="TELEPHONY_AGENT_SCRIPT"
        )
    return WorkerConfig(
        **found,
        api_url=api_url.rstrip("/"),
        name=environment.get("TELEPHONY_LIVEKIT_AGENT") or NAME,
        script=Path(script) if script else None,
        health_host=environment.get("TELEPHONY_AGENT_HEALTH_HOST") or "127.0.0.1",
        health_port=_whole(environment, "TELEPHONY_AGENT_HEALTH_PORT", HEALTH_PORT, 0, 65535),
        idle_processes=_whole(environment, "TELEPHONY_AGENT_IDLE_PROCESSES", 1, 0, 64),
        max_calls=_whole(environment, "TELEPHONY_AGENT_MAX_CALLS", 10, 1, 10_000),
    )


def _check_url(name: str, value: str, schemes: tuple[str, ...]) -> None:
    try:
        parts = urlsplit(value)
        good = parts.scheme in schemes and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise ConfigError(f"{name}: no URL with {' or '.join(schemes)}: {value!r}", field=name)


def _whole(environment: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environment.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ConfigError(
            f"{name}: a whole number from {least} to {most}, not {text!r}", field=name
        )
    return int(text)
