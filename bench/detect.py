"""What all detectors cost a tick, beside decoding and encoding the same lanes by table.

Every lane is in the middle of a recorded sentence; keys are looked for on all of them. ``watched``:
spectra as well, as in the first half minute of a call. Medians of single ticks; the two are
measured by turns. And what is found in that speech, which is to be nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from bench.harness import Rows, arguments
from telephony.audio import g711, wav
from telephony.audio.resample import resample
from telephony.media.config import FRAME
from telephony.media.detect import Detectors

RECORDED = Path(__file__).parents[1] / "tests/vectors/rtp/speech-16k"
TICKS = 300
SEED = 1


def speech(lanes: int) -> npt.NDArray[np.int16]:
    """int16 (ticks, lanes, 160): each lane begins somewhere else in the recordings."""
    files = [wav.parse(path.read_bytes()) for path in sorted(RECORDED.glob("*.wav"))]
    sound = np.concatenate([resample(file.samples[0], file.rate, 8000) for file in files])
    starts = np.random.default_rng(SEED).integers(0, sound.size, lanes)
    places = (starts[:, None] + np.arange(TICKS * FRAME)) % sound.size
    return np.ascontiguousarray(sound[places].reshape(lanes, TICKS, FRAME).transpose(1, 0, 2))


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def measure(rows: Rows, sound: npt.NDArray[np.int16], *, watched: bool) -> None:
    lanes = sound.shape[1]
    detectors = Detectors(lanes)
    for row in range(lanes):
        detectors.listen_for_keys(row, True)
        if watched:
            detectors.watch(row, TICKS + row % 2)
    codes, back = g711.encode(g711.ULAW, sound[0]), np.empty_like(sound[0])
    heard, tables, found = [], [], 0
    for tick, frames in enumerate(sound):
        tables.append(
            timed(lambda: g711.decode(g711.ULAW, codes, back))
            + timed(lambda: g711.encode(g711.ULAW, frames, codes))  # noqa: B023
        )
        heard.append(timed(lambda: detectors.hear(frames, tick * 0.02)))  # noqa: B023
        found += len(detectors.take_keys()) + len(detectors.take_tones())
    case = f"{lanes:,} lanes, {'watched' if watched else 'keys and activity'}"
    rows.add(case, "telephony", round(median(heard), 3), "ms a tick")
    rows.add(case, "decode and encode", round(median(tables), 3), "ms a tick")
    rows.add(case, "telephony", round(median(heard) / median(tables), 2), "x decode and encode")
    rows.add(case, "telephony", found, "keys and tones found in speech")


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--lanes", type=int, nargs="+", default=[100, 1500])
    a = parser.parse_args()
    rows = Rows("detect")
    for lanes in a.lanes:
        sound = speech(lanes)
        for watched in (False, True):
            measure(rows, sound, watched=watched)
    rows.show(a.json)


if __name__ == "__main__":
    main()
