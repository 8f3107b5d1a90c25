"""The clock on frames between calls and rooms fits what it is put on."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from bench import taps
from telephony.rooms import presence, stay
from telephony.rooms.feed import LEAD, Feed
from telephony.rooms.livekit import LiveKitRooms
from telephony.rooms.voices import MOST, Voice

LOUD = np.full(480, 9000, np.int16)
QUIET = np.zeros(480, np.int16)


@pytest.fixture(autouse=True)
def forgotten() -> None:
    taps.OUT.clear()
    taps.IN.clear()


def test_what_it_stands_for_is_there() -> None:
    assert stay.Feed is Feed
    assert presence.Voice is Voice
    assert list(inspect.signature(LiveKitRooms.before).parameters) == ["self"]


def test_each_frame_of_a_caller_is_timed_once() -> None:
    feed = taps.TimedFeed()
    for frame in [QUIET] * (LEAD + 3) + [LOUD] * 12:
        feed.push(frame)
    assert feed.due(1.0) == []
    feed.open()
    given, now = 0, 1.0
    while frames := feed.due(now):
        given += len(frames)
        now += 0.02
    assert given >= 12
    # Quiet that is left out takes its time along.
    assert 12 <= len(taps.OUT) <= given
    assert not feed._since


def test_frames_that_leave_in_time_are_timed_from_their_tick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(taps.time, "monotonic", lambda: 7.25)
    taps.Tick.began = 7.0
    feed = taps.TimedFeed()
    feed.open()
    feed.push(LOUD)
    assert len(feed.due(7.0)) == 1
    assert taps.OUT == [(7.25, 250.0)]


def test_each_frame_of_a_room_is_timed_once_and_what_is_dropped_never() -> None:
    voice = taps.TimedVoice("agent", True, lambda: 1.0)
    for _ in range(MOST + 4):
        voice.put(LOUD)
    taken = 0
    while voice.take() is not None:
        taken += 1
    assert len(taps.IN) == taken <= MOST
    voice.put(LOUD)
    voice.clear()
    assert voice.take() is None
    assert len(taps.IN) == taken
