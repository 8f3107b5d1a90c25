"""Arrays with a row a lane: they grow by doubling, and never while a tick runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]
Samples = npt.NDArray[np.int16]
Codes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint32]
Shorts = npt.NDArray[np.uint16]


class Columns:
    """The arrays that ``LAYOUT`` names: dtype, shape of a row, value of an unused row."""

    LAYOUT: dict[str, tuple[Any, tuple[int, ...], Any]] = {}

    def __init__(self, capacity: int) -> None:
        for name, (dtype, shape, fill) in self.LAYOUT.items():
            setattr(self, name, _filled(capacity, dtype, shape, fill))

    def grow(self, capacity: int) -> None:
        """Room for ``capacity`` rows; what is there stays."""
        for name, (dtype, shape, fill) in self.LAYOUT.items():
            old = getattr(self, name)
            new = _filled(capacity, dtype, shape, fill)
            new[: old.shape[0]] = old
            setattr(self, name, new)

    def clear(self, row: int) -> None:
        """Make a row as it was before anybody used it."""
        for name, (_, _, fill) in self.LAYOUT.items():
            getattr(self, name)[row] = fill


def _filled(capacity: int, dtype: Any, shape: tuple[int, ...], fill: Any) -> npt.NDArray[Any]:
    # zeros() leaves the pages to the kernel until somebody writes; full() would touch them all.
    if not fill:
        return np.zeros((capacity, *shape), dtype)
    return np.full((capacity, *shape), fill, dtype)
