"""POST /v1/sessions/phone (contract section 3.2), and what it becomes."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from telephony.api.wire.base import E164, Body, Camel, Int
from telephony.calls.orders import (
    DEFAULT_AMD_SECONDS,
    DEFAULT_MAX_SECONDS,
    DEFAULT_RING_SECONDS,
    MIN_MAX_SECONDS,
    DialOrder,
    DialResult,
    MachineOrder,
)

MAX_VARIABLES = 200
MAX_TAGS = 50
MAX_HEADERS = 20
MAX_TEXT = 64 * 1024

Text = Annotated[str, Field(max_length=MAX_TEXT)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Number = Annotated[float, Field(allow_inf_nan=False)]
_IDENTIFIER = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}")
_HEADER = re.compile(r"[Xx]-[A-Za-z0-9.!%*_+`'~-]{1,60}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*")


def language(value: str) -> str:
    """A BCP-47 tag; sources disagree on its form, so its alphabet is all that is asked for."""
    if len(value) > 35 or not _LANGUAGE.fullmatch(value):
        raise ValueError("must be a language tag, such as en or en-US")
    return value


class Intent(Body):
    language: Annotated[str, AfterValidator(language)]
    region: Name | None = None
    optimize_for: Literal["balanced", "accuracy", "latency", "cost"] | None = None


class AllowedProviders(Body):
    stt: list[str] | None = None
    llm: list[str] | None = None
    tts: list[str] | None = None
    s2s: Annotated[list[str] | None, Field(alias="s2s")] = None

    @model_validator(mode="before")
    @classmethod
    def _both_spellings(cls, data: Any) -> Any:
        # PY sends s2S, TS s2s; where both are there PY's wins, as it does when PY reads.
        if isinstance(data, dict) and data.get("s2S") is not None:
            data = {**data, "s2s": data["s2S"]}
        return data


class Constraints(Body):
    allowed_providers: AllowedProviders | None = None


class LlmOptions(Body):
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[Int, Field(ge=1)] | None = None


class TtsOptions(Body):
    sample_rate: Annotated[Int, Field(ge=1)] | None = None
    speed: Annotated[Number, Field(ge=0.5, le=2)] | None = None


class SttOptions(Body):
    keywords: Annotated[list[str], Field(max_length=200)] | None = None
    prompt: Annotated[str, Field(max_length=2000)] | None = None
    language: str | None = None


class Endpointing(Body):
    min_delay: Annotated[Number, Field(ge=0)] | None = None
    max_delay: Annotated[Number, Field(ge=0)] | None = None


class Interruption(Body):
    mode: Literal["adaptive", "vad"] | None = None
    min_duration: Annotated[Number, Field(ge=0)] | None = None
    min_words: Annotated[Int, Field(ge=0)] | None = None


class Vad(Body):
    provider: Literal["silero", "ai-coustics"]


class NoiseCancellation(Body):
    enabled: bool
    model: Literal["quail", "quail-voice-focus"] | None = None


class TurnHandling(Body):
    vad: Vad | None = None
    noise_cancellation: NoiseCancellation | None = None
    profile: Literal["conversational", "ivr", "ivr_patient"] | None = None
    endpointing: Endpointing | None = None
    interruption: Interruption | None = None
    turn_detection: bool | Literal["stt"] | None = None
    context_threshold: bool | None = None
    greet_first: bool | None = None


class Amd(Body):
    mode: Literal["agent", "carrier", "disabled"] | None = None
    timeout_seconds: Annotated[Number, Field(ge=1, le=60)] | None = None


class TelephonyOptions(Body):
    region: Name | None = None
    amd: Amd | None = None


class Conversation(Body):
    """What a session of any kind is to be like (contract sections 3.1 and 3.2)."""

    agent_id: Name | None = None
    intent: Intent | None = None
    constraints: Constraints | None = None
    voice: Name | None = None
    system_prompt: Text | None = None
    first_message: Annotated[str, Field(max_length=2000)] | None = None
    variables: Annotated[dict[str, Text], Field(max_length=MAX_VARIABLES)] | None = None
    tool_secrets: Annotated[dict[str, str], Field(max_length=32)] | None = None
    llm: LlmOptions | None = None
    tts_options: TtsOptions | None = None
    stt_options: SttOptions | None = None
    max_duration_seconds: Int | None = None
    turn_handling: TurnHandling | None = None
    webhook_tags: Annotated[dict[str, str], Field(max_length=MAX_TAGS)] | None = None
    metadata: dict[str, Any] | None = None

    SHOWN: ClassVar[tuple[str, ...]] = (
        "agent_id",
        "intent",
        "constraints",
        "voice",
        "system_prompt",
        "first_message",
        "llm",
        "tts_options",
        "stt_options",
        "turn_handling",
    )

    @field_validator("variables")
    @classmethod
    def _no_system_names(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        for name in value or {}:
            if name.startswith("system."):
                raise ValueError(f"{name[:80]} is the service's own: it begins with system.")
        return value

    @field_validator("tool_secrets")
    @classmethod
    def _secrets_in_bounds(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        for name, secret in (value or {}).items():
            if not _IDENTIFIER.fullmatch(name):
                raise ValueError(f"{name[:80]!r} is no identifier of at most 64 characters")
            if len(secret) < 6 or len(secret.encode()) > 4096:
                raise ValueError(f"{name}: must have 6 characters to 4 KB")
        return value

    @model_validator(mode="after")
    def _tags_have_an_agent(self) -> Self:
        if self.webhook_tags and self.agent_id is None:
            raise ValueError("webhookTags: can be given only with agentId")
        return self

    @property
    def longest(self) -> int:
        """Seconds: clamped, never refused."""
        wanted = self.max_duration_seconds
        if wanted is None:
            return DEFAULT_MAX_SECONDS
        return max(MIN_MAX_SECONDS, min(DEFAULT_MAX_SECONDS, wanted))

    def conversation(self) -> dict[str, Any]:
        """What the switchboard is told of how to talk: the members of ``calls.orders``."""
        return {
            "agent": self.agent_id,
            "prompt": self.system_prompt,
            "first_message": self.first_message,
            "voice": self.voice,
            "language": self.intent.language if self.intent else None,
            "variables": self.variables,
            "pipeline": self.pipeline(),
            "metadata": self.metadata or {},
            "tags": self.webhook_tags or {},
        }

    def pipeline(self) -> dict[str, Any]:
        """What was asked for of the conversation, as call detail shows it again."""
        return self.model_dump(by_alias=True, exclude_none=True, include=set(self.SHOWN))


class DialBody(Conversation):
    """The request. ``dialplan``, ``trunk``, ``record``, ``ringing_timeout``, ``headers``
    (``X-`` only) and ``voicemail_message`` are our own additions."""

    SHOWN = (*Conversation.SHOWN, "telephony", "on_machine", "voicemail_message")

    to: E164
    from_: Annotated[E164 | None, Field(alias="from")] = None
    telephony: TelephonyOptions | None = None
    on_machine: Literal["hangup", "leave_message"] | None = None
    voicemail_message: Annotated[str, Field(max_length=2000)] | None = None
    dialplan: Name | None = None
    trunk: Name | None = None
    record: bool | None = None
    ringing_timeout: Annotated[Number, Field(ge=1, le=120)] | None = None
    headers: Annotated[dict[str, str], Field(max_length=MAX_HEADERS)] | None = None

    @field_validator("headers")
    @classmethod
    def _plain_headers(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        for name, text in (value or {}).items():
            if not _HEADER.fullmatch(name):
                raise ValueError(f"{name[:80]!r}: only X- headers can be set")
            if len(text) > 512 or any(ord(char) < 32 or ord(char) == 127 for char in text):
                raise ValueError(f"{name}: must be one line of at most 512 characters")
        return value

    def order(self, organization: str, *, live: bool) -> DialOrder:
        """What the switchboard is asked for. ``toolSecrets`` stay here: nothing uses them yet.

        That somebody must talk is the switchboard's to say: the number in ``from`` and the settings
        may name a dialplan too.
        """
        return DialOrder(
            organization=organization,
            to=self.to,
            from_number=self.from_,
            dialplan=self.dialplan,
            trunk=self.trunk,
            headers=self.headers or {},
            **self.conversation(),
            record=self.record,
            max_duration_seconds=self.longest,
            ring_seconds=self.ringing_timeout or DEFAULT_RING_SECONDS,
            machine=self._machine(),
            test=not live,
        )

    def _machine(self) -> MachineOrder | None:
        """What to find out and to do; None where nobody asked. ``agent`` and ``carrier`` are one:
        on a trunk of our own nobody hears the line but us."""
        amd = self.telephony.amd if self.telephony is not None else None
        if amd is not None and amd.mode == "disabled":
            return None
        if amd is None and self.on_machine is None:
            return None
        seconds = amd.timeout_seconds if amd is not None else None
        return MachineOrder(
            seconds=seconds or DEFAULT_AMD_SECONDS,
            action=self.on_machine or "",
            message=self.voicemail_message or "",
        )


class DialReply(Camel):
    """The call exists; nobody has answered yet. All members are mandatory for PY."""

    session_id: str
    call_control_id: str
    room_name: str
    status: Literal["dialing", "dialing-stub"]
    to: str
    from_: Annotated[str, Field(alias="from")]

    @classmethod
    def of(cls, result: DialResult) -> DialReply:
        return cls.model_validate(
            {
                "sessionId": result.session_id,
                "callControlId": result.call_control_id,
                "roomName": result.room_name,
                "status": result.status,
                "to": result.to,
                "from": result.from_number,
            }
        )
