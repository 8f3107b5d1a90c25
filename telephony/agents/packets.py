"""The data packets of a room (contract section 14): JSON objects with a ``type``.

Reliable, UTF-8, on any topic. What comes in is a stranger's: anything that is not exactly one of
the known shapes is None, and texts are cut at a ceiling.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

CHAT_TOPIC = "lk.chat"
"""Where newer browser clients write, as a text stream and not as a packet."""
CONTROL_TOPIC = "telephony.control"
"""Where the service tells agents what is not for browsers."""
MAX_PACKET = 64 * 1024
MAX_TEXT = 16_000
"""Characters of a text that is taken in, that of the service's own messages."""
SLOWEST, FASTEST = 0.5, 2.0
"""Bounds of a voice's speed (contract section 3.1)."""


@dataclass(frozen=True, slots=True)
class UserMessage:
    """Typed: interrupts, is echoed and answered."""

    text: str


@dataclass(frozen=True, slots=True)
class ContextualUpdate:
    """To be known from the next turn on; nothing is said."""

    text: str


@dataclass(frozen=True, slots=True)
class Overrides:
    """How one side wants the agent to be. None: as it is. An empty first message: say nothing."""

    prompt: str | None = None
    first_message: str | None = None
    language: str | None = None
    voice: str | None = None
    speed: float | None = None


@dataclass(frozen=True, slots=True)
class Mute:
    """Somebody else speaks for the agent now, or no longer."""

    muted: bool


Packet = UserMessage | ContextualUpdate | Overrides | Mute


def parse(data: bytes) -> Packet | None:
    """What came in, or None for anything that a worker has nothing to do with."""
    if len(data) > MAX_PACKET:
        return None
    try:
        packet = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(packet, dict):
        return None
    match packet.get("type"):
        case "user_message":
            text = _text(packet.get("text"))
            return UserMessage(text) if text else None
        case "contextual_update":
            text = _text(packet.get("text"))
            return ContextualUpdate(text) if text else None
        case "overrides":
            return _overrides(packet.get("overrides"))
        case "agent_muted":
            muted = packet.get("muted")
            return Mute(muted) if isinstance(muted, bool) else None
    return None


def transcript(source: str, text: str, final: bool) -> bytes:
    """What ``agent`` or ``user`` said; texts that are not final are cumulative."""
    return _pack({"type": "transcript", "source": source, "text": text, "isFinal": final})


def agent_message(text: str) -> bytes:
    """What the agent answered in writing only."""
    return _pack({"type": "agent_message", "text": text, "isFinal": True})


def user_message_echo(text: str) -> bytes:
    """A typed message, as it was taken."""
    return _pack({"type": "user_message_echo", "text": text})


def _pack(packet: dict[str, Any]) -> bytes:
    return json.dumps(packet, ensure_ascii=False).encode("utf-8", "replace")


def _text(value: object) -> str:
    return value.strip()[:MAX_TEXT] if isinstance(value, str) else ""


def _overrides(value: object) -> Overrides | None:
    if not isinstance(value, dict):
        return None
    agent = value.get("agent")
    voice = value.get("tts")
    agent = agent if isinstance(agent, dict) else {}
    voice = voice if isinstance(voice, dict) else {}
    first = agent.get("firstMessage")
    return Overrides(
        prompt=_text(agent.get("prompt")) or None,
        first_message=_text(first) if isinstance(first, str) else None,
        language=_text(agent.get("language")) or None,
        voice=_text(voice.get("voiceId")) or None,
        speed=_speed(voice.get("speed")),
    )


def _speed(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Also where it is not a number at all: comparisons with NaN are false.
    return float(value) if SLOWEST <= value <= FASTEST else None
