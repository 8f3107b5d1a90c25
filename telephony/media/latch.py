"""Whose packets are the far end's, where its SDP cannot say (symmetric RTP behind NAT).

An SDP that names an address we can reach is taken at its word: nobody else is heard, from the
first packet on. Only where it names a private address, and its signalling came from elsewhere, the
host that signalled may latch, from any port, once it has sent a few packets in order.
"""

from __future__ import annotations

import ipaddress
from enum import Enum

from telephony.media.terms import Address, Terms
from telephony.rtp.packet import HEADER_BYTES, VERSION
from telephony.rtp.sequence import add16


def canonical(address: Address) -> Address:
    """The address as the kernel writes it."""
    try:
        return (ipaddress.ip_address(address[0].partition("%")[0]).compressed, address[1])
    except ValueError:
        return address


def is_ambiguous(terms: Terms) -> bool:
    """Whether the negotiated address may be unreachable, or somebody else's, and the signalling's
    host may stand in."""
    if terms.remote is None or terms.trusted_ip is None:
        return False
    try:
        named = ipaddress.ip_address(terms.remote[0].partition("%")[0])
        signalled = ipaddress.ip_address(terms.trusted_ip.partition("%")[0])
    except ValueError:
        return False
    return named != signalled and (terms.patient or not named.is_global)


class Verdict(Enum):
    """What becomes of a datagram and its source."""

    DROP = "drop"
    PASS = "pass"
    """It is used; its source is not fixed yet."""
    LATCH = "latch"
    """It is used, and from now on nobody else is heard."""


KNOWN_PACKETS = 50
"""Packets of the source that had latched before a renegotiation until it is fixed again: a second,
in which a far end that moved would have sent from its new place."""


class Latch:
    """Decides over the sources of one lane until one of them is the far end."""

    def __init__(
        self,
        exact: Address,
        known: Address | None,
        trusted_ip: str,
        types: frozenset[int],
        probation: int,
    ) -> None:
        """``exact`` is believed at once, ``known`` had latched before; others at ``trusted_ip``
        after ``probation`` packets of one SSRC, in order, of the payload ``types`` negotiated."""
        self._exact = exact
        self._known = known
        self._trusted = canonical((trusted_ip, 0))[0]
        self._types = types
        self._probation = probation
        self._candidate: tuple[Address, int, int] | None = None
        self._count = 0
        self._known_count = 0

    def judge(self, source: Address, data: memoryview) -> Verdict:
        """Take a datagram's source and octets."""
        if len(data) < HEADER_BYTES or data[0] >> 6 != VERSION:
            return Verdict.DROP
        if data[1] & 0x7F not in self._types:
            return Verdict.DROP
        if source == self._exact:
            return Verdict.LATCH
        if source == self._known:
            self._known_count += 1
            return Verdict.LATCH if self._known_count >= KNOWN_PACKETS else Verdict.PASS
        if source[0] != self._trusted:
            return Verdict.DROP
        sequence = data[2] << 8 | data[3]
        ssrc = int.from_bytes(data[8:12], "big")
        in_order = self._candidate == (source, ssrc, sequence)
        self._count = self._count + 1 if in_order else 1
        self._candidate = (source, ssrc, add16(sequence, 1))
        return Verdict.LATCH if self._count >= self._probation else Verdict.DROP
