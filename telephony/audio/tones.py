"""Sounds made of sines: keys, ringing, busy, the beep. All int16 (samples,), without clicks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from telephony.audio.level import amplitude
from telephony.audio.pcm import fade, saturate, silence

Samples = npt.NDArray[np.int16]

LOW = (697.0, 770.0, 852.0, 941.0)
HIGH = (1209.0, 1336.0, 1477.0, 1633.0)
KEYPAD = ("123A", "456B", "789C", "*0#D")
DTMF = {
    key: (LOW[row], HIGH[column])
    for row, keys in enumerate(KEYPAD)
    for column, key in enumerate(keys)
}
"""Key → its two frequencies (ITU-T Q.23)."""

EDGE_MS = 5
"""Rise and fall of a tone: short against a key's 40 ms, long against a click."""

# (frequencies, level each in dBm0, cadence of on and off in ms): ITU-T E.180 supplement 2.
RINGBACK = {
    "us": ((440.0, 480.0), -19.0, (2000, 4000)),
    "eu": ((425.0,), -16.0, (1000, 4000)),
    "uk": ((400.0, 450.0), -19.0, (400, 200, 400, 2000)),
}
BUSY = {
    "us": ((480.0, 620.0), -24.0, (500, 500)),
    "eu": ((425.0,), -16.0, (500, 500)),
    "uk": ((400.0,), -16.0, (375, 375)),
}


def sine(
    frequencies: float | tuple[float, ...],
    milliseconds: float,
    level_dbm0: float = -10.0,
    rate: int = 8000,
) -> Samples:
    """One or more sines together, each of ``level_dbm0``, softened at both edges."""
    together = (frequencies,) if isinstance(frequencies, int | float) else frequencies
    size = round(milliseconds * rate / 1000)
    phase = 2 * np.pi * np.outer(np.asarray(together), np.arange(size)) / rate
    edge = EDGE_MS * rate // 1000
    return fade(saturate(amplitude(level_dbm0) * np.sin(phase).sum(axis=0)), edge, edge)


def dtmf(
    digits: str,
    milliseconds: float = 100,
    gap_ms: float = 100,
    level_dbm0: float = -8.0,
    rate: int = 8000,
) -> Samples:
    """Keys as in-band tones, each ``milliseconds`` long with ``gap_ms`` of silence after it.

    Raises:
        ValueError: a character that is no key.
    """
    parts: list[Samples] = [silence(0, rate)]
    for digit in digits.upper():
        if digit not in DTMF:
            raise ValueError(f"{digit!r} is no key")
        parts += [sine(DTMF[digit], milliseconds, level_dbm0, rate), silence(gap_ms, rate)]
    return np.concatenate(parts)


def ringback(plan: str = "us", rate: int = 8000) -> Samples:
    """One cadence of the ringing tone (``us``, ``eu``, ``uk``), to be played in a loop."""
    return _cadence(*RINGBACK[plan], rate=rate)


def busy(plan: str = "us", rate: int = 8000) -> Samples:
    """One cadence of the busy tone, to be played in a loop."""
    return _cadence(*BUSY[plan], rate=rate)


def beep(milliseconds: float = 400, rate: int = 8000) -> Samples:
    """The tone that says "speak now"."""
    return sine(1000.0, milliseconds, -12.0, rate)


def fallback(rate: int = 8000) -> Samples:
    """What plays where words cannot: two falling notes, half a second in all."""
    return np.concatenate([sine(660.0, 220, -14.0, rate), sine(440.0, 280, -14.0, rate)])


def _cadence(
    frequencies: tuple[float, ...], level_dbm0: float, cadence: tuple[int, ...], *, rate: int
) -> Samples:
    parts = [
        silence(length, rate) if index % 2 else sine(frequencies, length, level_dbm0, rate)
        for index, length in enumerate(cadence)
    ]
    return np.concatenate(parts)
