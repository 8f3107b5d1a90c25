"""Stays beside the calls, in this process: the SDK's threads are ours, and so is its memory."""

from __future__ import annotations

from telephony.base.clock import Clock
from telephony.rooms.figures import Figures
from telephony.rooms.link import Link
from telephony.rooms.stay import Stay
from telephony.rooms.stays import Stays


class Here:
    """Implements ``rooms.livekit.Host``. Nothing may fork after it was imported."""

    def __init__(self, clock: Clock, *, direct: bool | None = None) -> None:
        """``direct`` False: the SDK's stock path."""
        self.stays = Stays(clock, direct=direct)

    async def start(self) -> None:
        await self.stays.start()

    async def stop(self) -> None:
        await self.stays.stop()

    def ready(self) -> str | None:
        return None

    def open(self, link: Link) -> Stay:
        meeting = link.meeting
        return self.stays.open(meeting.rate, link.told, alone=meeting.dispatch is None)

    def ticked(self, due: float) -> None:
        """The SDK has each frame already."""

    def figures(self) -> Figures:
        return self.stays.figures()

    def workers(self) -> list[tuple[str, bool, int, int]]:
        return []
