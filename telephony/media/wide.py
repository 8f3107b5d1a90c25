"""Lanes at 16 kHz: G.722 in and out, beside the 8 kHz matrix that every part of the bank reads.

G.722 has the octets and the clock of G.711 (RFC 3551 §4.5.2): 160 of each in 20 ms, 8,000 a second
on the wire though the sound is 16 kHz. So rings, headers and numbering know nothing of it, and a
wide lane differs in four places of a tick only:

* play-out decodes it at 16 kHz (a stage of ``Playout``), and its row of the 8 kHz ``voice``, which
  detectors, recordings and narrow listeners take, is made of that;
* what it hears is mixed once more at 16 kHz, of wide voices as they are and of narrow voices and
  prompts brought up to the rate;
* that is encoded into its packet, in every tick that it may send: the far end's decoder goes on
  from octet to octet, through silence too.

Made when the first wide lane is; a service that has none pays nothing.
"""

from __future__ import annotations

import numpy as np

from telephony.audio.g722 import SAMPLES, Decoder, Encoder
from telephony.audio.stream import Resampler
from telephony.media.bridge import Mixer
from telephony.media.columns import Codes, Counts, Flags, Rows, Samples
from telephony.media.config import RATE
from telephony.media.desk import NOBODY, Desk
from telephony.media.playout import Playout
from telephony.media.playout_voice import Voice

WIDE_RATE = 16000


class Wide:
    """The wide rows of a bank; every array has a row a lane, as everywhere."""

    def __init__(self, capacity: int, playout: Playout, mixer: Mixer) -> None:
        self._playout = playout
        self._mixer = mixer
        self._decoder = Decoder(capacity)
        self._encoder = Encoder(capacity)
        self._stage = Voice(capacity, self._decode, factor=2, stateless=False)
        playout.attach(self._stage)
        self._down = Resampler(WIDE_RATE, RATE, capacity)
        self._voices = Resampler(RATE, WIDE_RATE, capacity)
        self._prompts = Resampler(RATE, WIDE_RATE, capacity)
        self._desk = Desk()
        self._sources: Rows = NOBODY
        self.rows: Rows = NOBODY
        """Who speaks G.722 now."""
        self._flags: Flags = np.zeros(0, np.bool_)
        self._tail: Flags = self._flags
        self._allocate(capacity)

    def _allocate(self, capacity: int) -> None:
        flags: Flags = np.zeros((2, capacity), np.bool_)
        flags[0, : self._flags.size] = self._flags
        flags[1, : self._tail.size] = self._tail
        self._flags, self._tail = flags
        self._sounding: Flags = np.zeros(capacity, np.bool_)
        self._voice: Samples = np.zeros((capacity, SAMPLES), np.int16)
        self._heard: Samples = np.zeros((capacity, SAMPLES), np.int16)

    def grow(self, capacity: int) -> None:
        """Room for more lanes; the play-out grows its own stage."""
        for part in (self._decoder, self._encoder, self._down, self._voices, self._prompts):
            part.grow(capacity)
        self._allocate(capacity)

    def clear(self, row: int) -> None:
        """The lane is closed: whoever takes its row speaks without the end of its last word."""
        self.assign(row, False)
        self._voices.clear(row)

    def assign(self, row: int, wide: bool) -> None:
        """Whether a lane speaks G.722 from now on."""
        if bool(self._flags[row]) is wide:
            return
        # The desk knows by the array being another one that its listeners changed.
        self._flags = self._flags.copy()
        self._flags[row] = wide
        self.rows = np.flatnonzero(self._flags)
        self._playout.assign(row, self._stage if wide else None)
        for part in (self._stage, self._decoder, self._encoder):
            part.clear(row)
        for filter_ in (self._down, self._voices, self._prompts):
            filter_.clear(row)
        self._voice[row], self._heard[row], self._tail[row] = 0, 0, False

    def hear(self, voice: Samples) -> None:
        """After the play-out: what wide lanes say into their rows of ``voice`` (lanes, 160)."""
        if self.rows.size:
            voice[self.rows] = self._down.process(self._stage.frame[self.rows], self.rows)

    def lay(self, heard: Samples, sounding: Flags) -> None:
        """Before the voices are added: prompts of wide lanes, as in ``heard`` (lanes, 160)."""
        rows = self.rows
        if not rows.size:
            return
        now = sounding[rows]
        # The filter's last samples come a frame after the sound.
        audible = now | self._tail[rows]
        self._tail[rows] = now
        self._sounding[rows] = audible
        self._heard[rows[~audible]] = 0
        playing = rows[audible]
        if playing.size:
            self._heard[playing] = self._prompts.process(heard[playing], playing)

    def speak(self, voice: Samples, free: Flags, payloads: Codes) -> None:
        """What wide lanes hear, as octets in ``payloads`` (lanes, 160).

        ``voice``: int16 (lanes, 160), what everybody says; ``free``: who sends sound in this tick.
        """
        if not self.rows.size:
            return
        self._mix(voice)
        rows = self.rows[free[self.rows]]
        if rows.size:
            payloads[rows] = self._encoder.encode(self._heard[rows], rows)

    def _mix(self, voice: Samples) -> None:
        desk, count = self._desk, len(voice)
        desk.follow(self._mixer, self._flags)
        sources = desk.sources
        if sources is not self._sources:
            for row in np.setdiff1d(sources, self._sources).tolist():
                self._voices.clear(row)
            # Who was heard until now is led out over this frame.
            self._sources, sources = sources, np.union1d(sources, self._sources)
            sources = sources[sources < count]
        wide = self._flags[sources]
        near, far = sources[wide], sources[~wide]
        self._voice[near] = self._stage.frame[near]
        if far.size:
            self._voice[far] = self._voices.process(voice[far], far)
        desk.mix(self._voice[:count], self._heard[:count], self._sounding[:count])

    def _decode(
        self,
        rows: Rows | slice,
        codes: Codes,
        out: Samples | None = None,
        lengths: Counts | None = None,
    ) -> Samples:
        chosen = np.arange(*rows.indices(self._flags.size)) if isinstance(rows, slice) else rows
        sound = self._decoder.decode(codes, chosen, lengths)
        if out is None:
            return sound
        out[...] = sound
        return out
