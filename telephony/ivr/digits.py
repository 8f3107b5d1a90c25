"""Keys into an input: pure collecting, for ``gather`` and for ``menu``."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Result:
    """How an attempt at input ended.

    ``reason``: ``terminator``, ``max``, ``choice`` and ``timeout`` are input; ``no_input`` (no
    key at all) and ``invalid`` (too few keys, or keys that mean nothing) are none.
    """

    digits: str
    reason: str

    @property
    def good(self) -> bool:
        return self.reason not in ("no_input", "invalid")


class Collecting(Protocol):
    """Takes keys until it knows."""

    digits: str

    def press(self, key: str) -> Result | None:
        """Take a key; None asks for more."""
        ...

    def timeout(self) -> Result:
        """No further key came in time."""
        ...


@dataclass(slots=True)
class Collector:
    """From ``minimum`` to ``maximum`` keys; one of ``terminators`` ends them early."""

    minimum: int
    maximum: int
    terminators: str = "#"
    digits: str = ""

    def press(self, key: str) -> Result | None:
        if key in self.terminators:
            enough = len(self.digits) >= self.minimum
            return Result(self.digits, "terminator" if enough else "invalid")
        self.digits += key
        if len(self.digits) >= self.maximum:
            return Result(self.digits, "max")
        return None

    def timeout(self) -> Result:
        if not self.digits:
            return Result("", "no_input")
        enough = len(self.digits) >= self.minimum
        return Result(self.digits, "timeout" if enough else "invalid")


@dataclass(slots=True)
class Chooser:
    """One of ``choices``. Waits for another key only while a longer choice is still possible."""

    choices: Collection[str]
    digits: str = field(default="")

    def press(self, key: str) -> Result | None:
        self.digits += key
        fitting = [choice for choice in self.choices if choice.startswith(self.digits)]
        if not fitting:
            return Result(self.digits, "invalid")
        if fitting == [self.digits]:
            return Result(self.digits, "choice")
        return None

    def timeout(self) -> Result:
        if not self.digits:
            return Result("", "no_input")
        return Result(self.digits, "choice" if self.digits in self.choices else "invalid")
