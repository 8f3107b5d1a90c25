"""Hold music for lanes whose other party does not listen.

A far end that holds us by re-INVITE hears nothing of the party it was bridged to, who would
otherwise listen to silence and hang up. Where the holder sends music of its own (RFC 3264 §8.4
lets it), ours makes way.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from telephony.audio import pcm, wav
from telephony.audio.mix import Gains, limit, ramped
from telephony.audio.music import hold_music
from telephony.audio.resample import resample
from telephony.base.errors import ConfigError
from telephony.media.columns import Columns, Counts, Flags, Rows, Samples
from telephony.media.config import FRAME, RATE, TICK_MS
from telephony.media.desk import NOBODY
from telephony.media.ducking import UNDER_SPEECH, approach

RESUME = 75
"""Ticks of silence from the holder after which ours plays: its music may have pauses."""
GRACE = 15
"""Ticks from the beginning in which what the holder still sends is the end of what he said."""


def load(path: Path | None) -> Samples:
    """int16 (samples,) at 8 kHz of a WAV file, or the music of our own.

    Raises:
        ConfigError: it cannot be read, or is shorter than a frame.
    """
    if path is None:
        return hold_music()
    try:
        found = wav.parse(path.read_bytes())
    except (OSError, wav.WavError) as fault:
        raise ConfigError(f"hold_music: {path}: {fault}", field="hold_music") from fault
    music = resample(pcm.mono(found.samples), found.rate, RATE)
    if music.size < FRAME:
        raise ConfigError(f"hold_music: {path}: no {TICK_MS} ms of sound", field="hold_music")
    return music


class HoldMusic(Columns):
    """``at`` is each lane's next frame of the loop, ``gain`` where it stood after the last tick.

    ``waited``: ticks so far; ``quiet``: those since the holder sent sound; ``room``: the gain of
    the limiter.
    """

    LAYOUT = {
        "at": (np.int64, (), 0),
        "gain": (np.float32, (), 0.0),
        "room": (np.float32, (), 1.0),
        "waited": (np.int64, (), 0),
        "quiet": (np.int64, (), RESUME),
    }
    at: Counts
    gain: Gains
    room: Gains
    waited: Counts
    quiet: Counts

    def __init__(self, capacity: int, music: Samples) -> None:
        """``music``: int16 (samples,), a frame or more, played round and round."""
        super().__init__(capacity)
        self._frames = np.resize(music, (music.size // FRAME, FRAME))
        self._waiting = self._audible = NOBODY

    @property
    def idle(self) -> bool:
        """Whether nobody hears it."""
        return not self._audible.size

    def mix(self, waiting: Rows, sounds: Flags, heard: Samples, sounding: Flags) -> None:
        """Add the music to ``heard`` (lanes, samples), which holds the prompts.

        Args:
            waiting: lanes that are to hear it; who no longer is fades out.
            sounds: (lanes,) whether the lane's company sends sound, be it speech or music.
            sounding: (lanes,) who hears a prompt; who hears music is marked besides.
        """
        if waiting is not self._waiting:
            new = np.setdiff1d(waiting, self._waiting)
            # From its beginning, at once: the party has just heard the other one say "hold on".
            self.at[new], self.waited[new], self.quiet[new] = 0, 0, RESUME
            self._waiting = waiting
        rows = np.union1d(waiting, self._audible[self._audible < sounds.size])
        mine = np.isin(rows, waiting)
        waited = self.waited[rows] + 1
        theirs = sounds[rows] & (waited > GRACE)
        quiet = np.where(theirs, 0, np.minimum(self.quiet[rows] + 1, RESUME))
        target = np.where(sounding[rows], UNDER_SPEECH, np.float32(1))
        target = np.where(mine & (quiet >= RESUME), target, np.float32(0))
        before = self.gain[rows]
        after = approach(before, target.astype(np.float32))
        self.gain[rows], self.quiet[rows], self.waited[rows] = after, quiet, waited
        audible = (before > 0) | (after > 0)
        self._audible = rows = rows[audible]
        if rows.size:
            at = self.at[rows]
            music = ramped(self._frames[at], before[audible], after[audible])
            self.at[rows] = (at + 1) % self._frames.shape[0]
            room = self.room[rows]
            heard[rows] = limit(heard[rows].astype(np.int32) + music, room)
            self.room[rows] = room
            sounding[rows] = True
