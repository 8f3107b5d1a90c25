"""RTCP extended reports (RFC 3611): the VoIP metrics block of §4.7, read and written.

Blocks of other types are passed over, as §3 asks.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from telephony.rtp.packet import VERSION

XR = 207
VOIP_METRICS = 7
MAX_BLOCKS = 32
"""Blocks read of one packet; they may be of no content."""
GMIN = 16
"""Packets received in a row that end a burst, as §4.7.2 recommends."""
UNAVAILABLE = 127
"""Of levels, echo and ratings that were not measured."""
ENHANCED_CONCEALMENT, ADAPTIVE_BUFFER = 0xC0, 0x30
"""Bits of ``receiver`` (§4.7.6)."""
_BLOCK = struct.Struct("!BBHL4B4HbbBBBBBBBB3H")
_WORDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Bursts:
    """Where losses lie (§4.7.2): densities in 256ths, durations in ms."""

    burst_density: int = 0
    gap_density: int = 0
    burst_ms: int = 0
    gap_ms: int = 0

    @classmethod
    def of(
        cls, c11: int, c13: int, c14: int, c22: int, c23: int, c33: int, frame_ms: float
    ) -> Bursts:
        """From the counts of RFC 3611 A.2 with ``c11`` up to now, for packets of ``frame_ms``.

        1 is received in a gap, 3 lost in a burst, 2 received in a burst, 4 lost alone in a gap.
        """
        c31, c32 = c13, c23
        gap = c11 + c14 + c13
        total = gap + c22 + c23 + c31 + c32 + c33
        if not total:
            return cls()
        density = 0.0
        if c31 + c32 + c33:
            p32 = c32 / (c31 + c32 + c33)
            p23 = 1 - c22 / (c22 + c23) if c22 + c23 else 1.0
            density = p23 / (p23 + p32)
        bursts = max(c13, 1)
        gap_ms = gap * frame_ms / bursts
        return cls(
            burst_density=_octet(256 * density),
            gap_density=_octet(256 * c14 / (c11 + c14)) if c11 + c14 else 0,
            burst_ms=_short(total * frame_ms / bursts - gap_ms),
            gap_ms=_short(gap_ms),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VoipMetrics:
    """How one source sounds to its listener (§4.7). Everything in the units of the wire.

    ``loss_rate``, ``discard_rate`` in 256ths; delays in ms; levels in dBm0; ``mos_*`` in tenths;
    127 is "unavailable" of levels, ``echo_loss``, ratings and scores. ``receiver`` holds
    concealment, adaptation and its rate (§4.7.6). Jitter buffer: ``nominal``, ``maximum``,
    ``absolute`` delay in ms.
    """

    ssrc: int
    loss_rate: int = 0
    discard_rate: int = 0
    bursts: Bursts = Bursts()
    round_trip_ms: int = 0
    end_system_ms: int = 0
    signal_dbm0: int = UNAVAILABLE
    noise_dbm0: int = UNAVAILABLE
    echo_loss: int = UNAVAILABLE
    gmin: int = GMIN
    r: int = UNAVAILABLE
    external_r: int = UNAVAILABLE
    mos_lq: int = UNAVAILABLE
    mos_cq: int = UNAVAILABLE
    receiver: int = 0
    nominal_ms: int = 0
    maximum_ms: int = 0
    absolute_ms: int = 0

    def __bytes__(self) -> bytes:
        bursts = self.bursts
        return _BLOCK.pack(
            VOIP_METRICS,
            0,
            _WORDS,
            self.ssrc,
            self.loss_rate,
            self.discard_rate,
            bursts.burst_density,
            bursts.gap_density,
            bursts.burst_ms,
            bursts.gap_ms,
            self.round_trip_ms,
            self.end_system_ms,
            self.signal_dbm0,
            self.noise_dbm0,
            self.echo_loss,
            self.gmin,
            self.r,
            self.external_r,
            self.mos_lq,
            self.mos_cq,
            self.receiver,
            0,
            self.nominal_ms,
            self.maximum_ms,
            self.absolute_ms,
        )

    @classmethod
    def parse(cls, data: bytes, at: int) -> VoipMetrics:
        """The 36 octets at ``at``; the caller has checked that they are there."""
        _, _, _, ssrc, *rest = _BLOCK.unpack_from(data, at)
        loss, discard, burst_density, gap_density, burst_ms, gap_ms, trip, system = rest[:8]
        signal, noise, echo, gmin, r, external, mos_lq, mos_cq, receiver, _ = rest[8:18]
        return cls(
            ssrc=ssrc,
            loss_rate=loss,
            discard_rate=discard,
            bursts=Bursts(
                burst_density=burst_density,
                gap_density=gap_density,
                burst_ms=burst_ms,
                gap_ms=gap_ms,
            ),
            round_trip_ms=trip,
            end_system_ms=system,
            signal_dbm0=signal,
            noise_dbm0=noise,
            echo_loss=echo,
            gmin=gmin,
            r=r,
            external_r=external,
            mos_lq=mos_lq,
            mos_cq=mos_cq,
            receiver=receiver,
            nominal_ms=rest[18],
            maximum_ms=rest[19],
            absolute_ms=rest[20],
        )


@dataclass(frozen=True, slots=True)
class ExtendedReport:
    """XR (RFC 3611 §2) of ``ssrc``, with its VoIP metrics."""

    ssrc: int
    blocks: tuple[VoipMetrics, ...] = ()

    def __bytes__(self) -> bytes:
        body = struct.pack("!L", self.ssrc) + b"".join(map(bytes, self.blocks))
        return struct.pack("!BBH", VERSION << 6, XR, len(body) // 4) + body

    @classmethod
    def parse(cls, body: bytes) -> ExtendedReport | None:
        """What follows the header of a packet; None where its blocks do not fill it."""
        if len(body) < 4:
            return None
        (ssrc,) = struct.unpack_from("!L", body)
        blocks: list[VoipMetrics] = []
        at = 4
        for _ in range(MAX_BLOCKS):
            if at == len(body):
                return cls(ssrc, tuple(blocks))
            if at + 4 > len(body):
                return None
            kind, _, words = struct.unpack_from("!BBH", body, at)
            end = at + 4 + 4 * words
            if end > len(body):
                return None
            # §4.7: a block of another length is not ours to guess at.
            if kind == VOIP_METRICS and words == _WORDS:
                blocks.append(VoipMetrics.parse(body, at))
            at = end
        return None


def share(count: int, of: int) -> int:
    """A rate in 256ths, as the block has it."""
    return _octet(256 * count / of) if of > 0 else 0


def milliseconds(value: float) -> int:
    """A time as the block has it: 16 bits."""
    return _short(value)


def score(mos: float) -> int:
    """A MOS as the block has it: 10 to 50."""
    return min(50, max(10, round(mos * 10)))


def _octet(value: float) -> int:
    return min(255, max(0, int(value)))


def _short(value: float) -> int:
    return min(65535, max(0, round(value)))
