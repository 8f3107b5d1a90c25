"""Many far ends and the line to each, as arrays: what play-out makes of delays, loss and drift.

No sockets and no time: hours of sound of hundreds of lanes are simulated as fast as the matrix is
advanced.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from telephony.media.columns import Codes, Counts, Floats, Samples
from telephony.media.config import FRAME, TICK_MS
from telephony.media.playout import Playout
from telephony.media.playout_voice import g711_decoder
from telephony.media.streams import Streams

TICK = TICK_MS / 1000
NEVER = np.inf


@dataclass(slots=True)
class Heard:
    """``sound`` int16 (lanes, samples) at 8 kHz; ``depth`` and ``shift`` in octets (lanes, ticks):
    what lay ready before each tick, and where play-out was from the lane's own clock."""

    sound: Samples
    depth: Counts
    shift: Counts
    playout: Playout = field(repr=False)


def play(
    codes: Codes,
    arrivals: Floats,
    *,
    ptime: int = FRAME,
    timestamps: Counts | None = None,
    sequences: Counts | None = None,
    ticks: int | None = None,
    stamped: bool = True,
    late: Floats | None = None,
    law: int = 0,
    playout: Playout | None = None,
) -> Heard:
    """What is heard of µ-law ``codes`` uint8 (lanes, octets), sent in packets of ``ptime`` octets.

    Args:
        arrivals: seconds (lanes, packets) after the first tick; inf for what is lost.
        timestamps, sequences: (packets,), where they are not those of an even stream.
        stamped: whether the kernel says when each packet came.
        late: seconds (ticks,) by which each tick starts after its time.
        playout: one with capacity for all lanes instead of a new one.
    """
    lanes, packets = arrivals.shape
    if playout is None:
        streams = Streams(lanes)
        streams.law[:] = law
        playout = Playout(lanes, g711_decoder(streams), 20, 200)
    stamps = np.arange(packets) * ptime if timestamps is None else timestamps
    numbers = np.arange(packets) if sequences is None else sequences
    last = np.max(arrivals, where=np.isfinite(arrivals), initial=0.0)
    total = ticks if ticks is not None else int(last / TICK) + 15
    behind = np.zeros(total) if late is None else late
    order = _by_tick(arrivals, behind)
    highest = np.full(lanes, -1, np.int64)
    sound: Samples = np.zeros((lanes, total * FRAME), np.int16)
    depth, shift = np.zeros((lanes, total), np.int64), np.zeros((lanes, total), np.int64)
    for tick in range(total):
        due = playout.start((tick + 1) * TICK + behind[tick])
        for rows, chosen in order.get(tick, ()):
            at = chosen[:, None] * ptime + np.arange(ptime)
            step = np.where(highest[rows] < 0, 1, numbers[chosen] - highest[rows])
            highest[rows] = np.maximum(highest[rows], numbers[chosen])
            age = due - (arrivals[rows, chosen] + TICK) if stamped else None
            playout.put(rows, stamps[chosen].astype(np.uint32), step, codes[rows[:, None], at], age)
        depth[:, tick] = playout.rings.top[:lanes] - playout.rings.cursor[:lanes]
        shift[:, tick] = playout.shift[:lanes]
        sound[:, tick * FRAME : (tick + 1) * FRAME] = playout.take(lanes)
    return Heard(sound, depth, shift, playout)


def _by_tick(
    arrivals: Floats, late: Floats
) -> dict[int, list[tuple[Counts, npt.NDArray[np.int64]]]]:
    """For each tick the packets that it takes, in turns of distinct lanes: (lanes, packets)."""
    rows, packets = np.nonzero(np.isfinite(arrivals))
    when = arrivals[rows, packets]
    starts = np.arange(late.size) * TICK + late
    tick = np.searchsorted(starts, when)
    sort = np.lexsort((packets, when, rows, tick))
    rows, packets, tick = rows[sort], packets[sort], tick[sort]
    key = tick * (arrivals.shape[0] + 1) + rows
    turn = np.arange(key.size) - np.searchsorted(key, key)
    found: dict[int, list[tuple[Counts, npt.NDArray[np.int64]]]] = {}
    bounds = np.searchsorted(tick, np.arange(late.size + 1))
    for number in range(late.size):
        part = slice(bounds[number], bounds[number + 1])
        turns = turn[part]
        found[number] = [
            (rows[part][turns == one], packets[part][turns == one])
            for one in range(int(turns.max(initial=-1)) + 1)
        ]
    return found
