"""Where a session is; how it ended is in its :class:`~telephony.sip.events.Ending`."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """From the INVITE to the end."""

    SETUP = "setup"
    """No final response to the INVITE yet."""
    ANSWERED = "answered"
    """A 2xx was sent or received, and its ACK is missing."""
    CONFIRMED = "confirmed"
    ENDED = "ended"
