"""Concealment of missing sound by repeating the pitch period: ITU-T G.711 Appendix I in columns.

Everything works on (rows, samples) at 8 or 16 kHz; ``factor`` is 1 or 2. Sums are exact whatever
the order (integers in float64), so a row sounds the same alone and among others.

Unlike the appendix there is no delay of 3.75 ms for the overlap-add at the start: the step between
the last sample and the repetition is faded out over a quarter of a period instead.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]
Samples = npt.NDArray[np.int16]

HISTORY = 390
"""Samples at 8 kHz that ``continued`` looks at: three and a quarter of the longest period."""
MIN_LAG, MAX_LAG = 40, 120
"""Pitch from 200 down to 66 Hz, in samples at 8 kHz (Appendix I §I.2.2)."""
WINDOW = 160
"""Samples at 8 kHz that are compared."""
STEADY = 80
"""Samples at 8 kHz (10 ms) that are repeated at full level; after each so many one period more."""
FADED = 480
"""Samples at 8 kHz (60 ms) after which there is silence."""
EASED = 40
FADE = 0.2
"""Level lost in 10 ms after the first 10."""
QUIET_ENERGY = 1e4


def pitch(
    past: Samples, factor: int = 1, min_lag: int = MIN_LAG, max_lag: int = MAX_LAG
) -> tuple[Counts, npt.NDArray[np.float64]]:
    """Period of the end of int16 (rows, ≥ (max_lag + 160)·factor): samples (rows,), and how alike
    (-1 to 1) the last 20 ms and those one period before are.

    Found at 4 kHz first, then between (Appendix I §I.2.2). Lags are given in samples at 8 kHz.
    """
    step = 2 * factor
    needed = (max_lag + WINDOW) * factor
    recent = past[:, past.shape[1] - needed :]
    coarse = recent.reshape(recent.shape[0], -1, step).sum(axis=2, dtype=np.int64)
    lags = np.arange(min_lag // 2, max_lag // 2 + 1)
    scores = _alike(coarse, lags, WINDOW // 2)
    best = lags[np.argmax(scores, axis=1)] * step
    return _refine(recent, best, step, factor * min_lag, factor * max_lag, factor * WINDOW)


def _alike(values: Counts, lags: Counts, window: int) -> npt.NDArray[np.float64]:
    """Normalised correlation of the last ``window`` values with those each lag before."""
    exact = values.astype(np.float64)
    size = exact.shape[1]
    windows = np.lib.stride_tricks.sliding_window_view(exact, window, axis=1)
    target = exact[:, size - window :]
    chosen = windows[:, size - window - lags[-1] : size - window - lags[0] + 1][:, ::-1]
    products = np.einsum("rlw,rw->rl", chosen, target)
    total = np.cumsum(exact * exact, axis=1)
    ends = size - 1 - lags
    before = ends - window
    power = total[:, ends] - np.where(before >= 0, total[:, before], 0)
    own = (target * target).sum(axis=1)
    return np.asarray(products / np.sqrt(np.maximum(power * own[:, None], QUIET_ENERGY)))


def _refine(
    recent: Samples, best: Counts, step: int, lowest: int, highest: int, window: int
) -> tuple[Counts, npt.NDArray[np.float64]]:
    size = recent.shape[1]
    tried = np.clip(best[:, None] + np.arange(1 - step, step), lowest, highest)
    at = (size - window - tried)[:, :, None] + np.arange(window)
    there = recent[np.arange(recent.shape[0])[:, None, None], at].astype(np.float64)
    target = recent[:, size - window :].astype(np.float64)
    products = np.einsum("rlw,rw->rl", there, target)
    power = (there * there).sum(axis=2)
    own = (target * target).sum(axis=1)
    scores = products / np.sqrt(np.maximum(power * own[:, None], QUIET_ENERGY))
    chosen = np.argmax(scores, axis=1)
    rows = np.arange(recent.shape[0])
    return tried[rows, chosen].astype(np.int64), np.asarray(scores[rows, chosen])


def continued(
    base: Reals, lag: Counts, start: Counts, length: int, factor: int = 1, sure: Reals | None = None
) -> Reals:
    """What would have come after ``base``, from ``start`` samples behind its end on.

    Args:
        base: float32 (rows, 390·factor), the last sound that was there.
        lag: int64 (rows,), its period in samples.
        start: int64 (rows,), samples that were concealed before these.
        length: samples wanted.
        sure: float32 (rows,), 0 to 1: what the level goes to within 5 ms. Sound without a period
            is no likelier right when repeated than silence is, and buzzes.

    Returns float32 (rows, length): one period repeated for 10 ms, two for the next 10, then three,
    20 % softer each 10 ms after the first 10, silent after 60 ms.
    """
    ten = STEADY * factor
    at = start[:, None] + np.arange(length)
    quarter = (lag // 4)[:, None]
    found = _repeated(base, lag, at, 1)
    size = base.shape[1]
    rows = np.arange(base.shape[0])
    step = base[:, size - 1] - base[rows, size - 1 - lag]
    found += step[:, None] * np.maximum(0, 1 - (at + 1) / (quarter + 1)).astype(np.float32)
    for periods in (2, 3):
        begin = (periods - 1) * ten
        share = np.clip((at - begin) / quarter, 0, 1).astype(np.float32)
        if share.any():
            found += share * (_repeated(base, lag, at, periods) - found)
    if sure is not None:
        eased = np.minimum(1, (at + 1) / (EASED * factor)).astype(np.float32)
        found *= 1 + (sure[:, None] - 1) * eased
    return np.asarray(found * level(at, factor))


def confidence(alike: npt.NDArray[np.float64]) -> Reals:
    """Level at which sound is repeated whose last periods are so alike, -1 to 1."""
    return (np.clip(alike, 0, 1) ** 2).astype(np.float32)


def level(at: Counts, factor: int = 1) -> Reals:
    """Gain of a concealed sample that lies ``at`` samples behind the last that was there."""
    ten = STEADY * factor
    gain = np.clip(1 - FADE * (at - ten) / ten, 0, 1)
    return np.where(at >= FADED * factor, 0, gain).astype(np.float32)


def blend(gap: Counts, lag: Counts, factor: int = 1) -> Counts:
    """Samples over which sound that comes back after ``gap`` is mixed with what was made up.

    A quarter of a period and 4 ms for each 10 ms that were missing, 10 ms at most (§I.2.6); 2 ms
    where all had faded: nothing is there to mix with, and the start of a word is.
    """
    ten = STEADY * factor
    length = np.minimum(lag // 4 + 32 * factor * (gap // ten), ten)
    return np.where(gap >= FADED * factor, ten // 5, length)


def _repeated(base: Reals, lag: Counts, at: Counts, periods: int) -> Reals:
    """The last periods over and over, the end of each round led over into its beginning."""
    size = base.shape[1]
    span = (periods * lag)[:, None]
    quarter = (lag // 4)[:, None]
    rows = np.arange(base.shape[0])[:, None]
    place = at % span
    found = base[rows, size - span + place]
    share = np.clip((place - span + quarter + 1) / (quarter + 1), 0, 1).astype(np.float32)
    before = base[rows, size - 2 * span + np.maximum(place, span - quarter)]
    return np.asarray(found + share * (before - found))
