"""Where messages come from and go to: values shared by the agent and the driver under it."""

from __future__ import annotations

from dataclasses import dataclass

RELIABLE = frozenset({"TCP", "TLS"})


@dataclass(frozen=True, slots=True)
class Source:
    """Where a message came from.

    ``address`` is the peer's (numeric host, port); IPv6 without brackets. ``transport`` is
    ``"UDP"`` or ``"TCP"``. ``local`` is our own (host, port) that received it. ``flow`` is the
    driver's number of the connection, never used twice in a process; 0 for datagrams.
    """

    address: tuple[str, int]
    transport: str
    local: tuple[str, int]
    flow: int = 0

    @property
    def reliable(self) -> bool:
        """Whether the transport retransmits by itself (RFC 3261 §17)."""
        return self.transport in RELIABLE


@dataclass(frozen=True, slots=True)
class Destination:
    """One resolved place to send a request to (RFC 3263): numeric host, port, transport.

    ``flow`` other than 0 names an open connection to be used; when it is gone the driver may
    open another one to ``address``.
    """

    address: tuple[str, int]
    transport: str = "UDP"
    flow: int = 0

    @property
    def reliable(self) -> bool:
        """Whether the transport retransmits by itself (RFC 3261 §17)."""
        return self.transport in RELIABLE


@dataclass(frozen=True, slots=True)
class Send:
    """One message the driver must put on the wire, in the order given.

    ``data`` is the whole message. ``destination`` says where; for a response over a stream its
    ``flow`` is the connection of the request (RFC 3261 §18.2.2). ``local`` is the address the
    request came in on, ``None`` when any socket of the transport will do. ``key`` is handed back
    in :meth:`telephony.sip.agent.UserAgent.transport_failed`; it is empty when nobody waits.
    """

    data: bytes
    destination: Destination
    local: tuple[str, int] | None = None
    key: str = ""
