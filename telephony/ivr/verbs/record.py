"""record: a message that the caller leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.commands import Prompt
from telephony.ivr.fields import Flag, Keys, Prompts, Seconds, Target, key
from telephony.ivr.model import Verb
from telephony.ivr.run import PROMPT_SECONDS, Activity, Go, Move, Playing, Run

GRACE_SECONDS = 10.0
"""How long after its ceiling a recording may take to be reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Verb):
    """Record a message."""

    VERB: ClassVar[str] = "record"
    waits: ClassVar[bool] = True

    prompt: tuple[Prompt, ...] = key(Prompts(), (), doc="Said before the beep.")
    beep: bool = key(Flag(), True, doc="A beep says when to speak.")
    max_seconds: float = key(Seconds(1, 3600), 120.0, doc="Longest message.")
    min_seconds: float = key(Seconds(0, 60), 1.0, doc="A shorter one takes on_short.")
    silence_seconds: float = key(
        Seconds(0, 60), 5.0, doc="Silence after speech that ends it; 0 for never."
    )
    terminator: str = key(Keys(), "#", doc="Keys that end it; empty for none.")
    barge_in: bool = key(Flag(), True, doc="A key skips the prompt.")
    next: str | None = key(Target(), None, doc="Where to go on; without it the call ends.")
    on_short: str | None = key(Target(), None, doc="Too short; without it as next.")
    on_failed: str | None = key(Target(), None, doc="Could not be recorded; without it as next.")

    def begin(self, run: Run) -> Move | Activity:
        return Recording(self, run)


class Recording(Activity):
    """Prompt, beep, message."""

    engaged = True

    def __init__(self, node: Record, run: Run) -> None:
        super().__init__(run.now + PROMPT_SECONDS)
        self._node = node
        self._recording: str | None = None
        self._stopped = False
        # Keys pressed ahead were meant for menus, and a # among them would end the message.
        run.typed.clear()
        self._beeping = False
        self._playing: Playing | None = Playing(run, node.prompt)
        if self._playing.over:
            self._beep(run)

    def _beep(self, run: Run) -> None:
        self._beeping = True
        tones = (Prompt(tone="beep"),) if self._node.beep else ()
        self._playing = Playing(run, tones)
        self.deadline = run.now + PROMPT_SECONDS
        if self._playing.over:
            self._record(run)

    def _record(self, run: Run) -> None:
        node = self._node
        # A caller who speaks and hangs up has left a message, which is what was asked for.
        self.engaged = False
        self._playing = None
        self._recording = run.make("r")
        self.deadline = run.now + node.max_seconds + GRACE_SECONDS
        run.order(
            c.Record(
                leg=run.leg,
                recording=self._recording,
                max_seconds=node.max_seconds,
                silence_seconds=node.silence_seconds or None,
            )
        )

    def step(self, run: Run, event: e.Event) -> Move | None:
        match event:
            case e.DigitPressed():
                self._pressed(run, event.digit)
            case e.RecordingReady() if event.recording == self._recording:
                short = event.duration_ms < self._node.min_seconds * 1000
                return Go((self._node.on_short if short else None) or self._node.next)
            case e.RecordingFailed() if event.recording == self._recording:
                return Go(self._node.on_failed or self._node.next)
            case e.PromptPlayed() if self._playing is not None and self._playing.step(event):
                self._prompted(run)
        return None

    def _prompted(self, run: Run) -> None:
        if self._beeping:
            self._record(run)
        else:
            self._beep(run)

    def _pressed(self, run: Run, digit: str) -> None:
        if self._playing is not None:
            if self._node.barge_in and not self._beeping:
                self._playing.stop(run, "barge_in")
                self._beep(run)
        elif digit in self._node.terminator and not self._stopped:
            self._stop(run, "key")

    def _stop(self, run: Run, reason: str) -> None:
        assert self._recording is not None
        self._stopped = True
        self.deadline = run.now + GRACE_SECONDS
        run.order(c.StopRecord(leg=run.leg, recording=self._recording, reason=reason))

    def expire(self, run: Run) -> Move | None:
        if self._playing is not None:
            self._playing.stop(run)
            self._prompted(run)
            return None
        if not self._stopped:
            self._stop(run, "max")
            return None
        return Go(self._node.on_failed or self._node.next)
