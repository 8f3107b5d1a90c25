"""RTCP of each lane: reports out about every five seconds, reports in for round trip and loss.

VoIP metrics (RFC 3611 §4.7) go into every compound, announced in SDP or not: §5 allows XR without
signalling, RFC 3550 §6.1 has receivers pass over packet types they do not know, and gear that reads
them mostly does not announce it. They are 44 octets in five seconds. We do not announce
``a=rtcp-xr`` ourselves: who sends metrics sends them unasked, and SDP that a switch of twenty years
does not know is a risk to the call, not to a report.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from telephony.base.clock import Clock
from telephony.rtp import rtcp
from telephony.rtp.xr import ExtendedReport, VoipMetrics

CNAME = "telephony"
"""RFC 7022: nothing that names a host or a user."""


@dataclass(slots=True)
class Sent:
    """What a lane sent so far: its SSRC, present timestamp, packets, payload octets."""

    ssrc: int
    timestamp: int
    packets: int
    octets: int


@dataclass(slots=True)
class Received:
    """How a lane hears its source, for a report block."""

    ssrc: int
    fraction_lost: int
    cumulative_lost: int
    highest: int
    jitter: float


@dataclass(frozen=True, slots=True)
class Remote:
    """How the far end hears us: packets it lacks, jitter in timestamp units, its own MOS in
    conversation where it sends one (RFC 3611 §4.7.5)."""

    lost: int = 0
    jitter: int = 0
    mos: float | None = None


@dataclass(slots=True)
class _Far:
    last_sr: int = 0
    last_sr_at: float = 0.0
    round_trip: float | None = None
    remote: Remote | None = None


class Reports:
    """What the far ends report, by lane."""

    def __init__(self, clock: Clock, rng: random.Random, seconds: float) -> None:
        self._clock = clock
        self._rng = rng
        self._seconds = seconds
        self._far: dict[int, _Far] = {}

    def interval(self) -> float:
        """Seconds to the next report: 0.5 to 1.5 of the mean (RFC 3550 §6.3.1)."""
        return self._seconds * self._rng.uniform(0.5, 1.5)

    def compound(
        self,
        row: int,
        sent: Sent,
        received: Received | None,
        metrics: VoipMetrics | None,
        now: float,
        *,
        bye: bool = False,
    ) -> bytes:
        """The datagram that is due: SR (RR of a lane that sent nothing), SDES, XR, at last BYE."""
        blocks: tuple[rtcp.ReportBlock, ...] = ()
        if received is not None:
            far = self._far.get(row)
            delay = 0
            if far is not None and far.last_sr:
                delay = int((now - far.last_sr_at) * 65536) & 0xFFFFFFFF
            blocks = (
                rtcp.ReportBlock(
                    received.ssrc,
                    received.fraction_lost,
                    received.cumulative_lost,
                    received.highest & 0xFFFFFFFF,
                    int(received.jitter),
                    far.last_sr if far is not None else 0,
                    delay,
                ),
            )
        report: rtcp.RtcpPacket
        if sent.packets:
            ntp = rtcp.ntp_time(self._clock.now().timestamp())
            report = rtcp.SenderReport(
                sent.ssrc,
                ntp,
                sent.timestamp,
                sent.packets & 0xFFFFFFFF,
                sent.octets & 0xFFFFFFFF,
                blocks,
            )
        else:
            report = rtcp.ReceiverReport(sent.ssrc, blocks)
        parts: list[rtcp.RtcpPacket] = [report, rtcp.SourceDescription.cname(sent.ssrc, CNAME)]
        if metrics is not None:
            parts.append(ExtendedReport(sent.ssrc, (metrics,)))
        if bye:
            parts.append(rtcp.Goodbye((sent.ssrc,)))
        return rtcp.compound(*parts)

    def take(self, row: int, data: bytes, our_ssrc: int, now: float) -> None:
        """A datagram of the far end. A BYE ends nothing: calls end by signalling."""
        far = self._far.setdefault(row, _Far())
        for packet in rtcp.parse(data):
            if isinstance(packet, rtcp.SenderReport):
                far.last_sr, far.last_sr_at = rtcp.middle(packet.ntp), now
            if isinstance(packet, rtcp.SenderReport | rtcp.ReceiverReport):
                for block in packet.reports:
                    if block.ssrc == our_ssrc:
                        self._heard(far, block)
            elif isinstance(packet, ExtendedReport):
                for metrics in packet.blocks:
                    # 127 is "unavailable", and no honest score lies outside of 1.0 to 5.0.
                    if metrics.ssrc == our_ssrc and 10 <= metrics.mos_cq <= 50:
                        far.remote = replace(far.remote or Remote(), mos=metrics.mos_cq / 10)

    def round_trip_ms(self, row: int) -> float | None:
        """As measured last, None before the first report about us."""
        far = self._far.get(row)
        return far.round_trip * 1000 if far is not None and far.round_trip is not None else None

    def remote(self, row: int) -> Remote | None:
        """What the far end says of our sound, None before it has said anything."""
        far = self._far.get(row)
        return far.remote if far is not None else None

    def forget(self, row: int) -> None:
        """The lane is closed."""
        self._far.pop(row, None)

    def _heard(self, far: _Far, block: rtcp.ReportBlock) -> None:
        now_ntp = rtcp.ntp_time(self._clock.now().timestamp())
        seconds = rtcp.round_trip(block, now_ntp)
        far.round_trip = seconds if seconds is not None else far.round_trip
        far.remote = replace(
            far.remote or Remote(),
            lost=max(0, block.cumulative_lost),
            jitter=block.jitter,
        )
