"""What happens to a conversation, one frozen value each; data packets are events as they are."""

from __future__ import annotations

from dataclasses import dataclass

from telephony.agents import packets


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """Somebody speaks."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Somebody spoke, and these were the words; none where they were not understood."""

    text: str
    ended: float = 0.0
    """When the last sound of it came, on the loop's clock."""
    seconds: float = 0.0
    """How long it was."""


@dataclass(frozen=True, slots=True)
class KeyPressed:
    key: str


@dataclass(frozen=True, slots=True)
class Greet:
    """Everybody is there and can hear."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """An answer is out."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Nobody is left to talk to."""

    reason: str


Event = SpeechBegan | Heard | KeyPressed | Greet | Quiet | Gone | packets.Packet
