"""Prompts of one leg, one after another: spoken or loaded, played, and written down.

What a caller really heard is the record: a prompt cut at 1.2 s says so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import structlog

from telephony.base.errors import MediaFailed, SpeechUnavailable
from telephony.calls.commands import Play, Prompt
from telephony.calls.events import Event, PromptFailed, PromptPlayed
from telephony.calls.ports import Played, Player, Sound
from telephony.switchboard.kit import Kit

log = structlog.get_logger("telephony.switchboard.playout")

MAX_QUEUED = 64
"""Prompts of one leg that may wait; a dialplan that orders more is at fault."""

PAUSE_SECONDS = 0.2
"""Silence after a prompt was cut: without it the next one seems to be the same sentence going on,
and neither a person nor a test could tell that the key was heard."""


def heard_text(text: str, heard_ms: int, total_ms: int) -> str:
    """The words of ``text`` that fit into the part that was heard, by their share of it."""
    if total_ms <= 0 or heard_ms >= total_ms:
        return text if heard_ms > 0 else ""
    upto = len(text) * heard_ms // total_ms
    if upto < len(text) and not text[upto].isspace():
        upto = text.rfind(" ", 0, upto)
    return text[: max(0, upto)].rstrip()


@dataclass(slots=True)
class Ending:
    """Why what has been given to the player ends, where it does not end by itself."""

    reason: str = "hangup"


class Playout:
    """The queue of one leg. Sounds are made one ahead of what plays, so that none waits."""

    def __init__(
        self, kit: Kit, leg: str, player: Callable[[], Player], emit: Callable[[Event], None]
    ) -> None:
        self._kit = kit
        self._leg = leg
        self._player = player
        self._emit = emit
        self._orders: deque[Play] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._making: Play | None = None
        self._ending = Ending()
        self._pause = 0.0

    def play(self, order: Play) -> None:
        """Queue a prompt."""
        if len(self._orders) >= MAX_QUEUED:
            self._report(order, Played(0, 0, False, None), "stopped")
            return
        self._orders.append(order)
        if self._worker is None:
            self._worker = self._kit.tasks.spawn(self._work(), f"playout {self._leg}")

    def stop(self, reason: str) -> None:
        """Drop everything: what plays, what is being made, what waits, in that order."""
        # The player may tell later how they ended, when the next prompt has begun already.
        self._ending.reason, self._ending = reason, Ending()
        self._pause = PAUSE_SECONDS if reason == "barge_in" else 0.0
        self._player().stop()
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.cancel()
        unplayed = [self._making] if self._making is not None else []
        self._making = None
        unplayed.extend(self._orders)
        self._orders.clear()
        for order in unplayed:
            self._report(order, Played(0, 0, False, None), reason)

    async def _work(self) -> None:
        while self._orders:
            order = self._making = self._orders.popleft()
            pause, self._pause = self._pause, 0.0
            if pause:
                await self._kit.sleep(pause)
            sound = await self._make(order)
            # Cancelled while it was being made: stop() has reported it.
            if self._making is not order:
                return
            self._making = None
            if sound is None:
                self._report(order, Played(0, 0, True, None), "finished")
            else:
                done = partial(self._played, order, self._ending)
                self._player().play(sound, done, loop=order.loop)
        self._worker = None

    async def _make(self, order: Play) -> Sound | None:
        prompt = order.prompt
        speech = self._kit.speech
        try:
            if prompt.tone:
                return speech.tone(prompt.tone)
            if prompt.file:
                return await speech.load(self._kit.config.dialplans / prompt.file)
            return await speech.render(prompt.text, prompt.voice, prompt.language)
        except (SpeechUnavailable, MediaFailed) as error:
            return await self._fall_back(order, prompt, error.message)
        except Exception:
            # One prompt's fault must not silence all that the leg has still to hear.
            log.exception("a prompt met a fault", leg=self._leg, node=order.node)
            return await self._fall_back(order, replace(prompt, fallback=""), "a fault of ours")

    async def _fall_back(self, order: Play, prompt: Prompt, error: str) -> Sound | None:
        sound, fallback = self._kit.speech.tone("fallback"), "tone"
        if prompt.fallback:
            try:
                path = self._kit.config.dialplans / prompt.fallback
                sound, fallback = await self._kit.speech.load(path), "wav"
            except (SpeechUnavailable, MediaFailed) as second:
                error = f"{error}; {second.message}"
        self._emit(
            PromptFailed(
                at=self._kit.clock.now(),
                leg=self._leg,
                node=order.node,
                text=prompt.text or prompt.file,
                fallback=fallback,
                error=error,
            )
        )
        return sound

    def _played(self, order: Play, ending: Ending, played: Played) -> None:
        self._report(order, played, "finished" if played.completed else ending.reason)

    def _report(self, order: Play, played: Played, reason: str) -> None:
        prompt = order.prompt
        self._emit(
            PromptPlayed(
                at=self._kit.clock.now(),
                leg=self._leg,
                playback=order.playback,
                node=order.node,
                text=prompt.text,
                heard_text=heard_text(prompt.text, played.heard_ms, played.total_ms),
                source=prompt.file or prompt.tone,
                started_at=played.started_at,
                heard_ms=played.heard_ms,
                total_ms=played.total_ms,
                reason=reason,
            )
        )
