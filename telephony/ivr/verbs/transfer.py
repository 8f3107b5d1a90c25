"""transfer: send the caller on, blindly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from telephony.base.number import is_e164
from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.ivr.fields import PHONE_USER, Destination, Flag, Seconds, Target, key
from telephony.ivr.model import Verb
from telephony.ivr.run import Activity, Go, Move, Playing, Run

REFER_SECONDS = 60.0
"""What a REFER may take beyond the ringing before it counts as failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Verb):
    """Hand the caller over; the dialplan has no more say once it has worked."""

    VERB: ClassVar[str] = "transfer"
    waits: ClassVar[bool] = True

    to: str = key(Destination(), doc="A number, a registered phone, or {{variable}}.")
    refer: bool = key(
        Flag(), True, doc="Tell the far end to go there (REFER) before dialling ourselves."
    )
    hold_music: bool = key(Flag(), True, doc="The caller hears music until it is decided.")
    ring_seconds: float | None = key(
        Seconds(1, 300), None, doc="How long it may ring; without it as the service says (30)."
    )
    on_failed: str | None = key(
        Target(), None, doc="The caller is still here; without it the call ends."
    )

    def begin(self, run: Run) -> Move | Activity:
        to = run.fill(self.to).strip()
        if not is_e164(to) and PHONE_USER.fullmatch(to) is None:
            return Go(self.on_failed)
        run.typed.clear()
        return Transferring(self, run, to)


class Transferring(Activity):
    """A transfer under way. That it has worked ends the program, so only failure moves on."""

    def __init__(self, node: Transfer, run: Run, to: str) -> None:
        ring = node.ring_seconds if node.ring_seconds is not None else run.context.ring_seconds
        super().__init__(run.now + ring + REFER_SECONDS)
        self._node = node
        self._transfer = run.make("t")
        tones = (c.Prompt(tone="hold"),) if node.hold_music else ()
        self._waiting = Playing(run, tones, loop=True)
        run.order(
            c.Transfer(
                leg=run.leg,
                transfer=self._transfer,
                to=to,
                ring_seconds=ring,
                refer=node.refer,
            )
        )

    def step(self, run: Run, event: e.Event) -> Move | None:
        if isinstance(event, e.TransferFailed) and event.transfer == self._transfer:
            self._waiting.stop(run)
            return Go(self._node.on_failed)
        return None

    def expire(self, run: Run) -> Move | None:
        self._waiting.stop(run)
        return Go(self._node.on_failed)
