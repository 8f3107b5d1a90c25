"""Which voices and providers there are (contract sections 2 and 10): the synthesiser within."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import Field

from telephony.api.routes import Ask, Route
from telephony.api.wire.base import Camel, Query, parse_query, render
from telephony.base.errors import SpeechUnavailable

_KEY, _NAME = "espeak-ng", "eSpeak NG"


class VoiceQuery(Query):
    """``provider`` by its key, or by key and kind (``espeak-ng-tts``)."""

    provider: Annotated[str, Field(max_length=200)] | None = None


class VoiceRow(Camel):
    vendor: str
    id: str
    name: str


class VoiceProvider(Camel):
    key: str
    name: str
    models: list[str]
    voices_fetched_live: bool


class VoiceList(Camel):
    """Both are empty where a provider is unknown."""

    voices: list[VoiceRow]
    providers: list[VoiceProvider]


class KnownProvider(Camel):
    id: str
    vendor: str
    vendor_name: str
    model: str | None
    benchmarked: bool


class KnownProviders(Camel):
    """By what they do."""

    stt: list[KnownProvider]
    llm: list[KnownProvider]
    tts: list[KnownProvider]


async def voices(ask: Ask) -> web.StreamResponse:
    """GET /v1/voices: none while the synthesiser does not answer."""
    wanted = parse_query(VoiceQuery, ask.request).provider
    if wanted is not None and wanted.removesuffix("-tts") != _KEY:
        return render(VoiceList(voices=[], providers=[]))
    try:
        found, live = await ask.deps.voices(), True
    except SpeechUnavailable:
        found, live = [], False
    return render(
        VoiceList(
            voices=[VoiceRow(vendor=_KEY, id=name, name=name) for name in found],
            providers=[
                VoiceProvider(key=_KEY, name=_NAME, models=[_KEY], voices_fetched_live=live)
            ],
        )
    )


async def known(ask: Ask) -> web.StreamResponse:
    """GET /v1/providers/known."""
    ours = KnownProvider(id=_KEY, vendor=_KEY, vendor_name=_NAME, model=None, benchmarked=False)
    return render(KnownProviders(stt=[], llm=[], tts=[ours]))


def routes() -> list[Route]:
    return [
        Route("GET", "/v1/voices", voices, query=VoiceQuery, reply=VoiceList),
        Route("GET", "/v1/providers/known", known, reply=KnownProviders),
    ]
