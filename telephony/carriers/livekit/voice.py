"""The sound of a leg whose caller is in a LiveKit room.

The leg's lane and a second one, its double, are joined over loopback. The double meets the room
through the port of rooms: what the caller says there comes out of the lane, what the lane plays
goes there. So everything that a lane does (prompts, keys, recordings, other legs, rooms with
agents, media workers) is done as it is for a leg on our own SIP.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from telephony.base.errors import Busy, MediaFailed
from telephony.calls.events import Event, MediaQuality
from telephony.calls.meeting import Meeting
from telephony.calls.ports import AgentRooms, Media, RoomLink
from telephony.carriers.silence import NO_SOUND
from telephony.media.contract import MediaEngine, MediaLane

HOST = "127.0.0.1"
CODEC = "opus"
"""Of the room; what the caller's line has is LiveKit's."""
KEYS = 101
"""Payload type of telephone-event between the two."""


class RoomVoice:
    """Built with the leg; two lanes and a place in the room are taken by ``open``."""

    def __init__(
        self,
        engine: MediaEngine,
        rooms: AgentRooms,
        *,
        call: str,
        tone: Callable[[str], None],
        lost: Callable[[], None],
    ) -> None:
        """``tone``: of the network or a machine, heard from the caller. ``lost``: the engine died
        under the voice."""
        self._engine = engine
        self._rooms = rooms
        self._call = call
        self._tone = tone
        self._lost = lost
        self._lane: MediaLane | None = None
        self._double: MediaLane | None = None
        self._link: RoomLink | None = None

    @property
    def media(self) -> Media:
        """The lane, or silence where there is none."""
        return NO_SOUND if self._lane is None else self._lane

    def open(self, meeting: Meeting, emit: Callable[[Event], None]) -> None:
        """Take lanes and enter the room; ``RoomJoined`` or ``RoomLeft`` follows.

        Raises:
            MediaFailed: no lanes are left.
        """
        lane = self._open()
        try:
            double = self._open()
        except MediaFailed:
            lane.end(_uncounted)
            raise
        self._lane, self._double = lane, double
        lane.on_lost = double.on_lost = self._on_lost
        lane.on_tone = self._tone
        for near, far in ((lane, double), (double, lane)):
            near.start(remote=far.local_address, codec="PCMU", dtmf_payload_type=KEYS)
        # Keys that the service presses: out of the lane as events, into the room as data.
        double.on_digit = self._pressed
        self._link = self._rooms.meet(meeting, double, emit)

    def close(self, done: Callable[[MediaQuality | None], None]) -> None:
        """Leave the room, give the lanes back; ``done`` once with what is known of the line.

        That is when we first sent sound. What the lane counted else is the way to its double, which
        has no losses; of the caller's line only LiveKit knows.
        """
        link, self._link = self._link, None
        lane, double = self._lane, self._double
        self._lost, self._tone = _nothing, _no_tone
        if link is not None:
            link.close()
        if double is not None:
            double.on_digit, double.on_lost = _unheeded, _nothing
            double.end(_uncounted)
        if lane is None:
            done(None)
            return
        lane.on_lost, lane.on_tone = _nothing, _no_tone
        lane.end(partial(_counted, done))

    def _open(self) -> MediaLane:
        try:
            return self._engine.open(HOST, call=self._call)
        except Busy as busy:
            raise MediaFailed(busy.message) from busy

    def _pressed(self, digit: str, duration_ms: int) -> None:
        if self._link is not None:
            self._link.send_digits(digit)

    def _on_lost(self) -> None:
        self._lost()


def _counted(done: Callable[[MediaQuality | None], None], quality: MediaQuality) -> None:
    done(MediaQuality(codec=CODEC, first_sent_at=quality.first_sent_at))


def _uncounted(quality: MediaQuality) -> None:
    """The double is not a leg."""


def _unheeded(digit: str, duration_ms: int) -> None:
    """A key after the end."""


def _no_tone(kind: str) -> None:
    """A tone after the end."""


def _nothing() -> None:
    """A loss after the end."""
