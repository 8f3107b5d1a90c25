"""What the trunk carrier is told once."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from functools import lru_cache

from telephony.carriers.trunk.limits import LimitConfig
from telephony.carriers.trunk.registrar import RegistrarConfig
from telephony.sdp.offer_answer import CODECS
from telephony.sip.timers import Timers


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkConfig:
    """host, port: where SIP is spoken, over UDP and TCP; port 0 takes a free one (tests).

    external_address: our address as peers outside of our networks see it ("" when it is ours).
    accept_strangers: let callers nobody knows reach dialplans by name on an open bind as well.
    codecs: what is spoken, in the order of our offers; an offer to us is answered in its own order.
    realm: of our digest challenges. secret: signs their nonces, with more of this process.
    register_seconds: what our own registrations ask for.
    session_expires: seconds, RFC 4028; without refreshes most trunks end calls at 15 minutes.
    silent_seconds: a gateway that has not answered an INVITE at all after this is passed over.
    max_forks: phones of one user that are rung at once.
    drain: seconds that ``stop`` waits for BYEs and un-registrations to be answered.
    """

    host: str = "127.0.0.1"
    port: int = 5060
    external_address: str = ""
    accept_strangers: bool = False
    codecs: tuple[str, ...] = CODECS
    realm: str = "telephony"
    secret: bytes = field(default=b"", repr=False)
    user_agent: str = "telephony"
    register_seconds: int = 300
    session_expires: int = 1800
    min_se: int = 90
    silent_seconds: float = 4.0
    max_forks: int = 6
    drain: float = 2.0
    limits: LimitConfig = field(default_factory=LimitConfig)
    registrar: RegistrarConfig = field(default_factory=RegistrarConfig)
    timers: Timers = field(default_factory=Timers)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach us."""
        return is_loopback(self.host)


@lru_cache(maxsize=4096)
def is_loopback(host: str) -> bool:
    """Whether a host as written in a setting or a socket's name is this machine's own."""
    if host.lower() == "localhost":
        return True
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip.is_loopback
