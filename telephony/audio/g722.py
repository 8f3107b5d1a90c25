"""G.722 mode 1 (64 kbit/s), bit for bit ITU-T G.722, every lane advancing together.

PCM is int16 at 16 kHz, codes are uint8 at 8 kHz: an octet holds two bits of the high band (above)
and six of the low. A call takes one frame of many lanes: (lanes, 320) ↔ (lanes, 160) for 20 ms.

The recursion is sequential in time, so there is one loop over the 160 steps of a frame, never one
over lanes; both bands are columns of the same arrays (``[low lanes | high lanes]``). What does not
depend on the step before is done for the whole frame outside of the loop:

* the two quadrature mirror filters are a matrix product,
* in the decoder the scale factors, the zero predictor and the steps of the pole predictor follow
  from the codes and from signs alone, so that only a few whole operations a step remain.

The Recommendation saturates every sum to 16 bits. Signals that stay inside never notice, so the
fast loops do not clip; a lane whose frame left the range is found afterwards and done again with
every clip in its place. The result is the same, bit for bit.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from telephony.audio import g722_tables as tables

Samples = npt.NDArray[np.int16]
Codes = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]
Index = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Chosen = Rows | slice

STEPS: Final = 160
"""Octets of one frame of one lane: 20 ms."""
SAMPLES: Final = 2 * STEPS
"""PCM samples of one frame of one lane, at 16 kHz."""

_BLOCK = 20
_PART, _MANY = 40, 1500
_TAPS = 22
_A2_LIMIT, _A_SUM = 12288, 15360
# Of UPPOL2: 4 · a1 in 16 bits, its sign turned, by 2⁻⁷. As an array of many values a limit is
# cheaper than as one.
_TURN, _TURN_LOW, _TURN_HIGH = -32, -8191, 8192
_MAX16 = 32767
_HALF = 16383

# Rows of a lane's state, each for both bands. X: b6 … b1, a2, a1, so that a row stands beside
# the past value it multiplies, oldest first.
_X = slice(0, 8)
_B = slice(0, 6)
_A = slice(6, 8)
_D = slice(8, 14)
_R = slice(14, 16)
_P = slice(16, 18)
_NB = 18
_ROWS = 19

# Looked up once: in the loops the look-up would be a tenth of the call.
_add, _sub, _mul, _div = np.add, np.subtract, np.multiply, np.divide
_floordiv = np.floor_divide
_min, _max, _sign, _negative, _copysign = (
    np.minimum,
    np.maximum,
    np.sign,
    np.negative,
    np.copysign,
)
_shr, _or = np.right_shift, np.bitwise_or
_total: Any = np.add.reduce


def _filter(synthesis: bool) -> npt.NDArray[np.float64]:
    """(40, 62): one block of twenty steps as a product, 22 values of history before it."""
    weights = np.zeros((_BLOCK, 2, _TAPS + 2 * _BLOCK))
    for step in range(_BLOCK):
        even = slice(2 * step, 2 * step + 24, 2)
        odd = slice(2 * step + 1, 2 * step + 25, 2)
        if synthesis:
            weights[step, 0, odd] = tables.QMF[::-1]
            weights[step, 1, even] = tables.QMF
        else:
            weights[step, :, odd] = tables.QMF[::-1]
            weights[step, 0, even] = tables.QMF
            weights[step, 1, even] = -tables.QMF
    return weights.reshape(2 * _BLOCK, -1)


_ANALYSIS, _SYNTHESIS = _filter(False), _filter(True)


class _Lanes:
    """State of both directions alike: columns that lanes join and leave."""

    def __init__(self, capacity: int) -> None:
        self._state: Int32 = np.zeros((_ROWS, 2, 0), dtype=np.int32)
        self._window = np.zeros((_TAPS, 0))
        self.capacity = 0
        self.grow(capacity)

    def grow(self, capacity: int) -> None:
        """Room for ``capacity`` lanes; those that are there keep their state."""
        old = self.capacity
        state: Int32 = np.zeros((_ROWS, 2, capacity), dtype=np.int32)
        window = np.zeros((_TAPS, capacity))
        state[:, :, :old], window[:, :old] = self._state, self._window
        self._state, self._window, self.capacity = state, window, capacity
        self.clear(slice(old, capacity))

    def clear(self, rows: int | slice | npt.NDArray[np.intp]) -> None:
        """Reset (clause 6, RS): as a codec that has coded nothing."""
        self._state[:, :, rows] = 0
        self._state[_P, :, rows] = 1
        self._state[_NB, tables.HIGH, rows] = tables.NB_BASE[tables.HIGH]
        self._window[:, rows] = 0

    def _take(self, chosen: Chosen, lanes: int) -> Int32:
        """A copy of their columns, both bands in one row: (_ROWS, 2 · lanes)."""
        return self._state[:, :, chosen].reshape(_ROWS, 2 * lanes)

    def _line(self, chosen: Chosen, lanes: int, samples: int) -> npt.NDArray[np.float64]:
        """What the filters remember, and room for as much as whole blocks hold of the frame."""
        blocks = -(-samples // (2 * _BLOCK))
        line = np.empty((_TAPS + 2 * _BLOCK * blocks, lanes))
        line[:_TAPS] = self._window[:, chosen]
        line[_TAPS + samples :] = 0
        return line

    def _keep(self, chosen: Chosen, after: Int32, window: npt.NDArray[np.float64]) -> None:
        self._state[:, :, chosen] = after.reshape(_ROWS, 2, -1)
        self._window[:, chosen] = window


def _blocks(line: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(8, 62, lanes) overlapping views of (342, lanes)."""
    view = np.lib.stride_tricks.sliding_window_view(line, _TAPS + 2 * _BLOCK, axis=0)
    return view[:: 2 * _BLOCK].transpose(0, 2, 1)


def _windows(rows: Int32, count: int) -> Int32:
    """(count, 6, n): of every step the six rows before it, oldest first."""
    step, lane = rows.strides
    shape = (count, 6, rows.shape[1])
    return np.lib.stride_tricks.as_strided(rows, shape, (step, step, lane), writeable=False)


def _clip16(values: Int32) -> Int32:
    return np.clip(values, -_MAX16 - 1, _MAX16, out=values)


class Decoder(_Lanes):
    """Octets of many lanes to PCM."""

    def decode(
        self, codes: Codes, rows: Rows | None = None, lengths: Rows | None = None
    ) -> Samples:
        """int16 (n, 2·m) of uint8 ``codes`` (n, m); m is 160 in a frame and may be any number.

        rows: int64 (n,), the lanes, none of them twice; without it they are the first n. The
        others keep their state: what conceals a lost frame is not the codec's.
        lengths: int64 (n,), 0 to m: so many octets of each are its next; what lies behind them is
        decoded to something and forgotten.
        """
        lanes, steps = codes.shape
        if not lanes or not steps:
            return np.zeros((lanes, 2 * steps), dtype=np.int16)
        chosen: Chosen = slice(lanes) if rows is None else rows
        state = self._take(chosen, lanes)
        low_codes, high_codes = np.bitwise_and(codes.T, 63), codes.T >> 6
        index = np.empty((steps, 2, lanes), dtype=np.intp)
        index[:, 0] = tables.OFFSET_LOW.take(low_codes)
        index[:, 1] = tables.OFFSET_HIGH.take(high_codes)
        places = index.reshape(steps, 2 * lanes)
        factor = _factors(places, state[_NB])
        det = tables.DET.take(factor[:-1])
        past = _ints(steps + 6, 2 * lanes)
        past[:6], d = state[_D], past[6:]
        tables.QM4.take(low_codes, out=d[:, :lanes], mode="clip")
        tables.QM2.take(high_codes, out=d[:, lanes:], mode="clip")
        _shr(np.multiply(d, det, out=d), 15, d)
        b, zero = _zeros(past, state[_B], whole=lengths is not None)
        sign = np.concatenate([state[_P], ((zero + d) >> 31) | 1])
        a = _poles(sign, state[_A])
        r = _reconstruct(zero, d, a, state[_R])
        # What is heard takes all six bits of the low band, what predicts only four.
        low = det[:, :lanes] * tables.QM6.take(low_codes) >> 15
        low += r[2:, :lanes] - d[:, :lanes]
        np.clip(low, -16384, 16383, out=low)
        high = np.clip(r[2:, lanes:], -16384, 16383)
        end = _TAPS + 2 * steps
        line = self._line(chosen, lanes, 2 * steps)
        np.add(low, high, out=line[_TAPS:end:2])
        np.subtract(low, high, out=line[_TAPS + 1 : end : 2])
        if lengths is None:
            after = [b[-1], a[-1], past[-6:], r[-2:], sign[-2:], factor[-1:]]
            window = line[2 * steps : end]
        else:
            column = np.arange(2 * lanes)
            at = np.concatenate([lengths, lengths])
            after = [b[at, :, column].T, a[at, :, column].T]
            after += [v[at + np.arange(size)[:, None], column] for v, size in _kept(past, r, sign)]
            after += [factor[at, column][None]]
            window = line[2 * lengths + np.arange(_TAPS)[:, None], np.arange(lanes)]
        self._keep(chosen, np.concatenate(after, dtype=np.int32), window)
        sound = np.matmul(_SYNTHESIS, _blocks(line)).reshape(-1, lanes)[: 2 * steps]
        np.floor(np.multiply(sound, 1 / 2048, out=sound), out=sound)
        out: Samples = np.empty((lanes, 2 * steps), dtype=np.int16)
        np.clip(sound, -_MAX16 - 1, _MAX16, out=sound)
        out[...] = sound.T
        return out


def _kept(past: Int32, r: Int32, sign: Int32) -> tuple[tuple[Int32, int], ...]:
    """Histories, and how many rows of each are a lane's state."""
    return (past, 6), (r, 2), (sign, 2)


def _factors(index: Index, state: Int32) -> Index:
    """Scale factor state before every step, and after the last; codes become places in tables."""
    factor = np.empty((len(index) + 1, *index.shape[1:]), dtype=np.intp)
    now = state.astype(np.intp)
    following = tables.NEXT.take
    for place, kept in zip(index, factor, strict=False):
        kept[...] = now
        _add(place, now, place)
        following(place, None, now, "clip")
    factor[-1] = now
    return factor


def _zeros(past: Int32, first: Int32, *, whole: bool) -> tuple[Int32, Int32]:
    """UPZERO and FILTEZ: coefficients (k, 6, n) before every step and after the last, or the end
    of them where not ``whole``; each step's sum (steps, n)."""
    if whole or first.size <= _MANY:
        return _some_zeros(past, first)
    # In parts, so that what the loop writes is still near when it is read.
    b, sums = first[None], []
    for at in range(0, len(past) - 6, _PART):
        b, part = _some_zeros(past[at : at + _PART + 6], b[-1])
        sums.append(part)
    return b, np.concatenate(sums)


def _some_zeros(past: Int32, first: Int32) -> tuple[Int32, Int32]:
    d = past[6:]
    steps = len(d)
    gain = _windows((past >> 31) | 1, steps) * (_sign(d) << 7)[:, None]
    b = _ints(steps + 1, *first.shape)
    b[0] = first
    scratch = np.empty_like(first)
    leak = np.full_like(first, 255)
    shift = _constant(8)
    for now, up, after in zip(b, gain, b[1:], strict=False):
        _mul(now, leak, scratch)
        _shr(scratch, shift, scratch)
        _add(scratch, up, after)
    terms = np.multiply(b[:-1], _windows(past, steps))
    np.right_shift(terms, 14, out=terms)
    total = terms[:, 0].copy()
    for lag in range(1, 6):
        _clip16(np.add(total, terms[:, lag], out=total))
    return b, total


def _poles(sign: Int32, first: Int32) -> Int32:
    """UPPOL1 and UPPOL2: (steps + 1, 2, n) coefficients a2 and a1 that each step predicts with."""
    n = first.shape[1]
    steps = len(sign) - 2
    same = np.stack([sign[:-2] * sign[2:], sign[1:-1] * sign[2:]], axis=1)
    up = same * np.array([[128], [192]], dtype=np.int32)
    a: Int32 = np.empty((steps + 1, 2, n), dtype=np.int32)
    a[0] = first
    leak = np.repeat(np.array([[254], [255]], dtype=np.int32), n, axis=1)
    scratch, x, limit = _ints(2, n), _ints(n), _ints(n)
    low_end, high_end, most, least = _ints(n), _ints(n), _ints(n), _ints(n)
    low_end[:], high_end[:], most[:], least[:] = _TURN_LOW, _TURN_HIGH, _A2_LIMIT, -_A2_LIMIT
    shift, turn, both = _constant(8), _constant(_TURN), _constant(_A_SUM)
    for now, gain, sense, after, a2, a1, was in zip(
        a[:-1], up, same[:, 1], a[1:], a[1:, 0], a[1:, 1], a[:-1, 1], strict=True
    ):
        _mul(was, sense, x)
        _min(x, high_end, out=x)
        _max(x, low_end, out=x)
        _floordiv(x, turn, x)
        _mul(now, leak, scratch)
        _shr(scratch, shift, scratch)
        _add(scratch, gain, after)
        _add(a2, x, a2)
        _min(a2, most, out=a2)
        _max(a2, least, out=a2)
        _sub(both, a2, limit)
        _min(a1, limit, out=a1)
        _negative(limit, limit)
        _max(a1, limit, out=a1)
    return a


def _reconstruct(zero: Int32, d: Int32, a: Int32, first: Int32) -> Int32:
    """FILTEP, PREDIC and RECONS: (2 + steps, n) reconstructed signal, the two before it first."""
    steps, n = d.shape
    r: Int32 = np.empty((steps + 2, n), dtype=np.int32)
    r[:2] = first
    known = zero + d
    product = np.empty((2, n), dtype=np.int32)
    older, newer = product
    shift = np.array(14, dtype=np.int32)
    pairs = np.lib.stride_tricks.as_strided(r, (steps, 2, n), (r.strides[0], *r.strides))
    for weight, pair, rest, after in zip(a, pairs, known, r[2:], strict=False):
        _mul(weight, pair, product)
        _shr(product, shift, product)
        _add(older, newer, older)
        _add(older, rest, after)
    # Products wrap only where r has left its range before.
    poles = r[2:] - known
    wild = (np.abs(r) > _HALF).any(axis=0) | (np.abs(poles) > _MAX16).any(axis=0)
    if wild.any():
        lanes = np.flatnonzero(wild)
        r[2:, lanes] = _reconstruct_clipped(
            zero[:, lanes], d[:, lanes], a[:, :, lanes], r[:2, lanes]
        )
    return r


def _reconstruct_clipped(zero: Int32, d: Int32, a: Int32, first: Int32) -> Int32:
    """The same with every clip of the Recommendation, for lanes that leave 16 bits."""
    steps, n = d.shape
    r: Int32 = np.empty((steps, n), dtype=np.int32)
    older, newer = first
    for step in range(steps):
        product = (a[step, 0] * _clip16(2 * older) >> 15) + (a[step, 1] * _clip16(2 * newer) >> 15)
        predicted = _clip16(_clip16(product) + zero[step])
        older, newer = newer, _clip16(predicted + d[step])
        r[step] = newer
    return r


class Encoder(_Lanes):
    """PCM of many lanes to octets."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._steps = _Steps(0)

    def encode(self, samples: Samples, rows: Rows | None = None) -> Codes:
        """uint8 (n, 160) of int16 ``samples`` (n, 320).

        rows: int64 (n,), the lanes, none of them twice; without it they are the first n. The
        others keep their state.
        """
        lanes = len(samples)
        if not lanes:
            return np.zeros((0, STEPS), dtype=np.uint8)
        chosen: Chosen = slice(lanes) if rows is None else rows
        state = self._take(chosen, lanes)
        line = self._line(chosen, lanes, SAMPLES)
        line[_TAPS:] = samples.T
        bands = np.matmul(_ANALYSIS, _blocks(line)).reshape(STEPS, 2 * lanes)
        np.floor(np.multiply(bands, 1 / 16384, out=bands), out=bands)
        np.clip(bands, -16384, 16383, out=bands)
        bands += 0.5  # so that no difference is 0: its sign says which way is further from zero
        if self._steps.lanes != lanes:
            self._steps = _Steps(lanes)
        steps = self._steps
        after = steps.run(bands, state)
        wild = np.flatnonzero(steps.wild.reshape(2, lanes).any(axis=0))
        if wild.size:
            both = np.concatenate([wild, wild + lanes])
            again = _Steps(wild.size)
            after[:, both] = again.run(bands[:, both], state[:, both], clipped=True)
            steps.quotient[:, both] = again.quotient
        self._keep(chosen, after, line[-_TAPS:])
        low = tables.CODE_LOW.take(steps.quotient[:, :lanes], mode="clip")
        high = tables.CODE_HIGH.take(steps.quotient[:, lanes:], mode="clip")
        out: Codes = np.empty((lanes, STEPS), dtype=np.uint8)
        out[...] = (low | (high << 6)).T
        return out


def _predict_clipped(x: Int32, d: Int32, r: Int32) -> tuple[Int32, Int32]:
    """FILTEZ and FILTEP with every clip: the zero section's sum, and the prediction."""
    terms = x[:6] * d >> 14
    zero = terms[0]
    for lag in range(1, 6):
        zero = _clip16(zero + terms[lag])
    poles = x[6:] * _clip16(2 * r) >> 15
    return zero, _clip16(zero + _clip16(poles[0] + poles[1]))


def _constant(value: float, dtype: npt.DTypeLike = np.int32) -> npt.NDArray[Any]:
    """Of no dimension: cheaper for a ufunc than a Python number."""
    return np.array(value, dtype=dtype)


class _Steps:
    """The encoder's arrays for so many lanes, and the views that each step takes of them.

    Operations on a few hundred values cost little more than their call, so there are few of them:
    rows that move alike lie in one array, and what is found by a table is not calculated.
    """

    def __init__(self, lanes: int) -> None:
        n = 2 * lanes
        self.lanes = lanes
        self.quotient: Index = np.empty((STEPS, n), dtype=np.intp)
        self._past, self._signs = _ints(STEPS + 6, n), _ints(STEPS + 6, n)
        self._r, self._p, self._sp = _ints(STEPS + 2, n), _ints(STEPS + 2, n), _ints(STEPS, n)
        self._sampled = _ints(STEPS // _BLOCK, 6, n)
        past, signs, r, p = self._past, self._signs, self._r, self._p
        self._views = [
            (
                past[t : t + 6],
                past[t + 6],
                signs[t : t + 6],
                signs[t + 6, :lanes],
                signs[t + 6, lanes:],
                r[t : t + 2],
                r[t + 2],
                p[t],
                p[t + 1],
                p[t + 2],
                self._sp[t],
                self.quotient[t],
                self.quotient[t, :lanes],
                self.quotient[t, lanes:],
                self._sampled[t // _BLOCK] if t % _BLOCK == 0 else None,
            )
            for t in range(STEPS)
        ]

    @property
    def wild(self) -> Mask:
        """(n,): columns where the Recommendation clips, or might, inside a predictor."""
        far = max(_peak(self._r[2:]), _peak(self._sp) >> 1)
        if far <= _HALF and _peak(self._past) <= _HALF // 6:
            return np.zeros(2 * self.lanes, dtype=np.bool_)
        # b moves by at most 128 and its leak a step: its size is known from every twentieth.
        b = np.abs(self._sampled).max(axis=1) + _BLOCK * 256
        d = np.abs(self._past)
        near = d[:-6] + d[1:-5] + d[2:-4] + d[3:-3] + d[4:-2] + d[5:-1]
        most = near.reshape(len(b), _BLOCK, -1).max(axis=1)
        sums = (b * most.astype(np.int64) > _HALF << 15).any(axis=0)
        beyond = np.abs(self._r[2:]).max(axis=0) > _HALF
        return np.asarray(sums | beyond | (np.abs(self._sp).max(axis=0) > _MAX16))

    def run(self, bands: npt.NDArray[np.float64], state: Int32, *, clipped: bool = False) -> Int32:
        """One frame: ``bands`` (160, n) half above a whole number, ``state`` → the state after.

        The codes are in ``quotient``. ``clipped``: with every clip of the Recommendation inside
        the predictors; without, ``wild`` says where that would have made a difference.
        """
        lanes, n = self.lanes, 2 * self.lanes
        past, signs, r, p = self._past, self._signs, self._r, self._p
        past[:6], r[:2], p[:2] = state[_D], state[_R], state[_P]
        signs[:6] = ((past[:6] >> 31) | 1) << 7
        x = state[_X].copy()
        b, a, a2, a1 = x[:6], x[6:], x[6], x[7]
        nb = state[_NB].astype(np.intp)
        place = np.empty(n, dtype=np.intp)
        place_low, place_high = place[:lanes], place[lanes:]
        divisor = tables.DIVISOR.take(nb)
        product, up, same = _ints(8, n), _ints(8, n), _ints(2, n)
        zeros, poles, pole2, pole1 = product[:6], product[6:], product[6], product[7]
        up_b, up_a, same2, same1 = up[:6], up[6:], same[0], same[1]
        zero, s, m = _ints(n), _ints(n), _ints(n)
        e, half, halves = np.empty(n), np.empty(n), np.full(n, 0.5)
        leak = np.repeat(np.array([[255]] * 6 + [[254], [255]], dtype=np.int32), n, axis=1)
        gain = np.repeat(np.array([[128], [192]], dtype=np.int32), n, axis=1)
        c14, c8, c31, one = (_constant(v) for v in (14, 8, 31, 1))
        low_end, high_end = _ints(n), _ints(n)
        most, least = _ints(n), _ints(n)
        low_end[:], high_end[:], most[:], least[:] = _TURN_LOW, _TURN_HIGH, _A2_LIMIT, -_A2_LIMIT
        turn, both = _constant(_TURN), _constant(_A_SUM)
        centre = _constant(tables.CENTRE, np.float64)
        step_low, step_high = tables.STEP_LOW.take, tables.STEP_HIGH.take
        sign_low, sign_high = tables.SIGN_LOW.take, tables.SIGN_HIGH.take
        following, difference = tables.NEXT.take, tables.DIFFERENCE.take
        factor = tables.DIVISOR.take
        clip: Literal["clip"] = "clip"
        for band, views in zip(bands, self._views, strict=True):
            (d_past, d, s_past, s_low, s_high, r_past, r_now) = views[:7]
            (p2, p1, p_now, sp, quotient, low, high, sampled) = views[7:]
            if sampled is not None:
                sampled[...] = b
            if clipped:
                zero, s = _predict_clipped(x, d_past, r_past)
            else:
                _mul(b, d_past, zeros)
                _mul(a, r_past, poles)
                _shr(product, c14, product)
                _total(zeros, 0, None, zero)
                _add(pole2, pole1, sp)
                _add(zero, sp, s)
            # Quantise: the difference, one further from zero, by the scale factor.
            e[...] = s
            _sub(band, e, e)
            _copysign(halves, e, half)
            _add(e, half, e)
            _div(e, divisor, e)
            _add(e, centre, e)
            quotient[...] = e
            step_low(low, None, place_low, clip)
            step_high(high, None, place_high, clip)
            _add(nb, place, place)
            following(place, None, nb, clip)
            difference(place, None, d, clip)
            factor(nb, None, divisor, clip)
            sign_low(low, None, s_low, clip)
            sign_high(high, None, s_high, clip)
            # Reconstruct.
            _add(s, d, r_now)
            if clipped:
                _clip16(r_now)
            _add(zero, d, p_now)
            _shr(p_now, c31, p_now)
            _or(p_now, one, p_now)
            # UPZERO, UPPOL2 and UPPOL1.
            _sign(d, m)
            _mul(s_past, m, up_b)
            _mul(p_now, p2, same2)
            _mul(p_now, p1, same1)
            _mul(same, gain, up_a)
            _mul(a1, same1, m)
            _min(m, high_end, out=m)
            _max(m, low_end, out=m)
            _floordiv(m, turn, m)
            _mul(x, leak, x)
            _shr(x, c8, x)
            _add(x, up, x)
            _add(a2, m, a2)
            _min(a2, most, out=a2)
            _max(a2, least, out=a2)
            _sub(both, a2, m)
            _min(a1, m, out=a1)
            _negative(m, m)
            _max(a1, m, out=a1)
        return np.concatenate([x, past[-6:], r[-2:], p[-2:], nb[None]], dtype=np.int32)


def _peak(values: Int32) -> int:
    return max(int(values.max(initial=0)), -int(values.min(initial=0)))


def _ints(*shape: int) -> Int32:
    return np.empty(shape, dtype=np.int32)
