"""What offer and answer agreed on for one stream, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from telephony.audio import g711
from telephony.base.errors import MediaFailed

Address = tuple[str, int]
"""Numeric host and port."""

LAWS = {"PCMU": g711.ULAW, "PCMA": g711.ALAW}
WIDE = "G722"
"""The codec of the 16 kHz lanes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """One audio stream as negotiated; directions are ours.

    remote: where the far end wants RTP, None while it wants none (port 0, address 0.0.0.0).
    rtcp: where it wants RTCP; None is the port above.
    ptime_ms: what it asked for. It may send any multiple of 10 ms; we send 20.
    trusted_ip: source address of its signalling. Where the address in the SDP is private and is
        not this one, RTP from this host may latch.
    patient: where the SDP names another host than the signalling's, say nothing until that host,
        or the one of the signalling, was heard. For peers who have not shown who they are: they
        could aim our sound at anybody.
    comfort_noise: whether silence may be described instead of sent (RFC 3389, payload type 13).
    """

    remote: Address | None
    rtcp: Address | None = None
    payload_type: int = 0
    codec: str = "PCMU"
    dtmf_payload_type: int | None = None
    ptime_ms: int = 20
    can_send: bool = True
    can_receive: bool = True
    trusted_ip: str | None = None
    patient: bool = False
    comfort_noise: bool = False

    def __post_init__(self) -> None:
        if self.codec not in LAWS and not self.wide:
            raise MediaFailed(f"codec {self.codec!r} is not one that we speak")

    @property
    def wide(self) -> bool:
        """Whether the sound is at 16 kHz."""
        return self.codec == WIDE

    @property
    def law(self) -> int:
        """Row of the G.711 tables; of a wide lane, whose row there nobody hears, any."""
        return LAWS.get(self.codec, g711.ULAW)

    @property
    def rtcp_remote(self) -> Address | None:
        """Where our reports go."""
        if self.rtcp is not None or self.remote is None:
            return self.rtcp
        return (self.remote[0], self.remote[1] + 1)
