"""The gaps of a call's set-up, from the times of its events: nobody has to remember to measure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from telephony.calls import events as e
from telephony.calls.record import Timings


def timings(events: Sequence[e.Event]) -> Timings:
    """Of the first leg, in milliseconds; None where the step did not happen.

    A gap never is negative: a prompt that began before the answer (early media) was heard
    from the answer on.
    """
    begun = next((x for x in events if isinstance(x, (e.LegOffered, e.LegDialing))), None)
    if begun is None:
        return _of_a_browser(events)
    mine = [x for x in events if isinstance(x, e.LegEvent) and x.leg == begun.leg]
    answered = _first(x.at for x in mine if isinstance(x, e.LegAnswered))
    ended = _first(x.at for x in events if isinstance(x, e.CallEnded))
    ringing = None
    if isinstance(begun, e.LegDialing):
        ringing = _first(x.at for x in mine if isinstance(x, (e.LegRinging, e.LegEarlyMedia)))
    return Timings(
        post_dial_delay_ms=_gap(begun.at, ringing),
        answer_ms=_gap(begun.at, answered),
        first_audio_ms=None if answered is None else _gap(answered, _first_audio(mine)),
        duration_ms=_gap(answered, ended) or 0,
    )


def _of_a_browser(events: Sequence[e.Event]) -> Timings:
    """Of a session without a leg: from the order to the beginning, and from there to the end."""
    opened = _first(x.at for x in events if isinstance(x, e.SessionOpened))
    began = _first(x.at for x in events if isinstance(x, e.ConversationBegan))
    ended = _first(x.at for x in events if isinstance(x, e.CallEnded))
    return Timings(answer_ms=_gap(opened, began), duration_ms=_gap(began, ended) or 0)


def _first_audio(mine: Sequence[e.LegEvent]) -> datetime | None:
    """When we first sent sound: a prompt's start, else what the engine saw leave."""
    prompts = [x.started_at for x in mine if isinstance(x, e.PromptPlayed) and x.started_at]
    if prompts:
        return min(prompts)
    return _first(
        x.quality.first_sent_at
        for x in mine
        if isinstance(x, e.LegEnded) and x.quality is not None and x.quality.first_sent_at
    )


def _first(moments: Iterable[datetime]) -> datetime | None:
    return next(iter(moments), None)


def _gap(start: datetime | None, end: datetime | None) -> int | None:
    if start is None or end is None:
        return None
    return max(0, round((end - start).total_seconds() * 1000))
