"""A browser's session (contract section 3.1): both names of token and URL."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from telephony.api.wire.base import Camel, Int
from telephony.api.wire.dial import Conversation
from telephony.api.wire.talking import BackgroundAudio
from telephony.base.clock import iso
from telephony.calls.orders import RoomOrder, RoomResult

DEFAULT_TTL = 900


class SessionBody(Conversation):
    """The request. ``systemPrompt`` and the rest are the agent's to follow; we keep them."""

    SHOWN = (*Conversation.SHOWN, "background_audio")

    mode: Literal["cascade", "s2s"] | None = None
    background_audio: BackgroundAudio | None = None
    ttl_seconds: Annotated[Int, Field(ge=1, le=86400)] | None = None
    identity: Annotated[str, Field(min_length=1, max_length=128)] | None = None

    @model_validator(mode="after")
    def _somebody_talks(self) -> Self:
        if self.agent_id is None and self.intent is None and self.mode != "s2s":
            raise ValueError("agentId: is required where there is no intent")
        return self

    def conversation(self) -> dict[str, Any]:
        """As for a call; but a first message of null is one (contract 3.1): the agent waits."""
        told = super().conversation()
        if "first_message" in self.model_fields_set and self.first_message is None:
            told["first_message"] = ""
        return told

    def order(self, organization: str, identity: str) -> RoomOrder:
        """What the switchboard is asked for; ``identity`` where the browser names none."""
        return RoomOrder(
            organization=organization,
            identity=self.identity or identity,
            **self.conversation(),
            ttl_seconds=self.ttl_seconds or DEFAULT_TTL,
            max_duration_seconds=self.longest,
        )


class SessionReply(Camel):
    """What the browser needs to join. Older clients read the second pair of names."""

    session_id: str
    transport_token: str
    transport_url: str
    conversation_token: str
    livekit_url: str
    room_name: str
    identity: str
    expires_at: str
    transport: Literal["livekit"] = "livekit"

    @classmethod
    def of(cls, result: RoomResult, token: str, url: str) -> SessionReply:
        return cls(
            session_id=result.session_id,
            transport_token=token,
            transport_url=url,
            conversation_token=token,
            livekit_url=url,
            room_name=result.room_name,
            identity=result.identity,
            expires_at=iso(result.expires_at),
        )
