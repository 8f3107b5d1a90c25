"""dial: a further party, bridged to this one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from telephony.base.number import is_e164
from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.outcome import EndedBy, Outcome, Status
from telephony.ivr.fields import PHONE_USER, Destination, Flag, Seconds, Target, Text, key
from telephony.ivr.model import Verb
from telephony.ivr.run import Activity, End, Go, Move, Playing, Run

RING_GRACE_SECONDS = 3.0
"""The carrier ends the ringing at its time; this much later the program does."""
CONVERSATION_SECONDS = 14_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial(Verb):
    """Call somebody else and let both talk."""

    VERB: ClassVar[str] = "dial"
    waits: ClassVar[bool] = True

    to: str = key(Destination(), doc="A number, a registered phone, or {{variable}}.")
    from_: str | None = key(
        Destination(phones=False), None, doc="The number shown; without it the trunk's own."
    )
    trunk: str | None = key(
        Text(maximum=64, what="a trunk"), None, doc="The trunk; without it chosen by the number."
    )
    ring_seconds: float | None = key(
        Seconds(1, 300), None, doc="How long it may ring; without it as the service says (30)."
    )
    digits: str | None = key(
        Text(
            maximum=64,
            pattern=r"[0-9*#A-Dw]+",
            what="keys (0-9, *, #, A-D) and w, a pause of half a second",
        ),
        None,
        doc="Pressed once it is answered, such as an extension: ww42#.",
    )
    ringback: bool = key(Flag(), True, doc="The caller hears ringing while it rings.")
    max_seconds: float = key(
        Seconds(1, CONVERSATION_SECONDS), CONVERSATION_SECONDS, doc="Longest conversation."
    )
    next: str | None = key(Target(), None, doc="When nobody was reached; without it the call ends.")
    on_answered: str | None = key(
        Target(), None, doc="After the other party hung up; without it the call ends."
    )
    on_busy: str | None = key(Target(), None, doc="Busy; without it as next.")
    on_no_answer: str | None = key(Target(), None, doc="Nobody picked up; without it as next.")
    on_failed: str | None = key(
        Target(), None, doc="Declined, unknown or no way there; without it as next."
    )

    def begin(self, run: Run) -> Move | Activity:
        to = run.fill(self.to).strip()
        if not is_e164(to) and PHONE_USER.fullmatch(to) is None:
            return Go(self.on_failed or self.next)
        sender = run.fill(self.from_ or "").strip()
        run.typed.clear()
        return Dialling(self, run, to, sender if is_e164(sender) else "")


class Dialling(Activity):
    """A further leg: it rings, then both talk, then one of them leaves."""

    def __init__(self, node: Dial, run: Run, to: str, sender: str) -> None:
        ring = node.ring_seconds if node.ring_seconds is not None else run.context.ring_seconds
        super().__init__(run.now + ring + RING_GRACE_SECONDS)
        self._node = node
        self._leg = self.party = run.next_leg()
        self._ringing: Playing | None = None
        self._talking = False
        run.dialled.add(self._leg)
        run.order(
            c.Dial(
                leg=self._leg,
                to=to,
                from_number=sender,
                ring_seconds=ring,
                max_seconds=node.max_seconds,
                digits=node.digits or "",
                trunk=node.trunk,
            )
        )

    def step(self, run: Run, event: e.Event) -> Move | None:
        if not isinstance(event, e.LegEvent) or event.leg != self._leg:
            return None
        match event:
            case e.LegRinging() | e.LegEarlyMedia() if self._ringing is None and not self._talking:
                tones = (c.Prompt(tone="ringback"),) if self._node.ringback else ()
                self._ringing = Playing(run, tones, loop=True)
            case e.LegAnswered() if not self._talking:
                self._talking = True
                self.deadline = run.now + self._node.max_seconds
                self._quiet(run)
                run.order(c.Bridge(leg=run.leg, other=self._leg))
            case e.LegEnded():
                run.dialled.discard(self._leg)
                self._quiet(run)
                return self._ended(event.outcome)
        return None

    def _quiet(self, run: Run) -> None:
        if self._ringing is not None:
            self._ringing.stop(run)

    def _ended(self, outcome: Outcome) -> Move:
        node = self._node
        if self._talking:
            return self._talked(EndedBy.CALLEE)
        if outcome.status is Status.BUSY:
            return Go(node.on_busy or node.next)
        if outcome.status is Status.NO_ANSWER:
            return Go(node.on_no_answer or node.next)
        return Go(node.on_failed or node.next)

    def _talked(self, by: EndedBy) -> Move:
        if self._node.on_answered is None:
            return End(Outcome.completed(by))
        return Go(self._node.on_answered)

    def expire(self, run: Run) -> Move | None:
        self._quiet(run)
        outcome = Outcome.completed(EndedBy.SERVICE) if self._talking else Outcome.no_answer()
        run.order(c.EndLeg(leg=self._leg, outcome=outcome))
        if self._talking:
            return self._talked(EndedBy.SERVICE)
        return Go(self._node.on_no_answer or self._node.next)
