"""A report made again from its events: what it says may get better, what was charged stays."""

from __future__ import annotations

from dataclasses import replace

from telephony.base.clock import Clock
from telephony.calls.call import Call
from telephony.calls.events import CallEnded
from telephony.calls.ports import CallReader, ReportStore
from telephony.calls.record import CallReport
from telephony.reports.fold import fold, known


class Finalizer:
    """Runs the analysis of a finished call again."""

    def __init__(self, reader: CallReader, reports: ReportStore, clock: Clock) -> None:
        self._reader = reader
        self._reports = reports
        self._clock = clock

    async def finalize(self, call: Call) -> CallReport | None:
        """The report as it is now; None while there is none.

        Raises:
            StoreUnavailable: it could not be read or written.
        """
        old = await self._reader.report(call.organization, call.id)
        if old is None:
            return None
        events = known(await self._reader.events_of(call.organization, call.id))
        # Where the end never reached the store, the report knows more than the events do.
        if not any(isinstance(event, CallEnded) for event in events):
            return old
        report = replace(
            fold(call, events),
            cost_micro_usd=old.cost_micro_usd,
            cost_lines=old.cost_lines,
            created_at=old.created_at,
            updated_at=max(self._clock.now(), old.updated_at),
        )
        await self._reports.put_report(report)
        return report
