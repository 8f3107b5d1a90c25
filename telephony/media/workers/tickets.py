"""Callbacks that a worker owes a result, and the result they get when it gives none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from telephony.calls.ports import Played, Recorded, Sound
from telephony.media.salvage import salvage
from telephony.media.workers.messages import ORDERS, WATCHES, Ref, is_done

if TYPE_CHECKING:
    from telephony.media.workers.lane import RemoteLane

log = structlog.get_logger("telephony.media.worker")


@dataclass(slots=True)
class Ticket:
    """One callback. ``total_ms`` of what is played, ``path`` of what is recorded."""

    lane: RemoteLane
    kind: Ref
    done: Callable[[Any], None]
    total_ms: int = 0
    path: Path = Path()


class Tickets:
    """Those of one worker, by number. Each is called once, or never where the port says so."""

    def __init__(
        self,
        ended: Callable[[RemoteLane], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
    ) -> None:
        """``ended``: a lane's end was told, before its own callback. ``spawn``: runs a task."""
        self._ended = ended
        self._spawn = spawn
        self._open: dict[int, Ticket] = {}
        self._last = 0

    def take(
        self, lane: RemoteLane, kind: Ref, done: Callable[[Any], None], given: dict[str, Any]
    ) -> int:
        """A number for a callback of an order with these arguments."""
        self._last += 1
        self._open[self._last] = _ticket(lane, kind, done, given)
        if kind in WATCHES:
            lane.watches.append(self._last)
        return self._last

    def answer(self, number: int, result: Any) -> None:
        """The worker's word."""
        ticket = self._open.pop(number, None)
        if ticket is not None:
            self._call(ticket, result)

    def refuse(self, number: int) -> None:
        """The worker could not do it."""
        ticket = self._open.pop(number, None)
        if ticket is not None:
            self._settle(ticket)

    def settle_all(self) -> None:
        """The worker is dead."""
        tickets = list(self._open.values())
        self._open.clear()
        for ticket in tickets:
            self._settle(ticket)

    def settle_unsent(self, lane: RemoteLane, order: str, given: dict[str, Any]) -> None:
        """The order never left."""
        for key, kind in ORDERS.row(order, of_lane=True).fields.items():
            if kind is Ref.RECORDED:
                error = "the leg has no engine any more"
                given[key](Recorded(given["path"], 0, 0, "failed", error))
            elif is_done(kind):
                self._settle(_ticket(lane, kind, given[key], given))

    # -- inside ---------------------------------------------------------------------------------

    def _call(self, ticket: Ticket, result: Any) -> None:
        lane = ticket.lane
        if ticket.kind is Ref.COUNTED:
            lane.told = result
            for number in lane.watches:
                self._open.pop(number, None)
            lane.watches.clear()
            self._ended(lane)
        guarded(ticket.done, result)

    def _settle(self, ticket: Ticket) -> None:
        match ticket.kind:
            case Ref.PLAYED:
                self._call(ticket, Played(0, ticket.total_ms, False, None))
            case Ref.RECORDED:
                self._spawn(self._salvage(ticket), "salvage")
            case Ref.COUNTED:
                self._call(ticket, ticket.lane.told)

    async def _salvage(self, ticket: Ticket) -> None:
        """What the dead worker wrote is what the caller said."""
        found = await asyncio.to_thread(salvage, ticket.path)
        self._call(ticket, found)


def guarded(callback: Callable[..., object], *values: Any) -> None:
    """Call it; one call's fault must not keep the others from being told."""
    try:
        callback(*values)
    except Exception:
        log.exception("media.fact_failed")


def _ticket(
    lane: RemoteLane, kind: Ref, done: Callable[[Any], None], given: dict[str, Any]
) -> Ticket:
    sound = given.get("sound")
    total = sound.duration_ms if isinstance(sound, Sound) else 0
    return Ticket(lane, kind, done, total, given.get("path", Path()))
