"""YAML text to a tree that knows its lines, with a ceiling on everything.

Anchors, aliases, tags and merge keys are refused: a dialplan needs none of them, and aliases
are how a small file becomes a large one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml
from yaml.resolver import Resolver

from telephony.ivr.model import Problem

MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
MAX_ITEMS = 20_000
"""Values of a file, counting every scalar, list and mapping."""
MAX_NODES = 500
MAX_PROBLEMS = 100

_RESOLVER = Resolver()
_ALIAS = "anchors and aliases are not allowed (quote the text where * or & is a key)"


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value as written. ``kind``: ``str``, ``int``, ``float``, ``bool``, ``null`` or other."""

    text: str
    kind: str
    line: int
    path: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A sequence."""

    items: tuple[Item, ...]
    line: int
    path: str


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping; ``lines`` are those of its keys."""

    entries: dict[str, Item]
    lines: dict[str, int]
    line: int
    path: str


Item: TypeAlias = Scalar | Listing | Mapping


@dataclass(slots=True)
class Findings:
    """Collects problems; what is over the ceiling is not kept."""

    file: str
    problems: list[Problem] = field(default_factory=list)

    def add(self, line: int, path: str, message: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(line, path, message, self.file))

    def at(self, item: Item, message: str) -> None:
        self.add(item.line, item.path, message)


class _Stop(Exception):
    """The rest of the text cannot be read; the reason is among the findings."""


def parse(text: str, findings: Findings) -> Item | None:
    """The tree of one YAML document, or None with the reasons in ``findings``."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        findings.add(1, "", f"larger than {MAX_BYTES // 1024} KiB")
        return None
    try:
        return _Builder(text, findings).document()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        findings.add(
            line, "", f"a character that YAML does not allow: #x{int(error.character):04x}"
        )
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        findings.add((mark.line + 1) if mark else 1, "", _yaml_message(error))
    except _Stop:
        pass
    return None


def _yaml_message(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "not YAML"
    if isinstance(error, yaml.scanner.ScannerError) and "alphabetic or numeric" in problem:
        return _ALIAS
    return f"not YAML: {problem}"


class _Builder:
    def __init__(self, text: str, findings: Findings) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
        self._findings = findings
        self._count = 0

    def document(self) -> Item | None:
        self._next()  # the stream begins
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            self._findings.add(1, "", "the file is empty")
            return None
        item = self._item(self._next(), "", 1)
        self._next()  # the document ends
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            line = event.start_mark.line + 1
            self._findings.add(line, "", "more than one YAML document in the file")
        return item

    def _next(self) -> Any:
        return next(self._events)

    def _item(self, event: Any, path: str, depth: int) -> Item:
        line = event.start_mark.line + 1
        self._count += 1
        if self._count > MAX_ITEMS:
            self._findings.add(line, path, f"more than {MAX_ITEMS} values")
            raise _Stop
        if depth > MAX_DEPTH:
            self._findings.add(line, path, f"nested deeper than {MAX_DEPTH} levels")
            raise _Stop
        if isinstance(event, yaml.AliasEvent):
            self._findings.add(line, path, _ALIAS)
            return Scalar("", "alias", line, path)
        if event.anchor is not None:
            self._findings.add(line, path, _ALIAS)
        if event.tag is not None and event.tag != "!":
            self._findings.add(line, path, f"the tag {event.tag} is not allowed")
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(event.value, _kind(event), line, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._listing(line, path, depth)
        return self._mapping(line, path, depth)

    def _listing(self, line: int, path: str, depth: int) -> Listing:
        items: list[Item] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._item(event, f"{path}.{len(items)}".lstrip("."), depth + 1))
        return Listing(tuple(items), line, path)

    def _mapping(self, line: int, path: str, depth: int) -> Mapping:
        entries: dict[str, Item] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key_line = event.start_mark.line + 1
            key = self._item(event, path, depth + 1)
            if not isinstance(key, Scalar) or key.kind in ("null", "alias"):
                if not (isinstance(key, Scalar) and key.kind == "alias"):
                    self._findings.add(
                        key_line, path, "a key must be a word, number or quoted text"
                    )
                self._item(self._next(), path, depth + 1)
                continue
            name = key.text
            below = f"{path}.{name}".lstrip(".")
            item = self._item(self._next(), below, depth + 1)
            if name in entries:
                first = lines[name]
                self._findings.add(key_line, below, f"duplicate key (the first is on line {first})")
                continue
            entries[name] = item
            lines[name] = key_line
        return Mapping(entries, lines, line, path)


def _kind(event: yaml.ScalarEvent) -> str:
    if event.style is not None:
        return "str"
    tag = _RESOLVER.resolve(yaml.ScalarNode, event.value, (True, False))  # type: ignore[no-untyped-call]
    return str(tag).rpartition(":")[2]


def lines_of(item: Item) -> dict[str, int]:
    """Key path → line of its key, for everything below ``item``."""
    found: dict[str, int] = {}
    pending: list[Item] = [item]
    while pending:
        current = pending.pop()
        if isinstance(current, Mapping):
            for name, below in current.entries.items():
                found[below.path] = current.lines[name]
                pending.append(below)
        elif isinstance(current, Listing):
            for below in current.items:
                found[below.path] = below.line
                pending.append(below)
    return found
