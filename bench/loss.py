"""Speech through a line that loses: what is left of it, ours against a plain fixed buffer.

Both hear the same packets of the same speech. The plain buffer plays silence where a packet is
missing. Lines of known words are cut out again and recognised by pocketsphinx with a small grammar;
a seed is one order of the lines and one fate of the packets, and seeds are compared in pairs.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench import speechset
from bench.harness import Rows, arguments
from bench.speechset import Line
from telephony.audio import g711
from telephony.testing.line import play

Samples = npt.NDArray[np.int16]
Flags = npt.NDArray[np.bool_]

RATES = (0.0, 0.01, 0.03, 0.05, 0.10)
BURST = 3.0
"""Packets that a burst takes on average."""
FRAME, SECOND = 160, 8000
PAUSE = 4800
JITTER = 0.0008
MARGIN = 1600
OURS, PLAIN = "telephony", "fixed buffer, silence"
RESAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Take:
    """One seed's speech through one line, by one subject."""

    case: str
    subject: str
    seed: int
    errors: int
    words: int
    snr_db: float
    clicks: int
    images_db: float
    seconds: float


def fate(rate: float, bursty: bool, packets: int, rng: np.random.Generator) -> Flags:
    """Which packets are lost: each for itself, or in runs (Gilbert's two states)."""
    if not bursty or not rate:
        return np.asarray(rng.random(packets) < rate)
    lost, state = np.zeros(packets, np.bool_), False
    leave, enter = 1 / BURST, rate / (1 - rate) / BURST
    for index, chance in enumerate(rng.random(packets)):
        state = chance >= leave if state else chance < enter
        lost[index] = state
    return lost


def cases() -> Iterator[tuple[str, float, bool]]:
    yield "0 %", 0.0, False
    for rate in RATES[1:]:
        yield f"{rate:.0%} random", rate, False
        yield f"{rate:.0%} in bursts", rate, True


def one_seed(order: tuple[int, float]) -> list[Take]:
    """All cases of a seed: each a lane of one matrix."""
    seed, minutes = order
    lines = speechset.lines()
    rng = np.random.default_rng(seed)
    chosen, places, sound = talk(lines, minutes, rng)
    codes = g711.ulaw_encode(sound)
    packets = codes.size // FRAME
    plan = list(cases())
    lost = np.stack([fate(rate, bursty, packets, rng) for _, rate, bursty in plan])
    # What is not heard yet cannot be concealed; the second before the first line has no words.
    lost[:, : SECOND // FRAME // 2] = False
    arrivals = np.arange(packets) * 0.02 + rng.random() * 0.02
    arrivals = arrivals + rng.random((len(plan), packets)) * JITTER
    arrivals[lost] = np.inf
    matrix = np.broadcast_to(codes, (len(plan), codes.size))
    heard = play(matrix, arrivals)
    clean = g711.ulaw_decode(codes)
    found = []
    for number, (case, _, _) in enumerate(plan):
        plain = clean.reshape(-1, FRAME).copy()
        plain[lost[number]] = 0
        # Where each frame of ours comes from on the speaker's own line.
        begin = heard.shift[number] - heard.shift[number, heard.depth[number] > 0][0]
        first = int(np.flatnonzero(heard.depth[number] > 0)[0])
        places_ours = (np.arange(begin.size) - first) * FRAME + begin - FRAME
        ours = heard.sound[number].reshape(-1, FRAME)
        for subject, frames, origin in (
            (OURS, ours, places_ours),
            (PLAIN, plain, np.arange(packets) * FRAME),
        ):
            errors, words = recognised(lines, chosen, places, frames.reshape(-1), origin)
            snr, clicks, images = measured(clean, frames, origin)
            found.append(
                Take(case, subject, seed, errors, words, snr, clicks, images, sound.size / SECOND)
            )
    return found


def talk(
    lines: list[Line], minutes: float, rng: np.random.Generator
) -> tuple[list[int], list[int], Samples]:
    """Lines in some order with pauses between: which, where each begins, int16 (samples,)."""
    chosen: list[int] = []
    places: list[int] = []
    parts: list[Samples] = [np.zeros(SECOND, np.int16)]
    size = SECOND
    while size < minutes * 60 * SECOND:
        for index in rng.permutation(len(lines)).tolist():
            if size >= minutes * 60 * SECOND:
                break
            chosen.append(index)
            places.append(size)
            parts += [lines[index].sound, np.zeros(PAUSE, np.int16)]
            size += lines[index].sound.size + PAUSE
    whole = np.concatenate(parts)
    noise = rng.normal(0, 12, whole.size)
    whole = np.clip(whole + noise, -32768, 32767).astype(np.int16)
    return chosen, places, whole[: whole.size // FRAME * FRAME]


def recognised(
    lines: list[Line],
    chosen: list[int],
    places: list[int],
    sound: Samples,
    origin: npt.NDArray[np.int64],
) -> tuple[int, int]:
    """Word errors and words."""
    errors = words = 0
    for index, place in zip(chosen, places, strict=True):
        line = lines[index]
        begin = int(np.searchsorted(origin, place)) * FRAME
        end = int(np.searchsorted(origin, place + line.sound.size)) * FRAME
        part = sound[max(0, begin - MARGIN) : end + MARGIN]
        errors += speechset.errors(line.words, speechset.heard(line.kind, part))
        words += len(line.words)
    return errors, words


def measured(
    clean: Samples, frames: Samples, origin: npt.NDArray[np.int64]
) -> tuple[float, int, float]:
    """SNR in dB, clicks, and dB of sound above 3.6 kHz that was not there."""
    even = np.zeros(origin.size, np.bool_)
    even[1:-1] = (np.diff(origin)[:-1] == FRAME) & (np.diff(origin)[1:] == FRAME)
    even &= (origin >= 0) & (origin + FRAME <= clean.size)
    at = origin[even][:, None] + np.arange(FRAME)
    wanted, got = clean[at].astype(np.float64), frames[even].astype(np.float64)
    noise = ((wanted - got) ** 2).sum()
    snr = 10 * np.log10((wanted**2).sum() / noise) if noise else 100.0
    return float(snr), clicks(wanted, got), images(wanted, got)


def clicks(wanted: npt.NDArray[np.float64], got: npt.NDArray[np.float64]) -> int:
    """Frames with a bend far sharper than any of the speech thereabouts."""
    bend = np.abs(np.diff(got, 2, axis=1)).max(axis=1)
    usual = np.abs(np.diff(wanted, 2, axis=1)).max(axis=1)
    # Of the frame and its neighbours: sound that goes on there may be played here.
    around = np.maximum.reduce([np.roll(usual, k) for k in (-2, -1, 0, 1, 2)])
    seam = np.abs(got[1:, 0] - 2 * got[:-1, -1] + got[:-1, -2])
    sharp = bend > 1.2 * around + 200
    sharp[1:] |= seam > 1.2 * around[1:] + 200
    return int(sharp.sum())


def images(wanted: npt.NDArray[np.float64], got: npt.NDArray[np.float64]) -> float:
    """Sound above 3.6 kHz against the speaker's own, in dB."""
    window = np.hanning(2 * FRAME)
    top = 2 * FRAME * 3600 // SECOND

    def above(sound: npt.NDArray[np.float64]) -> float:
        flat = sound.reshape(-1)
        pairs = flat[: flat.size // (2 * FRAME) * 2 * FRAME].reshape(-1, 2 * FRAME)
        return float((np.abs(np.fft.rfft(pairs * window, axis=1)[:, top:]) ** 2).sum())

    return float(10 * np.log10(above(got) / above(wanted)))


def interval(differences: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Of the mean, 95 %, by resampling the pairs."""
    rng = np.random.default_rng(1)
    picks = rng.integers(0, differences.size, (RESAMPLES, differences.size))
    low, high = np.percentile(differences[picks].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def tell(rows: Rows, takes: list[Take]) -> None:
    for case, _, _ in cases():
        by = {
            subject: sorted(
                (t for t in takes if t.case == case and t.subject == subject),
                key=lambda t: t.seed,
            )
            for subject in (OURS, PLAIN)
        }
        for subject, found in by.items():
            errors, words = sum(t.errors for t in found), sum(t.words for t in found)
            minutes = sum(t.seconds for t in found) / 60
            rows.add(case, subject, errors / words * 100, "% word error")
            rows.add(case, subject, float(np.mean([t.snr_db for t in found])), "dB SNR")
            rows.add(case, subject, sum(t.clicks for t in found) / minutes, "clicks a minute")
            rows.add(case, subject, float(np.mean([t.images_db for t in found])), "dB images")
        better = np.array(
            [
                (plain.errors / plain.words - ours.errors / ours.words) * 100
                for ours, plain in zip(by[OURS], by[PLAIN], strict=True)
            ]
        )
        low, high = interval(better)
        rows.add(case, OURS, float(better.mean()), "points better")
        rows.add(case, OURS, low, "points better, 95 % from")
        rows.add(case, OURS, high, "points better, 95 % to")


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=5.0, help="of speech a seed")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a smoke run: two short seeds")
    a = parser.parse_args()
    if a.quick:
        a.seeds, a.minutes = 2, 0.3
    orders = [(seed, a.minutes) for seed in range(a.seeds)]
    takes: list[Take] = []
    with multiprocessing.get_context("spawn").Pool(a.processes) as pool:
        for number, found in enumerate(pool.imap_unordered(one_seed, orders), 1):
            takes += found
            print(f"loss: {number} of {a.seeds} seeds", flush=True)
    rows = Rows("loss")
    tell(rows, takes)
    rows.show(a.json)


if __name__ == "__main__":
    main()
