"""How an agent listens, talks and sounds (contract 7.1 and 7.3)."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from telephony.api.wire.base import Body, Int
from telephony.api.wire.dial import LlmOptions, Name, Number, TtsOptions, language

MAX_LOOSE = 16 * 1024
MAX_WORDS = 1000

Clip = Literal[
    "office-ambience",
    "city-ambience",
    "forest-ambience",
    "crowded-room",
    "keyboard-typing",
    "keyboard-typing2",
]
Volume = Annotated[Number, Field(ge=0, le=16)]
Milliseconds = Annotated[Int, Field(ge=0, le=60_000)]
Message = Annotated[str, Field(max_length=2000)]
Word = Annotated[str, Field(min_length=1, max_length=200)]
Words = Annotated[dict[Word, Annotated[str, Field(max_length=500)]], Field(max_length=MAX_WORDS)]


def small(value: Any, most: int = MAX_LOOSE) -> Any:
    """JSON of no more than so many bytes."""
    if len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()) > most:
        raise ValueError(f"must have at most {most} bytes as JSON")
    return value


Loose = Annotated[Any, AfterValidator(small)]
"""Kept and shown as it came: what callers send and the contract does not describe."""


class AgentIntent(Body):
    language: Annotated[str, Field(min_length=2), AfterValidator(language)]
    optimize_for: Literal["latency", "quality", "cost"] | None = None


class AgentLlmOptions(LlmOptions):
    model: Name | None = None


class AgentTtsOptions(TtsOptions):
    model: Name | None = None


class Sound(Body):
    """A clip of ours, or one of the organization's own by ``soundId``: exactly one of the two."""

    clip: Clip | None = None
    sound_id: Name | None = None
    volume: Volume | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.clip is None) == (self.sound_id is None):
            raise ValueError("needs exactly one of clip and soundId")
        return self


class ToolSound(Sound):
    min_duration_ms: Milliseconds | None = None
    start_delay_ms: Milliseconds | None = None


class BackgroundAudio(Body):
    ambient: Sound | None = None
    tool_sound: ToolSound | None = None


class AudioOutput(Body):
    gain_db: Annotated[Number, Field(ge=-24, le=12)]


class SpeechNormalization(Body):
    pronunciation_dictionary: Words | None = None
    text_replacements: Words | None = None


class IdleRePrompts(Body):
    enabled: bool | None = None
    delay_ms: Annotated[Int, Field(ge=0, le=3_600_000)] | None = None
    max_prompts: Annotated[Int, Field(ge=0, le=100)] | None = None
    messages: Annotated[list[Message], Field(max_length=50)] | None = None
