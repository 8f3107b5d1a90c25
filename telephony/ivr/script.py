"""What runs a call, whatever it is: a dialplan, an agent, the rules of a browser's session."""

from __future__ import annotations

from typing import Protocol

from telephony.calls import commands as c
from telephony.calls import events as e


class Script(Protocol):
    """Events in, commands out; deadlines are asked for. ``now`` is monotonic seconds."""

    @property
    def engaged(self) -> bool:
        """The caller is being talked to or asked; leaving now is giving up (abandoned)."""
        ...

    def masks(self, event: e.DigitPressed) -> bool:
        """Whether this key is part of a secret. Asked before the event is handed to ``step``."""
        ...

    def next_deadline(self) -> float | None:
        """When to call ``expire``."""
        ...

    def start(self, event: e.Event, now: float) -> list[c.Command]:
        """Begin, by the event that begins it."""
        ...

    def step(self, event: e.Event, now: float) -> list[c.Command]:
        """Take a fact."""
        ...

    def expire(self, now: float) -> list[c.Command]:
        """The deadline has come; before it nothing happens."""
        ...
