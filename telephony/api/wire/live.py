"""What reaches a live call from outside: a browser (contract 4.6), a text for the agent (4.8)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from telephony.api.wire.base import Body, Camel
from telephony.base.clock import iso
from telephony.calls.orders import RoomResult


class JoinBody(Body):
    """``displayName`` is what others in the room see."""

    display_name: Annotated[str, Field(max_length=128)] | None = None


class JoinReply(Camel):
    """What the browser client needs: a token of its own, for a minute or so."""

    token: str
    url: str
    identity: str
    room_name: str
    expires_at: str

    @classmethod
    def of(cls, result: RoomResult, token: str, url: str) -> JoinReply:
        return cls(
            token=token,
            url=url,
            identity=result.identity,
            room_name=result.room_name,
            expires_at=iso(result.expires_at),
        )


class MessageBody(Body):
    """``respond``, the usual: the agent answers by voice. ``context``: it only knows."""

    text: Annotated[str, Field(min_length=1, max_length=16_000)]
    mode: Literal["respond", "context"] | None = None


class MessageReply(BaseModel):
    """What becomes of it is told by ``call.message_sent`` events."""

    message_id: str
