"""Which way to the LiveKit SDK is taken; what it does is in ``tests/interop``."""

from __future__ import annotations

import pytest
from livekit import rtc

from telephony.rooms.sdk import Sdk
from telephony.rooms.sdk_direct import unfit


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
