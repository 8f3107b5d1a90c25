"""Texts for the agent of a live call (contract 4.8), one after another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from telephony.base.errors import Busy, TelephonyError
from telephony.calls import events as e
from telephony.calls.packets import message_packets
from telephony.calls.ports import AgentRooms

if TYPE_CHECKING:
    from telephony.switchboard.session import Session

MAX_WAITING = 100
"""Texts of one call on their way."""


class Messages:
    """One session's texts. Each is in the room whole before the next one begins."""

    def __init__(self, session: Session, room: str, agents: AgentRooms) -> None:
        self._session = session
        self._room = room
        self._agents = agents
        self._turn = asyncio.Lock()
        self._waiting = 0

    @property
    def busy(self) -> bool:
        """Some are on their way."""
        return self._waiting > 0

    def send(self, text: str, mode: str) -> str:
        """Take a text; its id. Events say what becomes of it. Raises Busy: too many wait."""
        if self._waiting >= MAX_WAITING:
            raise Busy("too many messages are on their way", code="RATE_LIMITED")
        kit = self._session.kit
        message = kit.ids.make("msg")
        self._waiting += 1
        self._say(message, mode, "accepted")
        kit.tasks.spawn(self._deliver(message, text, mode), f"message {message}")
        return message

    async def _deliver(self, message: str, text: str, mode: str) -> None:
        try:
            async with self._turn:
                for packet in message_packets(message, text, mode):
                    await self._agents.send(self._room, packet)
        except TelephonyError as error:
            self._say(message, mode, "failed", error.message)
        else:
            self._say(message, mode, "delivered")
        finally:
            self._waiting -= 1
            self._session.wake()

    def _say(self, message: str, mode: str, status: str, error: str = "") -> None:
        now = self._session.kit.clock.now()
        self._session.emit(
            e.MessageSent(at=now, message=message, mode=mode, status=status, error=error)
        )
