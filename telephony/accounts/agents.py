"""Agents: who talks, what they are told, and the tools that they may use (contract section 7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

MAX_AGENTS = 1000
"""In an organization; lists have no pages."""
MAX_TOOLS = 100
"""Of an agent."""

BUILTINS = frozenset({"search_knowledge_base", "transfer_call", "end_call", "schedule_callback"})
"""What an agent can do without anybody's help."""

LIFECYCLE = ("preCall", "postCall", "status", "analysis", "recording")
"""The moments of a call at which an agent's own hooks are asked (contract 7.2, deprecated)."""


class PreToolSpeech(StrEnum):
    """Whether something is said before a tool runs: the contract's closed set."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class PromptVariable:
    """A name that an agent's texts use. Without a default every call must give one."""

    name: str
    default: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A URL of somebody's that is asked or told: by a tool, or at a moment of a call.

    ``secret`` signs, and the organization's does where there is none; it and the values of
    ``auth_headers`` are sealed where they lie. ``extraction_fields`` count after a call only.
    """

    kind: ClassVar[str] = "webhook"

    url: str
    secret: str = field(default="", repr=False)
    headers: dict[str, str] = field(default_factory=dict)
    auth_headers: dict[str, str] = field(default_factory=dict, repr=False)
    timeout_ms: int | None = None
    response_mode: str | None = None
    async_ack: str | None = None
    extraction_fields: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Inline:
    """The tool is run by whoever asks the model."""

    kind: ClassVar[str] = "inline"


@dataclass(frozen=True, slots=True)
class Builtin:
    """The tool is one of ours, by its name there. ``config`` is any JSON."""

    kind: ClassVar[str] = "builtin"

    name: str
    config: Any = None


@dataclass(frozen=True, slots=True)
class Integration:
    """The tool is an action of an app that the organization installed."""

    kind: ClassVar[str] = "integration"

    installation: str
    app: str
    action: str
    config: Any = None


Source = Inline | Hook | Builtin | Integration


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """Something that an agent can do. ``parameters`` is a JSON Schema; ``sound`` and
    ``simulation`` are as the contract has them (7.4), None for the agent's own."""

    id: str
    organization: str
    agent: str
    name: str
    description: str
    parameters: dict[str, Any]
    source: Source
    pre_speech: PreToolSpeech = PreToolSpeech.AUTO
    sound: dict[str, Any] | None = None
    simulation: dict[str, Any] | None = None
    created_at: datetime
    updated_at: datetime

    @property
    def available(self) -> bool:
        """Whether it could run now: no app can be installed yet."""
        if isinstance(self.source, Builtin):
            return self.source.name in BUILTINS
        return not isinstance(self.source, Integration)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """Who talks.

    ``dialplan`` (our own addition) runs its calls where no model does. A first message of None
    is not said, "" means that the agent waits for the other to speak. ``options``: whatever else
    the talking is to be like (``llmOptions``, ``ttsOptions``, ``turnHandling`` …), under the names
    of the contract and without nulls. ``hooks``: by moment (``LIFECYCLE``).
    """

    id: str
    organization: str
    name: str
    system_prompt: str
    language: str
    optimize_for: str | None = None
    voice: str | None = None
    dialplan: str | None = None
    run_mode: str | None = None
    timezone: str | None = None
    first_message: str | None = None
    inbound_first_message: str | None = None
    outbound_first_message: str | None = None
    prompt_variables: tuple[PromptVariable, ...] = ()
    extraction_fields: tuple[dict[str, Any], ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    hooks: dict[str, Hook] = field(default_factory=dict)
    created_at: datetime
    updated_at: datetime

    @property
    def declared(self) -> dict[str, str | None]:
        """The prompt variables' defaults by name; None: every call must give it."""
        return {variable.name: variable.default for variable in self.prompt_variables}

    @property
    def extracted(self) -> tuple[dict[str, Any], ...]:
        """What is looked for in its transcripts: its own fields, and those of its ``postCall``
        hook whose names it has none of (contract 7.1)."""
        hook = self.hooks.get("postCall")
        own = {each["name"] for each in self.extraction_fields}
        others = hook.extraction_fields if hook is not None else ()
        return (*self.extraction_fields, *(each for each in others if each["name"] not in own))

    def greeting(self, *, inbound: bool) -> str | None:
        """What the agent says first on a call of that direction."""
        own = self.inbound_first_message if inbound else self.outbound_first_message
        return self.first_message if own is None else own
