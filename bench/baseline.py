"""What became slower: our figures as ratios to a peer's of the same run, beside those kept.

A machine's absolute figures say little about another's, or about the same on a busier day; a
ratio to a peer that met the same minute carries over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEPT = Path(__file__).with_name("baseline.json")
OURS = "telephony"
SLOWER = 1.2
COSTS = ("% of a core a ", "us ", "ns ", "CPU ms ", "KiB a ", "ms a tick")
"""What a unit begins with of which less is better, and of which a ratio means something."""
PEERS = {
    "amd": (),
    "api": ("bare aiohttp",),
    "bridge": ("rtpengine, user space", "baresip, b2bua"),
    "calls": ("bare echo, C", "baresip, echo"),
    "detect": ("decode and encode",),
    "parse": ("aiosipua", "sippy"),
    "setup": ("sipp uas (signalling only)",),
    "tick": ("bare epoll echo",),
    "transcode": ("audioop", "soxr"),
}
"""Whom a bench's ratios are to: the first that has the same figure."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Slower:
    """A ratio that grew by more than SLOWER."""

    key: str
    before: float
    now: float

    def __str__(self) -> str:
        return f"{self.key}: {self.before:.2f} → {self.now:.2f} (× {self.now / self.before:.2f})"


def ratios(rows: Iterable[Row]) -> dict[str, float]:
    """Ours over the peer's for each cost that both have; the key says what and to whom."""
    found = {
        (row["bench"], row["case"], row["unit"], row["subject"]): row["figure"]
        for row in rows
        if row["figure"] is not None
    }
    made: dict[str, float] = {}
    for (bench, case, unit, subject), figure in found.items():
        if subject != OURS or not str(unit).startswith(COSTS):
            continue
        for peer in PEERS.get(bench, ()):
            other = found.get((bench, case, unit, peer))
            if other:
                made[f"{bench} | {case} | {unit} | to {peer}"] = round(figure / other, 3)
                break
    return made


def slower(before: Mapping[str, float], now: Mapping[str, float]) -> list[Slower]:
    """What both have and what grew, the worst first."""
    found = [
        Slower(key, before[key], now[key])
        for key in now
        if before.get(key, 0.0) > 0 and now[key] > before[key] * SLOWER
    ]
    return sorted(found, key=lambda one: one.before / one.now)


def read(path: Path = KEPT) -> dict[str, float]:
    """The ratios that are kept; none where there is no file."""
    if not path.exists():
        return {}
    kept: dict[str, float] = json.loads(path.read_text())
    return kept


def keep(now: Mapping[str, float], path: Path = KEPT) -> None:
    """Keep these ratios from now on, and of the others what was kept."""
    merged = {**read(path), **now}
    path.write_text(json.dumps(dict(sorted(merged.items())), indent=2, ensure_ascii=False) + "\n")
