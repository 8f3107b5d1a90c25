"""What was said, among what may have been said: pocketsphinx over a grammar of a few phrases.

For the demo and tests: it knows our own American voice (the model is American), not callers.
"""

from __future__ import annotations

import math
import re
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from telephony.audio import pcm
from telephony.audio.resample import resample
from telephony.base.errors import SpeechUnavailable
from telephony.testing.audio import segments

MODEL_RATE = 16_000
FILL = 150
"""Noise added before decoding, rms on the int16 scale. The model was trained on 8 kHz of band:
with nothing at all above 4 kHz it hears almost no word of a telephone, with this nearly all."""
ENOUGH = 0.75
"""Share of the heard words that must belong to the phrase, in its order."""
WORST = 0.0038
"""Most that a frame may cost, in nepers a 10 ms. Our American voice over µ-law costs 0.0020 to
0.0036, cut off, noisy or with 3 % loss; most other speech, squeezed into the grammar, more."""
EDGE_MS = 100
FEWEST = 3
"""Words that must be heard, unless the phrase has fewer."""


def recognise(samples: npt.NDArray[np.int16], phrases: list[str], rate: int = 8000) -> str | None:
    """The one of ``phrases`` that int16 (samples,) says, wholly or in part, or None.

    Numbers must be written as words. Where several fit, as when only their common beginning was
    heard, it is the shortest.

    Raises:
        SpeechUnavailable: pocketsphinx (extra ``speech``) is not installed.
    """
    heard = words_heard(samples, phrases, rate)
    best, most = None, 0.0
    for phrase in sorted(phrases, key=len):
        wanted = words_of(phrase)
        blocks = SequenceMatcher(None, wanted, heard, autojunk=False).get_matching_blocks()
        found = sum(block.size for block in blocks)
        if found > most and found >= ENOUGH * len(heard) and found >= min(FEWEST, len(wanted)):
            best, most = phrase, found
    return best


def words_heard(samples: npt.NDArray[np.int16], phrases: list[str], rate: int = 8000) -> list[str]:
    """The words heard in int16 (samples,), which may be any clauses of ``phrases`` in any order.

    Raises:
        SpeechUnavailable: pocketsphinx is not installed.
    """
    spoken_part = _spoken_part(samples, rate)
    decoder = _decoder()
    clauses = {_known(decoder, clause) for p in phrases for clause in re.split(r"[.,;:!?]", p)}
    spoken = " | ".join(sorted(clauses - {""}))
    if not spoken or not spoken_part.size:
        return []
    decoder.add_jsgf_string("said", f"#JSGF V1.0; grammar said; public <said> = ({spoken})+;")
    decoder.activate_search("said")
    wide = resample(spoken_part, rate, MODEL_RATE)
    noise = np.random.default_rng(0).normal(0, FILL, wide.size)
    decoder.start_utt()
    decoder.process_raw(pcm.to_bytes(pcm.saturate(wide + noise)), full_utt=True)
    # A clause cut off is a hypothesis only while the utterance is open.
    partial = _hypothesis(decoder)
    decoder.end_utt()
    text, likelihood = _hypothesis(decoder) or partial or ("", 0.0)
    cost = -math.log(max(likelihood, 1e-300)) * MODEL_RATE / 100 / max(wide.size, 1)
    return text.split() if cost <= WORST else []


def _hypothesis(decoder: Any) -> tuple[str, float] | None:
    found = decoder.hyp()
    return (found.hypstr, found.score) if found is not None else None


def _spoken_part(samples: npt.NDArray[np.int16], rate: int) -> npt.NDArray[np.int16]:
    # Silence costs nothing, so that enough of it would make any speech acceptable.
    loud = [s for s in segments(samples, rate) if s.sound]
    if not loud:
        return samples[:0]
    first, last = loud[0].start_ms - EDGE_MS, loud[-1].end_ms + EDGE_MS
    return samples[max(0, first * rate // 1000) : last * rate // 1000]


def words_of(text: str) -> list[str]:
    """Lower-case words without punctuation, as a pronouncing dictionary lists them."""
    return re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower())


def _known(decoder: Any, clause: str) -> str:
    return " ".join(word for word in words_of(clause) if decoder.lookup_word(word))


@lru_cache(maxsize=1)
def _decoder() -> Any:
    try:
        import pocketsphinx
    except ImportError as error:
        raise SpeechUnavailable("pocketsphinx is not installed") from error
    model = Path(pocketsphinx.get_model_path()) / "en-us"
    return pocketsphinx.Decoder(
        hmm=str(model / "en-us"),
        dict=str(model / "cmudict-en-us.dict"),
        lm=None,
        loglevel="FATAL",
    )
