"""Who is at the other end of a connection, and how the world reaches us."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from aiohttp import web

from telephony.api.deps import Deps, Network
from telephony.base.errors import BadInput

_FORWARDED = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Real-IP")

_HOST = re.compile(r"[A-Za-z0-9._~-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address((text or "").strip().partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if isinstance(mapped, IPv4Address) else address


def _trusted(address: IPv4Address | IPv6Address | None, proxies: tuple[Network, ...]) -> bool:
    return address is not None and any(address in net for net in proxies)


def client(request: web.Request, proxies: tuple[Network, ...]) -> str:
    """The client's address: the last of X-Forwarded-For that is no proxy of ours."""
    address = _address(request.remote)
    chain = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
    while chain and _trusted(address, proxies):
        nearer = _address(chain.pop())
        if nearer is None:
            break
        address = nearer
    return str(address) if address is not None else ""


def on_loopback(request: web.Request, proxies: tuple[Network, ...]) -> bool:
    """Whether somebody on this machine asks, and not a proxy for somebody elsewhere."""
    peer = _address(request.remote)
    if peer is None or not peer.is_loopback:
        return False
    if not any(name in request.headers for name in _FORWARDED):
        return True
    if not _trusted(peer, proxies):
        return False
    address = _address(client(request, proxies))
    return address is not None and address.is_loopback


def base_url(request: web.Request, deps: Deps) -> str:
    """Scheme and host under which the client reaches us, without a slash at the end.

    Raises:
        BadInput: the request names no host.
    """
    if deps.public_url:
        return deps.public_url.rstrip("/")
    scheme, host = request.scheme, request.host
    if _trusted(_address(request.remote), deps.trusted_proxies):
        scheme = request.headers.get("X-Forwarded-Proto", scheme).split(",")[0].strip()
        host = request.headers.get("X-Forwarded-Host", host).split(",")[0].strip()
    if not _HOST.fullmatch(host):
        raise BadInput("Host: names no host", field="Host")
    return f"{'https' if scheme == 'https' else 'http'}://{host}"
