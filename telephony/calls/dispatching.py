"""What an agent's worker is told when it is called into a room: one JSON object, no secret in it.

docs/agents.md lists its members. It travels through LiveKit as the metadata of a dispatch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from telephony.base.errors import BadInput
from telephony.calls.call import Call
from telephony.calls.state import Direction

MAX_METADATA = 60_000
"""Bytes. LiveKit takes 64,000 of metadata; the rest is left to what it wraps around ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """What an agent is told of itself. ``prompt`` and ``first_message`` are as they are to be said.

    ``first_message``: "" waits for the other to speak, None leaves the first words to the agent.
    ``options`` and ``tools`` are JSON as the contract has them (7.1, 7.4), without secrets.
    ``agent`` is None where somebody asked for a conversation without naming one.
    """

    agent: str | None = None
    name: str = ""
    prompt: str = ""
    first_message: str | None = None
    voice: str | None = None
    language: str = "en"
    options: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    extraction_fields: tuple[dict[str, Any], ...] = ()
    tools: tuple[dict[str, Any], ...] = ()

    @property
    def greets(self) -> bool:
        """Whether the agent is sure to speak first."""
        return bool(self.first_message)


def dispatch_metadata(
    call: Call,
    brief: Brief,
    *,
    identity: str,
    recording: bool = False,
    dialplan: str | None = None,
    max_seconds: float | None = None,
    api: str | None = None,
) -> str:
    """The metadata of a dispatch.

    ``identity``: whom the agent is to talk with, as the room knows him. ``dialplan``: what takes
    over when the agent is gone. ``api``: where this service's API is reached, where that is known.

    Raises:
        BadInput: it is more than ``MAX_METADATA`` (field ``systemPrompt``).
    """
    told = {
        "version": 1,
        "session_id": call.id,
        "call_id": call.id,
        "organization": call.organization,
        "direction": call.direction.value,
        "from": call.from_number,
        "to": call.to_number,
        "phone_number_id": call.phone_number,
        "room": call.room,
        "identity": identity,
        "participant_kind": "browser" if call.direction is Direction.WEB else "phone",
        "agent": {
            "id": brief.agent,
            "name": brief.name,
            "prompt": brief.prompt,
            "first_message": brief.first_message,
            "voice": brief.voice,
            "language": brief.language,
            "options": brief.options,
            "extraction_fields": list(brief.extraction_fields),
        },
        "variables": brief.variables,
        "tools": list(brief.tools),
        "dialplan": dialplan,
        "recording": recording,
        "max_duration_seconds": max_seconds,
        "metadata": call.metadata,
        "tags": call.tags,
        "api": {"url": api},
    }
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_METADATA:
        raise BadInput(
            f"systemPrompt: what the agent is told would be {size} bytes, and {MAX_METADATA} can be"
            " carried: shorten prompt, tools, variables or metadata",
            field="systemPrompt",
        )
    return text
