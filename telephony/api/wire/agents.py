"""Agents (contract 7.1 and 7.2): camelCase; what is unset is left out inside of options."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from telephony.accounts.agents import LIFECYCLE, Agent, Hook, PromptVariable
from telephony.accounts.routing import AgentStatus
from telephony.api.wire.base import Body, Camel
from telephony.api.wire.dial import (
    MAX_VARIABLES,
    Constraints,
    Name,
    SttOptions,
    Text,
    TurnHandling,
)
from telephony.api.wire.extraction import ExtractionFields
from telephony.api.wire.hooks import LifecycleHook, shown
from telephony.api.wire.talking import (
    AgentIntent,
    AgentLlmOptions,
    AgentTtsOptions,
    AudioOutput,
    BackgroundAudio,
    IdleRePrompts,
    Loose,
    Message,
    SpeechNormalization,
)
from telephony.base.clock import iso
from telephony.prompts.compile import check_names


class PromptVariableBody(Body):
    """Without ``defaultValue`` every call must give it."""

    name: Name
    default_value: Text | None = None
    description: Message | None = None


def _declared(variables: list[PromptVariableBody]) -> list[PromptVariableBody]:
    names = [variable.name for variable in variables]
    if len(set(names)) < len(names):
        raise ValueError("names a variable twice")
    check_names(names, "promptVariables")
    return variables


PromptVariables = Annotated[
    list[PromptVariableBody], Field(max_length=MAX_VARIABLES), AfterValidator(_declared)
]


class Webhooks(Body):
    """Deprecated in favour of /v1/webhooks. On PATCH null deletes one, absent leaves it."""

    pre_call: LifecycleHook | None = None
    post_call: LifecycleHook | None = None
    status: LifecycleHook | None = None
    analysis: LifecycleHook | None = None
    recording: LifecycleHook | None = None

    def onto(self, old: dict[str, Hook]) -> dict[str, Hook]:
        """Raises BadInput."""
        hooks = dict(old)
        for name in self.model_fields_set:
            moment = type(self).model_fields[name].alias or name
            given: LifecycleHook | None = getattr(self, name)
            if given is None:
                hooks.pop(moment, None)
            else:
                hooks[moment] = given.onto(old.get(moment), f"webhooks.{moment}")
        return {moment: hooks[moment] for moment in LIFECYCLE if moment in hooks}


class _Options(Body):
    """``dialplan`` is our own: it runs the agent's calls where no model does. From ``runMode`` on
    down no SDK has them, and other callers do."""

    voice: Name | None = None
    dialplan: Name | None = None
    prompt_variables: PromptVariables | None = None
    extraction_fields: ExtractionFields | None = None
    webhooks: Webhooks | None = None
    llm_options: AgentLlmOptions | None = None
    stack_preferences: Constraints | None = None
    stt_options: SttOptions | None = None
    background_audio: BackgroundAudio | None = None
    audio_output: AudioOutput | None = None
    speech_normalization: SpeechNormalization | None = None
    run_mode: Literal["cascade", "s2s"] | None = None
    timezone: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    first_message: Message | None = None
    inbound_first_message: Message | None = None
    outbound_first_message: Message | None = None
    voice_instructions: Annotated[str, Field(max_length=10_000)] | None = None
    tts_options: AgentTtsOptions | None = None
    turn_handling: TurnHandling | None = None
    idle_re_prompts: IdleRePrompts | None = None
    stt_miss_recovery: Loose = None
    end_call: Loose = None
    language_routing: Loose = None
    creation_meta: Loose = None

    def _onto(self, agent: Agent, **members: Any) -> Agent:
        """What was sent, in place of what was there: absent stays, null clears; of
        ``extractionFields`` null stays as well. Raises BadInput."""
        sent = self.model_fields_set
        for name in PLAIN & sent:
            members[name] = getattr(self, name)
        if "prompt_variables" in sent:
            members["prompt_variables"] = tuple(
                PromptVariable(v.name, v.default_value, v.description)
                for v in self.prompt_variables or ()
            )
        if self.extraction_fields is not None:
            members["extraction_fields"] = tuple(f.kept() for f in self.extraction_fields)
        if "webhooks" in sent:
            members["hooks"] = self.webhooks.onto(agent.hooks) if self.webhooks else {}
        given = self.model_dump(by_alias=True, exclude_none=True, include=set(OPTIONS & sent))
        replaced = {type(self).model_fields[name].alias for name in OPTIONS & sent}
        kept = {name: value for name, value in agent.options.items() if name not in replaced}
        return replace(agent, options=kept | given, **members)


PLAIN = frozenset(
    {
        "voice", "dialplan", "run_mode", "timezone", "first_message", "inbound_first_message",
        "outbound_first_message",
    }
)  # fmt: skip
"""Members of an agent as they are."""
OPTIONS = frozenset(
    {
        "llm_options", "stack_preferences", "stt_options", "background_audio", "audio_output",
        "speech_normalization", "voice_instructions", "tts_options", "turn_handling",
        "idle_re_prompts", "stt_miss_recovery", "end_call", "language_routing", "creation_meta",
    }
)  # fmt: skip
"""Those that lie together in its ``options``."""

AgentName = Annotated[str, Field(min_length=1, max_length=120)]
SystemPrompt = Annotated[Text, Field(min_length=1)]


class AgentCreate(_Options):
    name: AgentName
    system_prompt: SystemPrompt
    intent: AgentIntent

    def row(self, item: str, organization: str, now: datetime) -> Agent:
        """Raises BadInput."""
        agent = Agent(
            id=item,
            organization=organization,
            name=self.name,
            system_prompt=self.system_prompt,
            language=self.intent.language,
            optimize_for=self.intent.optimize_for,
            created_at=now,
            updated_at=now,
        )
        return self._onto(agent)


class AgentPatch(_Options):
    """Partial: what is absent stays, null clears what may be unset."""

    name: AgentName | None = None
    system_prompt: SystemPrompt | None = None
    intent: AgentIntent | None = None

    @model_validator(mode="after")
    def _needed(self) -> Self:
        for name, said in (
            ("name", "name"),
            ("system_prompt", "systemPrompt"),
            ("intent", "intent"),
        ):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{said}: an agent cannot be without")
        return self

    def changed(self, agent: Agent, now: datetime) -> Agent:
        """Raises BadInput."""
        intent = self.intent
        return self._onto(
            agent,
            name=self.name or agent.name,
            system_prompt=self.system_prompt or agent.system_prompt,
            language=intent.language if intent else agent.language,
            optimize_for=intent.optimize_for if intent else agent.optimize_for,
            updated_at=now,
        )


def _variable(variable: PromptVariable) -> dict[str, str]:
    members = {
        "name": variable.name,
        "defaultValue": variable.default,
        "description": variable.description,
    }
    return {name: value for name, value in members.items() if value is not None}


class AgentSetup(Camel):
    """Our own addition: whether the agent is there for calls, and why not."""

    status: Literal["ready", "action_required"]
    agent_ready: bool
    issues: list[str]


class AgentRow(Camel):
    """An agent: null where nothing is set; its options and hooks hold only what is."""

    id: str
    organization_id: str
    name: str
    system_prompt: str
    voice: str | None
    intent: dict[str, str]
    llm_options: dict[str, Any] | None = None
    stack_preferences: dict[str, Any] | None = None
    stt_options: dict[str, Any] | None = None
    background_audio: dict[str, Any] | None = None
    audio_output: dict[str, Any] | None = None
    speech_normalization: dict[str, Any] | None = None
    webhooks: dict[str, Any] | None
    extraction_fields: list[dict[str, Any]]
    prompt_variables: list[dict[str, str]]
    dialplan: str | None
    run_mode: str | None
    timezone: str | None
    first_message: str | None
    inbound_first_message: str | None
    outbound_first_message: str | None
    voice_instructions: str | None = None
    tts_options: dict[str, Any] | None = None
    turn_handling: dict[str, Any] | None = None
    idle_re_prompts: dict[str, Any] | None = None
    stt_miss_recovery: Any = None
    end_call: Any = None
    language_routing: Any = None
    creation_meta: Any = None
    setup_status: AgentSetup
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, agent: Agent, setup: AgentStatus) -> AgentRow:
        intent = {"language": agent.language}
        if agent.optimize_for is not None:
            intent["optimizeFor"] = agent.optimize_for
        return cls.model_validate(
            {
                "id": agent.id,
                "organizationId": agent.organization,
                "name": agent.name,
                "systemPrompt": agent.system_prompt,
                "intent": intent,
                "webhooks": {
                    moment: shown(hook, f"webhook:{agent.id}:{moment}")
                    for moment, hook in agent.hooks.items()
                }
                or None,
                "extractionFields": list(agent.extraction_fields),
                "promptVariables": [_variable(v) for v in agent.prompt_variables],
                "setupStatus": {
                    "status": setup.status,
                    "agentReady": setup.ready,
                    "issues": list(setup.issues),
                },
                "createdAt": iso(agent.created_at),
                "updatedAt": iso(agent.updated_at),
                **agent.options,
                **{name: getattr(agent, name) for name in PLAIN},
            }
        )
