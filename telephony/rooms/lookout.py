"""Looks at the tracks of one room, by the SDK's statistics, for the watch to judge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from livekit import rtc

from telephony.rooms.voices import Voices
from telephony.rooms.watch import OURSELVES, Watch, counted

log = structlog.get_logger("telephony.rooms")

ANSWER_SECONDS = 2.0
Tracks = dict[str, tuple[rtc.Track, rtc.RemoteTrackPublication]]


class Lookout:
    """Of one room."""

    def __init__(self, voices: Voices, watch: Watch, now: Callable[[], float]) -> None:
        self._voices = voices
        self._watch = watch
        self._now = now
        self._looking = False

    def forget(self, key: str) -> None:
        """There is no such track any more."""
        self._watch.lives(key)

    def look(self, tracks: Tracks, ours: rtc.Track | None) -> Coroutine[Any, Any, None] | None:
        """What to ask now, if there is something."""
        now, silent = self._now(), []
        for key, voice in self._voices.items():
            track = tracks.get(key)
            if voice.loud:
                self._watch.heard()
            if voice.loud or track is None or track[1].muted:
                self._watch.lives(key)
            elif self._watch.due(key, now):
                silent.append((key, track[0]))
            voice.loud = False
        if ours is not None and not tracks and self._watch.due(OURSELVES, now):
            silent.append((OURSELVES, ours))
        if not silent or self._looking:
            return None
        self._looking = True
        return self._ask(silent, tracks)

    async def _ask(self, silent: list[tuple[str, rtc.Track]], tracks: Tracks) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                for key, track in silent:
                    count = counted(await track.get_stats())
                    if key == OURSELVES or key in tracks:
                        self._watch.silent(key, count, self._now())
        except Exception as error:
            log.warning("rooms.not_looked_at", error=f"{type(error).__name__}: {error}"[:200])
        finally:
            self._looking = False
