"""What an ``if`` may ask: time of day, holidays, the caller, variables, and all, any, not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from telephony.base.number import is_e164
from telephony.ivr import source
from telephony.ivr.fields import BAD, Flag, Kind, Text, Zone, unknown_key
from telephony.ivr.source import Findings, Item, Listing, Scalar
from telephony.ivr.template import NAME
from telephony.ivr.times import MIDNIGHT, Window, days, is_holiday, minutes

MAX_DEPTH = 6
MAX_ITEMS = 32
MATCHED = 128
"""Characters of a variable that ``matches`` looks at."""

MAX_REPEATS = 3
"""Repeats of a regular expression; with ``MATCHED`` they bound what a match may cost."""

ANONYMOUS = frozenset(
    {"", "anonymous", "unavailable", "restricted", "unknown", "withheld", "private"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What conditions look at. ``now`` is aware; ``zone`` and ``holidays`` are the dialplan's."""

    now: datetime
    zone: str
    holidays: tuple[str, ...] = ()
    caller: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


class Condition(Protocol):
    """Something that holds or does not."""

    def holds(self, facts: Facts) -> bool: ...


@dataclass(frozen=True, slots=True)
class All:
    """Every one holds."""

    parts: tuple[Condition, ...]

    def holds(self, facts: Facts) -> bool:
        return all(part.holds(facts) for part in self.parts)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of them holds."""

    parts: tuple[Condition, ...]

    def holds(self, facts: Facts) -> bool:
        return any(part.holds(facts) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    """It does not hold."""

    part: Condition

    def holds(self, facts: Facts) -> bool:
        return not self.part.holds(facts)


@dataclass(frozen=True, slots=True)
class TimeIs:
    """Now lies in one of the windows."""

    windows: tuple[Window, ...]

    def holds(self, facts: Facts) -> bool:
        return any(window.holds(facts.now, facts.zone) for window in self.windows)


@dataclass(frozen=True, slots=True)
class HolidayIs:
    """Today is a holiday, or is none."""

    wanted: bool

    def holds(self, facts: Facts) -> bool:
        return is_holiday(facts.now, facts.zone, facts.holidays) is self.wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerIs:
    """Every key that is given fits the caller's number; of a list one is enough."""

    prefix: tuple[str, ...] = ()
    equals: tuple[str, ...] = ()
    anonymous: bool | None = None

    def holds(self, facts: Facts) -> bool:
        caller = facts.caller
        if self.prefix and not caller.startswith(self.prefix):
            return False
        if self.equals and caller not in self.equals:
            return False
        return self.anonymous is None or (caller.lower() in ANONYMOUS) is self.anonymous


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableIs:
    """Every key that is given fits the variable. One that is empty does not exist."""

    name: str
    equals: tuple[str, ...] = ()
    matches: str | None = None
    exists: bool | None = None

    def holds(self, facts: Facts) -> bool:
        value = facts.variables.get(self.name, "")
        if self.exists is not None and bool(value) is not self.exists:
            return False
        if self.equals and value not in self.equals:
            return False
        return self.matches is None or re.fullmatch(self.matches, value[:MATCHED]) is not None


# --- reading -------------------------------------------------------------------------------


class When(Kind):
    """A condition: every key of the mapping must hold."""

    def read(self, item: Item, out: Findings) -> Any:
        return _condition(item, out, 0)

    def schema(self) -> dict[str, Any]:
        return {"$ref": "#/$defs/condition"}

    def reads(self, value: Any) -> Iterator[tuple[str, str]]:
        pending: list[Any] = [value]
        while pending:
            match pending.pop():
                case All(parts) | AnyOf(parts):
                    pending.extend(parts)
                case Not(part):
                    pending.append(part)
                case VariableIs(name=name):
                    yield "", name


def _condition(item: Item, out: Findings, depth: int) -> Any:
    if not isinstance(item, source.Mapping) or not item.entries:
        out.at(item, f"must be a condition: a mapping with {', '.join(_READERS)}")
        return BAD
    if depth >= MAX_DEPTH:
        out.at(item, f"conditions nested deeper than {MAX_DEPTH}")
        return BAD
    parts: list[Any] = []
    for name, below in item.entries.items():
        reader = _READERS.get(name)
        if reader is None:
            out.add(item.lines[name], below.path, unknown_key(name, _READERS.keys()))
            parts.append(BAD)
        else:
            parts.append(reader(below, out, depth + 1))
    if any(part is BAD for part in parts):
        return BAD
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _several(item: Item, out: Findings, read: Callable[[Item], Any]) -> Any:
    """One or a list of them, as a tuple."""
    items = item.items if isinstance(item, Listing) else (item,)
    if not 1 <= len(items) <= MAX_ITEMS:
        out.at(item, f"must have 1 to {MAX_ITEMS} entries")
        return BAD
    found = [read(below) for below in items]
    return BAD if any(one is BAD for one in found) else tuple(found)


def _all(item: Item, out: Findings, depth: int) -> Any:
    parts = _several(item, out, lambda below: _condition(below, out, depth))
    return BAD if parts is BAD else All(parts)


def _any(item: Item, out: Findings, depth: int) -> Any:
    parts = _several(item, out, lambda below: _condition(below, out, depth))
    return BAD if parts is BAD else AnyOf(parts)


def _not(item: Item, out: Findings, depth: int) -> Any:
    part = _condition(item, out, depth)
    return BAD if part is BAD else Not(part)


def _time(item: Item, out: Findings, depth: int) -> Any:
    windows = _several(item, out, lambda below: _window(below, out))
    return BAD if windows is BAD else TimeIs(windows)


def _window(item: Item, out: Findings) -> Any:
    values = _members(item, out, {"days": Days(), "from": At(), "to": At(end=True), "zone": Zone()})
    if values is BAD:
        return BAD
    assert isinstance(item, source.Mapping)
    if not values:
        out.at(item, "a time has at least one of days, from and to")
        return BAD
    begin, end = values.get("from", 0), values.get("to", MIDNIGHT)
    if begin == end:
        out.at(item, "from and to are the same time; leave both out for the whole day")
        return BAD
    return Window(values.get("days", frozenset(range(7))), begin, end, values.get("zone"))


def _holiday(item: Item, out: Findings, depth: int) -> Any:
    flag = Flag().read(item, out)
    return BAD if flag is BAD else HolidayIs(flag)


def _caller(item: Item, out: Findings, depth: int) -> Any:
    kinds: dict[str, Kind] = {
        "prefix": Several(Text(maximum=64, pattern=r"\+?[0-9*#]+", what="the start of a number")),
        "equals": Several(Text(maximum=64, pattern=r"\S+", what="a number or a phone's user")),
        "anonymous": Flag(),
    }
    values = _members(item, out, kinds)
    if values is BAD:
        return BAD
    if not values:
        out.at(item, "has none of prefix, equals and anonymous")
        return BAD
    for number in values.get("equals", ()):
        if number.startswith("+") and not is_e164(number):
            out.at(item, f"'{number}' is no E.164 number such as +12025550123")
            return BAD
    return CallerIs(**values)


def _variable(item: Item, out: Findings, depth: int) -> Any:
    kinds: dict[str, Kind] = {
        "name": Text(maximum=64, pattern=NAME.pattern, what="the name of a variable"),
        "equals": Several(Text(maximum=1000, empty=True)),
        "matches": Pattern(),
        "exists": Flag(),
    }
    values = _members(item, out, kinds)
    if values is BAD:
        return BAD
    if "name" not in values or len(values) < 2:
        out.at(item, "needs name, and one of equals, matches and exists")
        return BAD
    return VariableIs(**values)


def _members(item: Item, out: Findings, kinds: dict[str, Kind]) -> Any:
    if not isinstance(item, source.Mapping):
        out.at(item, f"must be a mapping with {', '.join(kinds)}")
        return BAD
    values: dict[str, Any] = {}
    bad = False
    for name, below in item.entries.items():
        if name not in kinds:
            out.add(item.lines[name], below.path, unknown_key(name, kinds.keys()))
            bad = True
            continue
        values[name] = kinds[name].read(below, out)
        bad = bad or values[name] is BAD
    return BAD if bad else values


_READERS: dict[str, Callable[[Item, Findings, int], Any]] = {
    "time": _time,
    "holiday": _holiday,
    "caller": _caller,
    "variable": _variable,
    "all": _all,
    "any": _any,
    "not": _not,
}


class Several(Kind):
    """One value or a list of them, as a tuple."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def read(self, item: Item, out: Findings) -> Any:
        return _several(item, out, lambda below: self.kind.read(below, out))

    def schema(self) -> dict[str, Any]:
        # Numbers need no quotes in YAML, and what is read is what was written.
        one = {"anyOf": [self.kind.schema(), {"type": "number"}]}
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": 32}]}


class Days(Kind):
    """``mon-fri``, ``mon,wed``, or a list of these."""

    def read(self, item: Item, out: Findings) -> Any:
        items = item.items if isinstance(item, Listing) else (item,)
        found: set[int] = set()
        for below in items:
            some = days(below.text) if isinstance(below, Scalar) else None
            if some is None:
                out.at(below, "must be days such as mon-fri or sat,sun")
                return BAD
            found |= some
        if not found:
            out.at(item, "must be days such as mon-fri or sat,sun")
            return BAD
        return frozenset(found)

    def schema(self) -> dict[str, Any]:
        day = "(?:[mM]on|[tT]ue|[wW]ed|[tT]hu|[fF]ri|[sS]at|[sS]un)"
        one = {"type": "string", "pattern": rf"^{day}(?:-{day})?(?: *, *{day}(?:-{day})?)*$"}
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": 7}]}


class At(Kind):
    """A time of day, ``HH:MM``."""

    def __init__(self, *, end: bool = False) -> None:
        self.end = end

    def read(self, item: Item, out: Findings) -> Any:
        found = minutes(item.text, end=self.end) if isinstance(item, Scalar) else None
        if found is None:
            text = f", not '{item.text}'" if isinstance(item, Scalar) else ""
            last = " (24:00 is the end of the day)" if self.end else ""
            out.at(item, f"must be a time of day such as 09:30{last}{text}")
            return BAD
        return found

    def schema(self) -> dict[str, Any]:
        # YAML 1.1 reads 22:00 without quotes as a number to the base of sixty.
        latest = "|24:00" if self.end else ""
        pattern = rf"^(?:(?:[01]?\d|2[0-3]):[0-5]\d{latest})$"
        return {
            "anyOf": [
                {"type": "string", "pattern": pattern},
                {"type": "integer", "minimum": 0, "maximum": 1440},
            ]
        }


class Pattern(Kind):
    """A regular expression for the whole value, without repeats inside repeats."""

    def read(self, item: Item, out: Findings) -> Any:
        text = Text(maximum=200, what="a regular expression").read(item, out)
        if text is BAD:
            return BAD
        try:
            re.compile(text)
        except re.error as error:
            out.at(item, f"no regular expression: {error}")
            return BAD
        if costly(text):
            out.at(
                item,
                "may take forever on some values: no repeat around a repeat or an alternative,"
                f" and at most {MAX_REPEATS} repeats",
            )
            return BAD
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": 200, "minLength": 1}


def costly(pattern: str) -> bool:
    """Whether a regular expression could hold the process up: its values come from callers.

    (a+)+ and (a|aa)+ are exponential, a*a*a*a* is a high power of the length.
    """
    groups = [False]
    closed = False
    repeats = 0
    index = 0
    while index < len(pattern):
        char = pattern[index]
        was_closed, closed = closed, False
        if char == "\\":
            index += 1
        elif char == "[":
            end = pattern.find("]", index + 2)
            index = len(pattern) if end < 0 else end
        elif char == "(":
            groups.append(False)
            # The ? of (?: is no repeat.
            index += 1 if pattern[index + 1 : index + 2] == "?" else 0
        elif char == ")" and len(groups) > 1:
            heavy = groups.pop()
            groups[-1] = groups[-1] or heavy
            closed = heavy
        elif char == "|":
            groups[-1] = True
        elif char in "*+{":
            repeats += 1
            if was_closed:
                return True
            groups[-1] = True
        index += 1
    return repeats > MAX_REPEATS


def condition_schema() -> dict[str, Any]:
    """``#/$defs/condition``."""
    ref = {"$ref": "#/$defs/condition"}
    some = {"anyOf": [ref, {"type": "array", "items": ref, "minItems": 1, "maxItems": MAX_ITEMS}]}

    def members(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
            "minProperties": 1,
            **more,
        }

    window = members(
        {
            "days": Days().schema(),
            "from": At().schema(),
            "to": At(end=True).schema(),
            "zone": Zone().schema(),
        }
    )
    number = Several(Text(maximum=64)).schema()
    return members(
        {
            "time": {"anyOf": [window, {"type": "array", "items": window, "minItems": 1}]},
            "holiday": {"type": "boolean"},
            "caller": members(
                {"prefix": number, "equals": number, "anonymous": {"type": "boolean"}}
            ),
            "variable": members(
                {
                    "name": {"type": "string", "pattern": f"^{NAME.pattern}$"},
                    "equals": Several(Text(maximum=1000, empty=True)).schema(),
                    "matches": Pattern().schema(),
                    "exists": {"type": "boolean"},
                },
                required=["name"],
                minProperties=2,
            ),
            "all": some,
            "any": some,
            "not": ref,
        }
    )
