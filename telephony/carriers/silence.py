"""The sound of a leg that has none yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from telephony.calls.events import MediaQuality
from telephony.calls.ports import AnswerHeard, GreetingHeard, Media, Played, Recorded, Sound


class NoSound:
    """The sound of a leg that has no lane yet: everything is taken, nothing is heard."""

    def play(self, sound: Sound, done: Callable[[Played], None], *, loop: bool = False) -> None:
        """Over before it begins."""
        done(Played(0, sound.duration_ms, completed=False, started_at=None))

    def stop(self) -> None:
        """Nothing plays."""

    def send_digits(self, digits: str) -> None:
        """Nobody hears them."""

    def record_call(self, path: Path, done: Callable[[Recorded], None]) -> None:
        """There is nothing to record."""
        done(Recorded(path, 0, 0, "failed", "the leg has no sound"))

    def record_message(
        self,
        path: Path,
        done: Callable[[Recorded], None],
        *,
        max_seconds: float,
        silence_seconds: float | None,
    ) -> None:
        """There is nothing to record."""
        done(Recorded(path, 0, 0, "failed", "the leg has no sound"))

    def stop_message(self) -> None:
        """None is being recorded."""

    def finish(self) -> None:
        """Nothing is being recorded."""

    def watch_answer(self, done: Callable[[AnswerHeard], None], *, seconds: float) -> None:
        """Nobody is heard, and no time is kept."""

    def await_greeting(
        self, done: Callable[[GreetingHeard], None], *, seconds: float, beep_only: bool = False
    ) -> None:
        """Nobody is heard, and no time is kept."""

    def bridge(self, other: Media) -> None:
        """Silence is heard by nobody."""

    def quality(self) -> MediaQuality:
        """Nothing was counted."""
        return MediaQuality()


NO_SOUND = NoSound()
