"""What a leg makes of tones in its sound: facts, no endings; keys say how they were heard."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from telephony.calls.events import DigitPressed, ToneHeard
from telephony.testing.softphone import Softphone

House = Callable[..., Awaitable[Any]]

WITHOUT_EVENTS = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0\r\n"
)


async def _until(caught: Any, kind: str, count: int) -> None:
    async with asyncio.timeout(5):
        while caught.kinds().count(kind) < count:
            await asyncio.sleep(0.01)


async def test_tones_are_told_and_end_nothing(house: House) -> None:
    home = await house()
    home.when_taken = lambda caught: caught.leg.answer()
    async with Softphone() as phone:
        call = await phone.call(home.uri("front-desk"))
        await call.answered()
        for kind in ("ringback", "busy", "dial", "sit", "beep", "fax_call"):
            home.engine.lanes[0].on_tone(kind)
        caught = home.caught[0]
        await _until(caught, "ToneHeard", 3)
        told = [e.tone for e in caught.events if isinstance(e, ToneHeard)]
        assert told == ["busy", "sit", "fax_call"]
        assert "LegEnded" not in caught.kinds()
        call.hangup()
        await caught.until("LegEnded")
        home.engine.lanes[0].on_tone("busy")
        assert caught.kinds().count("ToneHeard") == 3


@pytest.mark.parametrize(("body", "method"), [(None, "rfc4733"), (WITHOUT_EVENTS, "inband")])
async def test_a_key_says_how_it_was_heard(house: House, body: bytes | None, method: str) -> None:
    home = await house()
    home.when_taken = lambda caught: caught.leg.answer()
    async with Softphone() as phone:
        more = {} if body is None else {"body": body}
        call = await phone.call(home.uri("front-desk"), **more)
        await call.answered()
        home.engine.lanes[0].on_digit("7", 0)
        caught = home.caught[0]
        await _until(caught, "DigitPressed", 1)
        assert [e.method for e in caught.events if isinstance(e, DigitPressed)] == [method]
        call.hangup()
        await caught.until("LegEnded")
