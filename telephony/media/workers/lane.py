"""A lane whose sound is made in a worker: orders go over the pipe, results come back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telephony.base.errors import MediaFailed
from telephony.calls.events import MediaQuality
from telephony.calls.ports import AnswerHeard, GreetingHeard, Media, Played, Recorded, Sound
from telephony.calls.role import Role
from telephony.media.terms import Address, Terms
from telephony.media.workers.reach import check_reach

if TYPE_CHECKING:
    from telephony.media.workers.meetings import Meetings
    from telephony.media.workers.worker import Worker


class RemoteLane:
    """Implements ``media.contract.MediaLane``. ``number`` names it to its worker."""

    def __init__(
        self, worker: Worker, number: int, local: Address, meetings: Meetings | None
    ) -> None:
        """``meetings``: who hears whom across workers; None for a lane that is part of it."""
        self.worker = worker
        self.number = number
        self.on_digit: Callable[[str, int], None] = lambda digit, duration_ms: None
        self.on_timeout: Callable[[], None] = lambda: None
        self.on_lost: Callable[[], None] = lambda: None
        self.on_tone: Callable[[str], None] = lambda kind: None
        self.told = MediaQuality()
        """What the worker said last."""
        self.watches: list[int] = []
        """Tickets that may never be called."""
        self._local = local
        self._meetings = meetings
        self._closed = False
        self._wide = False

    @property
    def local_address(self) -> Address:
        return self._local

    @property
    def is_trunk(self) -> bool:
        """Whether it is of no call but joins two workers."""
        return self._meetings is None

    @property
    def wide(self) -> bool:
        """Whether its sound is at 16 kHz, as negotiated last."""
        return self._wide

    @property
    def closed(self) -> bool:
        return self._closed

    def start(self, **terms: Any) -> None:
        """See ``media.lane.Lane.start``.

        Raises:
            MediaFailed: a codec that we do not speak, an address that no socket takes.
        """
        if self._closed:
            raise MediaFailed("the lane is closed")
        given = Terms(**terms)
        check_reach(self._local[0], given)
        self._wide = given.wide
        self._order("start", terms=given)

    def end(self, done: Callable[[MediaQuality], None]) -> None:
        """See ``media.contract.MediaLane``; a second call hears what was told last."""
        if self._closed:
            done(self.told)
            return
        if self._meetings is not None:
            self._meetings.part(self)
        self._order("end", done=done)
        self._closed = True

    # -- calls.ports.Media ----------------------------------------------------------------------

    def play(self, sound: Sound, done: Callable[[Played], None], *, loop: bool = False) -> None:
        self._order("play", sound=sound, done=done, loop=loop)

    def stop(self) -> None:
        self._order("stop")

    def send_digits(self, digits: str) -> None:
        self._order("send_digits", digits=digits)

    def record_call(self, path: Path, done: Callable[[Recorded], None]) -> None:
        self._order("record_call", path=path, done=done)

    def record_message(
        self,
        path: Path,
        done: Callable[[Recorded], None],
        *,
        max_seconds: float,
        silence_seconds: float | None,
    ) -> None:
        self._order(
            "record_message",
            path=path,
            done=done,
            max_seconds=max_seconds,
            silence_seconds=silence_seconds,
        )

    def stop_message(self) -> None:
        self._order("stop_message")

    def finish(self) -> None:
        self._order("finish")

    def watch_answer(self, done: Callable[[AnswerHeard], None], *, seconds: float) -> None:
        self._order("watch_answer", done=done, seconds=seconds)

    def await_greeting(
        self, done: Callable[[GreetingHeard], None], *, seconds: float, beep_only: bool = False
    ) -> None:
        self._order("await_greeting", done=done, seconds=seconds, beep_only=beep_only)

    def bridge(self, other: Media) -> None:
        """Two lanes hear each other, whatever their workers; whoever was heard before is not.

        Raises:
            MediaFailed: no lane of these workers.
            Busy: no ports for the way between two workers.
        """
        if not isinstance(other, RemoteLane) or other._meetings is not self._meetings:
            raise MediaFailed("only lanes of one engine are bridged")
        if self._meetings is not None and not self._closed and not other._closed:
            self._meetings.bridge(self, other)

    def quality(self) -> MediaQuality:
        """As of the worker's last word, which comes every second."""
        return self.told

    # -- rooms ----------------------------------------------------------------------------------

    def enter(self, group: str, role: Role = Role.SPEAKER) -> None:
        if self._meetings is not None and not self._closed:
            self._meetings.enter(self, group, role)

    def leave_group(self, group: str) -> None:
        if self._meetings is not None and not self._closed:
            self._meetings.leave(self, group)

    # -- inside ---------------------------------------------------------------------------------

    def _order(self, name: str, **given: Any) -> None:
        if self._closed:
            self.worker.refuse(self, name, given)
        else:
            self.worker.order(self, name, given)
