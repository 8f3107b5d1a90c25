"""What a dialplan is once it is loaded: frozen values, and the base of every verb."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, ClassVar

from telephony.calls.commands import Prompt

if TYPE_CHECKING:
    from telephony.ivr.run import Activity, Move, Run


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with a dialplan: where it is and what it is, for a person."""

    line: int
    path: str
    message: str
    file: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable as declared. ``report``: into the report's ``custom_data``; ``secret``: never
    written down or spoken.
    """

    value: str = ""
    report: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb(abc.ABC):
    """A node of a dialplan: what one verb does with its keys.

    Subclasses declare their keys as dataclass fields made by ``fields.key``; a trailing
    underscore keeps a YAML key that Python reserves (``else_`` is ``else``).
    """

    VERB: ClassVar[str]
    waits: ClassVar[bool] = False
    """Whether a round trip through it takes the caller's time or input, so a loop may hold it."""
    listens: ClassVar[bool] = False
    """Whether it takes keys that were pressed ahead of it."""

    @abc.abstractmethod
    def begin(self, run: Run) -> Move | Activity:
        """Enter the node: give orders, then move on or wait for something."""

    def targets(self) -> Iterator[tuple[str, str]]:
        """Key path within the node and the node it names, of every edge that leaves it."""
        for entry in fields(self):
            kind = entry.metadata["kind"]
            for suffix, target in kind.targets(getattr(self, entry.name)):
                yield yaml_key(entry.name) + suffix, target

    def texts(self) -> Iterator[tuple[str, str]]:
        """Key path within the node and text, of everything that may name variables."""
        for entry in fields(self):
            kind = entry.metadata["kind"]
            for suffix, text in kind.texts(getattr(self, entry.name)):
                yield yaml_key(entry.name) + suffix, text

    def reads(self) -> Iterator[tuple[str, str]]:
        """Key path within the node and variable, of every one that is read by its name."""
        for entry in fields(self):
            kind = entry.metadata["kind"]
            for suffix, name in kind.reads(getattr(self, entry.name)):
                yield yaml_key(entry.name) + suffix, name

    def prompts(self) -> Iterator[Prompt]:
        """Everything the node may play."""
        for entry in fields(self):
            value = getattr(self, entry.name)
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, Prompt):
                    yield item

    def faults(self) -> Iterator[tuple[str, str]]:
        """Key path within the node and message, of keys that do not go together."""
        return iter(())

    def writes(self) -> Iterator[tuple[str, str, bool]]:
        """Key path within the node, variable, and whether what it gets is secret."""
        return iter(())


def yaml_key(name: str) -> str:
    """The YAML key of a field."""
    return name.rstrip("_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialplan:
    """A program for a call. ``nodes`` keep the order of the file; ``start`` is one of them.

    ``holidays`` are ``YYYY-MM-DD`` or, every year, ``MM-DD``, in ``timezone``. ``lines`` maps
    key paths to lines of ``file``.
    """

    name: str
    start: str
    nodes: Mapping[str, Verb]
    description: str = ""
    language: str = "en"
    voice: str = ""
    timezone: str = "UTC"
    record: bool = False
    holidays: tuple[str, ...] = ()
    variables: Mapping[str, Variable] = field(default_factory=dict)
    file: str = field(default="", compare=False)
    lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)

    def prompts(self) -> Iterator[Prompt]:
        """Everything the dialplan may play."""
        for verb in self.nodes.values():
            yield from verb.prompts()

    def line(self, path: str) -> int:
        """The line of a key path, or of the nearest key above it that has one."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path.rpartition(".")[0]
        return 1

    def problem(self, path: str, message: str) -> Problem:
        """A problem at a key path of this dialplan."""
        return Problem(self.line(path), path, message, self.file)
