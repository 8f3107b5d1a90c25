"""The demo's caller, in a process of its own: calls the front desk and checks what it hears.

Each step is one line of JSON on stdout: ``{"step", "ok", "detail"}``. The exit status is 0 when
every step happened, else 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

import numpy as np
import numpy.typing as npt

from telephony.audio import level
from telephony.base.errors import SpeechUnavailable
from telephony.testing.audio import segments, tone
from telephony.testing.softphone import PhoneCall, Softphone
from telephony.testing.words import recognise

GREETING = (
    "Hello, and thank you for calling. You have reached the front desk. This call is recorded. "
    "You may press a key at any time to make your choice."
)
HOURS = (
    "Our opening hours are Monday to Friday, nine to five. On Saturday and Sunday we are closed."
)
LEAVE = "Please leave your message after the tone, and press hash when you have finished."
THANKS = "Thank you. Your message has been saved. Goodbye."
PHRASES = [GREETING, HOURS, LEAVE, THANKS]

LOUD_DBM0 = -35.0
"""Speech of ours lies near −20 dBm0; below this a caller would complain."""
FRAME_LOUD_DBM0 = -42.0
CUT_MS = 40.0
"""A cut prompt's last loud packet arrives at most this long after the key's first one left."""
MESSAGE_HZ = 700.0
PAUSE_MS = 250
"""Between two sentences of our voice lie 300 ms, between clauses half of that."""


class Missed(Exception):
    """A step did not happen."""

    def __init__(self, step: str, detail: str) -> None:
        super().__init__(f"{step}: {detail}")
        self.step, self.detail = step, detail


def say(step: str, ok: bool, detail: str = "") -> None:
    sys.stdout.write(json.dumps({"step": step, "ok": ok, "detail": detail}) + "\n")
    sys.stdout.flush()


def need(step: str, true: bool, detail: str) -> None:
    """Report a step; the first that did not happen ends the call."""
    if not true:
        raise Missed(step, detail)
    say(step, True, detail)


async def loud_now(call: PhoneCall, step: str, seconds: float) -> float:
    """Wait until three packets in a row are loud; returns when the last of them came."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        last = call.sound.frames[-3:]
        if len(last) == 3 and all(level.dbm0(f.samples) > FRAME_LOUD_DBM0 for f in last):
            return last[-1].at
        await asyncio.sleep(0.01)
    raise Missed(step, f"nothing was heard for {seconds:g} s")


async def quiet(call: PhoneCall, step: str, seconds: float, still: float = 0.7) -> float:
    """Wait until it has been quiet for ``still`` seconds; returns when the last sound came.

    Within a sentence of ours a pause has at most 340 ms, between two prompts at least 500.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        last = call.sound.last_loud(400)
        if time.monotonic() - last > still:
            return last
        await asyncio.sleep(0.02)
    raise Missed(step, f"it did not become quiet within {seconds:g} s")


async def understood(
    call: PhoneCall, step: str, wanted: str, since: float, until: float, *, cut: bool = False
) -> None:
    """Check level and words of what was heard between two times; ``cut``: it was cut short."""
    samples = call.sound.heard(since, until)
    if cut:
        samples = whole_sentences(samples)
    loudness = level.active_dbm0(samples) if samples.size else level.FLOOR
    if loudness < LOUD_DBM0:
        raise Missed(step, f"heard only {loudness:.0f} dBm0")
    try:
        found = await asyncio.to_thread(recognise, samples, PHRASES)
    except SpeechUnavailable as error:
        raise Missed(step, f"its words cannot be checked: {error.message}") from error
    seconds = samples.size / 8000
    need(
        step,
        found == wanted,
        f"{seconds:.1f} s at {loudness:.0f} dBm0, “{(found or 'nothing')[:60]}”",
    )


def whole_sentences(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """What was said up to the last pause: a sentence that a key cut short is no word's whole."""
    pauses = [s for s in segments(samples, min_silence_ms=PAUSE_MS) if not s.sound and s.start_ms]
    return samples[: pauses[-1].end_ms * 8] if pauses else samples


async def press_inside(call: PhoneCall, key: str, step: str) -> float:
    """Press a key while a prompt is loud, and measure how long the prompt goes on."""
    await loud_now(call, step, 3.0)
    before = len(call.sound.key_sent_at)
    await call.sound.press(key)
    sent = call.sound.key_sent_at[before]
    await asyncio.sleep(max(0.0, sent + 0.19 - time.monotonic()))
    after = [
        f.at - sent
        for f in call.sound.frames
        if 0 < f.at - sent < 0.18 and float(level.dbm0(f.samples)) > FRAME_LOUD_DBM0
    ]
    took = max(after, default=0.0) * 1000
    need(step, took <= CUT_MS, f"the prompt stopped {took:.0f} ms after the key")
    return sent


async def visit(call: PhoneCall) -> None:
    """The whole conversation with the front desk."""
    began = await loud_now(call, "hear the greeting", 10.0)
    # Inside the greeting, and far enough for its words to be known.
    await asyncio.sleep(max(0.0, began + 5.0 - time.monotonic()))
    pressed = await press_inside(call, "1", "press 1 inside the greeting")
    await understood(call, "hear the greeting", GREETING, began - 0.2, pressed, cut=True)

    began = await loud_now(call, "hear the opening hours", 5.0)
    ended = await quiet(call, "hear the opening hours", 9.0, still=0.45)
    await understood(call, "hear the opening hours", HOURS, began - 0.2, ended + 0.1)

    await press_inside(call, "2", "press 2 inside the menu")
    began = await loud_now(call, "be asked for a message", 5.0)
    ended = await quiet(call, "be asked for a message", 12.0)
    await understood(call, "be asked for a message", LEAVE, began - 0.2, ended - 0.3)

    await call.sound.play(tone(MESSAGE_HZ, 2000, -16.0))
    await call.sound.press("#")
    say("leave two seconds of a tone and press #", True)
    began = await loud_now(call, "be thanked", 5.0)
    # Inside the farewell: a caller does not wait for the end of it.
    await asyncio.sleep(max(0.0, began + 2.9 - time.monotonic()))
    ended = time.monotonic()
    call.hangup()
    await understood(call, "be thanked", THANKS, began - 0.2, ended, cut=True)


async def run(uri: str) -> int:
    async with Softphone("caller", name="Demo Caller") as phone:
        call = await phone.call(uri)
        try:
            try:
                await call.answered(10)
            except (TimeoutError, AssertionError) as error:
                raise Missed("be answered", str(error) or "nobody picked up") from error
            say("be answered", True, f"sound arrives at UDP port {call.sound.port}")
            await visit(call)
        except Missed as missed:
            say(missed.step, False, missed.detail)
            return 1
        finally:
            if call.ending is None:
                call.hangup()
        try:
            await call.ended(5)
        except TimeoutError:
            say("hang up", False, "the BYE was not answered")
            return 1
        say("hang up", True)
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("uri")
    arguments = parser.parse_args()
    np.seterr(all="ignore")
    sys.exit(asyncio.run(run(arguments.uri)))


if __name__ == "__main__":
    main()
