"""The tools of agents (contract 7.4): camelCase; secrets are only written."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from telephony.accounts.agents import (
    Builtin,
    Hook,
    Inline,
    Integration,
    PreToolSpeech,
    Source,
    Tool,
)
from telephony.api.wire.base import Body, Camel, Query
from telephony.api.wire.dial import Name
from telephony.api.wire.extraction import Identifier
from telephony.api.wire.hooks import ToolHook, shown
from telephony.api.wire.talking import Clip, Volume, small
from telephony.base.clock import iso

MAX_SCHEMA = 64 * 1024
MAX_CONFIG = 16 * 1024
MAX_RESPONSE = 8192


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError("must be a UUID") from None


def _schema(value: dict[str, Any]) -> dict[str, Any]:
    small(value, MAX_SCHEMA)
    if value.get("type", "object") != "object":
        raise ValueError("must be a JSON Schema of an object")
    return value


def _response(value: Any) -> Any:
    return small(value, MAX_RESPONSE)


def _config(value: Any) -> Any:
    return small(value, MAX_CONFIG)


Description = Annotated[str, Field(min_length=1, max_length=1024)]
Parameters = Annotated[dict[str, Any], AfterValidator(_schema)]
Config = Annotated[Any, AfterValidator(_config)]
Speech = Annotated[PreToolSpeech, Field(strict=False)]


class InlineSource(Body):
    kind: Literal["inline"]

    def onto(self, old: Hook | None) -> Source:
        return Inline()


class BuiltinSource(Body):
    """``name``: one that there is not is kept, and is not available."""

    kind: Literal["builtin"]
    name: Identifier
    config: Config = None

    def onto(self, old: Hook | None) -> Source:
        return Builtin(self.name, self.config)


class IntegrationSource(Body):
    kind: Literal["integration"]
    installation_id: Annotated[str, AfterValidator(_uuid)]
    app_key: Name
    action_key: Name
    config: Config = None

    def onto(self, old: Hook | None) -> Source:
        return Integration(self.installation_id, self.app_key, self.action_key, self.config)


SourceBody = Annotated[
    InlineSource | ToolHook | BuiltinSource | IntegrationSource, Field(discriminator="kind")
]


class SoundOverride(Body):
    """``enabled`` alone: on, with the agent's own sound, or silent."""

    enabled: bool
    clip: Clip | None = None
    sound_id: Name | None = None
    volume: Volume | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.clip is not None and self.sound_id is not None:
            raise ValueError("takes at most one of clip and soundId")
        return self


class Live(Body):
    mode: Literal["live"]


class Mock(Body):
    mode: Literal["mock"]
    response: Annotated[Any, AfterValidator(_response)] = None


Simulation = Annotated[Live | Mock, Field(discriminator="mode")]


class _Options(Body):
    tool_sound: SoundOverride | None = None
    simulation: Simulation | None = None

    def _onto(self, tool: Tool, **members: Any) -> Tool:
        sent = self.model_fields_set
        if "tool_sound" in sent:
            sound = self.tool_sound
            members["sound"] = (
                sound.model_dump(by_alias=True, exclude_none=True) if sound is not None else None
            )
        if "simulation" in sent:
            simulation = self.simulation
            # A response of null is one: what was not sent is what is left out.
            members["simulation"] = (
                simulation.model_dump(by_alias=True, exclude_unset=True)
                if simulation is not None
                else None
            )
        return replace(tool, **members)


class ToolCreate(_Options):
    name: Identifier
    description: Description
    parameters: Parameters
    source: SourceBody
    pre_tool_speech: Speech | None = None

    def row(self, item: str, organization: str, agent: str, now: datetime) -> Tool:
        """Raises BadInput."""
        tool = Tool(
            id=item,
            organization=organization,
            agent=agent,
            name=self.name,
            description=self.description,
            parameters=self.parameters,
            source=self.source.onto(None),
            pre_speech=self.pre_tool_speech or PreToolSpeech.AUTO,
            created_at=now,
            updated_at=now,
        )
        return self._onto(tool)


class ToolPatch(_Options):
    """Partial: what is absent stays; null clears ``toolSound`` and ``simulation`` and makes
    ``preToolSpeech`` auto. A name never changes."""

    description: Description | None = None
    parameters: Parameters | None = None
    source: SourceBody | None = None
    pre_tool_speech: Speech | None = None

    @model_validator(mode="after")
    def _needed(self) -> Self:
        for name in ("description", "parameters", "source"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name}: a tool cannot be without")
        return self

    def changed(self, tool: Tool, now: datetime) -> Tool:
        """Raises BadInput."""
        members: dict[str, Any] = {"updated_at": now}
        if self.source is not None:
            old = tool.source if isinstance(tool.source, Hook) else None
            members["source"] = self.source.onto(old)
        if "pre_tool_speech" in self.model_fields_set:
            members["pre_speech"] = self.pre_tool_speech or PreToolSpeech.AUTO
        return self._onto(
            tool,
            description=self.description or tool.description,
            parameters=tool.parameters if self.parameters is None else self.parameters,
            **members,
        )


class ToolsQuery(Query):
    """``available``: only those that could run now."""

    available: bool = False


def _source(tool: Tool) -> dict[str, Any]:
    match tool.source:
        case Hook() as hook:
            members = shown(hook, f"webhook:{tool.agent}:{tool.id}")
        case Builtin(name, config):
            members = {"name": name} | ({} if config is None else {"config": config})
        case Integration(installation, app, action, config):
            members = {"installationId": installation, "appKey": app, "actionKey": action}
            members |= {} if config is None else {"config": config}
        case _:
            members = {}
    return {"kind": tool.source.kind, **members}


class ToolRow(Camel):
    """A tool. ``source`` is without its secrets, which ``secretRef`` names."""

    id: str
    agent_id: str
    name: str
    description: str
    parameters: dict[str, Any]
    source: dict[str, Any]
    pre_tool_speech: str
    tool_sound: dict[str, Any] | None
    simulation: dict[str, Any] | None
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, tool: Tool) -> ToolRow:
        return cls(
            id=tool.id,
            agent_id=tool.agent,
            name=tool.name,
            description=tool.description,
            parameters=tool.parameters,
            source=_source(tool),
            pre_tool_speech=tool.pre_speech.value,
            tool_sound=tool.sound,
            simulation=tool.simulation,
            created_at=iso(tool.created_at),
            updated_at=iso(tool.updated_at),
        )
