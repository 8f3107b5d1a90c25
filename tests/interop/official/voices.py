"""Voices, as the official client lists them."""

from __future__ import annotations

from tests.interop.official.kit import World


async def the_voices_within_are_listed(world: World) -> None:
    whole = await world.call("voices.list")
    assert [provider.key for provider in whole.providers] == ["espeak-ng"]
    assert {voice.vendor for voice in whole.voices} == {"espeak-ng"}
    assert await world.call("voices.list", provider="espeak-ng") == whole
    unknown = await world.call("voices.list", provider="openai")
    assert (unknown.voices, unknown.providers) == ([], [])
