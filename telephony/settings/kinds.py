"""Kinds of values: how the environment writes them, and which are refused."""

from __future__ import annotations

import re
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

Network = IPv4Network | IPv6Network


class PortRange(NamedTuple):
    """First and last port, both included."""

    first: int
    last: int


class MediaTimeout(NamedTuple):
    """Seconds without a packet: before the first one, and after."""

    first: float
    later: float


def by_commas(value: Any) -> Any:
    """A list as the environment writes it: by commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def read_ports(value: Any) -> Any:
    """``first-last``, both included."""
    if isinstance(value, PortRange):
        return value
    found = re.fullmatch(r"\s*(\d{1,5})\s*-\s*(\d{1,5})\s*", str(value))
    if found is None:
        raise ValueError("must be first-last, such as 20000-29999")
    first, last = int(found[1]), int(found[2])
    if not 1024 <= first < last <= 65535:
        raise ValueError("must be two ports from 1024 to 65535, the lower one first")
    return PortRange(first, last)


def read_timeout(value: Any) -> Any:
    """One number of seconds, or two by a comma."""
    if isinstance(value, MediaTimeout):
        return value
    parts = by_commas(value) if isinstance(value, str) else value
    parts = parts if isinstance(parts, list) else [parts]
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) not in (1, 2) or not all(0 < n <= 86_400 for n in numbers):
        raise ValueError("must be seconds before the first packet and after, such as 30,15")
    return MediaTimeout(numbers[0], numbers[-1])


def read_codecs(value: Any) -> Any:
    """Names in the order of preference, in any case of letters, each once."""
    parts = by_commas(value)
    if isinstance(parts, (list, tuple)) and all(isinstance(part, str) for part in parts):
        names = [part.upper().replace(".", "") for part in parts]
        if len(set(names)) < len(names):
            raise ValueError("names a codec twice")
        return names
    return parts


def read_network(value: Any) -> Any:
    """An address is a network of one."""
    if isinstance(value, str):
        try:
            return ip_network(value, strict=False)
        except ValueError:
            raise ValueError(f"{value!r} is no IP address or network") from None
    return value


def read_usd(value: Any) -> Any:
    """An amount in quotes: a number without them is no decimal any more when it arrives here."""
    if isinstance(value, Decimal):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"\d{1,4}(\.\d{1,9})?", value, re.ASCII):
        raise ValueError('must be USD a minute in quotes, such as "0.0085"')
    return Decimal(value)


def read_price(value: Any) -> Any:
    """USD as whole micro-USD: in quotes, so that what was written is what is meant."""
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", str(value), re.ASCII):
        raise ValueError('must be USD in quotes, such as "1.50"')
    return int(Decimal(str(value)) * 1_000_000)


def check_host(value: str) -> str:
    """A name or an address, without brackets."""
    text = value.strip().strip("[]")
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,253}", text):
            raise ValueError(f"{value!r} is no host name or address") from None
    return text


def check_url(*schemes: str) -> AfterValidator:
    """A URL of one of the schemes, without its last slash."""

    def check(value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in schemes or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"must be a URL that begins {' or '.join(s + '://' for s in schemes)}")
        return value.rstrip("/")

    return AfterValidator(check)


def check_database(value: str) -> str:
    """A URL that SQLAlchemy can read; the store says which databases there are."""
    try:
        make_url(value)
    except ArgumentError:
        raise ValueError("is no database URL, such as sqlite:///var/telephony.db") from None
    return value


Usd = Annotated[Decimal, BeforeValidator(read_usd)]
Price = Annotated[int, BeforeValidator(read_price)]
Port = Annotated[int, Field(ge=0, le=65535)]
Host = Annotated[str, AfterValidator(check_host)]
Name = Annotated[str, Field(min_length=1)]
Workers = Annotated[int, Field(ge=0, le=256)] | Literal["auto"]
Networks = Annotated[
    tuple[Annotated[IPv4Network | IPv6Network, BeforeValidator(read_network)], ...],
    NoDecode,
    BeforeValidator(by_commas),
]
Codecs = Annotated[
    tuple[Literal["PCMU", "PCMA", "G722"], ...],
    Field(min_length=1),
    NoDecode,
    BeforeValidator(read_codecs),
]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(by_commas)]
