"""Where a call meets an agent: the room, who is called into it, and as whom the leg is there."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_METADATA = 64 * 1024
"""Octets of a dispatch's metadata: what the conference server takes."""
MAX_DATA = 15_000
"""Octets of one data packet: what fits a reliable one whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """An agent worker called into a room.

    ``agent_name``: what the worker is registered as. ``metadata``: JSON, at most
    ``MAX_METADATA`` octets, no secret in it. ``speaks_first`` False: the agent waits for the
    user, so its silence is no fault.
    """

    agent_name: str
    metadata: str
    speaks_first: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """A leg's stay in a room with agents.

    ``identity`` is the leg's name, ``phone-<session id>``; ``attributes`` are what others in the
    room see of it, as of a SIP participant. ``rate`` is what agents hear and speak, Hz.
    ``dispatch`` None: whoever is to come is called by somebody else.
    """

    room: str
    call: str
    identity: str
    name: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    rate: int = 24_000
    dispatch: Dispatch | None = None
