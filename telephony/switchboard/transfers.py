"""Blind transfer: REFER followed to its end; else dial and bridge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.outcome import Cause, Outcome
from telephony.calls.ports import DialRequest, ReferResult

if TYPE_CHECKING:
    from telephony.switchboard.execute import Executor
    from telephony.switchboard.session import Session


@dataclass(slots=True)
class _Pending:
    order: c.Transfer
    mode: str
    new_leg: str | None = None
    must_bridge: bool = False


class Transfers:
    """The transfer of one session under way, one at a time."""

    def __init__(self, session: Session, executor: Executor) -> None:
        self._session = session
        self._executor = executor
        self._pending: _Pending | None = None

    async def begin(self, order: c.Transfer) -> Outcome | None:
        """Start a transfer; a second one at the same time fails at once."""
        if self._pending is not None:
            self._fail(order, "refer", Cause.INTERNAL)
            return None
        control = self._executor.leg(order.leg)
        if control is None:
            self._fail(order, "refer", Cause.INTERNAL)
            return None
        if not order.refer:
            await self._by_bridge(order)
            return None
        self._pending = _Pending(order, "refer")
        self._started(order, "refer")
        if not await self._executor.committed():
            self._pending = None
            self._fail(order, "refer", Cause.INTERNAL)
            return None
        control.refer(order.to, order.headers, partial(self._referred, order))
        return None

    def _referred(self, order: c.Transfer, result: ReferResult) -> None:
        if self._pending is None or self._pending.order is not order:
            return
        if result.completed:
            self._pending = None
            self._completed(order, "refer")
        elif not result.supported:
            # What comes now waits for the journal, so it runs in the session's own task: the
            # event below wakes it.
            self._pending.must_bridge = True
            self._session.poke()
        else:
            self._pending = None
            self._fail(order, "refer", result.cause or Cause.CARRIER_ERROR, result.sip_status)

    async def resume(self) -> None:
        """Go on by dialling where the far end did not take the REFER."""
        pending = self._pending
        if pending is None or not pending.must_bridge:
            return
        self._pending = None
        if self._session.leaving:
            self._fail(pending.order, "refer", Cause.CANCELED)
        else:
            await self._by_bridge(pending.order)

    async def _by_bridge(self, order: c.Transfer) -> None:
        leg = self._executor.next_leg()
        self._pending = _Pending(order, "bridge", leg)
        self._started(order, "bridge")
        await self._executor.dial_leg(
            DialRequest(
                leg=leg,
                call=self._session.call.id,
                to=order.to,
                from_number="",
                ring_seconds=order.ring_seconds,
                headers=order.headers,
            )
        )

    async def observe(self, event: e.Event) -> None:
        """Follow the leg that was dialled for a transfer."""
        pending = self._pending
        if pending is None or pending.new_leg is None or not isinstance(event, e.LegEvent):
            return
        if event.leg != pending.new_leg:
            return
        if isinstance(event, e.LegAnswered):
            self._pending = None
            self._executor.bridge(pending.order.leg, pending.new_leg)
            self._completed(pending.order, "bridge")
        elif isinstance(event, e.LegEnded):
            self._pending = None
            cause = event.outcome.cause or Cause.NO_ANSWER
            self._fail(pending.order, "bridge", cause, event.outcome.sip_status)

    # --- facts -----------------------------------------------------------------------------

    def _started(self, order: c.Transfer, mode: str) -> None:
        self._session.append(
            e.TransferStarted(
                at=self._session.kit.clock.now(),
                leg=order.leg,
                transfer=order.transfer,
                to=order.to,
                mode=mode,
            )
        )

    def _completed(self, order: c.Transfer, mode: str) -> None:
        self._session.emit(
            e.TransferCompleted(
                at=self._session.kit.clock.now(),
                leg=order.leg,
                transfer=order.transfer,
                to=order.to,
                mode=mode,
            )
        )

    def _fail(
        self, order: c.Transfer, mode: str, cause: Cause, sip_status: int | None = None
    ) -> None:
        self._session.emit(
            e.TransferFailed(
                at=self._session.kit.clock.now(),
                leg=order.leg,
                transfer=order.transfer,
                to=order.to,
                mode=mode,
                cause=cause.value,
                sip_status=sip_status,
            )
        )
