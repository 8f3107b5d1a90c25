"""Sound from one rate to another as it arrives: 8 ↔ 16 ↔ 24 ↔ 48 kHz, of many lanes or of one.

One polyphase filter as a banded matrix: a block of inputs and the history before it, times the
matrix, is a block of outputs. A frame of all lanes is one matrix product a block.

**A lane sounds the same alone and in company, bit for bit.** A BLAS may add in another order for
another row or another number of rows, and a sum that is rounded on the way then differs in its
last bit. So the products are made in float32, at twice the speed, only in a shape for which this
BLAS was seen to treat all rows alike (``_rows_alike``): OpenBLAS' kernels for AVX-512 do so for
blocks of any length, those for AVX2 where 12 rows meet 8 or 12 outputs. Without such a shape they
are made in float64 with taps that are multiples of 2⁻²⁴: every sum of products with int16 is then
exact, and order is no matter.

Chosen by measurement, 8 to 16 kHz, float32, the sum and its way in and out alone:

* 252 lanes, ns a sample: windows that overlap in place, a product a block, 1.0; windows copied
  one behind the other for one product 1.6; time along the rows and lanes side by side 2.1.
* One lane (``LaneResampler``), µs a frame: windows copied for one product of 10 rows 1.4; in
  place, which is 10 products of a vector, 1.4; one matrix for the whole frame 2.8; ``convolve``
  3.2 a phase.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

from telephony.audio import g711

Samples = npt.NDArray[np.int16]
Codes = npt.NDArray[np.uint8]
Reals = npt.NDArray[np.floating[Any]]
Rows = npt.NDArray[np.int64]

RATES = (8000, 16000, 24000, 48000)
HALF = 16
"""Half the filter's length in samples of the lower rate: 2 ms of delay at 8 kHz."""
SHAPE = (
    *(0.031251, 0.060263, 0.064565, 0.060882, 0.063519, 0.062182, 0.062043, 0.063633, 0.060822),
    *(0.064558, 0.060262, 0.064693, 0.060562, 0.064484, 0.048663, 0.011356, 0.000052, 0.000013),
    *(0.000020, -0.000029, 0.000025),
)
"""The filter as a sum of cosines, term m with m half waves in HALF samples.

Found by least squares with weights that rise where the error is largest (Lawson), over the bands
of all pairs of rates together: within 0.32 dB to 85 % of the lower half rate, 62 dB down from all
of it on. Whole recordings have 80 dB (``resample``), for twice the length and delay.
"""
TICK_MS = 20
_LANES = 252
"""The most lanes a product: windows and results stay in a second-level cache of 1 MB."""
_STEP = 12
"""A product in float32 has a multiple of so many rows."""
_GRID = 1 << 24
_LOW, _HIGH = -32768.0, 32767.0


class Resampler:
    """One direction for ``capacity`` lanes, each with its own history.

    Output comes with every frame, the first included, and is ``delay_ms`` late. A lane that was
    cleared begins in silence; no other lane notices.
    """

    def __init__(
        self, rate: int, new_rate: int, capacity: int, *, samples: int | None = None
    ) -> None:
        """Frames hold ``samples`` at ``rate``, 20 ms if not said otherwise.

        Raises:
            ValueError: a rate that is not in ``RATES``, the same rate twice, or frames that are
                shorter than the filter or hold no whole number of blocks.
        """
        bank = _bank(rate, new_rate, samples)
        self.rate, self.new_rate = rate, new_rate
        self.samples, self.new_samples = bank.samples, bank.new_samples
        self.delay_ms = delay_ms(rate, new_rate)
        self._taps = bank.taps
        self._rows = bank.rows
        self._history = bank.history
        self._tails: Samples = np.zeros((capacity, bank.history), np.int16)
        self._work = np.zeros((_LANES, bank.history + bank.samples), bank.kind)
        self._sums = np.zeros((_LANES, bank.new_samples), bank.kind)
        size, outputs = bank.taps.shape
        self._windows = _blocks(self._work, bank.blocks, bank.step, size)
        self._results = _blocks(self._sums, bank.blocks, outputs, outputs)

    @property
    def capacity(self) -> int:
        """Lanes there is room for."""
        return len(self._tails)

    def grow(self, capacity: int) -> None:
        """Room for more lanes; what is there stays."""
        old = self._tails
        self._tails = np.zeros((capacity, self._history), np.int16)
        self._tails[: len(old)] = old

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
        for part in _parts(len(frames)):
            np.copyto(out[part], self._sum(frames[part], part, rows), casting="unsafe")
        return out

    def decode(
        self, law: int, codes: Codes, rows: Rows | None = None, out: Samples | None = None
    ) -> Samples:
        """G.711 ``codes`` uint8 (n, samples) → int16 (n, new_samples)."""
        if out is None:
            out = np.empty((len(codes), self.new_samples), np.int16)
        for part in _parts(len(codes)):
            frames = g711.decode(law, codes[part])
            np.copyto(out[part], self._sum(frames, part, rows), casting="unsafe")
        return out

    def encode(
        self, law: int, frames: Samples, rows: Rows | None = None, out: Codes | None = None
    ) -> Codes:
        """int16 (n, samples) → G.711 codes uint8 (n, new_samples)."""
        if out is None:
            out = np.empty((len(frames), self.new_samples), np.uint8)
        for part in _parts(len(frames)):
            samples = self._sum(frames[part], part, rows).astype(np.int16)
            g711.encode(law, samples, out[part])
        return out

    def _sum(self, frames: Samples, part: slice, rows: Rows | None) -> Reals:
        """Whole numbers (n, new_samples) within full scale, valid until the next call."""
        count, history = len(frames), self._history
        lanes = part if rows is None else rows[part]
        work = self._work[:count]
        work[:, :history] = self._tails[lanes]
        work[:, history:] = frames
        self._tails[lanes] = frames[:, -history:]
        # Rows below the last lane are finite and nobody's.
        high = self._rows(count)
        np.matmul(self._windows[:, :high], self._taps, out=self._results[:, :high])
        sums = self._sums[:count]
        sums.clip(_LOW, _HIGH, out=sums)
        return np.rint(sums, out=sums)


class LaneResampler:
    """One direction for one lane alone, a frame at a time: the same samples as a ``Resampler``'s.

    What a matrix of lanes spends once a tick is here spent a frame, so everything that can be is
    prepared: the views, the tables, and full scale is where a table of codes ends.
    """

    def __init__(self, rate: int, new_rate: int, *, samples: int | None = None) -> None:
        """As ``Resampler``."""
        bank = _bank(rate, new_rate, samples)
        self.rate, self.new_rate = rate, new_rate
        self.samples, self.new_samples = bank.samples, bank.new_samples
        self.delay_ms = delay_ms(rate, new_rate)
        self._taps = bank.taps
        self._line = np.zeros(bank.history + bank.samples, bank.kind)
        self._past, self._now = self._line[: bank.history], self._line[bank.history :]
        self._tail = self._line[-bank.history :]
        size, outputs = bank.taps.shape
        self._overlapping = _blocks(self._line[None], bank.blocks, bank.step, size)[:, 0]
        rows = bank.rows(bank.blocks)
        self._rows = np.zeros((rows, size), bank.kind)
        self._windows = self._rows[: bank.blocks]
        self._results = np.zeros((rows, outputs), bank.kind)
        self._sums = self._results.reshape(-1)[: bank.new_samples]
        self._values = g711.DECODE_TABLES.astype(bank.kind)

    def clear(self) -> None:
        """Begin anew: silence came before."""
        self._line[:] = 0

    def process(self, frame: Samples) -> Samples:
        """int16 (samples,) → int16 (new_samples,), limited at full scale."""
        self._now[:] = frame
        return self._limited()

    def decode(self, law: int, codes: Codes) -> Samples:
        """G.711 ``codes`` uint8 (samples,) → int16 (new_samples,)."""
        np.take(self._values[law], codes, out=self._now, mode="wrap")
        return self._limited()

    def encode(self, law: int, frame: Samples) -> Codes:
        """int16 (samples,) → G.711 codes uint8 (new_samples,)."""
        self._now[:] = frame
        sums = self._multiply()
        np.rint(sums, out=sums)
        sums -= _LOW
        return np.take(_CODES[law], sums.astype(np.intp), mode="clip")

    def _limited(self) -> Samples:
        sums = self._multiply()
        sums.clip(_LOW, _HIGH, out=sums)
        return np.rint(sums, out=sums).astype(np.int16)

    def _multiply(self) -> Reals:
        self._windows[:] = self._overlapping
        np.matmul(self._rows, self._taps, out=self._results)
        self._past[:] = self._tail
        return self._sums


def delay_ms(rate: int, new_rate: int) -> float:
    """How late the sound is: half the filter."""
    return 1000 * HALF / min(rate, new_rate)


_CODES: Codes = np.roll(g711.ENCODE_TABLES, 32768, axis=1)
"""uint8 (2, 65536): code of each sample from −32768 up."""


class _Bank:
    """What all converters of one kind of frame share. Not written to."""

    def __init__(self, rate: int, new_rate: int, samples: int) -> None:
        up, down = new_rate // gcd(rate, new_rate), rate // gcd(rate, new_rate)
        self.samples, self.new_samples = samples, samples * new_rate // rate
        self.history = 2 * HALF * rate // min(rate, new_rate)
        # Short blocks are less to multiply, but vector registers want to be full.
        long, short = 16 // min(up, down), (12 if up % 3 == 0 else 8) // up
        if samples < self.history or samples % (long * down):
            raise ValueError(f"{samples} samples are not a frame from {rate} to {new_rate} Hz")
        self.kind: type[np.floating[Any]] = np.float32
        for groups in (long, short):
            taps = _taps(rate, new_rate, self.history, groups * down, groups * up)
            if _rows_alike(taps.astype(np.float32), samples // (groups * down)):
                break
        else:
            self.kind, groups = np.float64, long
            taps = _taps(rate, new_rate, self.history, groups * down, groups * up)
        self.step = groups * down
        self.blocks = samples // self.step
        self.taps: Reals = taps.astype(self.kind)
        self.taps.flags.writeable = False

    def rows(self, count: int) -> int:
        """Rows a product of ``count`` rows is to have."""
        return -(-count // _STEP) * _STEP if self.kind is np.float32 else count


def _bank(rate: int, new_rate: int, samples: int | None) -> _Bank:
    if rate not in RATES or new_rate not in RATES or rate == new_rate:
        raise ValueError(f"no conversion from {rate} to {new_rate} Hz")
    return _shared(rate, new_rate, rate * TICK_MS // 1000 if samples is None else samples)


_shared = lru_cache(maxsize=32)(_Bank)


def _taps(
    rate: int, new_rate: int, history: int, step: int, outputs: int
) -> npt.NDArray[np.float64]:
    """The matrix (history + step, outputs) of a block."""
    times = np.arange(outputs) * (rate / new_rate) - history / 2
    offset = (np.arange(-history, step)[:, None] - times) * (2 / history)
    waves = np.cos(np.pi * np.arange(len(SHAPE)) * offset[..., None]) @ np.array(SHAPE)
    taps = np.where(np.abs(offset) <= 1, waves, 0)
    return np.asarray(np.rint(taps / taps.sum(axis=0) * _GRID) / _GRID)


def _rows_alike(taps: Reals, blocks: int) -> bool:
    """Whether float32 products give a row the same bits wherever and with however many it is."""
    window = np.random.default_rng(0).integers(-32768, 32768, len(taps)).astype(np.float32)
    most = max(_LANES, blocks + _STEP)
    rows = np.tile(window, (most, 1))
    expected = (rows @ taps)[0]
    return all(
        np.array_equal(rows[:count] @ taps, np.broadcast_to(expected, (count, len(expected))))
        for count in range(_STEP, most + 1, _STEP)
    )


def _blocks(matrix: Reals, blocks: int, step: int, size: int) -> Reals:
    """A view (blocks, rows, size) of (rows, samples): block b begins at sample b · step."""
    rows, samples = matrix.strides
    shape, strides = (blocks, len(matrix), size), (step * samples, rows, samples)
    return np.lib.stride_tricks.as_strided(matrix, shape, strides)


def _parts(count: int) -> list[slice]:
    return [slice(start, min(start + _LANES, count)) for start in range(0, count, _LANES)]
