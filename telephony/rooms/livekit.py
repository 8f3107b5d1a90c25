"""Calls meet agents in LiveKit rooms: implements ``calls.ports.AgentRooms``.

A call's leg enters a room of this process, a mixing group of the media engine; beside it sits a
seat, and what the seat hears and says is the leg's track in the LiveKit room. So recordings, holds
and prompts are the media engine's, as in every other call. One loop goes over all links with each
tick; nothing polls for a call of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import structlog

from telephony.base.clock import Clock
from telephony.base.errors import Busy, TelephonyError
from telephony.calls.meeting import Dispatch, Meeting
from telephony.calls.ports import Emit, Media
from telephony.media.config import TICK_MS
from telephony.media.contract import MediaEngine
from telephony.media.seats import Seat
from telephony.rooms.company import Server, Tokens
from telephony.rooms.figures import Figures
from telephony.rooms.link import Link
from telephony.rooms.local import LocalRooms
from telephony.rooms.staying import Staying

log = structlog.get_logger("telephony.rooms")

ASK_SECONDS = 2.0
"""Between two questions to a server that did not answer."""
AGENTS = "agents"
"""Identity of the seat in the room of this process."""


class Host(Protocol):
    """Where stays are: this process, or workers."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def ready(self) -> str | None: ...

    def open(self, link: Link) -> Staying:
        """A stay that tells ``link.told``. Raises Busy: there is no place for it."""
        ...

    def ticked(self, due: float) -> None:
        """Every frame of this tick was handed over; the next is ``due``, in monotonic seconds."""
        ...

    def figures(self) -> Figures:
        """Of every stay that was and is."""
        ...

    def workers(self) -> list[tuple[str, bool, int, int]]:
        """Name, whether it lives, its rooms, how often it was restarted."""
        ...


class LiveKitRooms:
    """``await start()`` before the first meeting, ``await stop()`` after the last."""

    def __init__(
        self,
        server: Server,
        passes: Tokens,
        host: Host,
        rooms: LocalRooms,
        engine: MediaEngine,
        clock: Clock,
    ) -> None:
        """``rooms``: of this process, with seats of ``engine``."""
        self.server = server
        self.clock = clock
        self.entered = 0
        """Links that were begun."""
        self._passes = passes
        self._host = host
        self._rooms = rooms
        self._engine = engine
        self._links: dict[str, Link] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asking: asyncio.Task[None] | None = None
        self._faulty: set[str] = set()
        self._began = 0.0

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._host.start()
        self._engine.attend(self)

    async def stop(self) -> None:
        """Close every link, and what is under way."""
        for link in list(self._links.values()):
            link.close()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=5.0)
        for task in [*self._tasks, *([self._asking] if self._asking is not None else [])]:
            task.cancel()
        await self._host.stop()
        await self.server.close()

    # -- calls.ports.AgentRooms -----------------------------------------------------------------

    def ready(self) -> str | None:
        if self.server.problem and self._asking is None and self._loop is not None:
            # Nobody calls an agent while none can be called: somebody else must find out.
            self._asking = self._loop.create_task(self._ask())
        return self._host.ready() or self.server.problem or None

    def meet(self, meeting: Meeting, media: Media, emit: Emit) -> Link:
        link = Link(self, meeting, media, emit)
        held = self._links.get(meeting.identity)
        if held is not None:
            held.close()
        self._links[meeting.identity] = link
        self.entered += 1
        link.begin()
        return link

    async def _ask(self) -> None:
        """Until the server answers again."""
        while self.server.problem:
            with contextlib.suppress(TelephonyError):
                await self.server.exists("is-there-anybody")
            if self.server.problem:
                await asyncio.sleep(ASK_SECONDS)
        self._asking = None

    async def dispatch(self, room: str, dispatch: Dispatch) -> None:
        await self.server.dispatch(room, dispatch)

    async def send(self, room: str, data: bytes, topic: str = "") -> None:
        await self.server.send(room, data, topic)

    async def delete(self, room: str) -> None:
        await self.server.delete(room)

    # -- metrics --------------------------------------------------------------------------------

    @property
    def open_links(self) -> int:
        return len(self._links)

    def figures(self) -> Figures:
        """Of every link that was and is."""
        return self._host.figures()

    def workers(self) -> list[tuple[str, bool, int, int]]:
        """Its processes: name, whether it lives, its rooms, restarts. None: rooms are here."""
        return self._host.workers()

    # -- media.contract.Attendant ---------------------------------------------------------------

    def before(self) -> None:
        self._began = self.clock.monotonic()
        for link in list(self._links.values()):
            try:
                link.before()
            except Exception:
                self._fault(link)

    def after(self) -> None:
        for link in list(self._links.values()):
            try:
                link.after()
            except Exception:
                self._fault(link)
        self._host.ticked(self._began + TICK_MS / 1000)

    def _fault(self, link: Link) -> None:
        """One call's fault is not the others'; it is said once, not fifty times a second."""
        if link.leg not in self._faulty:
            self._faulty.add(link.leg)
            log.exception("rooms.tick_failed", call=link.meeting.call)

    # -- link.House -----------------------------------------------------------------------------

    def later(self, seconds: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        assert self._loop is not None
        return self._loop.call_later(seconds, act)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        assert self._loop is not None
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def sit(self, link: Link) -> Seat:
        meeting = link.meeting
        self._rooms.join(meeting.room, meeting.identity, link.media)
        try:
            return self._rooms.sit(meeting.room, AGENTS, meeting.rate)
        except Busy:
            self._rooms.leave(meeting.room, meeting.identity)
            raise

    def open(self, link: Link) -> Staying:
        return self._host.open(link)

    def token(self, meeting: Meeting) -> str:
        return self._passes.token(meeting)

    def gone(self, link: Link) -> None:
        self._faulty.discard(link.leg)
        if self._links.get(link.leg) is link:
            del self._links[link.leg]
        for identity in (AGENTS, link.leg):
            self._rooms.leave(link.meeting.room, identity)
