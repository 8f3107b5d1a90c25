"""Whole recordings from one sample rate to another: windowed sinc, polyphase, one matrix product.

For prompts and files. Sound that arrives in frames has ``audio/stream.py``, with less delay.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
import numpy.typing as npt

from telephony.audio.pcm import saturate

PASS = 0.85
"""End of the pass band as a share of the lower half rate: 3.4 kHz of 4 kHz."""
ATTENUATION_DB = 80.0
MIN_RATE, MAX_RATE = 4000, 192_000
_BLOCK = 128
_BATCH = 256


def resample(samples: npt.NDArray[np.int16], rate: int, new_rate: int) -> npt.NDArray[np.int16]:
    """int16 (..., n) at ``rate`` Hz → int16 (..., round(n · new_rate / rate)) at ``new_rate`` Hz.

    Flat to 85 % of the lower half rate, aliases and images 80 dB down, gain 1, no delay; peaks
    that the filter raises over full scale are limited.

    Raises:
        ValueError: a rate outside 4 to 192 kHz.
    """
    for value in (rate, new_rate):
        if not MIN_RATE <= value <= MAX_RATE:
            raise ValueError(f"sample rate {value} is not in {MIN_RATE} to {MAX_RATE}")
    if rate == new_rate:
        return samples.copy()
    up, down = new_rate // gcd(rate, new_rate), rate // gcd(rate, new_rate)
    weights, half, step = _weights(rate, new_rate)
    size = samples.shape[-1]
    wanted = (2 * size * up + down) // (2 * down)
    blocks = -(-wanted // weights.shape[1])
    padded = np.zeros((*samples.shape[:-1], blocks * step + weights.shape[0]), np.float32)
    padded[..., half : half + size] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, weights.shape[0], axis=-1)
    windows = windows[..., ::step, :][..., :blocks, :]
    out = np.empty((*samples.shape[:-1], blocks, weights.shape[1]), np.int16)
    # Windows overlap, so a product copies them: in batches, or an hour's file would need gigabytes.
    for start in range(0, blocks, _BATCH):
        part = slice(start, start + _BATCH)
        out[..., part, :] = saturate(windows[..., part, :] @ weights)
    return out.reshape(*samples.shape[:-1], -1)[..., :wanted]


@lru_cache(maxsize=16)
def _weights(rate: int, new_rate: int) -> tuple[npt.NDArray[np.float32], int, int]:
    """(matrix (window, outputs a block), samples before a block, samples a block advances)."""
    common = gcd(rate, new_rate)
    group = max(1, _BLOCK * common // new_rate)
    outputs, step = new_rate // common * group, rate // common * group
    nyquist = min(rate, new_rate) / 2
    width = (1 - PASS) * nyquist / rate
    # Kaiser's formulas for the order and shape that reach an attenuation over a transition width.
    half = int(np.ceil((ATTENUATION_DB - 7.95) / (2.285 * 2 * np.pi * width) / 2))
    beta = 0.1102 * (ATTENUATION_DB - 8.7)
    cutoff = (1 + PASS) / 2 * nyquist / rate
    times = np.arange(outputs) * (rate / new_rate)
    offset = times[None, :] - (np.arange(step + 2 * half + 1) - half)[:, None]
    inside = np.sqrt(np.maximum(1 - (offset / half) ** 2, 0))
    window = np.where(np.abs(offset) <= half, np.i0(beta * inside) / np.i0(beta), 0)
    taps = np.sinc(2 * cutoff * offset) * window
    weights = (taps / taps.sum(axis=0)).astype(np.float32)
    weights.flags.writeable = False
    return weights, half, step
