"""A report made again from its events: what it says may get better, what was charged stays."""

from __future__ import annotations

from dataclasses import replace

from telephony.base.clock import Clock
from telephony.calls.call import Call
from telephony.calls.events import CallEnded
from telephony.calls.ports import CallReader, ReportStore
from telephony.calls.record import CallReport
from telephony.reports.fold import fold


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
        rows = await self._reader.events_of(call.organization, call.id)
        # What was dropped while the store was away is in the report and not among the events.
        if not rows or rows[-1].seq != len(rows) or rows[-1].kind != CallEnded.__name__:
            return old
        report = replace(
            fold(call, rows),
            cost_micro_usd=old.cost_micro_usd,
            cost_lines=old.cost_lines,
            created_at=old.created_at,
            updated_at=max(self._clock.now(), old.updated_at),
        )
        await self._reports.put_report(report)
        return report
