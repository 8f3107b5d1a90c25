"""The sound of a leg at LiveKit: what its lane plays is heard in the room, and the other way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from telephony.audio import wav
from telephony.calls.events import MediaQuality
from telephony.calls.outcome import EndedBy, Outcome
from telephony.calls.ports import Media, Played, Recorded, Sound
from telephony.media.config import MediaConfig
from telephony.media.contract import MediaEngine
from telephony.testing.audio import heard, tone
from tests.wire.conftest import EngineMaker
from tests.wire.livekit.conftest import LiveKitHouse, until

House = Callable[..., Awaitable[LiveKitHouse]]


@pytest.fixture
async def engine(new_engine: EngineMaker) -> AsyncIterator[MediaEngine]:
    # Two lanes a leg, and none to spare.
    made = new_engine(MediaConfig(ports=(36300, 36398), drain_seconds=0.1, max_lanes=2))
    await made.start()
    yield made
    await made.stop()


def sound(hertz: float, ms: int) -> Sound:
    return Sound(np.asarray(tone(hertz, ms), np.int16).tobytes())


async def carries(speaker: Media, listener: Media, hertz: float, path: Path) -> int:
    """Milliseconds of a tone that one side played and the other heard."""
    done: list[Recorded] = []
    played: list[Played] = []
    listener.record_message(path, done.append, max_seconds=10, silence_seconds=0.4)
    speaker.play(sound(hertz, 600), played.append)
    await until(lambda: done and played)
    assert played[0].completed
    return heard(wav.parse(path.read_bytes()).samples[0], hertz).present_ms


async def test_what_the_lane_plays_is_heard_in_the_room_and_back(
    house: House, engine: MediaEngine, tmp_path: Path
) -> None:
    home = await house(engine)
    home.add_trunk()
    call = home.dial()
    await call.until("LegAnswered")
    room = home.rooms.links[0].media
    assert await carries(call.leg.media, room, 440.0, tmp_path / "out.wav") >= 560
    assert await carries(room, call.leg.media, 880.0, tmp_path / "in.wav") >= 560
    call.leg.end(Outcome.completed(EndedBy.API))
    await call.until("LegEnded")
    quality = call.end.quality
    assert quality is not None
    assert quality.first_sent_at is not None
    # The way inside the service says nothing of the caller's line.
    assert quality == MediaQuality(codec="opus", first_sent_at=quality.first_sent_at)
    await until(lambda: engine.lanes == 0)


async def test_keys_that_we_press_go_into_the_room_as_keys(
    house: House, engine: MediaEngine
) -> None:
    home = await house(engine)
    home.add_trunk()
    call = home.dial()
    await call.until("LegAnswered")
    (link,) = home.rooms.links
    call.leg.media.send_digits("1#")
    await until(lambda: len(link.keys) == 2)
    assert link.keys == ["1", "#"]
    assert call.kinds() == ["LegAnswered"]


async def test_without_lanes_no_call_begins(house: House, engine: MediaEngine) -> None:
    home = await house(engine)
    home.add_trunk()
    lane = engine.open("127.0.0.1")
    call = home.dial()
    await call.until("LegEnded")
    assert call.end.outcome.cause == "capacity"
    assert home.server.asked("CreateSIPParticipant") == []
    lane.end(lambda quality: None)
    await until(lambda: engine.lanes == 0)
