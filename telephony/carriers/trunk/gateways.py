"""Where a trunk's calls go: its gateways in order, and how often they may be asked."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from telephony.accounts.model import Transport, Trunk
from telephony.base.errors import BadInput, Busy
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


@dataclass(slots=True)
class _Use:
    live: int
    starts: deque[float]


class TrunkCaps:
    """``max_calls`` (both directions) and ``calls_per_second`` (outbound) of every trunk."""

    def __init__(self) -> None:
        self._use: dict[str, _Use] = {}

    def refusal(self, trunk: Trunk, now: float) -> Busy | None:
        """Why no further call may leave over this trunk now, or None. Counts nothing."""
        use = self._use.get(trunk.id)
        if use is None:
            return None
        if trunk.max_calls is not None and use.live >= trunk.max_calls:
            return Busy(
                f"trunk {trunk.name}: {trunk.max_calls} calls are up",
                retry_after=5,
                code="TRUNK_BUSY",
            )
        rate = trunk.calls_per_second
        if rate is None:
            return None
        # Rates below one a second are one call in 1/rate seconds.
        window, allowed = (1.0, int(rate)) if rate >= 1 else (1.0 / rate if rate > 0 else 60.0, 1)
        while use.starts and now - use.starts[0] >= window:
            use.starts.popleft()
        if len(use.starts) >= allowed:
            wait = max(1, round(window - (now - use.starts[0]) + 0.5))
            return Busy(
                f"trunk {trunk.name}: {rate:g} calls a second are reached",
                retry_after=wait,
                code="TRUNK_BUSY",
            )
        return None

    def begin(self, trunk_id: str, now: float, *, outbound: bool) -> None:
        """A call begins on the trunk."""
        use = self._use.setdefault(trunk_id, _Use(0, deque(maxlen=10_000)))
        use.live += 1
        if outbound:
            use.starts.append(now)

    def end(self, trunk_id: str) -> None:
        """A call is over."""
        use = self._use.get(trunk_id)
        if use is not None:
            use.live = max(0, use.live - 1)

    def live(self, trunk_id: str) -> int:
        """Calls up on the trunk."""
        use = self._use.get(trunk_id)
        return use.live if use is not None else 0

    def keep(self, trunk_ids: frozenset[str]) -> None:
        """Forget trunks that are gone and idle."""
        for trunk_id in [t for t, u in self._use.items() if t not in trunk_ids and not u.live]:
            del self._use[trunk_id]
