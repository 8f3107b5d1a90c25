"""What somebody is in a room: who hears whom follows from it."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Everybody in a room hears what speakers and agents say.

    A coach is heard by agents and coaches only (whisper), a listener by nobody (listening in).
    """

    SPEAKER = "speaker"
    AGENT = "agent"
    COACH = "coach"
    LISTENER = "listener"
