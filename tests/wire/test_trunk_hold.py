"""A phone puts its party on hold: the party hears music until it is back, wherever its lane is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np

from telephony.audio import wav
from telephony.media.config import MediaConfig
from telephony.testing.audio import heard, tone
from telephony.testing.softphone import Softphone
from tests.wire.conftest import EngineMaker

House = Callable[..., Awaitable[Any]]


async def test_the_party_of_a_holder_hears_music(
    house: House, new_engine: EngineMaker, tmp_path: Path
) -> None:
    music = tmp_path / "music.wav"
    music.write_bytes(wav.encode(np.asarray(tone(1300, 1000, -15.0), np.int16), 8000))
    engine = new_engine(MediaConfig(ports=(36000, 36998), drain_seconds=0.1, hold_music=music))
    await engine.start()
    home = await house(engine)
    home.book.add_phone()
    home.when_taken = lambda caught: caught.leg.answer()
    async with Softphone("bob") as bob, Softphone("1000", "secret") as desk:
        await desk.register(home.address)
        call = await bob.call(home.uri("front-desk"))
        await call.answered()
        caught = home.caught[-1]
        dialled = home.dial("1000", phone=True)
        other = await desk.incoming()
        await other.answer()
        await dialled.until("LegAnswered")
        caught.leg.media.bridge(dialled.leg.media)
        await other.hold()
        await asyncio.sleep(0.5)
        at = time.monotonic()
        await asyncio.sleep(0.6)
        assert heard(call.sound.heard(since=at), 1300)
        # What the holder is told he does not hear is not sent to him.
        assert not heard(other.sound.heard(since=at), 1300)
        await other.hold(on=False)
        await dialled.until("LegUnheld")
        await asyncio.sleep(0.3)
        at = time.monotonic()
        other.sound.play(np.asarray(tone(700, 1000), np.int16))
        await asyncio.sleep(0.8)
        back = call.sound.heard(since=at)
        assert heard(back, 700)
        assert not heard(back, 1300)
        call.hangup()
        await caught.until("LegEnded")
        dialled.leg.end(caught.end.outcome)
        await other.ended()
    await engine.stop()
