"""Ears that need no model server: when somebody speaks, and which of a script's phrases it was.

The recogniser is pocketsphinx over a grammar of the script's phrases. It is right for tests and
for trying things out; it knows clear American English, and free speech on a telephone is noise
to it.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from telephony.agents.script import words_of
from telephony.base.errors import SpeechUnavailable

Samples = npt.NDArray[np.int16]

RATE = 16_000
FRAME = RATE // 50
"""Samples of the 20 ms in which sound is heard."""


class Mark(StrEnum):
    """What a frame made of the sound so far."""

    BEGAN = "began"
    PAUSED = "paused"
    """Perhaps the end: time to begin to understand."""
    RESUMED = "resumed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Patience:
    """When sound is speech, and when speech is over. Milliseconds and dBFS."""

    begin_ms: int = 60
    """Loud for as long, and somebody speaks. A click is shorter; what interrupts must be quick."""
    pause_ms: int = 200
    end_ms: int = 500
    """Quiet for as long, and it was said. Less, and a breath between two clauses is the end."""
    lead_ms: int = 300
    """Kept from before the beginning: a soft consonant is part of the word."""
    longest_ms: int = 20_000
    above_noise: float = 12.0
    least: float = -42.0
    """Below it nothing is speech: an echo of the agent's own voice on a line is 20 dB under it."""


LOWEST, LOUDEST = -75.0, -45.0
"""Between them is what a line's noise is taken for at first, dBFS."""


class Endpointer:
    """One participant's sound, frame by frame. Pure: it counts frames and reads no clock."""

    def __init__(self, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self._floor: float | None = None
        self._lead: deque[Samples] = deque(maxlen=max(1, self._patience.lead_ms // 20))
        self._spoken: list[Samples] = []
        self._loud = 0
        self._quiet = 0
        self._speaking = False

    @property
    def utterance(self) -> Samples:
        """Everything since shortly before the beginning."""
        return np.concatenate(self._spoken) if self._spoken else np.zeros(0, np.int16)

    def feed(self, frame: Samples) -> Mark | None:
        """Take 20 ms."""
        loud = self._is_loud(frame)
        if not self._speaking:
            return self._wait(frame, loud)
        self._spoken.append(frame)
        if loud:
            paused = self._quiet * 20 >= self._patience.pause_ms
            self._quiet = 0
            if paused:
                return Mark.RESUMED
        else:
            self._quiet += 1
            if self._quiet * 20 >= self._patience.end_ms:
                return self._end()
        if len(self._spoken) * 20 >= self._patience.longest_ms:
            return self._end()
        return Mark.PAUSED if self._quiet * 20 == self._patience.pause_ms else None

    def forget(self) -> None:
        """Begin anew: what was being said is dropped."""
        self._spoken = []
        self._speaking = False
        self._loud = self._quiet = 0

    def _wait(self, frame: Samples, loud: bool) -> Mark | None:
        self._lead.append(frame)
        self._loud = self._loud + 1 if loud else 0
        if self._loud * 20 < self._patience.begin_ms:
            return None
        self._speaking, self._quiet = True, 0
        self._spoken = list(self._lead)
        self._lead.clear()
        return Mark.BEGAN

    def _end(self) -> Mark:
        self._speaking = False
        self._loud = self._quiet = 0
        return Mark.ENDED

    def _is_loud(self, frame: Samples) -> bool:
        wide = frame.astype(np.float32)
        level = 10 * math.log10(float(np.mean(wide * wide)) / 32768.0**2 + 1e-10)
        if self._floor is None:
            # A line may be noisy from the start, or somebody may be speaking already.
            self._floor = min(max(level, LOWEST), LOUDEST)
        # Down at once, up by 2 dB a second: the noise between words, not the words.
        self._floor = max(LOWEST, level) if level < self._floor else self._floor + 0.04
        limit = max(self._patience.least, min(self._floor + self._patience.above_noise, -25.0))
        return level > limit


FILL = 150
"""Noise added before decoding, rms on the int16 scale: the model hears almost no word of a
telephone with nothing at all above 4 kHz, with this nearly all."""
WORST = 0.0038
"""Most that 10 ms may cost, in nepers. Speech that is none of the phrases, squeezed into the
grammar, costs more."""


class Recogniser:
    """pocketsphinx over the phrases that are possible now. Thread-safe, one utterance at a time.

    Raises SpeechUnavailable where pocketsphinx is missing.
    """

    def __init__(self) -> None:
        try:
            import pocketsphinx
        except ImportError as error:
            raise SpeechUnavailable("pocketsphinx is not installed (extra agents)") from error
        model = Path(pocketsphinx.get_model_path()) / "en-us"
        self._decoder: Any = pocketsphinx.Decoder(
            hmm=str(model / "en-us"),
            dict=str(model / "cmudict-en-us.dict"),
            lm=None,
            loglevel="FATAL",
        )
        self._lock = threading.Lock()
        self._noise = np.random.default_rng(0)
        self._ready = False

    def expect(self, phrases: list[str]) -> None:
        """Listen for these from now on. Words that the dictionary does not know are left out."""
        with self._lock:
            known = dict.fromkeys(
                " ".join(w for w in words_of(phrase) if self._decoder.lookup_word(w))
                for phrase in phrases
            )
            known.pop("", None)
            self._ready = bool(known)
            if self._ready:
                rule = " | ".join(known)
                self._decoder.add_jsgf_string(
                    "said", f"#JSGF V1.0; grammar said; public <said> = ({rule});"
                )
                self._decoder.activate_search("said")

    def understand(self, sound: Samples) -> str:
        """The phrase that was said in int16 samples at 16 kHz, or "" where it was none."""
        with self._lock:
            if not self._ready or sound.size < RATE // 10:
                return ""
            noisy = sound + self._noise.normal(0, FILL, sound.size)
            octets = np.clip(noisy, -32768, 32767).astype("<i2").tobytes()
            self._decoder.start_utt()
            self._decoder.process_raw(octets, full_utt=True)
            self._decoder.end_utt()
            found = self._decoder.hyp()
        if found is None:
            return ""
        cost = -math.log(max(found.score, 1e-300)) / (sound.size * 100 / RATE)
        return str(found.hypstr) if cost <= WORST else ""
