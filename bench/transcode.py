"""G.711 at 8 kHz to PCM at 16 and 24 kHz and back, frame by frame, beside other ways to do it.

ns a sample of input, µ-law decoding or encoding included; all subjects take turns in one process
and a figure is the median of rounds. Ours are all lanes of a tick at once, one lane by its own
form; scipy's ``upfirdn`` runs over all lanes too, with a filter of our length and its history
kept by hand; ``audioop`` (linear interpolation), ``soxr`` (HQ, streaming), PyAV and pipecat's
TwilioFrameSerializer (which adds its JSON and base64) have a state a lane. What each does to the
sound is measured with tones and a bell, in PCM, so that µ-law's noise does not hide it.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Coroutine
from statistics import median
from typing import Any

# Before numpy is imported. Kernels that the environment pins are not what the processor can do.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
if "--pinned" not in sys.argv:
    os.environ["SET_ASIDE"] = os.environ.pop("OPENBLAS_CORETYPE", "")

import numpy as np
import numpy.typing as npt

from bench.harness import Rows, arguments
from telephony.audio import g711
from telephony.audio.stream import LaneResampler, Resampler

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

Codes = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.int16]

LANES = (1, 16, 256, 1000)
WIDE = (16000, 24000)
NARROW = 8000
TICK = 0.02
PEAK = 10000.0


class Subject:
    """One way to convert, at any number of lanes. PCM in and out, or G.711 at the 8 kHz end."""

    name = ""

    def __init__(self, rate: int, new_rate: int, lanes: int, *, coded: bool) -> None:
        self.rate, self.new_rate, self.lanes = rate, new_rate, lanes
        self.coded = coded
        self.collect: Callable[[], list[Any] | deque[Any]] = list
        self.open()

    @property
    def decodes(self) -> bool:
        return self.coded and self.rate == NARROW

    @property
    def encodes(self) -> bool:
        return self.coded and self.new_rate == NARROW

    def open(self) -> None:
        """Make the state of every lane. ImportError where the peer is not installed."""

    def prepare(self, frames: npt.NDArray[Any]) -> Any:
        """What ``tick`` takes, of codes or samples (lanes, samples): not part of the time."""
        return [row.tobytes() for row in frames]

    def tick(self, frames: Any) -> Any:
        """20 ms of every lane: octets or arrays, a lane each."""
        raise NotImplementedError

    def sound(self, found: Any) -> npt.NDArray[Any] | bytes:
        """What a lane gave out."""
        return found  # type: ignore[no-any-return]


class Telephony(Subject):
    name = "telephony"

    def open(self) -> None:
        self.many = Resampler(self.rate, self.new_rate, self.lanes)
        self.one = LaneResampler(self.rate, self.new_rate)
        kind = np.uint8 if self.encodes else np.int16
        self.out = np.empty((self.lanes, self.new_rate // 50), kind)

    def prepare(self, frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return frames[0] if self.lanes == 1 else frames

    def tick(self, frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self.lanes == 1:
            one = self.one
            if self.decodes:
                return one.decode(g711.ULAW, frames)[None]
            found = one.encode(g711.ULAW, frames) if self.encodes else one.process(frames)
            return found[None]
        if self.decodes:
            return self.many.decode(g711.ULAW, frames, out=self.out)
        if self.encodes:
            return self.many.encode(g711.ULAW, frames, out=self.out)
        return self.many.process(frames, out=self.out)


class Audioop(Subject):
    name = "audioop"

    def open(self) -> None:
        self.states: list[Any] = [None] * self.lanes

    def tick(self, frames: list[bytes]) -> Any:
        found = self.collect()
        for lane, data in enumerate(frames):
            if self.decodes:
                data = audioop.ulaw2lin(data, 2)
            data, self.states[lane] = audioop.ratecv(
                data, 2, 1, self.rate, self.new_rate, self.states[lane]
            )
            found.append(audioop.lin2ulaw(data, 2) if self.encodes else data)
        return found


class ByLane(Subject):
    """What converts PCM of a lane: G.711 by ``audioop``, the fastest there is for one frame."""

    def tick(self, frames: list[bytes]) -> Any:
        found = self.collect()
        for lane, data in enumerate(frames):
            if self.decodes:
                data = audioop.ulaw2lin(data, 2)
            samples = self.convert(lane, np.frombuffer(data, np.int16))
            found.append(audioop.lin2ulaw(samples.tobytes(), 2) if self.encodes else samples)
        return found

    def convert(self, lane: int, samples: Samples) -> Samples:
        raise NotImplementedError


class Soxr(ByLane):
    name = "soxr"

    def open(self) -> None:
        import soxr

        self.streams = [
            soxr.ResampleStream(self.rate, self.new_rate, 1, dtype="int16")
            for _ in range(self.lanes)
        ]

    def convert(self, lane: int, samples: Samples) -> Samples:
        found: Samples = self.streams[lane].resample_chunk(samples)
        return found


class PyAV(ByLane):
    name = "PyAV"

    def open(self) -> None:
        import av

        self.frame = av.AudioFrame
        self.streams = [
            av.AudioResampler(format="s16", layout="mono", rate=self.new_rate)
            for _ in range(self.lanes)
        ]

    def convert(self, lane: int, samples: Samples) -> Samples:
        frame = self.frame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = self.rate
        found = [made.to_ndarray()[0] for made in self.streams[lane].resample(frame)]
        return found[0] if len(found) == 1 else np.concatenate([*found, np.empty(0, np.int16)])


class Scipy(Subject):
    name = "scipy"

    def open(self) -> None:
        from scipy.signal import firwin, upfirdn

        self.upfirdn = upfirdn
        common = int(np.gcd(self.rate, self.new_rate))
        self.up, self.down = self.new_rate // common, self.rate // common
        most, low = max(self.up, self.down), min(self.rate, self.new_rate)
        taps = firwin(32 * most + 1, low * 0.4625, window=("kaiser", 5.0), fs=low * most)
        self.taps = (taps * self.up).astype(np.float32)
        self.history = 32 * most // self.up
        self.past = np.zeros((self.lanes, self.history), np.float32)

    def prepare(self, frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return frames

    def tick(self, frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
        samples = g711.DECODE_TABLES[g711.ULAW][frames] if self.decodes else frames
        line = np.concatenate([self.past, samples], axis=1, dtype=np.float32)
        self.past = line[:, -self.history :]
        skipped = self.history * self.up // self.down
        sums = self.upfirdn(self.taps, line, self.up, self.down, axis=1)
        sums = sums[:, skipped : skipped + self.new_rate // 50]
        found = np.rint(np.clip(sums, -32768, 32767)).astype(np.int16)
        if self.encodes:
            return g711.ENCODE_TABLES[g711.ULAW][found.view(np.uint16)]
        return found


class Pipecat(Subject):
    name = "pipecat"

    def open(self) -> None:
        if not self.coded:
            raise ImportError("it converts G.711 only")
        from loguru import logger

        logger.remove()
        from pipecat.frames.frames import OutputAudioRawFrame, StartFrame
        from pipecat.serializers.twilio import TwilioFrameSerializer

        self.output = OutputAudioRawFrame
        wide = max(self.rate, self.new_rate)
        params = TwilioFrameSerializer.InputParams(auto_hang_up=False, sample_rate=wide)
        self.lines = [TwilioFrameSerializer("MZ0", params=params) for _ in range(self.lanes)]
        for line in self.lines:
            now(line.setup(StartFrame()))

    def prepare(self, frames: npt.NDArray[Any]) -> list[Any]:
        if self.encodes:
            return [self.output(row.tobytes(), self.rate, 1) for row in frames]
        words = [base64.b64encode(row.tobytes()).decode() for row in frames]
        return [json.dumps({"event": "media", "media": {"payload": word}}) for word in words]

    def tick(self, frames: list[Any]) -> Any:
        found = self.collect()
        for line, frame in zip(self.lines, frames, strict=True):
            found.append(now(line.serialize(frame) if self.encodes else line.deserialize(frame)))
        return found

    def sound(self, found: Any) -> bytes:
        if found is None:
            return b""
        return (
            base64.b64decode(json.loads(found)["media"]["payload"]) if self.encodes else found.audio
        )


SUBJECTS: tuple[type[Subject], ...] = (Telephony, Audioop, Soxr, Scipy, PyAV, Pipecat)


def now(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("it waited")


# -- time ----------------------------------------------------------------------------------------


def race(rows: Rows, rate: int, new_rate: int, lanes: int, rounds: int) -> None:
    """All subjects at one number of lanes, in turns."""
    case = f"{name(rate)} to {name(new_rate)}, {lanes:,} lane{'s' * (lanes > 1)}"
    rng = np.random.default_rng(1)
    shape = (lanes, rate // 50)
    frames: npt.NDArray[Any] = np.rint(rng.normal(0, 4000, shape)).astype(np.int16)
    if rate == NARROW:
        frames = g711.encode(g711.ULAW, frames)
    runners = []
    for kind in SUBJECTS:
        try:
            subject = kind(rate, new_rate, lanes, coded=True)
        except ImportError as error:
            rows.absent(kind.name, str(error))
            continue
        given = subject.prepare(frames)
        # Who takes a frame uses it at once: keeping a thousand is no part of converting them.
        subject.collect = lambda: deque(maxlen=1)
        subject.tick(given)
        one = timed(subject, given, 1)
        runners.append((subject, given, max(1, round(0.015 / one))))
    figures: dict[str, list[float]] = {}
    for _ in range(rounds):
        for subject, given, count in runners:
            figures.setdefault(subject.name, []).append(timed(subject, given, count))
    samples = lanes * shape[1]
    for who, found in figures.items():
        rows.add(case, who, median(found) / samples * 1e9, "ns a sample")
        pairs = zip(found, figures[Telephony.name], strict=True)
        rows.add(case, who, median(a / b for a, b in pairs), "times telephony's time")


def timed(subject: Subject, given: Any, count: int) -> float:
    """Seconds a tick."""
    began = time.perf_counter()
    for _ in range(count):
        subject.tick(given)
    return (time.perf_counter() - began) / count


def name(rate: int) -> str:
    return "µ-law 8 kHz" if rate == NARROW else f"PCM {rate // 1000} kHz"


# -- sound ---------------------------------------------------------------------------------------


def quality(rows: Rows, rate: int, new_rate: int) -> None:
    """What each does to the sound: levels, what must not be there, when it comes, in what lumps."""
    case = f"sound, {rate // 1000} to {new_rate // 1000} kHz"
    low = min(rate, new_rate)
    passed = np.arange(300.0, 3401.0, 100.0)
    stopped = np.arange(4100.0, rate / 2 - 90, 200.0) if rate > new_rate else passed
    for kind in SUBJECTS:
        coded = kind is Pipecat
        try:
            flat = strengths(kind, rate, new_rate, passed, coded)
            heard = strengths(kind, rate, new_rate, stopped, coded)
            late, empty, lump = timing(kind, rate, new_rate, coded)
        except ImportError:
            continue
        levels = 20 * np.log10(flat[np.arange(len(passed)), np.rint(passed).astype(int)] / PEAK)
        # Coded sound carries µ-law's own noise, which is no image: those figures are not taken.
        if not coded:
            ripple = round(float(np.abs(levels).max()), 2)
            rows.add(case, kind.name, ripple, "dB off at most, 300-3,400 Hz")
            image = heard if rate > new_rate else heard[:, low // 2 :]
            worst = image.max() / PEAK
            what = "aliases" if rate > new_rate else "images"
            rejection = round(float(-20 * np.log10(max(worst, 1e-12))), 1) + 0.0
            rows.add(case, kind.name, rejection, f"dB down at least, {what}")
        rows.add(case, kind.name, round(late, 2), "ms late at most")
        rows.add(case, kind.name, empty, "% of frames without sound")
        rows.add(case, kind.name, lump, "ms of sound at once at most")


def strengths(
    kind: type[Subject], rate: int, new_rate: int, tones: npt.NDArray[Any], coded: bool
) -> npt.NDArray[Any]:
    """Amplitudes (tones, 1 Hz bins) of the middle second of three of each tone."""
    t = np.arange(rate * 3) / rate
    sound = np.rint(PEAK * np.sin(2 * np.pi * tones[:, None] * t)).astype(np.int16)
    outs = [np.concatenate(pieces) for pieces in converted(kind, rate, new_rate, sound, coded)]
    middle = np.stack([out[new_rate : 2 * new_rate] for out in outs]).astype(float)
    window = np.blackman(new_rate + 1)[:-1]
    return np.asarray(np.abs(np.fft.rfft(middle * window)) / window.sum() * 2)


def timing(
    kind: type[Subject], rate: int, new_rate: int, coded: bool
) -> tuple[float, float, float]:
    """How far what was given out is behind what was put in at worst, frames without anything in %,
    and the most sound at once in ms: over 20 s, from the first second on."""
    t = np.arange(rate * 20) / rate
    bell = np.rint(20000 * np.exp(-(((t - 1.5) / 0.002) ** 2))).astype(np.int16)
    pieces = converted(kind, rate, new_rate, bell[None], coded)[0]
    out = np.concatenate(pieces).astype(float)
    top = int(np.abs(out).argmax())
    near = np.arange(top - new_rate // 50, top + new_rate // 50)
    shift = (out[near] * near).sum() / out[near].sum() / new_rate - 1.5
    sizes = np.array([len(piece) for piece in pieces])
    given = (np.arange(len(sizes)) + 1) * TICK
    behind = given - sizes.cumsum() / new_rate + shift
    steady = slice(50, None)
    empty = float(np.mean(sizes[steady] == 0) * 100)
    return float(behind[steady].max() * 1e3), empty, float(sizes[steady].max() / new_rate * 1e3)


def converted(
    kind: type[Subject], rate: int, new_rate: int, sound: Samples, coded: bool
) -> list[list[Samples]]:
    """Each lane's output, piece by piece as it came."""
    subject = kind(rate, new_rate, len(sound), coded=coded)
    pieces: list[list[Samples]] = [[] for _ in sound]
    for frame in np.split(sound, sound.shape[1] // (rate // 50), axis=1):
        frame = np.ascontiguousarray(frame)
        given = g711.encode(g711.ULAW, frame) if subject.decodes else frame
        for lane, found in enumerate(subject.tick(subject.prepare(given))):
            kept = np.uint8 if subject.encodes else np.int16
            found = subject.sound(found)
            piece = np.frombuffer(found, kept) if isinstance(found, bytes) else np.array(found)
            pieces[lane].append(g711.decode(g711.ULAW, piece) if subject.encodes else piece)
    return pieces


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=25, help="figures are medians of so many")
    parser.add_argument("--lanes", type=int, nargs="*", default=LANES)
    parser.add_argument("--quick", action="store_true", help="a smoke run")
    parser.add_argument(
        "--pinned", action="store_true", help="leave OPENBLAS_CORETYPE as the environment has it"
    )
    a = parser.parse_args()
    if os.environ.get("SET_ASIDE"):
        print(f"OPENBLAS_CORETYPE={os.environ['SET_ASIDE']} is set aside; --pinned keeps it")
    rows = Rows("transcode")
    pairs = [*((NARROW, wide) for wide in WIDE), *((wide, NARROW) for wide in WIDE)]
    for rate, new_rate in pairs:
        for lanes in a.lanes:
            race(rows, rate, new_rate, lanes, 2 if a.quick else a.rounds)
    for rate, new_rate in pairs:
        quality(rows, rate, new_rate)
    rows.show(a.json)


if __name__ == "__main__":
    main()
