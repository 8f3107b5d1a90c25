"""What each benchmark is to reach, so that the published page can say whether it did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.baseline import OURS, Row
from bench.peers import AGENT_CALLS, BARESIP_CALLS


@dataclass(frozen=True, slots=True)
class Target:
    """At most (or at least) so much, of ours alone or of ours over a peer's.

    Attributes:
        peer: with it the limit is on ours over the peer's figure, without on ours.
        most: ``limit`` is a maximum; else a minimum.
        minus: of ours minus the peer's, for what is a logarithm already.
    """

    bench: str
    case: str
    unit: str
    limit: float
    peer: str = ""
    most: bool = True
    minus: bool = False

    def __str__(self) -> str:
        sign = "≤" if self.most else "≥"
        if self.minus:
            return f"{self.unit}: {sign} {self.peer} + {self.limit:g}"
        return f"{self.unit}: {sign} {self.limit:.3g}{f' × {self.peer}' if self.peer else ''}"

    def reached(self, rows: Iterable[Row]) -> tuple[float, bool] | None:
        """The figure and whether it is good enough; nothing where it was not measured."""
        figures = {
            row["subject"]: row["figure"]
            for row in rows
            if (row["bench"], row["case"], row["unit"]) == (self.bench, self.case, self.unit)
        }
        figure = figures.get(OURS)
        if figure is None:
            return None
        if self.peer:
            other = figures.get(self.peer)
            if other is None or not (other or self.minus):
                return None
            figure = figure - other if self.minus else figure / other
        return figure, figure <= self.limit if self.most else figure >= self.limit


CORE = "% of a core a call"
SOUND = "dB down at least"
UP = tuple(f"µ-law 8 kHz to PCM {rate} kHz" for rate in (16, 24))
DOWN = tuple(f"PCM {rate} kHz to µ-law 8 kHz" for rate in (16, 24))
RTPENGINE = "rtpengine, user space"
SDK = "LiveKit's SDK alone"
TARGETS = (
    *(
        Target("transcode", f"{way}, {lanes} lanes", "ns a sample", 1 / times, peer)
        for ways, audioop, soxr in ((UP, 3, 6), (DOWN, 2.5, 5))
        for way in ways
        for peer, times in (("audioop", audioop), ("soxr", soxr))
        for lanes in ("256", "1,000")
    ),
    *(Target("transcode", f"{way}, 1 lane", "ns a sample", 1.5, "soxr") for way in (*UP, *DOWN)),
    *(
        Target("transcode", f"sound, {way}", f"{SOUND}, {what}", 30, "audioop", False, True)
        for way, what in (
            ("8 to 16 kHz", "images"),
            ("8 to 24 kHz", "images"),
            ("16 to 8 kHz", "aliases"),
            ("24 to 8 kHz", "aliases"),
        )
    ),
    *(
        Target("tick", f"{lanes} lanes", "% of a core a lane", 2, "bare epoll echo")
        for lanes in (100, 500, 1000, 1500)
    ),
    Target("calls", "1500 calls", CORE, 0.25, f"baresip, echo ({BARESIP_CALLS})"),
    Target("calls", "1500 calls", CORE, 0.25, f"agent-transport, echo ({AGENT_CALLS})"),
    Target("calls", "1500 calls", CORE, 0.045),
    Target("calls", "1500 calls", "% late ticks", 0.1),
    Target("calls", "1500 calls", "frames concealed", 0),
    Target("calls", "1500 calls", "KiB a call", 200),
    *(
        Target("bridge", f"{calls} calls, PCMU to {codec}", CORE, 1, RTPENGINE)
        for codec in ("PCMA", "G722")
        for calls in (50, 500)
    ),
    *(
        Target("bridge", f"{calls} calls, PCMU to {codec}", "ms mouth to ear, p99", 42)
        for codec in ("PCMU", "PCMA", "G722")
        for calls in (50, 500)
    ),
    *(Target("rooms", f"{calls} calls", CORE, 1.25, SDK) for calls in (10, 20)),
    Target("rooms", "most calls held on a core", "calls", 2, SDK, most=False),
    *(
        Target("rooms", case, f"ms added, {way}, p99", 25)
        for case in ("10 calls", "80 % of the most")
        for way in ("caller to agent", "agent to caller")
    ),
    *(
        Target("rooms", "80 % of the most", f"% of frames late or lost, {way}", 0)
        for way in ("caller to agent", "agent to caller")
    ),
    *(
        Target("loss", f"{rate}% {kind}", "points better, 95 % from", 0, most=False)
        for rate in (1, 3, 5, 10)
        for kind in ("random", "in bursts")
    ),
    Target("loss", "0 %", "points better, 95 % to", 0, most=False),
    Target("parse", "INVITE with SDP, 935 bytes", "us a message", 50),
    *(
        Target("api", f"append, {store}", "events a second, in groups of 64", 5000, most=False)
        for store in ("SQLite", "PostgreSQL")
    ),
    Target("api", "dial, 50 a second", "ms, p99", 20),
    Target("api", "stream, 500 listeners", "ms to hear of an event, p99", 100),
    Target("setup", "200 calls/s", "failed or cut off", 0),
    Target("setup", "200 calls/s", "retransmissions, both ways", 0),
    Target("setup", "200 calls/s", "reports missing", 0),
)
