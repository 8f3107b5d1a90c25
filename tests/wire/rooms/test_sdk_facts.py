"""What we lean on in the version of the LiveKit SDK that is installed."""

from __future__ import annotations

import asyncio
import inspect
import time

import numpy as np
import pytest
from livekit import rtc

from telephony.rooms.sdk import Sdk
from telephony.rooms.sdk_direct import unfit


def silence(ms: int, rate: int = 24_000) -> rtc.AudioFrame:
    samples = rate * ms // 1000
    return rtc.AudioFrame(np.zeros(samples, np.int16).tobytes(), rate, 1, samples)


async def test_the_installed_version_takes_the_direct_path() -> None:
    assert unfit() == ""
    assert Sdk().direct


@pytest.mark.parametrize("version", ["0.9.0", "1.1.20", "1.3.0", "2.0.0", "1.2.dev"])
def test_a_version_that_nobody_tested_takes_the_stock_path(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rtc, "__version__", version)
    assert unfit() != ""
    assert not Sdk().direct


def test_an_sdk_that_is_built_otherwise_takes_the_stock_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from livekit.rtc._ffi_client import FfiClient

    monkeypatch.setattr(FfiClient, "queue", object())
    assert unfit() != ""
    assert not Sdk().direct


async def test_every_event_goes_to_every_listener() -> None:
    """Why there is a direct path at all: where this fails, it may have become needless."""
    from livekit.rtc._ffi_client import FfiClient

    listeners = [FfiClient.instance.queue.subscribe() for _ in range(3)]
    source = rtc.AudioSource(24_000, 1, queue_size_ms=200)
    try:
        await source.capture_frame(silence(20))
        await asyncio.sleep(0.2)
        kinds = []
        for listener in listeners:
            found = [listener.get_nowait() for _ in range(listener.qsize())]
            kinds.append([event.WhichOneof("message") for event in found])
        assert all("capture_audio_frame" in found for found in kinds)
    finally:
        for listener in listeners:
            FfiClient.instance.queue.unsubscribe(listener)
        await source.aclose()


async def test_capturing_paces_nobody_until_the_queue_is_full_and_clearing_empties_it() -> None:
    source = rtc.AudioSource(24_000, 1, queue_size_ms=400)
    began = time.monotonic()
    for _ in range(15):
        await source.capture_frame(silence(20))
    assert time.monotonic() - began < 0.2, "it was a pacer from the first frame on"
    for _ in range(30):
        await source.capture_frame(silence(20))
    assert time.monotonic() - began > 0.35
    source.clear_queue()
    began = time.monotonic()
    for _ in range(15):
        await source.capture_frame(silence(20))
    assert time.monotonic() - began < 0.2
    await source.aclose()


def test_a_stream_has_no_end_unless_it_is_told() -> None:
    assert inspect.signature(rtc.AudioStream.__init__).parameters["capacity"].default == 0
