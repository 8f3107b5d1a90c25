"""What is heard over the trunk, with the media engine under it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from telephony.calls.events import DigitPressed
from telephony.calls.outcome import Outcome
from telephony.calls.ports import Played, Sound
from telephony.media.config import MediaConfig
from telephony.media.contract import MediaEngine
from telephony.media.engine import Engine
from telephony.testing.audio import heard, tone
from telephony.testing.softphone import PhoneCall, Softphone
from tests.wire.conftest import EngineMaker, RealClock

House = Callable[..., Awaitable[Any]]


@pytest.fixture
async def engine(new_engine: EngineMaker) -> AsyncIterator[MediaEngine]:
    made = new_engine(MediaConfig(ports=(36000, 36998), drain_seconds=0.1, silence_seconds=1.0))
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def in_process() -> AsyncIterator[MediaEngine]:
    """Where both legs surely are in one bank: workers meet at 8 kHz, and two calls are not one."""
    made = Engine(MediaConfig(ports=(36000, 36998)), RealClock(), rng=random.Random(5))
    await made.start()
    yield made
    await made.stop()


def sound(hertz: float, ms: int) -> Sound:
    return Sound(np.asarray(tone(hertz, ms), np.int16).tobytes())


async def up(home: Any, phone: Softphone) -> tuple[PhoneCall, Any]:
    home.when_taken = lambda caught: caught.leg.answer()
    call = await phone.call(home.uri("front-desk"))
    await call.answered()
    return call, home.caught[-1]


@pytest.mark.parametrize("codec", ["PCMU", "PCMA", "G722"])
async def test_a_prompt_is_heard_and_stops_at_once(
    house: House, engine: MediaEngine, codec: str
) -> None:
    home = await house(engine)
    async with Softphone(codecs=(codec,)) as phone:
        call, caught = await up(home, phone)
        ended: list[Played] = []
        caught.leg.media.play(sound(440, 1500), ended.append)
        await asyncio.sleep(0.8)
        stopped = time.monotonic()
        caught.leg.media.stop()
        await asyncio.sleep(0.3)
        assert call.agreed is not None
        assert call.agreed.codec == codec
        assert heard(call.sound.heard(until=stopped), 440, call.sound.rate)
        assert call.sound.last_loud() - stopped < 0.1
        (played,) = ended
        assert not played.completed
        assert 500 < played.heard_ms < 1000
        call.hangup()
        await caught.until("LegEnded")
    assert caught.end.quality.packets_received > 20
    assert caught.end.quality.packets_sent > 20
    assert engine.lanes == 0


async def test_keys_both_ways(house: House, engine: MediaEngine) -> None:
    home = await house(engine)
    async with Softphone() as phone:
        call, caught = await up(home, phone)
        await asyncio.sleep(0.1)
        await call.sound.press("12#")
        await asyncio.sleep(0.1)
        keys = [e for e in caught.events if isinstance(e, DigitPressed)]
        assert [(k.digit, k.method) for k in keys] == [
            ("1", "rfc4733"),
            ("2", "rfc4733"),
            ("#", "rfc4733"),
        ]
        caught.leg.media.send_digits("57")
        await asyncio.sleep(0.8)
        assert [k.digit for k in call.sound.keys] == ["5", "7"]
        call.hangup()
        await caught.until("LegEnded")


async def test_two_phones_hear_each_other(house: House, engine: MediaEngine) -> None:
    home = await house(engine)
    home.book.add_phone()
    async with Softphone("bob") as bob, Softphone("1000", "secret") as desk:
        await desk.register(home.address)
        call, caught = await up(home, bob)
        dialled = home.dial("1000", phone=True)
        other = await desk.incoming()
        await other.answer()
        await dialled.until("LegAnswered")
        caught.leg.media.bridge(dialled.leg.media)
        call.sound.play(np.asarray(tone(440, 1000), np.int16))
        other.sound.play(np.asarray(tone(700, 1000), np.int16))
        await asyncio.sleep(1.0)
        assert heard(call.sound.heard(), 700)
        assert not heard(call.sound.heard(), 440)
        assert heard(other.sound.heard(), 440)
        call.hangup()
        await caught.until("LegEnded")
        dialled.leg.end(Outcome.completed(caught.end.outcome.ended_by))
        await other.ended()


async def test_what_lies_above_four_kilohertz_passes_between_g722_phones(
    house: House, in_process: MediaEngine
) -> None:
    home = await house(in_process)
    home.book.add_phone()
    async with (
        Softphone("bob", codecs=("G722", "PCMU")) as bob,
        Softphone("1000", "secret", codecs=("G722",)) as desk,
    ):
        await desk.register(home.address)
        call, caught = await up(home, bob)
        dialled = home.dial("1000", phone=True)
        other = await desk.incoming()
        await other.answer()
        await dialled.until("LegAnswered")
        caught.leg.media.bridge(dialled.leg.media)
        call.sound.play(tone(5000, 1000, rate=16000))
        other.sound.play(tone(6200, 1000, rate=16000))
        await asyncio.sleep(1.0)
        assert call.sound.rate == other.sound.rate == 16000
        assert heard(call.sound.heard(), 6200, 16000).present_ms > 200
        assert not heard(call.sound.heard(), 5000, 16000)
        assert heard(other.sound.heard(), 5000, 16000).present_ms > 200
        await call.sound.press("7")
        await asyncio.sleep(0.1)
        keys = [e for e in caught.events if isinstance(e, DigitPressed)]
        assert [k.digit for k in keys] == ["7"]
        call.hangup()
        await caught.until("LegEnded")
        assert caught.end.quality.codec == "G722"
        dialled.leg.end(Outcome.completed(caught.end.outcome.ended_by))
        await other.ended()


async def test_a_g722_phone_and_a_g711_phone_hear_each_other(
    house: House, engine: MediaEngine
) -> None:
    home = await house(engine)
    home.book.add_phone()
    async with (
        Softphone("bob", codecs=("G722", "PCMU")) as bob,
        Softphone("1000", "secret", codecs=("PCMU",)) as desk,
    ):
        await desk.register(home.address)
        call, caught = await up(home, bob)
        dialled = home.dial("1000", phone=True)
        other = await desk.incoming()
        await other.answer()
        await dialled.until("LegAnswered")
        caught.leg.media.bridge(dialled.leg.media)
        call.sound.play(tone(440, 1000, rate=16000))
        other.sound.play(tone(700, 1000))
        await asyncio.sleep(1.0)
        assert (call.sound.rate, other.sound.rate) == (16000, 8000)
        assert heard(call.sound.heard(), 700, 16000).present_ms > 200
        assert heard(other.sound.heard(), 440).present_ms > 200
        assert not heard(other.sound.heard(), 700)
        call.hangup()
        await caught.until("LegEnded")
        dialled.leg.end(Outcome.completed(caught.end.outcome.ended_by))
        await other.ended()


async def test_nobody_sends_and_the_leg_ends(house: House, engine: MediaEngine) -> None:
    home = await house(engine)
    async with Softphone() as phone:
        call, caught = await up(home, phone)
        await asyncio.sleep(0.2)
        await call.sound.close()
        await caught.until("LegEnded", 4)
        assert (await call.ended()).cause == 102
    assert caught.end.outcome == Outcome.media_timeout()


async def test_no_port_is_left(house: House, new_engine: EngineMaker) -> None:
    engine = new_engine(MediaConfig(ports=(36000, 36003), drain_seconds=0.1, max_lanes=1))
    await engine.start()
    home = await house(engine)
    async with Softphone() as phone:
        call, caught = await up(home, phone)
        second = await phone.call(home.uri("front-desk"))
        ending = await second.ended()
        assert (ending.status, ending.retry_after) == (503, 5)
        assert home.dial("+12025550123").end is not None
        call.hangup()
        await caught.until("LegEnded")
    await engine.stop()


async def test_early_media_is_heard_before_the_answer(house: House, engine: MediaEngine) -> None:
    home = await house(engine)
    async with Softphone("gw") as far:
        home.book.add_trunk(gateways=(f"127.0.0.1:{far.port}",))
        dialled = home.dial("+12025550123")
        call = await far.incoming()
        await call.early_media()
        await dialled.until("LegEarlyMedia")
        call.sound.play(np.asarray(tone(440, 400), np.int16))
        # What is counted so far is up to a second old where the engine is elsewhere.
        async with asyncio.timeout(5):
            while dialled.leg.media.quality().packets_received <= 5:
                await asyncio.sleep(0.05)
        await call.answer()
        await dialled.until("LegAnswered")
        call.hangup()
        await dialled.until("LegEnded")
