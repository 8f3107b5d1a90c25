"""The far ends' sound as Python steers it: see native/far.c, which does the work."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass

from bench import native
from bench.sounds import Voice

BUCKETS = 5000
BUCKET_MS = 0.1


class _Counts(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            "sent",
            "received",
            "late",
            "gaps",
            "sampled",
            "sounding",
            "stray",
            "refused",
            "late_windows",
            "last_window",
            "gap_ns",
        )
    ] + [("round_trip", ctypes.c_int64 * BUCKETS), ("mouth", ctypes.c_int64 * BUCKETS)]


@dataclass(frozen=True, slots=True)
class Heard:
    """What was counted since the last reset.

    Attributes:
        late: packets of ours that left more than 5 ms after their time.
        gaps: how often nothing came for more than 60 ms.
        sampled, sounding: packets looked into, and those of them that were not µ-law silence.
        stray: packets of another payload type.
        refused: packets that the kernel did not take.
        late_windows: stretches of 20 ms in which an echo came back more than 5 ms late.
        round_trip: of echoed packets by sequence number, buckets of 0.1 ms.
        mouth: from a mark's leaving here to its coming back, buckets of 0.1 ms.
    """

    sent: int
    received: int
    late: int
    gaps: int
    sampled: int
    sounding: int
    stray: int
    refused: int
    late_windows: int
    round_trip: list[int]
    mouth: list[int]


class Far:
    """All lanes of this process. Lanes are numbers, in the order in which they were opened."""

    def __init__(self, sip: int, room: int, voices: Mapping[str, Voice]) -> None:
        self._c = ctypes.CDLL(str(native.compiled("far", library=True)))
        self._c.far_new.restype = ctypes.c_void_p
        self._c.far_counts.restype = ctypes.POINTER(_Counts)
        self._c.far_run.argtypes = [ctypes.c_void_p, ctypes.c_int64]
        self._far = ctypes.c_void_p(self._c.far_new(sip, room))
        self._voices = list(voices.values())
        self._places = {name: place for place, name in enumerate(voices)}
        for place, voice in enumerate(self._voices):
            self._c.far_voice(self._far, place, voice.frames, voice.loud)

    def open(self) -> int:
        lane = int(self._c.far_open(self._far))
        if lane < 0:
            raise SystemExit("no socket or no room for one more lane")
        return lane

    def port(self, lane: int) -> int:
        return int(self._c.far_port(self._far, lane))

    def talk(
        self, lane: int, port: int, voice: str = "PCMU", *, pair: int = -1, echoed: bool = False
    ) -> None:
        """Talk to ``port`` of this machine. ``pair``: the lane whose marks come here."""
        place = self._places[voice]
        kind = self._voices[place].payload_type
        self._c.far_talk(self._far, lane, port, place, kind, pair, int(echoed))

    def pair(self, lane: int, other: int) -> None:
        """From now on the marks of ``other`` are what ``lane`` hears."""
        self._c.far_pair(self._far, lane, other)

    def hush(self, lane: int) -> None:
        self._c.far_hush(self._far, lane)

    def key(self, lane: int, key: int) -> None:
        """Press a key once: eight packets of RFC 4733."""
        self._c.far_key(self._far, lane, key)

    def run(self, until: float) -> bool:
        """Send and hear until ``until`` (time.monotonic); True when SIP has something."""
        return bool(self._c.far_run(self._far, int(until * 1e9)))

    def reset(self) -> None:
        self._c.far_reset(self._far)

    def heard(self) -> Heard:
        found = self._c.far_counts(self._far).contents
        names = [name for name in Heard.__dataclass_fields__ if name not in ("round_trip", "mouth")]
        return Heard(
            **{name: int(getattr(found, name)) for name in names},
            round_trip=list(found.round_trip),
            mouth=list(found.mouth),
        )


def share(histogram: list[int], part: float) -> float:
    """Milliseconds under which ``part`` of a histogram lies, to 0.1 ms; 0 where it is empty."""
    wanted, seen = part * sum(histogram), 0
    for place, count in enumerate(histogram):
        seen += count
        if count and seen >= wanted:
            return (place + 1) * BUCKET_MS
    return 0.0
