"""Music for who waits, made here: nobody's work, so nobody's licence."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from telephony.audio.level import amplitude
from telephony.audio.pcm import saturate

Samples = npt.NDArray[np.int16]

NOTE_MS = 300
RING_MS = 1500
"""How long a plucked string is heard."""
LEVEL_DBM0 = -22.0
"""Softer than speech (-20 dBm0): nobody holds the telephone away, and G.711 still codes it well."""
C, D, E, F, G, A, B = 261.63, 293.66, 329.63, 349.23, 392.0, 440.0, 493.88
BARS = (
    (C, E, G, 2 * C, G, E, G, E),
    (A, C * 2, E * 2, 2 * C, A * 2, 2 * E, 2 * C, E * 2),
    (F, A, 2 * C, 2 * F, 2 * C, A, 2 * C, A),
    (G, B, 2 * D, 2 * G, 2 * D, B, 2 * D, B),
)
"""Broken chords of C, a, F and G: 9.6 s, then over again."""
PARTIALS = ((1.0, 1.0), (2.0, 0.35), (3.0, 0.12))
"""Each with its share: softer than a sine organ, and never two frequencies alone like a key's."""


@cache
def hold_music(rate: int = 8000) -> Samples:
    """int16 (samples,), a loop without a seam: the last notes ring on into the first ones.

    Made once, and not writable.
    """
    step = NOTE_MS * rate // 1000
    notes = [note for bar in BARS for note in bar]
    sound = np.zeros(step * len(notes))
    time = np.arange(RING_MS * rate // 1000) / rate
    # A string: struck within 8 ms, fading, and damped to nothing at the end.
    envelope = (
        np.minimum(1, time / 0.008)
        * np.exp(-time / 0.35)
        * np.cos(np.pi / 2 * time / time[-1]) ** 2
    )
    for number, note in enumerate(notes):
        string = sum(share * np.sin(2 * np.pi * note * n * time) for n, share in PARTIALS)
        at = (number * step + np.arange(time.size)) % sound.size
        sound[at] += string * envelope
    rms = float(np.sqrt(np.mean(sound**2)))
    made = saturate(sound / rms * amplitude(LEVEL_DBM0) / np.sqrt(2))
    made.flags.writeable = False
    return made
