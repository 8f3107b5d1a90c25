"""Tones of the network and of machines: ringing, busy, SIT, dial tone, fax, one steady tone.

Two steps, both without state. ``look`` says of windows of 40 ms what kind of tone they hold, by
their spectrum in steps of 25 Hz. ``judge`` says of one lane's segments, tone and pause by turns,
what they mean. Frequencies and cadences: ITU-T E.180 and its supplement 2, T.30 and V.25 for fax.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Shapes = npt.NDArray[np.int8]

RATE = 8000
SPAN = 320
"""Samples of a window, 40 ms: it tells 440 Hz with 480 from 350 with 440."""
STEP_HZ = RATE / SPAN

# What a window holds.
NOTHING, LOW, DIAL, PAIR, FIRST, SECOND, THIRD, FAX_CALL, FAX_ANSWER, STEADY = range(10)
"""No tone · 400 to 480 Hz, one or two · 350 with 440 or 450 · 480 with 620 · the three of SIT ·
1,100 · 2,100 · one tone of another frequency."""


class Tone(Enum):
    """What was recognized on a lane."""

    RINGBACK = "ringback"
    BUSY = "busy"
    REORDER = "reorder"
    SIT = "sit"
    DIAL = "dial"
    FAX_CALL = "fax_call"
    """CNG: a fax machine calls (T.30 §4)."""
    FAX_ANSWER = "fax_answer"
    """CED: a fax machine or a modem has answered (T.30 §4, V.25)."""
    BEEP = "beep"
    """One steady tone after speech, and silence behind it."""


class Segment(NamedTuple):
    """A stretch of one kind of window."""

    shape: int
    ms: float


class Look(NamedTuple):
    """What windows hold.

    shape: int8 (n,), ``NOTHING`` to ``STEADY``.
    hertz: float64 (n,), the frequency where one tone has nearly all of the energy, else 0.
    """

    shape: Shapes
    hertz: Floats


PURE = 0.9
"""Part of the energy that one tone has: 10 dB over all else."""
MOSTLY = 0.85
"""The same for the tones of a plan, together."""
PART = 0.1
"""Part that each tone of a pair has at least: 8 dB of difference."""

_LINES = 96
"""Of the spectrum: up to 2,375 Hz. Above it nothing is looked for."""
_LINE = 0.2
"""Part of the energy that the strongest line of any tone or pair has at least."""
_HANN: Singles = np.hanning(SPAN + 1)[:SPAN].astype(np.float32)
_LOBE = 2
"""Steps to both sides that hold a tone under this window."""
_LOW_HZ = (390.0, 495.0)
_SINGLES = (
    (FIRST, 895.0, 1010.0),
    (FAX_CALL, 1058.0, 1142.0),
    (SECOND, 1340.0, 1460.0),
    (THIRD, 1740.0, 1860.0),
    (FAX_ANSWER, 2075.0, 2125.0),
)
"""E.180 §6 wants SIT within 50 Hz of 950, 1,400 and 1,800; T.30 CNG within 38 Hz of 1,100."""


def look(windows: Singles) -> Look:
    """What float32 (n, SPAN) on the int16 scale hold; windows of silence hold nothing."""
    shape, hertz = np.zeros(windows.shape[0], np.int8), np.zeros(windows.shape[0])
    shaped = windows * _HANN
    spectrum = np.fft.rfft(shaped, axis=-1)[:, :_LINES]
    power = np.asarray(spectrum.real**2 + spectrum.imag**2, np.float32)
    # Of the windowed energy both halves of the spectrum have the same. A line's direct current
    # is no tone.
    total = np.vecdot(shaped, shaped) * np.float32(SPAN / 2) - power[:, 0] / 2 - power[:, 1]
    power[:, :2] = 0.0
    # Speech has no line as strong as the weakest plan has, nine times in ten.
    maybe = np.flatnonzero(power.max(axis=1) > _LINE * total)
    if maybe.size:
        shape[maybe], hertz[maybe] = _name(power[maybe], np.maximum(total[maybe], 1e-9))
    return Look(shape, hertz)


def _name(power: Singles, total: Singles) -> Look:
    """What power spectra (n, lines) with such sums hold."""
    sums = np.cumsum(power, axis=1)
    shape = np.zeros(power.shape[0], np.int8)
    hertz = _single(power, sums, total)
    alone = hertz > 0
    shape[alone] = STEADY
    for kind, least, most in _SINGLES:
        shape[alone & (hertz >= least) & (hertz <= most)] = kind
    # One tone of 500 Hz or more is nobody's plan, whatever of it lies in the band.
    one_other = alone & ((hertz < _LOW_HZ[0]) | (hertz > _LOW_HZ[1]))
    shape[(_band(sums, 350, 550) > MOSTLY * total) & ~one_other] = LOW
    # 375 Hz is left out: under this window 400 Hz alone puts a sixth of itself there.
    of_350, of_440 = _band(sums, 325, 350), _band(sums, 400, 500)
    dial = (_band(sums, 300, 500) > MOSTLY * total) & (np.minimum(of_350, of_440) > PART * total)
    shape[dial] = DIAL
    of_480, of_620 = _band(sums, 430, 530), _band(sums, 570, 670)
    pair = (of_480 + of_620 > MOSTLY * total) & (np.minimum(of_480, of_620) > PART * total)
    shape[pair] = PAIR
    return Look(shape, hertz)


def _band(sums: Singles, least: float, most: float) -> Singles:
    return np.asarray(sums[:, round(most / STEP_HZ)] - sums[:, round(least / STEP_HZ) - 1])


def _single(power: Singles, sums: Singles, total: Singles) -> Floats:
    """Frequency (n,) of the one tone, 0 where there is none or more."""
    rows = np.arange(power.shape[0])
    top = power[:, 3 : _LINES - 3].argmax(axis=1) + 3
    around = sums[rows, top + _LOBE] - sums[rows, top - _LOBE - 1]
    # Under a Hann window the ratio of the two largest lines says where between them it lies.
    left, middle, right = (np.sqrt(power[rows, top + step]) for step in (-1, 0, 1))
    ratio = np.maximum(left, right) / np.maximum(middle, 1e-9)
    shift = (2 * ratio - 1) / (ratio + 1) * np.where(right > left, 1.0, -1.0)
    return np.where(around > PURE * total, (top + shift) * STEP_HZ, 0.0)


# Cadences in ms. Segments are measured to about 30 ms.
_BUSY = (330.0, 600.0)
_REORDER = (150.0, 330.0)
_RING = (700.0, 2300.0)
_DOUBLE_RING = (330.0, 500.0)
_RING_PAUSE = 800.0
_CONGESTION = ((400.0, 350.0, 225.0, 525.0, 400.0), (225.0, 525.0, 400.0, 350.0, 225.0))
_CONGESTION_SLACK = 60.0
_DIAL = 2600.0
_FAX_CALL = (400.0, 600.0)
_FAX_CALL_PAUSE = (2500.0, 3500.0)
_FAX_ANSWER = 1000.0
_SIT = 180.0
_SIT_GAP = 100.0
MEMORY = 8
"""Segments that ``judge`` looks at."""
LOOKS_MS = (_RING_PAUSE, _FAX_ANSWER, _DIAL)
"""Ages of a segment at which it may mean something before it ends."""


def judge(segments: Sequence[Segment]) -> Tone | None:
    """What the last segments mean; the newest is the last one and still runs."""
    if not segments:
        return None
    shape, ms = segments[-1]
    if shape == FAX_ANSWER and ms >= _FAX_ANSWER:
        return Tone.FAX_ANSWER
    if shape in (LOW, DIAL) and ms >= _DIAL:
        return Tone.DIAL
    if shape in (THIRD, NOTHING) and _is_sit(segments):
        return Tone.SIT
    return _ended(segments) if shape == NOTHING and len(segments) > 1 else None


def _ended(segments: Sequence[Segment]) -> Tone | None:
    """A pause runs: what the tones before it were."""
    pause = segments[-1].ms
    tones = segments[-2::-2]
    pauses = segments[-3::-2]
    shape = tones[0].shape
    if any(gap.shape != NOTHING for gap in pauses[:2]):
        return None
    alike = [tone.ms for tone in tones if tone.shape == shape]
    if shape == FAX_CALL:
        twice = len(alike) >= 2 and _all_within(_FAX_CALL, *alike[:2])
        return Tone.FAX_CALL if twice and _all_within(_FAX_CALL_PAUSE, pauses[0].ms) else None
    if shape not in (LOW, PAIR):
        return None
    if len(alike) >= 3 and _all_within(_REORDER, *alike[:3], pauses[0].ms, pauses[1].ms):
        return Tone.REORDER
    if len(alike) >= 3 and _is_congestion(alike, [gap.ms for gap in pauses]):
        return Tone.REORDER
    if len(alike) >= 2 and _all_within(_BUSY, *alike[:2], pauses[0].ms):
        return Tone.BUSY
    return _ringing(shape, alike, [gap.ms for gap in pauses], pause)


def _is_congestion(tones: list[float], pauses: list[float]) -> bool:
    """The British one: 400 on, 350 off, 225 on, 525 off, from wherever it was heard first."""
    heard = [tones[2], pauses[1], tones[1], pauses[0], tones[0]]
    return any(
        all(abs(ms - want) <= _CONGESTION_SLACK for ms, want in zip(heard, turn, strict=True))
        for turn in _CONGESTION
    )


def _all_within(limits: tuple[float, float], *lengths: float) -> bool:
    return all(limits[0] <= length <= limits[1] for length in lengths)


def _ringing(shape: int, rings: list[float], pauses: list[float], pause: float) -> Tone | None:
    """One ring of 0.7 s or more, or two of 0.4 s (UK), and a pause longer than busy has one."""
    if shape != LOW or pause < _RING_PAUSE:
        return None
    lone = _all_within(_RING, rings[0])
    double = (
        len(rings) > 1
        and _all_within(_DOUBLE_RING, *rings[:2])
        and _all_within(_REORDER, pauses[0])
    )
    return Tone.RINGBACK if lone or double else None


def _is_sit(segments: Sequence[Segment]) -> bool:
    heard = [s for s in segments if s.shape != NOTHING or s.ms > _SIT_GAP]
    if heard and heard[-1].shape == NOTHING:
        heard.pop()
    last = heard[-3:]
    return [s.shape for s in last] == [FIRST, SECOND, THIRD] and all(s.ms >= _SIT for s in last)
