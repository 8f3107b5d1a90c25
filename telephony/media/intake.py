"""From datagrams to jitter rings: a whole tick's packets as arrays, what is rare one by one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np

from telephony.base.clock import Clock
from telephony.media.columns import Codes, Counts, Flags, Floats, Rows
from telephony.media.datagrams import WIDTH, Batch
from telephony.media.digits import Keypads
from telephony.media.jitter import LONGEST
from telephony.media.playout import Playout
from telephony.media.sources import Sources
from telephony.media.streams import Streams
from telephony.media.wires import COMFORT_NOISE, Wires
from telephony.rtp.packet import Headers, parse_headers


class Intake:
    """Receives for a bank. ``first_heard``: when each lane's first packet was taken."""

    def __init__(
        self,
        wires: Wires,
        clock: Clock,
        streams: Streams,
        sources: Sources,
        playout: Playout,
        keypads: Keypads,
        pressed: Callable[[int, str], None],
    ) -> None:
        """``pressed(row, digit)`` is told of each key, once."""
        self.first_heard: dict[int, datetime] = {}
        self._wires = wires
        self._clock = clock
        self._streams = streams
        self._sources = sources
        self._playout = playout
        self._keypads = keypads
        self._pressed = pressed
        self._tick = 0
        self._due = 0.0

    def forget(self, row: int) -> None:
        """The lane is closed."""
        self.first_heard.pop(row, None)

    def receive(self, tick: int, now: float) -> None:
        """Take what lies ready. ``now``: monotonic seconds."""
        self._tick = tick
        self._due = self._playout.start(now)
        for batch in self._wires.receive(tick):
            self._take(batch, now)

    def _take(self, batch: Batch, now: float) -> None:
        """A batch in turns of distinct lanes, the datagrams of each in order."""
        rows = batch.rows
        if np.bincount(rows).max() == 1:
            self._take_turn(batch, now)
            return
        turns = _turns(rows)
        for turn in range(int(turns.max()) + 1):
            chosen = np.flatnonzero(turns == turn)
            part = Batch(
                rows[chosen], batch.sizes[chosen], batch.matrix[chosen], batch.arrived[chosen]
            )
            self._take_turn(part, now)

    def _take_turn(self, batch: Batch, now: float) -> None:
        """Datagrams of distinct lanes."""
        rows, sizes, matrix = batch.rows, batch.sizes, batch.matrix
        streams, sources = self._streams, self._sources
        heads = parse_headers(matrix, sizes)
        kind = heads.payload_type.astype(np.int16)
        voice = kind == streams.voice_type[rows]
        event = kind == streams.event_type[rows]
        comfort = kind == COMFORT_NOISE
        wanted = heads.valid & (sizes < WIDTH) & streams.hears[rows]
        wanted &= voice | event | comfort
        step = sources.steps(rows, heads.sequence)
        regular = wanted & sources.regular(rows, heads.ssrc, step)
        strange = np.flatnonzero(wanted & ~regular)
        if strange.size:
            self._admit(strange, rows, heads, now)
            step = sources.steps(rows, heads.sequence)
            regular = wanted & sources.regular(rows, heads.ssrc, step)
        taken = rows[regular]
        again = sources.count(taken, step[regular], now)
        streams.quiet_since[taken] = now
        self._measure(rows, regular & voice, heads, batch.arrived)
        if again.any():
            regular[np.flatnonzero(regular)[again]] = False
        self._put(np.flatnonzero(regular & voice), batch, heads, step)
        if comfort.any():
            for index in np.flatnonzero(regular & comfort & ~voice).tolist():
                start, size = int(heads.offset[index]), int(heads.length[index])
                payload = matrix[index, start : start + size].tobytes()
                self._playout.comfort.describe(int(rows[index]), payload)
        # Of whatever source and number: some gateways send keys beside their stream, and the latch
        # has vouched for the sender.
        for index in np.flatnonzero(wanted & event).tolist():
            self._key(index, int(rows[index]), heads, matrix, now)

    def _admit(self, indices: Rows, rows: Rows, heads: Headers, now: float) -> None:
        for index in indices.tolist():
            row = int(rows[index])
            ssrc, sequence = int(heads.ssrc[index]), int(heads.sequence[index])
            if self._sources.admit(row, ssrc, sequence, now):
                self._playout.forget(row)
                self.first_heard.setdefault(row, self._clock.now())

    def _measure(self, rows: Rows, chosen: Flags, heads: Headers, arrived: Floats) -> None:
        known = chosen & ~np.isnan(arrived)
        if known.any():
            lanes = rows[known]
            self._sources.measure(lanes, heads.timestamp[known], arrived[known], self._tick)

    def _put(self, chosen: Rows, batch: Batch, heads: Headers, step: Counts) -> None:
        """Payloads into the rings, those of one shape together."""
        offset, length = heads.offset[chosen], heads.length[chosen]
        age = self._due - batch.arrived
        while chosen.size:
            start, size = int(offset[0]), int(length[0])
            alike = (offset == start) & (length == size)
            group = chosen[alike]
            if 0 < size <= LONGEST:
                payload = batch.matrix[group, start : start + size]
                self._playout.put(
                    batch.rows[group], heads.timestamp[group], step[group], payload, age[group]
                )
            chosen, offset, length = chosen[~alike], offset[~alike], length[~alike]

    def _key(self, index: int, row: int, heads: Headers, matrix: Codes, now: float) -> None:
        start, size = int(heads.offset[index]), int(heads.length[index])
        payload = matrix[index, start : start + size].tobytes()
        digit = self._keypads.heard(
            row, payload, int(heads.timestamp[index]), int(heads.ssrc[index]), now
        )
        if digit is not None:
            self._pressed(row, digit)


def _turns(rows: Rows) -> Rows:
    """For each entry, how many before it are of the same lane."""
    order = np.argsort(rows, kind="stable")
    ranked = rows[order]
    first = np.searchsorted(ranked, ranked)
    turns = np.empty(rows.size, np.int64)
    turns[order] = np.arange(rows.size) - first
    return turns
