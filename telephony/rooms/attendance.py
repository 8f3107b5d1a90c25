"""Who is in a room that nobody of ours is in: asked of the server, told as events.

A browser and its agent meet without us, so their room is looked at: every second, more seldom
where there are many, and at once when the server's webhook says that something happened. The
webhook only hastens a look: what it says is not believed, so late, doubled and missing ones change
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from telephony.base.clock import Clock
from telephony.base.errors import TelephonyError
from telephony.calls import events as e
from telephony.calls.ports import Emit

log = structlog.get_logger("telephony.rooms")


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody in a room: ``kind`` is ``agent``, ``browser`` or ``sip``."""

    identity: str
    kind: str


class Listing(Protocol):
    """What the server says. Raises ``base.errors.Unavailable`` or ``Refused``."""

    @property
    def problem(self) -> str:
        """What the last request failed of, where it was not answered."""
        ...

    async def inside(self, room: str) -> list[Present]:
        """Everybody in a room; nobody where there is no such room."""
        ...

    async def exists(self, room: str) -> bool: ...

    async def make(self, room: str, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AttendanceConfig:
    """Seconds between two looks at a room: ``usual``, and ``told`` while webhooks come in.

    ``again``: after a webhook, and while a room is missing, which is gone after ``gone``.
    ``looks_per_second``: a ceiling over all rooms; ``at_once``: looks under way together.
    ``fresh``: how long one webhook is a sign that others would come. ``probe``: between two
    questions to a server that did not answer.
    """

    usual: float = 1.0
    told: float = 10.0
    again: float = 0.5
    gone: float = 3.0
    looks_per_second: float = 50.0
    at_once: int = 8
    fresh: float = 120.0
    probe: float = 2.0


class Roll:
    """What is known of one room, and the events by which that changes."""

    def __init__(self, room: str, gone: float = 3.0) -> None:
        """``gone``: seconds after which a room that is missing is no more."""
        self._room = room
        self._gone = timedelta(seconds=gone)
        self._seen: dict[str, str] = {}
        self._open = True
        self._missed: datetime | None = None
        self._unreachable = False

    def failed(self) -> None:
        """The server did not answer: what is gone afterwards may be gone with it."""
        self._unreachable = True

    @property
    def doubtful(self) -> bool:
        """The room is missing, and may be back in a moment."""
        return self._missed is not None

    def take(self, inside: Sequence[Present] | None, at: datetime) -> list[e.Event]:
        """What a look has shown; None: there is no such room."""
        if inside is None:
            return self._missing(at)
        events: list[e.Event] = []
        if not self._open:
            self._open = True
            events.append(e.RoomOpened(at=at, room=self._room))
        self._missed, self._unreachable = None, False
        # Agents first: who comes into a room finds the agent there.
        now = {one.identity: one.kind for one in sorted(inside, key=lambda one: one.kind)}
        events += [self._left(at, who, "left") for who in self._seen if who not in now]
        events += [
            self._joined(at, who, kind) for who, kind in now.items() if who not in self._seen
        ]
        self._seen = now
        return events

    def _missing(self, at: datetime) -> list[e.Event]:
        if not self._open:
            return []
        # A server that was started anew has no rooms, and has them again when its clients are
        # back a moment later: a look or two do not end a call.
        self._missed = self._missed or at
        if at - self._missed < self._gone:
            return []
        events: list[e.Event] = []
        reason = "deleted"
        if self._unreachable:
            reason = "lost"
            events += [self._left(at, who, reason) for who in self._seen]
        self._seen, self._open = {}, False
        self._missed, self._unreachable = None, False
        return [*events, e.RoomClosed(at=at, room=self._room, reason=reason)]

    def _joined(self, at: datetime, who: str, kind: str) -> e.Event:
        if kind == "agent":
            return e.AgentJoined(at=at, room=self._room, identity=who)
        return e.PeerJoined(at=at, room=self._room, identity=who, kind=kind)

    def _left(self, at: datetime, who: str, reason: str) -> e.Event:
        kind = self._seen[who]
        if kind == "agent":
            return e.AgentLeft(at=at, room=self._room, identity=who, reason=reason)
        return e.PeerLeft(at=at, room=self._room, identity=who, kind=kind, reason=reason)


@dataclass(slots=True, eq=False)
class _Watch:
    room: str
    emit: Emit
    roll: Roll
    due: float
    stopped: bool = field(default=False)


class Attendance:
    """Implements ``calls.ports.Attendance``."""

    def __init__(
        self, listing: Listing, clock: Clock, config: AttendanceConfig = AttendanceConfig()
    ) -> None:
        self._listing = listing
        self._clock = clock
        self._config = config
        self._watches: dict[str, _Watch] = {}
        self._wake = asyncio.Event()
        self._heard_at: float | None = None
        self._slots = asyncio.Semaphore(config.at_once)
        self._task: asyncio.Task[None] | None = None
        self._away = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="attendance")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # --- doors -----------------------------------------------------------------------------

    def watch(self, room: str, emit: Emit) -> Callable[[], None]:
        """Look from now on; what it returns ends it. The room is taken to be there."""
        roll = Roll(room, self._config.gone)
        watch = _Watch(room, emit, roll, self._clock.monotonic())
        self._watches[room] = watch
        self._wake.set()

        def stop() -> None:
            watch.stopped = True
            if self._watches.get(room) is watch:
                del self._watches[room]

        return stop

    async def make(self, room: str, seconds: float) -> None:
        """Make a room that waits so long for a browser. Raises Unavailable, Refused."""
        await self._listing.make(room, seconds)

    async def exists(self, room: str) -> bool:
        """Whether there is such a room now. Raises Unavailable, Refused."""
        return await self._listing.exists(room)

    def heard(self, room: str) -> None:
        """The server's webhook says that something happened in a room."""
        now = self._clock.monotonic()
        self._heard_at = now
        watch = self._watches.get(room)
        if watch is not None:
            watch.due = now
            self._wake.set()

    # --- looking ---------------------------------------------------------------------------

    @property
    def _between(self) -> float:
        config = self._config
        heard, now = self._heard_at, self._clock.monotonic()
        usual = config.usual
        if heard is not None and now - heard < config.fresh:
            usual = config.told
        return max(usual, len(self._watches) / config.looks_per_second)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            now = self._clock.monotonic()
            due = [watch for watch in self._watches.values() if watch.due <= now]
            if due:
                await asyncio.gather(*(self._look(watch) for watch in due))
                continue
            soonest = min((watch.due - now for watch in self._watches.values()), default=1e9)
            try:
                async with asyncio.timeout(min(soonest, self._config.probe)):
                    await self._wake.wait()
            except TimeoutError:
                if self._listing.problem:
                    await self._probe()

    async def _probe(self) -> None:
        """Whether a server that failed somebody answers again: who waits for that asks nothing."""
        try:
            await self._listing.exists("")
        except TelephonyError as error:
            self._unreachable(error)
        except Exception:
            log.exception("the conference server could not be asked")

    async def _look(self, watch: _Watch) -> None:
        config, asked = self._config, self._clock.monotonic()
        async with self._slots:
            try:
                # Whoever is in it is proof of a room; an empty answer is also that of none.
                inside: list[Present] | None = await self._listing.inside(watch.room)
                if not inside and not await self._listing.exists(watch.room):
                    inside = None
            except TelephonyError as error:
                self._unreachable(error)
                watch.roll.failed()
                watch.due = self._clock.monotonic() + config.usual
                return
            except Exception:
                log.exception("a room could not be looked at", room=watch.room)
                watch.due = self._clock.monotonic() + config.told
                return
        self._away = False
        events = [] if watch.stopped else watch.roll.take(inside, self._clock.now())
        # A webhook that came while we looked may tell of what we did not see yet.
        hurry = watch.roll.doubtful or watch.due > asked or bool(events)
        watch.due = self._clock.monotonic() + (config.again if hurry else self._between)
        for event in events:
            if not watch.stopped:
                watch.emit(event)

    def _unreachable(self, error: TelephonyError) -> None:
        if not self._away:
            self._away = True
            log.warning("the conference server does not answer", error=error.message)
