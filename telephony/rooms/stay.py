"""A stay beside the SDK: a leg's sound in a room, over as many entries as it takes."""

from __future__ import annotations

from collections.abc import Callable

from telephony.audio.mix import Samples
from telephony.rooms.feed import Feed
from telephony.rooms.figures import Figures
from telephony.rooms.presence import Presence
from telephony.rooms.sdk import Sdk
from telephony.rooms.staying import Tell


class Stay:
    """Implements ``Staying`` beside the SDK."""

    def __init__(
        self,
        sdk: Sdk,
        rate: int,
        now: Callable[[], float],
        tell: Tell,
        *,
        alone: bool = False,
        closed: Callable[[Stay], None] = lambda stay: None,
    ) -> None:
        """``alone``: no agent is waited for; whoever subscribes is spoken to. ``closed`` is called
        when it is, while its figures can still be read."""
        self._sdk = sdk
        self._rate = rate
        self._now = now
        self._tell = tell
        self._alone = alone
        self._closed = closed
        self._feed = Feed()
        self._muted = False
        self._past = Figures()
        self._presence: Presence | None = None

    def enter(self, url: str, token: str) -> None:
        self._drop()
        self._presence = Presence(
            self._sdk, self._rate, self._feed, self._now, self._tell, alone=self._alone
        )
        self._presence.mute(self._muted)
        self._presence.enter(url, token)

    def send(self, data: bytes, topic: str) -> None:
        if self._presence is not None:
            self._presence.send(data, topic)

    def send_digits(self, digits: str) -> None:
        if self._presence is not None:
            self._presence.send_digits(digits)

    def mute(self, on: bool) -> None:
        self._muted = on
        if self._presence is not None:
            self._presence.mute(on)

    def say(self) -> Samples | None:
        return None if self._presence is None else self._presence.say()

    def hear(self, frame: Samples) -> None:
        if self._presence is None:
            self._feed.push(frame)
        else:
            self._presence.hear(frame, self._now())

    def look(self) -> None:
        """Every ``watch.LOOK_SECONDS``: whether those who are silent are there."""
        if self._presence is not None:
            self._presence.look()

    def figures(self) -> Figures:
        found = Figures()
        found.add(self._past)
        found.heard_lost += self._feed.lost
        found.heard_skipped += self._feed.skipped
        if self._presence is not None:
            found.add(self._presence.figures())
        return found

    def close(self) -> None:
        self._closed(self)
        self._drop()

    def _drop(self) -> None:
        presence, self._presence = self._presence, None
        if presence is not None:
            self._past.add(presence.figures())
            presence.leave()
