"""Voices and providers: what is there, and nothing that is not."""

from __future__ import annotations

from typing import Any

from telephony.base.errors import SpeechUnavailable

OURS = {"key": "espeak-ng", "name": "eSpeak NG", "models": ["espeak-ng"]}


async def test_voices_are_those_of_the_synthesiser(start: Any) -> None:
    async def two() -> list[str]:
        return ["English", "German"]

    api = await start(voices=two)
    whole = {
        "voices": [
            {"vendor": "espeak-ng", "id": "English", "name": "English"},
            {"vendor": "espeak-ng", "id": "German", "name": "German"},
        ],
        "providers": [{**OURS, "voicesFetchedLive": True}],
    }
    for query in ("", "?provider=", "?provider=espeak-ng", "?provider=espeak-ng-tts"):
        assert (await api.get(f"/v1/voices{query}")).body == whole
    reply = await api.get("/v1/voices?provider=cartesia")
    assert (reply.status, reply.body) == (200, {"voices": [], "providers": []})
    assert (await api.get("/v1/voices?provider=" + "x" * 201)).status == 400


async def test_without_a_synthesiser_there_is_no_voice(start: Any) -> None:
    async def none() -> list[str]:
        raise SpeechUnavailable("not installed")

    reply = await (await start(voices=none)).get("/v1/voices")
    assert reply.body == {"voices": [], "providers": [{**OURS, "voicesFetchedLive": False}]}


async def test_the_known_provider_is_the_one_within(api: Any) -> None:
    ours = {"id": "espeak-ng", "vendor": "espeak-ng", "vendorName": "eSpeak NG"}
    assert (await api.get("/v1/providers/known")).body == {
        "stt": [],
        "llm": [],
        "tts": [{**ours, "model": None, "benchmarked": False}],
    }
