"""G.711 by table: exact to ITU-T G.191 for every code and every sample.

µ-law encoding follows the ITU tool library. ``audioop`` differs from it on 508 negative samples,
always by one code at a decision edge; A-law and both decoders are the same in the two.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
Codes = npt.NDArray[np.uint8]

ULAW = 0
"""Row of PCMU in ``DECODE_TABLES`` and ``ENCODE_TABLES``."""
ALAW = 1
"""Row of PCMA in ``DECODE_TABLES`` and ``ENCODE_TABLES``."""

SILENCE = {ULAW: 0xFF, ALAW: 0xD5}
"""The code of a zero sample in each law."""


def _ulaw_encode_table() -> Codes:
    linear = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    # ITU-T G.191 works on 14 bits in one's complement for negatives; audioop on two's complement.
    magnitude = np.minimum((np.where(linear < 0, ~linear, linear) >> 2) + 33, 0x1FFF)
    segment = np.floor(np.log2(magnitude)).astype(np.int32) - 4
    codes = ((8 - segment) << 4) | (0xF - ((magnitude >> segment) & 0xF))
    return np.asarray(codes | np.where(linear >= 0, 0x80, 0), dtype=np.uint8)


def _alaw_encode_table() -> Codes:
    linear = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    magnitude = np.where(linear < 0, ~linear, linear) >> 4
    exponent = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 3, 0)
    mantissa = (magnitude >> np.maximum(exponent - 1, 0)) - np.where(exponent > 0, 16, 0)
    codes = (exponent << 4) + mantissa
    return np.asarray((codes | np.where(linear >= 0, 0x80, 0)) ^ 0x55, dtype=np.uint8)


def _ulaw_decode_table() -> Samples:
    codes = ~np.arange(256, dtype=np.uint8)
    exponent = ((codes >> 4) & 7).astype(np.int32)
    value = ((((codes & 0xF).astype(np.int32) << 3) + 0x84) << exponent) - 0x84
    return np.where(codes & 0x80, -value, value).astype(np.int16)


def _alaw_decode_table() -> Samples:
    codes = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent = ((codes >> 4) & 7).astype(np.int32)
    mantissa = ((codes & 0xF).astype(np.int32) << 4) + 8
    value = np.where(exponent > 0, (mantissa + 0x100) << np.maximum(exponent - 1, 0), mantissa)
    return np.where(codes & 0x80, value, -value).astype(np.int16)


DECODE_TABLES: Samples = np.stack([_ulaw_decode_table(), _alaw_decode_table()])
"""int16 (2, 256): sample of each code, a row a law; ``[law, code]`` decodes mixed batches."""
ENCODE_TABLES: Codes = np.stack([_ulaw_encode_table(), _alaw_encode_table()])
"""uint8 (2, 65536): code of each sample, indexed by the sample seen as uint16."""

_PAIRS: npt.NDArray[np.int32] = np.ascontiguousarray(
    DECODE_TABLES[:, np.arange(65536, dtype=np.uint16).view(np.uint8)]
).view(np.int32)
"""int32 (2, 65536): two samples of two codes, both pairs seen as one number."""

for _table in (DECODE_TABLES, ENCODE_TABLES, _PAIRS):
    _table.flags.writeable = False


def decode(law: int, codes: Codes, out: Samples | None = None) -> Samples:
    """int16 samples of uint8 ``codes`` of any shape; ``law`` is ``ULAW`` or ``ALAW``."""
    # "wrap" lets take write straight into ``out``; no code is ever outside the table.
    whole = codes.flags.c_contiguous and (out is None or out.flags.c_contiguous)
    if whole and codes.ndim and not codes.shape[-1] % 2:
        # Two codes at once are half the look-ups, in half the time.
        pairs = None if out is None else out.view(np.int32)
        found = np.take(_PAIRS[law], codes.view(np.uint16), out=pairs, mode="wrap")
        return found.view(np.int16) if out is None else out
    return np.take(DECODE_TABLES[law], codes, out=out, mode="wrap")


def encode(law: int, samples: Samples, out: Codes | None = None) -> Codes:
    """uint8 codes of int16 ``samples`` of any shape; ``law`` is ``ULAW`` or ``ALAW``."""
    return np.take(ENCODE_TABLES[law], samples.view(np.uint16), out=out, mode="wrap")


def ulaw_decode(codes: Codes, out: Samples | None = None) -> Samples:
    """PCMU codes (uint8, any shape) → int16 samples."""
    return decode(ULAW, codes, out)


def ulaw_encode(samples: Samples, out: Codes | None = None) -> Codes:
    """int16 samples (any shape) → PCMU codes."""
    return encode(ULAW, samples, out)


def alaw_decode(codes: Codes, out: Samples | None = None) -> Samples:
    """PCMA codes (uint8, any shape) → int16 samples."""
    return decode(ALAW, codes, out)


def alaw_encode(samples: Samples, out: Codes | None = None) -> Codes:
    """int16 samples (any shape) → PCMA codes."""
    return encode(ALAW, samples, out)
