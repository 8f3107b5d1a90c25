"""Text to dialplan, or every reason why not, each with its line and key path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from telephony.base.errors import DialplanError
from telephony.ivr import source
from telephony.ivr.fields import (
    BAD,
    NODE_NAME,
    Flag,
    Kind,
    Target,
    Text,
    Zone,
    complete,
    key,
    name_fault,
    read_fields,
    unknown_key,
)
from telephony.ivr.model import Dialplan, Problem, Variable, Verb, yaml_key
from telephony.ivr.rules import check, cross_check
from telephony.ivr.run import Activity, Go, Move, Run
from telephony.ivr.source import MAX_NODES, Findings, Item, Listing, Scalar, lines_of, parse
from telephony.ivr.times import is_holiday_text
from telephony.ivr.verbs import VERBS
from telephony.ivr.verbs.queue_callback import PLAN_NAME

MAX_HOLIDAYS = 400
MAX_VARIABLES = 100


def load(text: str, name: str) -> Dialplan:
    """The dialplan of a file's text. ``name`` is the file's, with or without its suffix.

    Raises:
        DialplanError: everything wrong with it, one ``file:line: path: message`` a line.
    """
    plan, problems = examine(text, name)
    if plan is None or problems:
        raise DialplanError("\n".join(str(problem) for problem in problems))
    return plan


def load_all(texts: Mapping[str, str]) -> dict[str, Dialplan]:
    """Several dialplans, by file name, checked against each other as well.

    Raises:
        DialplanError: everything wrong with all of them.
    """
    plans: dict[str, Dialplan] = {}
    problems: list[Problem] = []
    for name, text in texts.items():
        plan, wrong = examine(text, name)
        problems += wrong
        if plan is not None:
            plans[plan.name] = plan
    # A plan that cannot be read may be the one that another names.
    if not problems:
        problems = cross_check(plans)
    if problems:
        raise DialplanError("\n".join(str(problem) for problem in problems))
    return plans


def examine(text: str, name: str) -> tuple[Dialplan | None, list[Problem]]:
    """The dialplan as far as it can be read, and everything wrong with it, by line.

    A plan that comes with problems is for the checker only and cannot run.
    """
    file = name if name.endswith((".yaml", ".yml")) else f"{name}.yaml"
    findings = Findings(file)
    item = parse(text, findings)
    if item is None:
        return None, findings.problems
    plan = _plan(item, file, findings)
    if plan is not None:
        findings.problems = sorted({*findings.problems, *check(plan)})
    return plan, findings.problems


# --- the head ------------------------------------------------------------------------------


class Holidays(Kind):
    """``YYYY-MM-DD``, or ``MM-DD`` of every year."""

    def read(self, item: Item, out: Findings) -> Any:
        if not isinstance(item, Listing) or len(item.items) > MAX_HOLIDAYS:
            out.at(item, f"must be a list of at most {MAX_HOLIDAYS} days such as 2026-12-25")
            return BAD
        found = []
        for below in item.items:
            if not isinstance(below, Scalar) or not is_holiday_text(below.text):
                out.at(below, "must be a day such as 2026-12-25, or 12-25 for every year")
                return BAD
            found.append(below.text)
        return tuple(found)

    def schema(self) -> dict[str, Any]:
        day = {"type": "string", "pattern": r"^(?:\d{4}-)?\d{2}-\d{2}$"}
        return {"type": "array", "items": day, "maxItems": MAX_HOLIDAYS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The keys of a dialplan beside ``variables`` and ``nodes``."""

    name: str | None = key(
        Text(maximum=63, pattern=PLAN_NAME, what="a name (a-z, 0-9, - and _)"),
        None,
        doc="The dialplan's name, which is that of the file.",
    )
    description: str = key(Text(maximum=1000), "", doc="What it is for.")
    language: str = key(
        Text(maximum=32, pattern=r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]+)*", what="a language"),
        "en",
        doc="The language of its texts.",
    )
    voice: str = key(
        Text(maximum=64, pattern=r"[A-Za-z0-9_+.\-]+", what="a voice"),
        "",
        doc="The voice that speaks; without it that of the language.",
    )
    timezone: str = key(Zone(), "UTC", doc="The clock of its times and holidays.")
    record: bool = key(Flag(), False, doc="Record the whole call. Say so to the caller.")
    holidays: tuple[str, ...] = key(Holidays(), (), doc="Days that the condition holiday means.")
    start: str = key(Target(), doc="The first node.")


_SECTIONS = frozenset({"variables", "nodes"})


def _plan(item: Item, file: str, out: Findings) -> Dialplan | None:
    if not isinstance(item, source.Mapping):
        out.at(item, "a dialplan is a mapping with start and nodes")
        return None
    values = read_fields(Head, item, out, _SECTIONS)
    stem = re.sub(r"\.ya?ml$", "", file).replace("\\", "/").rpartition("/")[2]
    if re.fullmatch(PLAN_NAME, stem) is None:
        out.add(1, "", f"'{stem}' is no name for a dialplan (a-z, 0-9, - and _)")
    elif values.get("name") not in (None, stem):
        out.at(item.entries["name"], f"the file is called {stem}, so the name must be as well")
    variables = _variables(item.entries.get("variables"), out)
    nodes = _nodes(item, out)
    values.pop("name", None)
    values.setdefault("start", "")
    return Dialplan(
        name=stem, variables=variables, nodes=nodes, file=file, lines=lines_of(item), **values
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableHead:
    """The keys of a variable that is written as a mapping."""

    value: str = key(Text(maximum=1000, empty=True), "", doc="What it holds at first.")
    report: bool = key(Flag(), False, doc="It goes into the report's custom_data.")
    secret: bool = key(Flag(), False, doc="It is never written down or said.")


def _variables(item: Item | None, out: Findings) -> dict[str, Variable]:
    if item is None:
        return {}
    if not isinstance(item, source.Mapping) or len(item.entries) > MAX_VARIABLES:
        out.at(item, f"must be a mapping of at most {MAX_VARIABLES} variables")
        return {}
    found: dict[str, Variable] = {}
    for name, below in item.entries.items():
        wrong = name_fault(name)
        if wrong is not None:
            out.add(item.lines[name], below.path, wrong)
        if isinstance(below, source.Mapping):
            found[name] = Variable(**read_fields(VariableHead, below, out, frozenset()))
        else:
            value = Text(maximum=1000, empty=True).read(below, out)
            found[name] = Variable() if value is BAD else Variable(value=value)
    return found


# --- nodes ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken(Verb):
    """A node that could not be read. ``mentions`` are the texts in it: any of them may be the
    name of a node it leads to, so that one mistake does not make others unreachable.
    """

    VERB: ClassVar[str] = ""
    waits: ClassVar[bool] = True

    edges: tuple[tuple[str, str], ...] = ()
    mentions: tuple[str, ...] = ()
    templates: tuple[tuple[str, str], ...] = ()
    compared: tuple[tuple[str, str], ...] = ()
    written: tuple[tuple[str, str, bool], ...] = ()

    def begin(self, run: Run) -> Move | Activity:
        return Go(None)

    def targets(self) -> Iterator[tuple[str, str]]:
        return iter(self.edges)

    def texts(self) -> Iterator[tuple[str, str]]:
        return iter(self.templates)

    def reads(self) -> Iterator[tuple[str, str]]:
        return iter(self.compared)

    def writes(self) -> Iterator[tuple[str, str, bool]]:
        return iter(self.written)


def _nodes(plan: source.Mapping, out: Findings) -> dict[str, Verb]:
    item = plan.entries.get("nodes")
    if item is None:
        out.at(plan, "the key 'nodes' is missing")
        return {}
    if not isinstance(item, source.Mapping) or not item.entries:
        out.at(item, "must be a mapping of names to nodes")
        return {}
    if len(item.entries) > MAX_NODES:
        out.at(item, f"more than {MAX_NODES} nodes")
        return {}
    found: dict[str, Verb] = {}
    for name, below in item.entries.items():
        if NODE_NAME.fullmatch(name) is None:
            out.add(
                item.lines[name],
                below.path,
                f"'{name}' is no name for a node (letters, digits, _ and -, at most 64)",
            )
        found[name] = _node(below, item.lines[name], out)
    return found


def _node(item: Item, line: int, out: Findings) -> Verb:
    if not isinstance(item, source.Mapping):
        out.at(item, "a node is a mapping with verb and the keys of that verb")
        return Broken(mentions=_scalars(item))
    word = item.entries.get("verb")
    if word is None:
        out.add(line, item.path, "the key 'verb' is missing")
        return Broken(mentions=_scalars(item))
    row = VERBS.get(word.text) if isinstance(word, Scalar) else None
    if row is None:
        said = f" '{word.text}'" if isinstance(word, Scalar) else ""
        message = unknown_key(word.text, VERBS) if isinstance(word, Scalar) else ""
        hint = message.partition(";")[2]
        out.add(word.line, word.path, f"unknown verb{said}{';' + hint if hint else ''}")
        return Broken(mentions=_scalars(item))
    placed = source.Mapping(item.entries, item.lines, line, item.path)
    values = read_fields(row.verb, placed, out, frozenset({"verb"}))
    if complete(row.verb, values, item):
        return row.verb(**values)
    edges: list[tuple[str, str]] = []
    templates: list[tuple[str, str]] = []
    compared: list[tuple[str, str]] = []
    for entry in fields(row.verb):
        if entry.name in values:
            kind, value, name = entry.metadata["kind"], values[entry.name], yaml_key(entry.name)
            edges.extend((name + suffix, target) for suffix, target in kind.targets(value))
            templates.extend((name + suffix, text) for suffix, text in kind.texts(value))
            compared.extend((name + suffix, read) for suffix, read in kind.reads(value))
    return Broken(
        edges=tuple(edges),
        mentions=_scalars(item),
        templates=tuple(templates),
        compared=tuple(compared),
        written=_written(values),
    )


def _written(values: Mapping[str, Any]) -> tuple[tuple[str, str, bool], ...]:
    """The variables that a node which could not be read would set."""
    names = [values["variable"]] if isinstance(values.get("variable"), str) else []
    names += list(values.get("variables", ()))
    return tuple(("", name, False) for name in names)


def _scalars(item: Item) -> tuple[str, ...]:
    """Every text below an item."""
    found: list[str] = []
    pending: list[Item] = [item]
    while pending:
        match pending.pop():
            case Scalar(text=text):
                found.append(text)
            case Listing(items=items):
                pending.extend(items)
            case source.Mapping(entries=entries):
                pending.extend(entries.values())
    return tuple(found)
