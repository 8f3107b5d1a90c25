"""What was said and pressed, as turns: what the caller really heard, and secrets masked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from telephony.base.number import mask
from telephony.calls import events as e
from telephony.calls.record import Turn

AGENT = "agent"
USER = "user"
SYSTEM = "system"


@dataclass(slots=True)
class _Transcript:
    """Collects turns; keys wait until the gather that they belong to is over."""

    session: str
    turns: list[Turn] = field(default_factory=list)
    keys: dict[str, list[tuple[int, e.DigitPressed]]] = field(default_factory=dict)

    def add(
        self,
        position: int,
        source: str,
        text: str,
        started_at: datetime,
        ended_at: datetime | None,
        status: str | None = None,
        **metadata: Any,
    ) -> None:
        # Named by the event it came from: the same turn has the same id in every fold.
        self.turns.append(
            Turn(
                id=f"turn_{self.session}_{position}",
                index=position,
                source=source,
                text=text,
                started_at=started_at,
                ended_at=ended_at,
                latency_status=status,
                metadata=metadata,
            )
        )

    def flush(self, leg: str, **metadata: Any) -> bool:
        """One turn of the keys that wait."""
        waiting = self.keys.pop(leg, [])
        if not waiting:
            return False
        digits = [pressed.digit for _, pressed in waiting]
        position, first = waiting[0]
        secret = any(pressed.secret for _, pressed in waiting) or bool(metadata.get("secret"))
        self.add(
            position,
            USER,
            "pressed " + ("*" * len(digits) if secret else ", ".join(digits)),
            first.at,
            waiting[-1][1].at,
            "complete",
            leg=leg,
            **(metadata | {"secret": secret}),
        )
        return True


def transcript(session: str, events: Sequence[e.Event]) -> tuple[Turn, ...]:
    """The turns in the order in which they began, numbered from 0."""
    made = _Transcript(session)
    for position, event in enumerate(events):
        _take(made, position, event)
    for leg in list(made.keys):
        made.flush(leg)
    made.turns.sort(key=lambda turn: (turn.started_at, turn.index))
    return tuple(replace(turn, index=index) for index, turn in enumerate(made.turns))


def _take(made: _Transcript, position: int, event: e.Event) -> None:
    match event:
        case e.PromptPlayed():
            _prompt(made, position, event)
        case e.PromptFailed():
            text = f"a prompt could not be spoken: {event.error}"
            made.add(
                position, SYSTEM, text, event.at, event.at, "error",
                leg=event.leg, node=event.node, fallback=event.fallback,
            )  # fmt: skip
        case e.DigitPressed():
            made.keys.setdefault(event.leg, []).append((position, event))
        case e.GatherCompleted():
            _gather(made, position, event)
        case e.DigitsSent():
            text = "pressed " + ", ".join(event.digits)
            made.add(position, AGENT, text, event.at, event.at, "complete", leg=event.leg)
        case e.RecordingReady(kind="message"):
            started = event.at - timedelta(milliseconds=event.duration_ms)
            text = f"left a message of {spoken_seconds(event.duration_ms)}"
            made.add(
                position, USER, text, started, event.at, "complete",
                leg=event.leg, recording=event.recording, duration_ms=event.duration_ms,
            )  # fmt: skip
        case _:
            _system(made, position, event)


def _prompt(made: _Transcript, position: int, event: e.PromptPlayed) -> None:
    # A prompt that was cut before its first whole word was not said.
    if event.heard_ms <= 0 or (event.text and not event.heard_text):
        return
    started = event.started_at or event.at
    ended = started + timedelta(milliseconds=event.heard_ms)
    cut = event.heard_ms < event.total_ms
    made.add(
        position,
        AGENT,
        event.heard_text or ("" if event.text else f"({event.source})"),
        started,
        ended,
        "interrupted" if cut else "complete",
        leg=event.leg,
        node=event.node,
        heard_ms=event.heard_ms,
        total_ms=event.total_ms,
        reason=event.reason,
    )


def _gather(made: _Transcript, position: int, event: e.GatherCompleted) -> None:
    said = {"node": event.node, "reason": event.reason, "secret": event.secret}
    if made.flush(event.leg, **said) or not event.digits:
        return
    # The keys came some other way than as events of their own.
    text = "*" * len(event.digits) if event.secret else ", ".join(event.digits)
    made.add(
        position, USER, f"pressed {text}", event.at, event.at, "complete", leg=event.leg, **said
    )


def _system(made: _Transcript, position: int, event: e.Event) -> None:
    match event:
        case e.TransferStarted():
            text = f"transferring to {mask(event.to)}"
            extra = {"transfer": event.transfer, "to": event.to, "mode": event.mode}
        case e.TransferCompleted():
            text = f"transferred to {mask(event.to)}"
            extra = {"transfer": event.transfer, "to": event.to, "mode": event.mode}
        case e.TransferFailed():
            text = f"the transfer to {mask(event.to)} failed: {event.cause}"
            extra = {"transfer": event.transfer, "to": event.to, "cause": event.cause}
        case e.LegsBridged():
            text = "connected to another party"
            extra = {"leg": event.leg, "other": event.other}
        case e.RoomJoined():
            text = f"joined room {event.room}"
            extra = {"leg": event.leg, "room": event.room}
        case e.CallbackScheduled():
            text = f"a call back to {mask(event.to)} was promised"
            extra = {"callback": event.callback, "to": event.to}
        case _:
            return
    made.add(position, SYSTEM, text, event.at, event.at, None, **extra)


def spoken_seconds(milliseconds: float) -> str:
    """``2 s``; tenths where it is less than ten seconds and not whole."""
    seconds = milliseconds / 1000
    text = f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"
    return f"{text.removesuffix('.0')} s"
