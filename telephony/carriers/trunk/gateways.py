"""Where a trunk's calls go: its gateways in order."""

from __future__ import annotations

import re
from dataclasses import dataclass

from telephony.accounts.model import Transport, Trunk
from telephony.base.errors import BadInput
from telephony.sip.uri import SyntaxFault, Uri

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._\-]*)")


@dataclass(frozen=True, slots=True)
class Gateway:
    """One place to send requests to. No port means that DNS decides (RFC 3263 §4)."""

    host: str
    port: int | None
    transport: Transport

    @property
    def hostport(self) -> str:
        """As in a URI; an IPv6 host in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def uri(self, user: str = "") -> str:
        """The SIP URI of ``user`` there."""
        params = (("transport", "tcp"),) if self.transport is Transport.TCP else ()
        return str(Uri("sip", user or None, None, self.host, self.port, params))


def parse_gateway(text: str, transport: Transport) -> Gateway:
    """``host``, ``host:port``, ``[v6]:port`` or a ``sip:`` URI.

    Raises:
        BadInput: none of them.
    """
    written = text.strip()
    bare = written.count(":") > 1 and not written.lower().startswith(("sip:", "["))
    candidate = f"[{written}]" if bare else written
    if not candidate.lower().startswith("sip:"):
        candidate = f"sip:{candidate}"
    try:
        uri = Uri.parse(candidate)
    except SyntaxFault as fault:
        raise BadInput(f"{text!r} is no gateway: {fault}", field="gateways") from fault
    asked = (uri.param("transport") or transport.value).lower()
    if asked not in ("udp", "tcp"):
        raise BadInput(f"{text!r}: no transport {asked!r} here", field="gateways")
    return Gateway(uri.host, uri.port, Transport(asked))


def gateways(trunk: Trunk) -> tuple[Gateway, ...]:
    """The trunk's gateways in the order they are tried; what cannot be read is left out."""
    found = []
    for text in trunk.gateways:
        try:
            found.append(parse_gateway(text, trunk.transport))
        except BadInput:
            continue
    return tuple(found)
