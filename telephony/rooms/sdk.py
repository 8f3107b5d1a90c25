"""Sound to and from the LiveKit SDK, by whichever path fits the version that is installed."""

from __future__ import annotations

from typing import Protocol

import structlog
from livekit import rtc

from telephony.audio.mix import Samples
from telephony.rooms.sdk_direct import DirectEar, DirectMouth, Post, unfit
from telephony.rooms.sdk_stock import Put, StockEar, StockMouth

log = structlog.get_logger("telephony.rooms")


class Mouth(Protocol):
    """A track of ours."""

    track: rtc.LocalAudioTrack
    failed: int
    """Frames that the SDK did not take."""

    def busy(self, now: float) -> bool:
        """Whether the last frames are still on their way; two at once may change places.
        ``now``: monotonic seconds."""
        ...

    def speak(self, frames: list[Samples], now: float) -> None:
        """Say these, int16, behind what is queued."""
        ...

    def clear(self) -> None:
        """Drop what is queued."""
        ...

    def close(self) -> None: ...


class Ear(Protocol):
    """A track of somebody else's."""

    def close(self) -> None: ...


class Sdk:
    """One a process. ``direct`` says which path is taken."""

    def __init__(self, *, direct: bool | None = None) -> None:
        """``direct`` False: the stock path, whatever is possible."""
        self._post: Post | None = None
        if direct is not False:
            fault = unfit()
            if fault:
                log.warning("rooms.stock_sdk", reason=fault, version=rtc.__version__)
            else:
                self._post = Post()

    @property
    def direct(self) -> bool:
        return self._post is not None

    def mouth(self, rate: int) -> Mouth:
        """A source and its track; not published yet."""
        return StockMouth(rate) if self._post is None else DirectMouth(self._post, rate)

    def ear(self, track: rtc.Track, rate: int, put: Put) -> Ear:
        """``put`` gets each 20 ms at ``rate``, in any thread, until it is closed."""
        if self._post is None:
            return StockEar(track, rate, put)
        return DirectEar(self._post, track, rate, put)

    def entered(self, room: rtc.Room) -> None:
        """Events of this room go to it alone from now on."""
        if self._post is not None:
            self._post.entered(room)

    def left(self, room: rtc.Room) -> None:
        """Forget the room."""
        if self._post is not None:
            self._post.left(room)
