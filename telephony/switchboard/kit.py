"""What a session works with, handed to it once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from telephony.accounts.ports import Directory
from telephony.base.clock import Clock
from telephony.base.ids import Ids
from telephony.calls.ports import (
    AgentRooms,
    Attendance,
    CallbackQueue,
    CallElsewhere,
    Carrier,
    RoomDirectory,
    Speech,
)
from telephony.reports.cost import Rates
from telephony.switchboard.agents import AgentsConfig
from telephony.switchboard.journal import Journal

log = structlog.get_logger("telephony.switchboard")


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchboardConfig:
    """Ceilings and times of the switchboard.

    ``max_calls`` and ``calls_per_second`` are admission's. ``commit_seconds``: how long an
    order that costs money waits for its event to be on disk before it is given up.
    ``teardown_seconds``: how long legs and recordings may take to end.
    """

    recordings: Path
    dialplans: Path
    max_calls: int = 1000
    calls_per_second: float = 30.0
    commit_seconds: float = 5.0
    teardown_seconds: float = 5.0
    max_call_seconds: float = 14_400.0
    max_legs: int = 8
    queue_ceiling: int = 1000
    log_ceiling: int = 5000


class Tasks:
    """Tasks that nobody awaits are kept, and what they raise is said once."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task failed", task=task.get_name(), exc_info=error)

    async def cancel(self) -> None:
        """End them all and wait for it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Nowhere:
    """``CallElsewhere`` of the only node."""

    async def end(self, call: str) -> bool:
        return False


Afford = Callable[[str], Awaitable[None]]


async def anybody(organization: str) -> None:
    """Nobody pays in advance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """Ports and shared things. ``nudge`` tells the callback scheduler that a row is new;
    ``sleep`` is the loop's own unless a test says otherwise. Without ``rates`` calls cost nothing,
    without ``agents`` they meet none; browsers need ``attendance`` besides.
    ``afford`` raises where an organization may start nothing that costs money."""

    config: SwitchboardConfig
    carrier: Carrier
    rooms: RoomDirectory
    speech: Speech
    callbacks: CallbackQueue
    journal: Journal
    directory: Directory
    clock: Clock
    ids: Ids
    agents: AgentRooms | None = None
    talking: AgentsConfig = field(default_factory=AgentsConfig)
    attendance: Attendance | None = None
    nudge: Callable[[], None] = lambda: None
    rates: Rates | None = None
    afford: Afford = anybody
    elsewhere: CallElsewhere = field(default_factory=Nowhere)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    tasks: Tasks = field(default_factory=Tasks)

    def recording_path(self, name: str, at: datetime) -> Path:
        """``<recordings>/<yyyy>/<mm>/<name>.wav``."""
        return self.config.recordings / f"{at:%Y}" / f"{at:%m}" / f"{name}.wav"
