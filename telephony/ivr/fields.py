"""The kinds of value a key may have: how each is read, and its JSON Schema.

A verb's keys are dataclass fields made by ``key``; the loader and the published schema are
both derived from them, so they cannot disagree.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, field, fields
from typing import Any, Final
from zoneinfo import ZoneInfo

from telephony.base.number import is_e164
from telephony.calls.commands import Prompt
from telephony.ivr.model import yaml_key
from telephony.ivr.source import Findings, Item, Listing, Mapping, Scalar
from telephony.ivr.template import BUILTIN, NAME, fault, holes, spoken_fault

BAD: Final = object()
"""What ``read`` returns where the value cannot be used; the reason is among the findings."""

MAX_TEXT = 5000
MAX_PROMPTS = 16
MAX_CHOICES = 64
NODE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
PHONE_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
KEYS = "0123456789*#ABCD"
TONES = ("beep", "ringback", "busy", "hold")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
_E164_PATTERN = r"^\+[1-9]\d{6,14}$"


class Kind:
    """One kind of value."""

    def read(self, item: Item, out: Findings) -> Any:
        """The value, or ``BAD`` with the reason in ``out``."""
        out.at(item, "cannot be given")
        return BAD

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of what ``read`` takes."""
        return {}

    def targets(self, value: Any) -> Iterator[tuple[str, str]]:
        """Path suffix and node of every edge in the value."""
        return iter(())

    def texts(self, value: Any) -> Iterator[tuple[str, str]]:
        """Path suffix and text of every template in the value."""
        return iter(())

    def reads(self, value: Any) -> Iterator[tuple[str, str]]:
        """Path suffix and name of every variable that the value reads by name."""
        return iter(())


def key(kind: Kind, default: Any = MISSING, *, doc: str) -> Any:
    """A dataclass field that is a key of the YAML. ``doc`` goes into the schema."""
    return field(default=default, metadata={"kind": kind, "doc": doc})


def read_fields(cls: type, item: Mapping, out: Findings, skip: frozenset[str]) -> dict[str, Any]:
    """The fields of ``cls`` from a mapping: unknown keys, wrong values, missing ones are found.

    Keys in ``skip`` are somebody else's. What is BAD is left out.
    """
    known: dict[str, Field[Any]] = {yaml_key(entry.name): entry for entry in fields(cls)}
    values: dict[str, Any] = {}
    for name, below in item.entries.items():
        if name in skip:
            continue
        entry = known.get(name)
        if entry is None:
            out.add(item.lines[name], below.path, unknown_key(name, known.keys() | skip))
            continue
        value = entry.metadata["kind"].read(below, out)
        if value is not BAD:
            values[entry.name] = value
    for name, entry in known.items():
        if name not in item.entries and entry.default is MISSING:
            out.add(item.line, item.path, f"the key '{name}' is missing")
    return values


def complete(cls: type, values: dict[str, Any], item: Mapping) -> bool:
    """Whether every key that was given could be read and none is missing."""
    known = {yaml_key(entry.name): entry for entry in fields(cls)}
    needed = {entry.name for entry in fields(cls) if entry.default is MISSING}
    given = {known[name].name for name in item.entries if name in known}
    return (needed | given) <= values.keys()


def object_schema(
    cls: type, extra: dict[str, Any] | None = None, required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The JSON Schema of a mapping with the fields of ``cls``."""
    properties: dict[str, Any] = dict(extra or {})
    needed = list(required)
    for entry in fields(cls):
        properties[yaml_key(entry.name)] = {
            "description": entry.metadata["doc"],
            **entry.metadata["kind"].schema(),
        }
        if entry.default is MISSING:
            needed.append(yaml_key(entry.name))
    found: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    if needed:
        found["required"] = needed
    return found


def unknown_key(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"unknown key '{name}'{hint}"


def scalar(item: Item, out: Findings, what: str) -> Scalar | None:
    """A scalar with something in it, or None with the reason in ``out``."""
    if not isinstance(item, Scalar):
        out.at(item, f"must be {what}, not a {'list' if isinstance(item, Listing) else 'mapping'}")
        return None
    if item.kind == "alias":
        return None
    if item.kind == "null":
        out.at(item, f"must be {what}, but there is nothing (quote '#')")
        return None
    return item


class Text(Kind):
    """Text. With ``template`` it may hold ``{{variable}}``; what is ``spoken`` may be Liquid."""

    def __init__(
        self,
        *,
        template: bool = False,
        maximum: int = MAX_TEXT,
        pattern: str | None = None,
        what: str = "text",
        empty: bool = False,
        spoken: bool = False,
    ) -> None:
        self.template = template or spoken
        self._fault = spoken_fault if spoken else fault
        self.maximum = maximum
        self.pattern = pattern
        self.what = what
        self.empty = empty

    def read(self, item: Item, out: Findings) -> Any:
        found = scalar(item, out, self.what)
        if found is None:
            return BAD
        text = found.text
        if self.template and (wrong := self._fault(text)) is not None:
            out.at(item, wrong)
            return BAD
        if not text.strip() and not self.empty:
            out.at(item, f"must be {self.what}, not empty")
            return BAD
        if len(text) > self.maximum:
            out.at(item, f"longer than {self.maximum} characters")
            return BAD
        plain = not (self.template and holes(text))
        if self.pattern is not None and plain and re.fullmatch(self.pattern, text) is None:
            out.at(item, f"must be {self.what}, not '{text}'")
            return BAD
        return text

    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "type": ["string", "number", "boolean"] if self.empty else "string",
            "maxLength": self.maximum,
        }
        if not self.empty:
            found["minLength"] = 1
        if self.pattern is not None and not self.template:
            found["pattern"] = f"^(?:{self.pattern})$"
        return found

    def texts(self, value: Any) -> Iterator[tuple[str, str]]:
        if self.template and value:
            yield "", value


class Flag(Kind):
    """true or false."""

    def read(self, item: Item, out: Findings) -> Any:
        found = scalar(item, out, "true or false")
        if found is None:
            return BAD
        if found.kind != "bool":
            out.at(item, f"must be true or false, not '{found.text}'")
            return BAD
        return found.text.lower() in ("true", "yes", "on")

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Whole(Kind):
    """A whole number from ``low`` to ``high``."""

    def __init__(self, low: int, high: int) -> None:
        self.low = low
        self.high = high

    def read(self, item: Item, out: Findings) -> Any:
        what = f"a whole number from {self.low} to {self.high}"
        found = scalar(item, out, what)
        if found is None:
            return BAD
        if re.fullmatch(r"\d{1,9}", found.text) and self.low <= int(found.text) <= self.high:
            return int(found.text)
        out.at(item, f"must be {what}, not '{found.text}'")
        return BAD

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class Seconds(Kind):
    """A duration: seconds as a number, or ``500ms``, ``15s``, ``10m``, ``2h``, ``1d``."""

    def __init__(self, low: float, high: float) -> None:
        self.low = low
        self.high = high

    def read(self, item: Item, out: Findings) -> Any:
        what = f"a time from {self.low:g} to {self.high:g} seconds (such as 5, 500ms, 2m)"
        found = scalar(item, out, what)
        if found is None:
            return BAD
        match = _DURATION.fullmatch(found.text) if len(found.text) <= 16 else None
        if match is not None:
            value = float(match.group(1)) * _UNIT[match.group(2)]
            if self.low <= value <= self.high:
                return value
        out.at(item, f"must be {what}, not '{found.text}'")
        return BAD

    def schema(self) -> dict[str, Any]:
        return {
            "anyOf": [
                {"type": "number", "minimum": self.low, "maximum": self.high},
                {"type": "string", "pattern": f"^{_DURATION.pattern}$"},
            ]
        }


class OneOf(Kind):
    """One word of a closed set."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def read(self, item: Item, out: Findings) -> Any:
        what = f"one of {', '.join(self.words)}"
        found = scalar(item, out, what)
        if found is None:
            return BAD
        if found.text not in self.words:
            out.at(item, f"must be {what}, not '{found.text}'")
            return BAD
        return found.text

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.words)}


class Keys(Kind):
    """Keys of the telephone, such as ``#`` or ``*#``; empty for none."""

    def read(self, item: Item, out: Findings) -> Any:
        found = scalar(item, out, "telephone keys (0-9, *, #, A-D)")
        if found is None:
            return BAD
        if len(found.text) > len(KEYS) or any(k not in KEYS for k in found.text):
            out.at(item, f"must be telephone keys (0-9, *, #, A-D), not '{found.text}'")
            return BAD
        return found.text

    def schema(self) -> dict[str, Any]:
        return {
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9*#A-D]{0,16}$"},
                {"type": "integer", "minimum": 0},
            ]
        }


class Target(Kind):
    """The name of a node."""

    def read(self, item: Item, out: Findings) -> Any:
        found = scalar(item, out, "the name of a node")
        return BAD if found is None else found.text

    def schema(self) -> dict[str, Any]:
        return {"$ref": "#/$defs/target"}

    def targets(self, value: Any) -> Iterator[tuple[str, str]]:
        if value is not None:
            yield "", value


class Choices(Kind):
    """Keys → node."""

    def read(self, item: Item, out: Findings) -> Any:
        if not isinstance(item, Mapping):
            out.at(item, "must be a mapping of keys to nodes, such as 1: sales")
            return BAD
        if not item.entries:
            out.at(item, "has no choice")
            return BAD
        if len(item.entries) > MAX_CHOICES:
            out.at(item, f"more than {MAX_CHOICES} choices")
            return BAD
        found: dict[str, str] = {}
        for name, below in item.entries.items():
            if not 1 <= len(name) <= 16 or any(k not in KEYS for k in name):
                out.add(
                    item.lines[name], below.path, f"'{name}' is no telephone keys (0-9, *, #, A-D)"
                )
            target = Target().read(below, out)
            if target is not BAD:
                found[name] = target
        return found

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "minProperties": 1,
            "maxProperties": MAX_CHOICES,
            "propertyNames": {"pattern": r"^[0-9*#A-D]{1,16}$"},
            "additionalProperties": {"$ref": "#/$defs/target"},
        }

    def targets(self, value: Any) -> Iterator[tuple[str, str]]:
        for name, target in (value or {}).items():
            yield f".{name}", target


class File(Kind):
    """A WAV file in the dialplans' folder."""

    def read(self, item: Item, out: Findings) -> Any:
        found = scalar(item, out, "the name of a WAV file")
        if found is None:
            return BAD
        name = found.text
        if name.startswith(("/", "~")) or "\\" in name or ":" in name or ".." in name.split("/"):
            out.at(item, f"'{name}' leaves the folder of the dialplans")
            return BAD
        if not re.fullmatch(r"[A-Za-z0-9_.\-/ ]{1,200}", name) or not name.lower().endswith(".wav"):
            out.at(item, f"'{name}' is no WAV file (letters, digits, - _ . and /, ending in .wav)")
            return BAD
        return name

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^(?!/)(?!.*\.\.)[A-Za-z0-9_.\-/ ]+\.[wW][aA][vV]$"}


_PROMPT_TEXT = Text(spoken=True, what="text to be spoken")
_WORD = Text(maximum=64, pattern=r"[A-Za-z0-9_+.\-]+", what="a name")


class Prompts(Kind):
    """What is heard: a text, a mapping (text, file or tone …), or a list of these."""

    def read(self, item: Item, out: Findings) -> Any:
        items = item.items if isinstance(item, Listing) else (item,)
        if not items:
            out.at(item, "an empty list of prompts")
            return BAD
        if len(items) > MAX_PROMPTS:
            out.at(item, f"more than {MAX_PROMPTS} prompts")
            return BAD
        found = [self._one(below, out) for below in items]
        return BAD if any(one is BAD for one in found) else tuple(found)

    def _one(self, item: Item, out: Findings) -> Any:
        if not isinstance(item, Mapping):
            text = _PROMPT_TEXT.read(item, out)
            return BAD if text is BAD else Prompt(text=text)
        kinds: dict[str, Kind] = {
            "text": _PROMPT_TEXT,
            "file": File(),
            "tone": OneOf(*TONES),
            "voice": _WORD,
            "language": _WORD,
            "fallback": File(),
        }
        values: dict[str, Any] = {}
        bad = False
        for name, below in item.entries.items():
            if name not in kinds:
                out.add(item.lines[name], below.path, unknown_key(name, kinds.keys()))
                bad = True
                continue
            values[name] = kinds[name].read(below, out)
            bad = bad or values[name] is BAD
        if len({"text", "file", "tone"} & item.entries.keys()) != 1:
            out.at(item, "a prompt has one of text, file and tone")
            bad = True
        return BAD if bad else Prompt(**values)

    def schema(self) -> dict[str, Any]:
        return {"$ref": "#/$defs/prompts"}

    def texts(self, value: Any) -> Iterator[tuple[str, str]]:
        for index, prompt in enumerate(value or ()):
            if prompt.text:
                yield ("" if len(value) == 1 else f".{index}"), prompt.text


def prompts_schema() -> dict[str, Any]:
    """``#/$defs/prompts``."""
    text = _PROMPT_TEXT.schema()
    one = {
        "type": "object",
        "properties": {
            "text": text,
            "file": File().schema(),
            "tone": {"enum": list(TONES)},
            "voice": _WORD.schema(),
            "language": _WORD.schema(),
            "fallback": File().schema(),
        },
        "additionalProperties": False,
        "oneOf": [{"required": ["text"]}, {"required": ["file"]}, {"required": ["tone"]}],
    }
    single = {"anyOf": [text, one]}
    return {"anyOf": [text, one, {"type": "array", "items": single, "minItems": 1, "maxItems": 16}]}


class VariableName(Kind):
    """The name of a variable that gets a value."""

    def read(self, item: Item, out: Findings) -> Any:
        found = scalar(item, out, "the name of a variable")
        if found is None:
            return BAD
        wrong = name_fault(found.text)
        if wrong is not None:
            out.at(item, wrong)
            return BAD
        return found.text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{NAME.pattern}$", "not": {"enum": list(BUILTIN)}}


def name_fault(name: str) -> str | None:
    """Why a variable cannot be called this, or None."""
    if NAME.fullmatch(name) is None:
        return f"'{name}' is no name of a variable (a-z, 0-9 and _, at most 64)"
    if name in BUILTIN:
        return f"'{name}' is what the service sets itself"
    return None


class Assignments(Kind):
    """Variable → text."""

    def read(self, item: Item, out: Findings) -> Any:
        if not isinstance(item, Mapping) or not item.entries:
            out.at(item, "must be a mapping of variables to texts")
            return BAD
        value = Text(template=True, maximum=1000, empty=True)
        found: dict[str, str] = {}
        for name, below in item.entries.items():
            wrong = name_fault(name)
            if wrong is not None:
                out.add(item.lines[name], below.path, wrong)
            text = value.read(below, out)
            if text is not BAD:
                found[name] = text
        return found

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "minProperties": 1,
            "propertyNames": VariableName().schema(),
            "additionalProperties": Text(maximum=1000, empty=True).schema(),
        }

    def texts(self, value: Any) -> Iterator[tuple[str, str]]:
        for name, text in (value or {}).items():
            yield f".{name}", text


class Destination(Kind):
    """Whom to call: an E.164 number, a phone's user, or ``{{variable}}``."""

    def __init__(self, *, phones: bool = True) -> None:
        self.phones = phones

    @property
    def _what(self) -> str:
        phone = " or a phone's user" if self.phones else ""
        return f"an E.164 number such as +12025550123{phone}, or {{{{variable}}}}"

    def read(self, item: Item, out: Findings) -> Any:
        found = scalar(item, out, self._what)
        if found is None:
            return BAD
        text = found.text.strip()
        wrong = fault(text)
        if wrong is not None:
            out.at(item, wrong)
            return BAD
        if holes(text) or is_e164(text):
            return text
        # Ten digits and no plus are a number whose plus was forgotten, not a phone's name.
        if self.phones and PHONE_USER.fullmatch(text) and not re.fullmatch(r"\d{10,}", text):
            return text
        out.at(item, f"must be {self._what}, not '{text}'")
        return BAD

    def schema(self) -> dict[str, Any]:
        shapes: list[dict[str, Any]] = [
            {"type": "string", "pattern": _E164_PATTERN},
            {"type": "string", "pattern": r"\{\{.+\}\}"},
        ]
        if self.phones:
            shapes.append({"type": "string", "pattern": rf"^(?!\d{{10,}}$){PHONE_USER.pattern}$"})
        shapes.append({"type": "integer", "minimum": 0})
        return {"anyOf": shapes}

    def texts(self, value: Any) -> Iterator[tuple[str, str]]:
        if value:
            yield "", value


class Zone(Kind):
    """An IANA time zone."""

    def read(self, item: Item, out: Findings) -> Any:
        found = scalar(item, out, "a time zone such as Europe/Berlin")
        if found is None:
            return BAD
        if not is_zone(found.text):
            out.at(item, f"there is no time zone '{found.text}' (such as Europe/Berlin or UTC)")
            return BAD
        return found.text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^[A-Za-z][A-Za-z0-9_+\-/]*$"}


def is_zone(name: str) -> bool:
    """Whether the time zone database has it."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_+\-/]{0,63}", name) is None:
        return False
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
