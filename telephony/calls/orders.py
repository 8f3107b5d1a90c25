"""What a program asks of the switchboard, and what it is told: outbound calls and their end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

DEFAULT_MAX_SECONDS = 14_400
MIN_MAX_SECONDS = 30
DEFAULT_RING_SECONDS = 60.0


DEFAULT_AMD_SECONDS = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineOrder:
    """Find out who answers, and what to do about a machine.

    ``seconds``: after which nobody is found to have answered. ``action``: ``hangup``,
    ``leave_message`` or "" (say it and go on). ``message``: what is left, dialplan variables
    filled in.
    """

    seconds: float = DEFAULT_AMD_SECONDS
    action: Literal["", "hangup", "leave_message"] = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """How whoever talks is to talk, as far as it was asked for; the agent says the rest.

    ``variables`` None: nobody gave any, so texts without declared variables stand as they are.
    ``first_message``: "" waits for the other to speak, None is the agent's own. ``pipeline`` is
    what was asked for, as call detail shows it again.
    """

    agent: str | None = None
    prompt: str | None = None
    first_message: str | None = None
    voice: str | None = None
    language: str | None = None
    variables: dict[str, str] | None = None
    pipeline: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def talks(self) -> bool:
        """Whether a conversation was asked for, and not only a call."""
        return any(one is not None for one in (self.agent, self.prompt, self.language))


@dataclass(frozen=True, slots=True, kw_only=True)
class DialOrder(Conversation):
    """One outbound call.

    ``to`` is E.164. ``dialplan``, ``trunk`` and ``from_number`` are None where the switchboard
    chooses (design.md section 9, Dial). ``record`` None leaves it to the dialplan. ``test``: a
    test key asked, so the call is a stub. ``session_id`` None has one made. ``source`` is
    ``api`` or ``callback``. ``machine`` None: nobody asks who answers. ``max_duration_seconds``
    counts from the answer.
    """

    organization: str
    to: str
    from_number: str | None = None
    dialplan: str | None = None
    trunk: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    record: bool | None = None
    max_duration_seconds: int = DEFAULT_MAX_SECONDS
    ring_seconds: float = DEFAULT_RING_SECONDS
    machine: MachineOrder | None = None
    test: bool = False
    session_id: str | None = None
    source: str = "api"


@dataclass(frozen=True, slots=True, kw_only=True)
class DialResult:
    """The call exists and its request is on disk; nobody has answered yet.

    ``status`` is ``dialing`` or ``dialing-stub``; ``call_control_id`` is empty on a stub.
    """

    session_id: str
    call_control_id: str
    room_name: str
    status: str
    to: str
    from_number: str


@dataclass(frozen=True, slots=True)
class EndResult:
    """``status`` is ``ending``, or ``already_ended`` with the time it ended."""

    status: str
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomOrder(Conversation):
    """A browser's session: a room, and a token with which to join it.

    ``ttl_seconds`` is the token's life, ``max_duration_seconds`` the session's.
    """

    organization: str
    identity: str
    ttl_seconds: int = 900
    max_duration_seconds: int = DEFAULT_MAX_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomResult:
    """The session exists and is on disk; nobody has joined yet."""

    session_id: str
    room_name: str
    identity: str
    expires_at: datetime
