"""What a listener thinks of a stream, from counters: the E-model of ITU-T G.107 for G.711.

An estimate: it knows loss, bursts and delay, not echo, levels or noise, for which G.107's defaults
stand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

R_NARROWBAND = 93.2
"""R of a perfect narrow-band call (G.107 §7.7, all defaults)."""
PACKET_LOSS_ROBUSTNESS = 25.1
"""Bpl of G.711 with concealment, random loss (G.113 Appendix I)."""
PACKET_LOSS_ROBUSTNESS_PLAIN = 4.3
"""Bpl of G.711 without concealment."""


def r_factor(
    loss: float, delay_ms: float = 0.0, *, concealed: bool = True, burst_ratio: float = 1.0
) -> float:
    """Transmission rating, 0 to 93.2 (G.107 simplified).

    Args:
        loss: share of frames the listener did not get in time, 0 to 1 (network loss and late).
        delay_ms: mouth to ear, one way: half the round trip, jitter buffer, packet time.
        concealed: whether missing frames are concealed.
        burst_ratio: 1 for random loss, above for bursts (G.107 §7.6).
    """
    # Cole and Rosenbluth's fit of G.107's delay impairment Idd, used by RFC 3611 reporters too.
    impairment = 0.024 * delay_ms + 0.11 * max(0.0, delay_ms - 177.3)
    robustness = PACKET_LOSS_ROBUSTNESS if concealed else PACKET_LOSS_ROBUSTNESS_PLAIN
    percent = 100 * min(1.0, max(0.0, loss))
    # Ie is 0 for G.711, so Ie,eff is 95 · Ppl / (Ppl / BurstR + Bpl).
    equipment = 95 * percent / (percent / max(burst_ratio, 1e-6) + robustness)
    return max(0.0, R_NARROWBAND - impairment - equipment)


def mos(r: float) -> float:
    """Mean opinion score of a rating, 1 to 4.5 (G.107 Annex B)."""
    if r <= 0:
        return 1.0
    if r >= 100:
        return 4.5
    # The cubic dips below 1 for very small R; the scale does not.
    return max(1.0, 1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r))


@dataclass(frozen=True, slots=True)
class Quality:
    """A stream's verdict. Shares are 0 to 1, times in ms."""

    loss: float
    late: float
    jitter_ms: float
    r: float
    mos: float
    mos_lq: float
    """Listening only: without what the delay costs in a conversation."""


def burst_ratio(lost: int, runs: int, loss: float) -> float:
    """How much longer runs of lost frames are than by chance (G.107 §7.6), at least 1.

    ``runs`` of ``lost`` frames together, at a share ``loss``: 1 / (1 - loss) would be chance. Below
    1 (losses that keep apart) the model is not defined, and a few losses prove nothing.
    """
    if runs <= 0:
        return 1.0
    return max(1.0, lost / runs * (1.0 - min(1.0, loss)))


def judge(
    *,
    expected: int,
    lost: int,
    late: int,
    jitter_ms: float,
    delay_ms: float = 0.0,
    runs: int = 0,
    concealed: bool = True,
) -> Quality:
    """The verdict over ``expected`` packets, of which ``lost`` never came and ``late`` too late.

    ``runs``: how many runs in a row those that were not played came in, 0 where unknown.
    """
    if expected <= 0:
        return Quality(0.0, 0.0, jitter_ms, 0.0, 0.0, 0.0)
    loss = min(1.0, lost / expected)
    late_share = min(1.0 - loss, late / expected)
    missed = loss + late_share
    bursts = burst_ratio(lost + late, runs, missed)
    r = r_factor(missed, delay_ms, concealed=concealed, burst_ratio=bursts)
    heard = r_factor(missed, concealed=concealed, burst_ratio=bursts)
    return Quality(loss, late_share, jitter_ms, r, mos(r), mos(heard))


def jitter_step(
    jitter: npt.NDArray[np.float64],
    transit: npt.NDArray[np.int32],
    previous: npt.NDArray[np.int32],
) -> npt.NDArray[np.float64]:
    """RFC 3550 A.8 for many streams at once, in timestamp units; all arrays of one shape.

    ``transit`` is arrival minus timestamp as wrapped 32-bit numbers, ``previous`` that of each
    stream's packet before.
    """
    moved = np.abs(np.subtract(transit, previous, dtype=np.int32).astype(np.float64))
    return jitter + (moved - jitter) / 16
