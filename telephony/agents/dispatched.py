"""The call as its dispatch tells it: the metadata that the service gave LiveKit."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from telephony.base.errors import BadInput

MAX_METADATA = 256 * 1024
"""Octets; the service writes at most a quarter of it."""


@dataclass(frozen=True, slots=True)
class DispatchedCall:
    """Whom the worker talks with, and as whom."""

    session: str
    direction: str = "inbound"
    """``inbound``, ``outbound`` or ``web``."""
    identity: str = ""
    """Whom the agent talks with, as the room knows them. Empty: whoever comes."""
    caller: str = ""
    called: str = ""
    agent: str = ""
    """The agent's id."""
    prompt: str = ""
    first_message: str | None = None
    """None: the agent's own first words. Empty: it waits until it is spoken to."""
    language: str = ""
    voice: str = ""
    speed: float = 1.0
    end_ms: int | None = None
    """After how much quiet the other has finished, where the agent's options say it."""
    api_url: str = ""
    looks_up: bool = False
    """Whether the agent has the tool that searches its documents."""
    script: dict[str, Any] | None = None
    """A script in the call's own metadata."""
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def other_party(self) -> str:
        """The number at the far end, or empty."""
        return self.called if self.direction == "outbound" else self.caller


def parse(metadata: str) -> DispatchedCall:
    """The call of a dispatch.

    Raises:
        BadInput: no JSON object with a ``session_id``: the dispatch is not the service's.
    """
    if len(metadata) > MAX_METADATA:
        raise BadInput(f"the dispatch's metadata has {len(metadata)} characters")
    try:
        told = json.loads(metadata)
    except (ValueError, RecursionError) as error:
        raise BadInput("the dispatch's metadata is no JSON") from error
    if not isinstance(told, dict) or not _text(told.get("session_id")):
        raise BadInput("the dispatch's metadata names no session_id", field="session_id")
    agent = _object(told.get("agent"))
    own = _object(told.get("metadata")).get("script")
    options = _object(agent.get("options"))
    first = agent.get("first_message")
    turns = _object(options.get("turnHandling"))
    return DispatchedCall(
        session=_text(told["session_id"]),
        direction=_text(told.get("direction")) or "inbound",
        identity=_text(told.get("identity")),
        caller=_text(told.get("from")),
        called=_text(told.get("to")),
        agent=_text(agent.get("id")),
        prompt=_text(agent.get("prompt")),
        first_message=first if isinstance(first, str) else None,
        language=_text(agent.get("language")),
        voice=_text(agent.get("voice")),
        speed=_number(_object(options.get("ttsOptions")).get("speed"), 0.5, 2.0) or 1.0,
        end_ms=_milliseconds(_object(turns.get("endpointing")).get("minDelay")),
        api_url=_text(_object(told.get("api")).get("url")).rstrip("/"),
        looks_up=_looks_up(told.get("tools")),
        script=own if isinstance(own, dict) else None,
        variables={
            name: value
            for name, value in _object(told.get("variables")).items()
            if isinstance(value, str)
        },
    )


def _looks_up(tools: object) -> bool:
    sources = [
        _object(_object(t).get("source")) for t in (tools if isinstance(tools, list) else [])
    ]
    return any(
        (s.get("kind"), s.get("name")) == ("builtin", "search_knowledge_base") for s in sources
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object, least: float, most: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Also where it is not a number at all: comparisons with NaN are false.
    return float(value) if least <= value <= most else None


def _milliseconds(seconds: object) -> int | None:
    told = _number(seconds, 0.1, 10.0)
    return None if told is None else round(told * 1000)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
