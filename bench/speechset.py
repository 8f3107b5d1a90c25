"""Speech whose words are known: recordings, and phrases of a small grammar in several voices."""

from __future__ import annotations

import asyncio
import csv
import random
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from telephony.audio import pcm, wav
from telephony.audio.resample import resample
from telephony.speech.espeak import EspeakSynth

Samples = npt.NDArray[np.int16]

RECORDED = Path(__file__).parents[1] / "tests/vectors/rtp/speech-16k"
LANGUAGES = ("en-us", "en-gb", "en-us", "en-gb-x-rp")
PHRASES = 120
RATE, MODEL_RATE = 8000, 16000
FILL = 150
"""Noise added before recognition, rms: with nothing at all above 4 kHz the model hears no words."""
RANKS = [
    "ace",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "jack",
    "queen",
    "king",
]
SUITS = ["clubs", "diamonds", "hearts", "spades"]
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
PLACES = ("sales", "support", "billing", "the operator", "the front desk")
DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday"]
GRAMMARS = {
    "cards": "((" + " | ".join(RANKS) + ") [of (" + " | ".join(SUITS) + ")])+",
    "digits": "(" + " | ".join(DIGITS) + ")+",
    "orders": "(call | connect me to | transfer me to) (" + " | ".join(PLACES) + ")"
    " | (move it to | book) (" + " | ".join(DAYS) + ") at (" + " | ".join(RANKS) + ")",
}
"""What each kind of line may consist of; the recorded story's own is made of its pieces."""
PIECE = 3
"""Words of a sentence of the story that stay together."""


@dataclass(frozen=True, slots=True)
class Line:
    """``sound`` int16 (samples,) at 8 kHz and the words in it; ``kind`` names its grammar."""

    kind: str
    words: tuple[str, ...]
    sound: Samples


@lru_cache(maxsize=1)
def lines() -> list[Line]:
    """All of it, the same at every call: five minutes and more."""
    return recorded() + asyncio.run(spoken())


def recorded() -> list[Line]:
    made = []
    for row in transcripts():
        kind = "cards" if row["file"].startswith("cards") else "story"
        sound = wav.parse((RECORDED / row["file"]).read_bytes())
        samples = resample(sound.samples.reshape(-1), sound.rate, RATE)
        made.append(Line(kind, tuple(row["text"].split()), levelled(samples)))
    return made


def transcripts() -> list[dict[str, str]]:
    with (RECORDED / "transcripts.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


async def spoken() -> list[Line]:
    synth, rng, made = EspeakSynth(), random.Random(7), []
    try:
        for number in range(PHRASES):
            kind, text = phrase(rng)
            language = LANGUAGES[number % len(LANGUAGES)]
            sound = await synth.synthesize(text, language=language)
            samples = resample(pcm.from_bytes(sound.pcm), sound.rate, RATE)
            made.append(Line(kind, tuple(text.replace(",", "").split()), levelled(samples)))
    finally:
        await synth.close()
    return made


def phrase(rng: random.Random) -> tuple[str, str]:
    kind = rng.randrange(4)
    if kind == 0:
        cards = (f"{rng.choice(RANKS)} of {rng.choice(SUITS)}" for _ in range(3))
        return "cards", ", ".join(cards)
    if kind == 1:
        return "digits", " ".join(rng.choice(DIGITS) for _ in range(7))
    if kind == 2:
        verb = rng.choice(["call", "connect me to", "transfer me to"])
        return "orders", f"{verb} {rng.choice(PLACES)}"
    verb = rng.choice(["move it to", "book"])
    return "orders", f"{verb} {rng.choice(DAYS)} at {rng.choice(RANKS)}"


def levelled(samples: Samples) -> Samples:
    """-20 dBm0 or so, wherever it came from."""
    peak = np.abs(samples.astype(np.int32)).max(initial=1)
    return pcm.saturate(samples * (12000 / peak))


@lru_cache(maxsize=1)
def decoder() -> Any:
    import pocketsphinx

    model = Path(pocketsphinx.get_model_path()) / "en-us"
    made = pocketsphinx.Decoder(
        hmm=str(model / "en-us"),
        dict=str(model / "cmudict-en-us.dict"),
        lm=None,
        loglevel="FATAL",
    )
    texts = [row["text"].split() for row in transcripts() if row["file"].startswith("austen")]
    pieces = {" ".join(t[at : at + PIECE]) for t in texts for at in range(0, len(t), PIECE)}
    for kind, said in {**GRAMMARS, "story": "(" + " | ".join(sorted(pieces)) + ")+"}.items():
        made.add_jsgf_string(kind, f"#JSGF V1.0; grammar {kind}; public <said> = {said};")
    return made


def heard(kind: str, sound: Samples) -> tuple[str, ...]:
    """The words that pocketsphinx hears in int16 (samples,) at 8 kHz by a kind's grammar."""
    wide = resample(sound, RATE, MODEL_RATE)
    noise = np.random.default_rng(0).normal(0, FILL, wide.size)
    found = decoder()
    found.activate_search(kind)
    found.start_utt()
    found.process_raw(pcm.to_bytes(pcm.saturate(wide + noise)), full_utt=True)
    found.end_utt()
    guess = found.hyp()
    return tuple(guess.hypstr.split()) if guess is not None else ()


def errors(wanted: tuple[str, ...], got: tuple[str, ...]) -> int:
    """Words to change, leave out or put in (Levenshtein)."""
    row = list(range(len(got) + 1))
    for i, word in enumerate(wanted, 1):
        before, row = row, [i]
        for j, other in enumerate(got, 1):
            row.append(min(row[-1] + 1, before[j] + 1, before[j - 1] + (word != other)))
    return row[-1]
