"""Agents (contract 7.1 to 7.3 and 7.5): camelCase; what is unset is left out inside of options."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from telephony.accounts.agents import LIFECYCLE, Agent, Hook, PromptVariable
from telephony.accounts.routing import AgentStatus
from telephony.api.wire.base import Body, Camel, Int, Query, Snake, Time, seconds, stamp
from telephony.api.wire.dial import (
    MAX_VARIABLES,
    Constraints,
    LlmOptions,
    Name,
    Number,
    SttOptions,
    Text,
    TtsOptions,
    TurnHandling,
    language,
)
from telephony.api.wire.extraction import ExtractionFields
from telephony.api.wire.hooks import LifecycleHook, shown
from telephony.base.clock import iso
from telephony.calls.call import Call
from telephony.calls.ports import CallFilter
from telephony.prompts.compile import check_names

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


# --- an agent's calls ------------------------------------------------------------------------


class AgentCallsQuery(Query):
    """``since`` ≤ created_at < ``cursor``, which is what the page before gave out."""

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Time | None = None
    since: Time | None = None

    def chosen(self, agent: str) -> CallFilter:
        return CallFilter(agent=agent, since=self.since, until=self.cursor)


class AgentCall(Snake):
    id: str
    call_id: str
    resource_uri: str
    agent_id: str
    status: str
    kind: str
    room_name: str | None
    language: str
    created_at: str
    ended_at: str | None
    duration_seconds: float | int | None
    recording_status: str | None

    @classmethod
    def of(cls, call: Call) -> AgentCall:
        return cls(
            id=call.id,
            call_id=call.id,
            resource_uri=f"/v1/calls/{call.id}",
            agent_id=call.agent or "",
            status=call.status.value,
            kind=call.kind,
            room_name=call.room,
            language=call.language or "en",
            created_at=iso(call.created_at),
            ended_at=stamp(call.ended_at),
            duration_seconds=seconds(call.duration_seconds) if call.ended_at else None,
            recording_status=call.recording_status,
        )


class AgentCalls(Snake):
    """``entries`` are the same rows again. ``next_cursor`` is when the oldest of them began."""

    calls: list[AgentCall]
    entries: list[AgentCall]
    next_cursor: str | None

    @classmethod
    def of(cls, calls: Sequence[Call], more: bool) -> AgentCalls:
        rows = [AgentCall.of(call) for call in calls]
        # To the microsecond: a millisecond can hold several, and would end amidst them.
        oldest = calls[-1].created_at.isoformat(timespec="microseconds") if more else ""
        return cls(calls=rows, entries=rows, next_cursor=oldest.replace("+00:00", "Z") or None)
