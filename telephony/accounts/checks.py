"""What a trunk, a phone or a number may be called and hold, whoever writes it down.

The API and telephony.toml use the same checks; each of a single value raises ``ValueError`` in
words.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from telephony.accounts.model import Trunk, TrunkKind
from telephony.base.errors import BadInput

MAX_GATEWAYS = 16
MAX_SOURCES = 64
MAX_CALLER_IDS = 1000
MAX_HEADERS = 20
MAX_URL = 2048

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_USER = re.compile(r"[A-Za-z0-9_.+~-]{1,64}")
_HOST = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\])"
_GATEWAY = re.compile(
    rf"(?:sip:(?:[^@\s<>;?]{{1,64}}@)?)?({_HOST})(?::(\d{{1,5}}))?(?:;[A-Za-z0-9=;._-]*)?"
)
_HEADER = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,64}")
# What the dialog itself is made of: a trunk that sets these breaks its own calls.
_RESERVED = frozenset(
    {
        "via", "from", "to", "call-id", "cseq", "contact", "max-forwards", "content-length",
        "content-type", "route", "record-route", "require", "proxy-require", "supported", "allow",
        "authorization", "proxy-authorization", "session-expires", "min-se", "rseq", "rack",
        "v", "f", "t", "i", "m", "l", "c", "k", "x",
    }
)  # fmt: skip


def name(text: str) -> str:
    """A trunk's name, which is part of its id. ``default`` is taken."""
    if not _NAME.fullmatch(text):
        raise ValueError("must be 1 to 63 letters, digits, dots, dashes or underscores")
    if text.lower() == "default":
        raise ValueError("default always means the first trunk, so no trunk may be called so")
    return text


def user(text: str) -> str:
    """A phone's user part."""
    if not _USER.fullmatch(text):
        raise ValueError("must be 1 to 64 letters, digits or any of _ . + ~ -")
    return text


def gateway(text: str) -> str:
    """``host``, ``host:port``, ``[v6]:port`` or a ``sip:`` URI of one."""
    found = _GATEWAY.fullmatch(text)
    if found is None:
        if text.lower().startswith("sips:"):
            raise ValueError(f"{text[:80]!r}: TLS is not there yet; use sip:")
        raise ValueError(f"{text[:80]!r} is no host, host:port or sip: URI")
    host, port = found[1], found[2]
    if port is not None and not 0 < int(port) < 65536:
        raise ValueError(f"{text[:80]!r}: the port must be 1 to 65535")
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise ValueError(f"{text[:80]!r}: {host} is no IPv6 address") from None
    return text


def livekit_trunk(text: str) -> str:
    """The id of an outbound trunk that LiveKit knows, or nothing."""
    if not re.fullmatch(r"(ST_[A-Za-z0-9]{1,60})?", text):
        raise ValueError("must be the id of an outbound trunk of LiveKit, such as ST_abc123")
    return text


def ways(trunk: Trunk) -> Trunk:
    """A trunk that leads somewhere, or ``BadInput`` naming what is missing."""
    if trunk.kind is TrunkKind.SIP and not trunk.gateways:
        raise BadInput("gateways: a SIP trunk needs at least one", field="gateways")
    if trunk.kind is TrunkKind.LIVEKIT and not (trunk.livekit_trunk or trunk.gateways):
        raise BadInput(
            "livekitTrunkId: a trunk of LiveKit needs its id there (livekit_trunk), or a gateway",
            field="livekitTrunkId",
        )
    if trunk.kind is TrunkKind.LIVEKIT and trunk.register:
        raise BadInput("register: LiveKit does not register with anybody", field="register")
    return trunk


def source(text: str) -> str:
    """An address or network from which a trunk's calls come."""
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError:
        raise ValueError(f"{text[:80]!r} is no IP address or network") from None


def country(text: str) -> str:
    """ISO 3166 alpha-2, or nothing."""
    if text and not re.fullmatch(r"[A-Za-z]{2}", text):
        raise ValueError("must be a country code of two letters, such as US")
    return text.upper()


def digits(text: str) -> str:
    """What is stripped from or put before a number."""
    if not re.fullmatch(r"[+0-9*#]{0,15}", text):
        raise ValueError("must be at most 15 digits, + * or #")
    return text


def credential(text: str) -> str:
    """A username or password: one line of at most 128 characters."""
    if len(text) > 128 or any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise ValueError("must be one line of at most 128 characters")
    return text


def headers(values: dict[str, str]) -> dict[str, str]:
    """Headers of every INVITE of a trunk."""
    if len(values) > MAX_HEADERS:
        raise ValueError(f"at most {MAX_HEADERS} headers")
    for key, value in values.items():
        if not _HEADER.fullmatch(key) or key.lower() in _RESERVED:
            raise ValueError(f"{key[:80]!r} cannot be set")
        if len(value) > 512 or any(ord(char) < 32 or ord(char) == 127 for char in value):
            raise ValueError(f"{key}: must be one line of at most 512 characters")
    return values


# What a request to somebody's URL is made of, or signed with.
_OURS = frozenset(
    {
        "host", "content-length", "content-type", "content-encoding", "transfer-encoding", "te",
        "connection", "keep-alive", "upgrade", "trailer", "expect", "user-agent", "accept-encoding",
        "webhook-id", "webhook-timestamp", "webhook-signature",
    }
)  # fmt: skip


def web_url(text: str) -> str:
    """An address that we are to call: its form. Where it leads is checked when it is called."""
    if len(text) > MAX_URL:
        raise ValueError(f"must have at most {MAX_URL} characters")
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("must be one line of ASCII without blanks")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is no URL") from None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise ValueError("must be a URL that begins https:// or http://")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,253}|[0-9A-Fa-f:.]+", host):
        raise ValueError("must name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or password: use authHeaders")
    if parts.fragment:
        raise ValueError("must have no fragment")
    return text


def web_header(name: str) -> str:
    """The name of a header that goes along."""
    if not _HEADER.fullmatch(name) or name.lower() in _OURS:
        raise ValueError(f"{name[:80]!r} cannot be set")
    return name


def web_header_value(text: str) -> str:
    """One line of visible ASCII."""
    if not re.fullmatch(r"[\t -~]{1,2048}", text):
        raise ValueError("must be one line of 1 to 2048 ASCII characters")
    return text


def web_headers(values: dict[str, str]) -> dict[str, str]:
    """Headers of every request to a URL of somebody's."""
    if len(values) > MAX_HEADERS:
        raise ValueError(f"at most {MAX_HEADERS} headers")
    if len({name.lower() for name in values}) < len(values):
        raise ValueError("names a header twice")
    for name, value in values.items():
        web_header(name)
        try:
            web_header_value(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return values
