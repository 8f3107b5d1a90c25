"""What the carrier is told once, and its times."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveKitConfig:
    """``url`` of the LiveKit server, ``ws``, ``wss``, ``http`` or ``https``. Times in seconds.

    prefix: how the names of the rooms begin in which callers of LiveKit SIP are. They are ours to
        end and to clear up, so nobody else's may begin so.
    look_ringing, look_active: between two looks into a leg's room, beside those that a webhook or
        the room itself causes.
    look_closely: the same while an answer or an end is to be seen any moment.
    sweep: between two lists of all rooms, which find callers and rooms that no webhook told of.
    orphan: how long a caller may be in a room of ours where nobody of us is.
    join: how long we may take to enter a room.
    answer: how long LiveKit may take to answer a caller after we have.
    grace: how long a participant is looked for whose creation was never confirmed.
    reason_grace: how long the reason of a leaving may come late.
    ring_margin: what we wait beyond the ring time-out, which LiveKit keeps.
    request: of every other request.
    transfer_ring: how long the target of a transfer may ring.
    drain: how long hanging up may take when the service stops.
    """

    url: str
    key: str
    secret: str = field(repr=False)
    prefix: str = "sip-"
    look_ringing: float = 0.5
    look_closely: float = 0.2
    look_active: float = 15.0
    sweep: float = 3.0
    orphan: float = 60.0
    join: float = 10.0
    answer: float = 20.0
    grace: float = 4.0
    reason_grace: float = 1.0
    ring_margin: float = 5.0
    request: float = 5.0
    transfer_ring: float = 30.0
    drain: float = 3.0

    def room_of(self, leg: str) -> str:
        """The room of a leg that we dial."""
        return f"{self.prefix}out-{leg}"

    @property
    def inbound_prefix(self) -> str:
        """How names of rooms begin that a dispatch rule makes for callers of ours."""
        return f"{self.prefix}in"
