"""What a conversation is given: a stage, a voice, and the service."""

from __future__ import annotations

from typing import Protocol


class Stage(Protocol):
    """What carries the conversation: a room, or a test."""

    async def play(self, sound: bytes) -> float:
        """Play int16 PCM at 8 kHz; the share of it that was heard, 1.0 if nobody hushed it."""
        ...

    def hush(self) -> None:
        """Be silent now: what is queued is dropped."""
        ...

    async def send(self, packet: bytes) -> None:
        """A data packet for everybody in the room. Never raises."""
        ...

    def show(self, state: str) -> None:
        """``listening``, ``thinking`` or ``speaking``, for whoever draws it."""
        ...

    def expect(self, phrases: list[str]) -> None:
        """What may be said next."""
        ...


class Speaker(Protocol):
    """Text to int16 PCM at 8 kHz."""

    async def say(
        self, text: str, voice: str = "", language: str = "", speed: float = 1.0
    ) -> bytes: ...


class Service(Protocol):
    """What the worker asks of the service. All raise TelephonyError."""

    async def end_call(self) -> None: ...

    async def transfer(self, to: str, *, warm: bool, summary: str = "") -> str: ...

    async def call_back(
        self, to: str, *, after: int, reason: str, agent: str, summary: str, once: str
    ) -> str: ...

    async def look_up(self, agent: str, query: str) -> str:
        """What the agent's documents hold of it, the best piece; empty where they hold nothing."""
        ...
