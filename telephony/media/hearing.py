"""How well each lane hears its far end: the verdict for the record, and RFC 3611's for the peer."""

from __future__ import annotations

from telephony.media.activity import Activity
from telephony.media.bursts import Losses
from telephony.media.config import RATE, TICK_MS
from telephony.media.playout import Playout
from telephony.media.reports import Reports
from telephony.media.sources import Sources
from telephony.rtp.quality import Quality, judge
from telephony.rtp.xr import (
    ADAPTIVE_BUFFER,
    ENHANCED_CONCEALMENT,
    VoipMetrics,
    milliseconds,
    score,
    share,
)


class Hearing:
    """Reads the columns of a bank when it is asked; ``losses`` it keeps itself, a tick each."""

    def __init__(
        self,
        capacity: int,
        sources: Sources,
        playout: Playout,
        activity: Activity,
        reports: Reports,
        max_depth_ms: int,
    ) -> None:
        self.losses = Losses(capacity)
        self._sources = sources
        self._playout = playout
        self._activity = activity
        self._reports = reports
        self._max_depth_ms = max_depth_ms

    def follow(self, count: int, tick: int) -> None:
        """A tick of the first ``count`` lanes, after play-out."""
        concealed, received = self._playout.concealed[:count], self._sources.received[:count]
        self.losses.follow(concealed, received, tick)

    def judge(self, row: int) -> Quality:
        """The E-model's verdict of a lane so far; a MOS of 0 where nothing was expected."""
        sources = self._sources
        return judge(
            expected=sources.expected(row),
            lost=sources.lost(row),
            late=int(self._playout.late[row]),
            runs=int(self.losses.runs[row]),
            jitter_ms=float(sources.jitter[row]) * 1000 / RATE,
            delay_ms=(self._reports.round_trip_ms(row) or 0.0) / 2 + self._delay_ms(row),
        )

    def metrics(self, row: int) -> VoipMetrics:
        """What the far end is told of how its sound arrives (RFC 3611 §4.7)."""
        sources, playout = self._sources, self._playout
        verdict, expected = self.judge(row), sources.expected(row)
        target, depth = milliseconds(playout.target_ms(row)), milliseconds(playout.depth_ms(row))
        return VoipMetrics(
            ssrc=int(sources.ssrc[row]),
            loss_rate=share(sources.lost(row), expected),
            discard_rate=share(int(playout.late[row]), expected),
            bursts=self.losses.bursts(row, int(sources.received[row])),
            round_trip_ms=milliseconds(self._reports.round_trip_ms(row) or 0.0),
            end_system_ms=milliseconds(self._delay_ms(row)),
            noise_dbm0=round(float(self._activity.noise[row])),
            r=round(verdict.r),
            mos_lq=score(verdict.mos_lq),
            mos_cq=score(verdict.mos),
            receiver=ENHANCED_CONCEALMENT | ADAPTIVE_BUFFER,
            nominal_ms=target,
            maximum_ms=max(depth, target),
            absolute_ms=self._max_depth_ms,
        )

    def _delay_ms(self, row: int) -> float:
        """From a packet's arrival to the departure of its sound: what lies ready, and the tick."""
        return self._playout.depth_ms(row) + TICK_MS
