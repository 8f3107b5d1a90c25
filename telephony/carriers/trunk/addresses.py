"""How we call ourselves towards a peer: in Via, Contact and SDP.

A machine has several addresses, and behind a NAT one more that none of its interfaces knows. A
peer is told the one that it can reach: the external address where there is one and the peer does
not share our networks, else the address that packets to it leave by.
"""

from __future__ import annotations

import ipaddress
import socket
from collections import OrderedDict

from telephony.carriers.trunk.config import is_loopback

MAX_REMEMBERED = 2048
ROUTE_PROBE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Documentation addresses (RFC 5737, RFC 3849): looked up in the routing table, never sent to."""


class Addresses:
    """Which of our addresses a peer is told. ``bound`` is what the sockets are bound to."""

    def __init__(self, bound: str, external: str) -> None:
        self._bound = bound
        self._external = external
        self._known: OrderedDict[str, str] = OrderedDict()
        self._any = ipaddress.ip_address(bound).is_unspecified

    def default(self) -> str:
        """The address for peers that are not known yet."""
        if self._external:
            return self._external
        if not self._any:
            return self._bound
        family = socket.AF_INET6 if ":" in self._bound else socket.AF_INET
        return self.towards(ROUTE_PROBE[family])

    def towards(self, peer: str) -> str:
        """The address that the peer (a numeric host) is told."""
        found = self._known.get(peer)
        if found is None:
            found = self._find(peer)
            self._known[peer] = found
            if len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
        return found

    def bind(self, peer: str) -> str:
        """The address that sockets for talking with the peer are bound to."""
        if not self._any:
            return self._bound
        return "::" if ":" in peer else "0.0.0.0"

    def _find(self, peer: str) -> str:
        if self._external and ":" not in peer and not is_near(peer):
            return self._external
        if not self._any:
            return self._bound
        route = route_to(peer)
        if route is not None:
            return route
        return self._external or ("::1" if ":" in peer else "127.0.0.1")


def is_near(peer: str) -> bool:
    """Whether a numeric host lies in this machine or a private network of ours."""
    try:
        ip = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    return is_loopback(peer) or ip.is_private or ip.is_link_local


def route_to(peer: str) -> str | None:
    """The address that packets to a numeric host leave by; nothing is sent."""
    family = socket.AF_INET6 if ":" in peer else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((peer, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None
