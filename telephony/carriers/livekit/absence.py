"""Why a caller is not in his room, as far as that is known, and how long it is waited for. Pure."""

from __future__ import annotations

from livekit.protocol import models

from telephony.calls.outcome import Outcome
from telephony.carriers.livekit.causes import outcome_of_leaving
from telephony.carriers.livekit.config import LiveKitConfig

_REASONS = {
    "left": models.CLIENT_INITIATED,
    "removed": models.PARTICIPANT_REMOVED,
    "lost": models.CONNECTION_TIMEOUT,
    "deleted": models.ROOM_DELETED,
}
"""What the room's events call them."""


class Absence:
    """Of one leg. Times are monotonic seconds."""

    def __init__(self, config: LiveKitConfig, *, inbound: bool) -> None:
        self.doubt: Outcome | None = None
        """What came of an order to dial that was not confirmed, where nobody is found."""
        self.webhook: models.DisconnectReason | None = None
        """The reason that a webhook gave for the end of this very stay."""
        self._room: models.DisconnectReason | None = None
        self._since: float | None = None
        self._config = config
        self._inbound = inbound

    @property
    def noticed(self) -> bool:
        """He was looked for and not found."""
        return self._since is not None

    @property
    def told(self) -> bool:
        """The room says that he has left."""
        return self._room is not None

    def tell(self, reason: str) -> None:
        """The room says so, in its own words."""
        self._room = _REASONS.get(reason)

    def seen(self, *, told: bool) -> None:
        """He is there. ``told``: the room had said that he was not, before he was looked for: it is
        we who were away."""
        self._since = None
        if told:
            self._room = None

    def missed(self, now: float, *, answered: bool, transferring: bool) -> Outcome | None:
        """He is not there: how the leg has ended, or None while more is to be heard of it."""
        config = self._config
        if self._since is None:
            self._since = now
        waited = now - self._since
        known = self.webhook is not None or self._room is not None
        if self.doubt is not None and not answered:
            if known:
                return self._left(answered)
            return self.doubt if waited >= config.grace else None
        if transferring:
            # A transfer that worked ends the leg; its own answer may come a moment later.
            return self._left(answered) if waited >= config.grace else None
        return self._left(answered) if known or waited >= config.reason_grace else None

    def _left(self, answered: bool) -> Outcome:
        reason = self._room if self.webhook is None else self.webhook
        reason = models.UNKNOWN_REASON if reason is None else reason
        return outcome_of_leaving(reason, inbound=self._inbound, answered=answered)
