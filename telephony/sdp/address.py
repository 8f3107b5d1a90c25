"""Where sound may be sent: the addresses and ports a stranger's SDP must not point us at."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache

MIN_PORT = 1024


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """What a destination may be. ``forbidden`` are (address, port) pairs of our own sockets."""

    loopback: bool = True
    private: bool = True
    forbidden: frozenset[tuple[str, int]] = frozenset()

    def objection(self, address: str, port: int, family: str) -> str | None:
        """Why RTP must not be sent there, in words for a log, or None.

        Else a stranger makes us a reflector: against other services of this machine (low ports,
        our own SIP port), the network (multicast, broadcast), a cloud's metadata (link-local).
        """
        if port < MIN_PORT:
            return f"port {port} is below {MIN_PORT}"
        kind = classify(address)
        if kind.refused is not None:
            return kind.refused
        if kind.family != family:
            return f"an {kind.family} address where we have {family}"
        if kind.loopback and not self.loopback:
            return "a loopback address"
        if kind.private and not self.private:
            return "a private address"
        if (address, port) in self.forbidden:
            return "an address and port of our own"
        return None


@dataclass(frozen=True, slots=True)
class AddressKind:
    """What an address is; ``refused`` says why it can never be a destination."""

    family: str
    refused: str | None
    loopback: bool = False
    private: bool = False
    unspecified: bool = False


@lru_cache(maxsize=4096)
def classify(address: str) -> AddressKind:
    """The kind of a literal address. A host name is refused: nothing here looks names up."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return AddressKind("", "not a literal address")
    family = f"IP{ip.version}"
    if isinstance(ip, ipaddress.IPv6Address) and (ip.ipv4_mapped or ip.scope_id):
        return AddressKind(family, "a mapped or scoped IPv6 address")
    if ip.is_unspecified:
        return AddressKind(family, "the unspecified address", unspecified=True)
    if ip.is_multicast:
        return AddressKind(family, "a multicast address")
    if ip.is_link_local:
        return AddressKind(family, "a link-local address")
    if ip.is_loopback:
        return AddressKind(family, None, loopback=True)
    # 0/8 is "this network"; 240/4 holds the broadcast address and nothing that answers.
    if ip.is_reserved or (ip.version == 4 and int(ip) >> 24 == 0):
        return AddressKind(family, "a reserved address")
    return AddressKind(family, None, private=ip.is_private)
