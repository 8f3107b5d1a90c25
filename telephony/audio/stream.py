"""Sound of many lanes from one rate to another as it arrives: 8 ↔ 16 ↔ 24 ↔ 48 kHz.

One polyphase filter as a banded matrix: a block of inputs and the history before it, times the
matrix, is a block of outputs. All lanes and blocks of a frame are a few matrix products.

**A lane sounds the same alone and in company, bit for bit.** A BLAS may add in another order for
another row or another number of rows, and a sum that is rounded on the way then differs in its
last bit. So the products are made in float32, at double speed, only where this BLAS was seen to
treat all rows of all shapes used here alike (``_rows_alike``); else in float64 with taps that
are multiples of 2⁻²⁴, where every sum of products with int16 is exact and order is no matter.

Chosen by measurement (bench/transcode.py): windows that overlap in place, a product a block,
beat windows copied one behind the other from 16 lanes on by a third; one lane alone would then
be a matrix times a vector a block, and there the copy is faster: 1.6 against 2.5 µs a frame.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd
from typing import Any

import numpy as np
import numpy.typing as npt

from telephony.audio import g711
from telephony.audio.sinc import sinc_taps

Samples = npt.NDArray[np.int16]
Codes = npt.NDArray[np.uint8]
Reals = npt.NDArray[np.floating[Any]]
Rows = npt.NDArray[np.int64]

RATES = (8000, 16000, 24000, 48000)
HALF = 21
"""Half the filter's length in samples of the lower rate: 2.6 ms of delay at 8 kHz."""
CUTOFF = 0.91
BETA = 5.9
"""With CUTOFF: within 0.4 dB to 85 % of the lower half rate, 62 dB down from all of it on."""
TICK_MS = 20
_BLOCK = 16
"""Samples a block of the lower rate (of 24 kHz beside 16: 24): short is less to multiply, but
vector registers want to be full."""
_LANES = 64
"""Lanes a product: their windows and results stay in the second-level cache."""
_GRID = 1 << 24


class Resampler:
    """One direction for ``capacity`` lanes, each with its own history.

    Output comes with every frame, the first included, and is ``delay_ms`` late. A lane that was
    cleared begins in silence; no other lane notices. Nothing is allocated in a tick but the
    result, and that not where ``out`` is given.
    """

    def __init__(
        self, rate: int, new_rate: int, capacity: int, *, samples: int | None = None
    ) -> None:
        """Frames hold ``samples`` at ``rate``, 20 ms if not said otherwise.

        Raises:
            ValueError: a rate that is not in ``RATES``, the same rate twice, or frames that are
                shorter than the filter or hold no whole number of blocks.
        """
        if rate not in RATES or new_rate not in RATES or rate == new_rate:
            raise ValueError(f"no conversion from {rate} to {new_rate} Hz")
        samples = rate * TICK_MS // 1000 if samples is None else samples
        taps, self._history, step = _taps(rate, new_rate)
        if samples < self._history or samples % step:
            raise ValueError(f"{samples} samples are not a frame from {rate} to {new_rate} Hz")
        self.rate, self.new_rate, self.samples = rate, new_rate, samples
        self.new_samples = samples * new_rate // rate
        self.delay_ms = 1000 * HALF / min(rate, new_rate)
        blocks = samples // step
        self._padded = _rows_alike(rate, new_rate, blocks)
        kind: type[np.floating[Any]] = np.float32 if self._padded else np.float64
        self._taps: Reals = taps.astype(kind)
        self._tails: Samples = np.zeros((capacity, self._history), np.int16)
        self._work: Reals = np.zeros((_LANES, self._history + samples), kind)
        self._sums: Reals = np.zeros((_LANES, self.new_samples), kind)
        self._windows = _blocks(self._work, blocks, step, taps.shape[0])
        self._results = _blocks(self._sums, blocks, taps.shape[1], taps.shape[1])
        self._single: Reals = np.zeros((blocks, taps.shape[0]), kind)
        self._single_result: Reals = self._sums[0].reshape(blocks, -1)

    @property
    def capacity(self) -> int:
        return len(self._tails)

    def grow(self, capacity: int) -> None:
        """Room for more lanes; what is there stays."""
        old = self._tails
        self._tails = np.zeros((capacity, self._history), np.int16)
        self._tails[: old.shape[0]] = old

    def clear(self, row: int) -> None:
        """A lane begins anew: silence came before."""
        self._tails[row] = 0

    def process(
        self, frames: Samples, rows: Rows | None = None, out: Samples | None = None
    ) -> Samples:
        """int16 (n, samples) → int16 (n, new_samples), limited at full scale.

        ``rows`` (n,) names the lanes, none of them twice; without it they are the first n.
        """
        if out is None:
            out = np.empty((len(frames), self.new_samples), np.int16)
        for start in range(0, len(frames), _LANES):
            part = slice(start, start + _LANES)
            self._convert(frames[part], part if rows is None else rows[part], out[part])
        return out

    def decode(
        self, law: int, codes: Codes, rows: Rows | None = None, out: Samples | None = None
    ) -> Samples:
        """G.711 ``codes`` uint8 (n, samples) → int16 (n, new_samples)."""
        return self.process(g711.decode(law, codes), rows, out)

    def encode(
        self, law: int, frames: Samples, rows: Rows | None = None, out: Codes | None = None
    ) -> Codes:
        """int16 (n, samples) → G.711 codes uint8 (n, new_samples)."""
        return g711.encode(law, self.process(frames, rows), out)

    def _convert(self, frames: Samples, rows: Rows | slice, out: Samples) -> None:
        count, history = len(frames), self._history
        work = self._work[:count]
        work[:, :history] = self._tails[rows][:count]
        work[:, history:] = frames
        self._tails[rows] = frames[:, -history:]
        if count == 1:
            self._single[:] = self._windows[:, 0]
            np.matmul(self._single, self._taps, out=self._single_result)
        else:
            # What lies below the last lane is finite and nobody's.
            lanes = 1 << (count - 1).bit_length() if self._padded else count
            np.matmul(self._windows[:, :lanes], self._taps, out=self._results[:, :lanes])
        sums = self._sums[:count]
        sums.clip(-32768.0, 32767.0, out=sums)
        np.rint(sums, out=sums)
        np.copyto(out, sums, casting="unsafe")


def _blocks(matrix: Reals, blocks: int, step: int, size: int) -> Reals:
    """A view (blocks, rows, size) of (rows, samples): block b begins at sample b · step."""
    rows, samples = matrix.strides
    view: Reals = np.lib.stride_tricks.as_strided(
        matrix, (blocks, matrix.shape[0], size), (step * samples, rows, samples)
    )
    return view


@lru_cache(maxsize=16)
def _taps(rate: int, new_rate: int) -> tuple[npt.NDArray[np.float64], int, int]:
    """(matrix (window, outputs a block), samples before a block, samples a block advances)."""
    up, down = new_rate // gcd(rate, new_rate), rate // gcd(rate, new_rate)
    groups = _BLOCK // min(up, down)
    outputs, step = groups * up, groups * down
    lower = min(rate, new_rate)
    half = HALF * rate / lower
    history = ceil(2 * half)
    times = np.arange(outputs) * (rate / new_rate) - half
    offset = np.arange(-history, step)[:, None] - times[None, :]
    taps = sinc_taps(offset, half, CUTOFF * lower / rate / 2, BETA)
    return np.rint(taps * _GRID) / _GRID, history, step


@lru_cache(maxsize=16)
def _rows_alike(rate: int, new_rate: int, blocks: int) -> bool:
    """Whether float32 products give a row the same bits wherever and with however many it is."""
    taps, _, _ = _taps(rate, new_rate)
    window = np.random.default_rng(0).integers(-32768, 32768, taps.shape[0])
    weights = taps.astype(np.float32)
    counts = {blocks, *(1 << power for power in range(1, _LANES.bit_length()))}
    found = {
        row.tobytes()
        for count in counts
        for row in np.tile(window.astype(np.float32), (count, 1)) @ weights
    }
    return len(found) == 1
