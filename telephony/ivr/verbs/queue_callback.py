"""queue_callback: promise a call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from telephony.base.number import is_e164
from telephony.calls import commands as c
from telephony.ivr.conditions import At
from telephony.ivr.fields import Destination, Seconds, Target, Text, Zone, key
from telephony.ivr.model import Verb
from telephony.ivr.run import Activity, Go, Move, Run
from telephony.ivr.times import next_time

PLAN_NAME = r"[a-z0-9][a-z0-9_-]{0,62}"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCallback(Verb):
    """Promise the caller a call, and go on at once."""

    VERB: ClassVar[str] = "queue_callback"

    to: str = key(
        Destination(phones=False), "{{caller}}", doc="The number to call; the caller's own."
    )
    in_: float | None = key(
        Seconds(0, 30 * 86400), None, doc="How long from now, such as 15m (in or at)."
    )
    at: int | None = key(At(), None, doc="The next time the clock shows this, such as 09:30.")
    zone: str | None = key(Zone(), None, doc="The clock of at; without it the dialplan's.")
    dialplan: str = key(
        Text(maximum=63, pattern=PLAN_NAME, what="the name of a dialplan"),
        doc="What runs the call.",
    )
    from_: str | None = key(
        Destination(phones=False), None, doc="The number shown; without it the one that was called."
    )
    reason: str = key(
        Text(template=True, maximum=500), "", doc="Why; the dialplan has it as callback_reason."
    )
    next: str | None = key(Target(), None, doc="Where to go on; without it the call ends.")
    on_refused: str | None = key(
        Target(), None, doc="The caller has no number to call; without it as next."
    )

    def begin(self, run: Run) -> Move | Activity:
        to = run.fill(self.to).strip()
        if not is_e164(to):
            return Go(self.on_refused or self.next)
        sender = run.fill(self.from_ or "").strip()
        if self.at is not None:
            at = next_time(run.wall, self.at, self.zone or run.plan.timezone)
        else:
            at = run.wall + timedelta(seconds=self.in_ or 0.0)
        run.order(
            c.QueueCallback(
                to=to,
                at=at,
                dialplan=self.dialplan,
                from_number=sender if is_e164(sender) else "",
                reason=run.fill(self.reason)[:500],
            )
        )
        return Go(self.next)

    def faults(self) -> Iterator[tuple[str, str]]:
        if (self.in_ is None) == (self.at is None):
            yield "in", "give either in (such as 15m) or at (such as 09:30)"
        if self.zone is not None and self.at is None:
            yield "zone", "zone belongs to at"
