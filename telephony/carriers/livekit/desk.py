"""What every leg of the carrier shares: the way to LiveKit, sound, time and tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from telephony.base.clock import Clock
from telephony.calls.ports import AgentRooms
from telephony.carriers.livekit.config import LiveKitConfig
from telephony.carriers.livekit.service import LiveKitService
from telephony.media.contract import MediaEngine

log = structlog.get_logger("telephony.livekit")


class Timer(Protocol):
    """Something that can be called off."""

    def cancel(self) -> None: ...


@dataclass(slots=True, kw_only=True)
class Desk:
    """Handed to each leg once."""

    config: LiveKitConfig
    clock: Clock
    service: LiveKitService
    engine: MediaEngine
    rooms: AgentRooms
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self.clock.monotonic()

    def later(self, seconds: float, act: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, act)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """A task that nobody awaits; what it raises is said once."""
        task = asyncio.create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("livekit.task_failed", task=task.get_name(), exc_info=error)
