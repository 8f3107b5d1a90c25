"""One reader a session, however many listen: what is new is read once and given to all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from telephony.api.said import turns_of
from telephony.api.wire.base import stamp
from telephony.api.wire.calls import EventRow
from telephony.api.wire.sessions import SessionTurn
from telephony.base.errors import Busy, TelephonyError
from telephony.calls.call import Call
from telephony.calls.ports import CallReader, Changes
from telephony.calls.public import CallEvent
from telephony.calls.record import Turn

log = structlog.get_logger("telephony.api")

MAX_LISTENERS = 5000
MAX_WAITING = 2000
"""Frames that one listener may be behind; more, and it has to come again with its cursor."""
RETRY_SECONDS = 1.0


def frame(name: str, data: str) -> bytes:
    """One server-sent event; ``data`` is JSON, so it holds no line feed."""
    return f"event: {name}\ndata: {data}\n\n".encode()


END = frame("end", '{"reason":"session_ended"}')
ROTATE = frame("end", '{"reason":"timeout"}')


@dataclass(slots=True, eq=False)
class Listener:
    """Frames on their way to one client; None is the end of the stream."""

    frames: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)

    def give(self, frames: Iterable[bytes]) -> None:
        for one in frames:
            if self.frames.qsize() >= MAX_WAITING:
                self.frames.put_nowait(None)
                return
            self.frames.put_nowait(one)


class Feed:
    """What is known of one session, and who listens."""

    def __init__(self, calls: CallReader, organization: str, session: str) -> None:
        self.listeners: set[Listener] = set()
        self.ready = asyncio.Event()
        self.failed: BaseException | None = None
        self._calls = calls
        self._organization = organization
        self._session = session
        self._call: Call | None = None
        self._events: list[CallEvent] = []
        self._turns: dict[int, Turn] = {}

    def backlog(self, turn: int, since: datetime) -> list[bytes]:
        """What a client with this cursor lacks."""
        assert self._call is not None
        turns = [t for index, t in sorted(self._turns.items()) if index > turn]
        events = [event for event in self._events if event.created_at >= since]
        return [_status(self._call), *_frames(turns, events), *self._end()]

    async def refresh(self) -> None:
        """Read what is new and give it to all. Raises StoreUnavailable."""
        last = self._events[-1].seq if self._events else 0
        events = await self._calls.events_of(self._organization, self._session, last)
        # The row after its events: it then is as far as they are, and a stream whose last event
        # ends it has told the status that goes with it.
        call = await self._calls.get(self._organization, self._session)
        posted = await self._calls.turns_of(self._organization, self._session)
        if call is None:
            return
        # All was read: what is kept from here on is given to all, or nothing is.
        self._events += events
        before, self._call = self._call, call
        turns = turns_of(self._session, self._events, posted)
        new = [turn for turn in turns if turn.index not in self._turns]
        self._turns |= {turn.index: turn for turn in new}
        frames = _frames(new, events)
        if before is not None and before.status is not call.status:
            frames.insert(0, _status(call))
        for listener in self.listeners:
            listener.give([*frames, *self._end()])

    def _end(self) -> list[bytes]:
        # The last event of every call; what comes in later is for the next reader.
        over = bool(self._events) and self._events[-1].event_type == "call.hangup"
        return [END] if over else []


class Feeds:
    """All feeds of a process. ``close`` sends everybody away, to come again."""

    def __init__(self, calls: CallReader, changes: Changes) -> None:
        self._calls = calls
        self._changes = changes
        self._feeds: dict[tuple[str, str], tuple[Feed, asyncio.Task[None], Callable[[], None]]] = {}
        self._count = 0

    async def join(self, organization: str, session: str, turn: int, since: datetime) -> Listener:
        """A listener that begins with what it lacks.

        Raises:
            Busy: too many listen.
            StoreUnavailable: the store does not answer.
        """
        if self._count >= MAX_LISTENERS:
            raise Busy("too many streams are open", retry_after=5)
        self._count += 1
        listener = Listener()
        try:
            feed = self._feed(organization, session)
            await feed.ready.wait()
            if feed.failed is not None:
                raise feed.failed
            listener.give(feed.backlog(turn, since))
            feed.listeners.add(listener)
        except BaseException:
            self._count -= 1
            raise
        return listener

    def leave(self, organization: str, session: str, listener: Listener) -> None:
        """The last one to leave ends the reading."""
        self._count -= 1
        found = self._feeds.get((organization, session))
        if found is None:
            return
        feed, task, stop = found
        feed.listeners.discard(listener)
        if not feed.listeners:
            del self._feeds[organization, session]
            stop()
            task.cancel()

    def close(self) -> None:
        """The server stops: clients reconnect where another one serves."""
        for feed, _, _ in self._feeds.values():
            for listener in feed.listeners:
                listener.give([ROTATE])

    def _feed(self, organization: str, session: str) -> Feed:
        found = self._feeds.get((organization, session))
        if found is not None:
            return found[0]
        feed, news = Feed(self._calls, organization, session), asyncio.Event()
        stop = self._changes.watch(session, news.set)
        task = asyncio.create_task(self._run(feed, news), name=f"feed {session}")
        self._feeds[organization, session] = feed, task, stop
        return feed

    async def _run(self, feed: Feed, news: asyncio.Event) -> None:
        while True:
            news.clear()
            try:
                await feed.refresh()
            except TelephonyError as error:
                if not feed.ready.is_set():
                    # Nobody has an answer yet: each gets this one, and the next one asks anew.
                    feed.failed = error
                    self._feeds = {k: v for k, v in self._feeds.items() if v[0] is not feed}
                    feed.ready.set()
                    return
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except Exception:
                log.exception("a stream failed")
                await asyncio.sleep(RETRY_SECONDS)
                continue
            feed.ready.set()
            await news.wait()


def _frames(turns: Iterable[Turn], events: Iterable[CallEvent]) -> list[bytes]:
    said = [
        frame("transcript", SessionTurn.of(turn).model_dump_json(by_alias=True)) for turn in turns
    ]
    return said + [frame("event", EventRow.of(event).model_dump_json()) for event in events]


def _status(call: Call) -> bytes:
    data = {"status": call.status.value, "endedAt": stamp(call.ended_at)}
    return frame("status", json.dumps(data, separators=(",", ":")))
