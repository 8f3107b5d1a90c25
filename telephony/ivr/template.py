"""``{{variable}}`` in texts: plain substitution. What is spoken may be Liquid besides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from telephony.base.errors import BadInput
from telephony.prompts import Template

NAME = re.compile(r"[a-z_][a-z0-9_]{0,63}")
_HOLE = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)

BUILTIN = ("caller", "from", "to", "direction", "call_id", "amd")
"""Variables that every call has; they cannot be set."""

MAX_VALUE = 1000
"""Characters of a variable's value."""


def holes(text: str) -> list[str]:
    """What stands between the braces, in order."""
    return [match.group(1) for match in _HOLE.finditer(text)]


def fault(text: str) -> str | None:
    """Why the text is no template, or None."""
    for hole in holes(text):
        if NAME.fullmatch(hole) is None:
            return f"{{{{{hole}}}}} does not name a variable (a-z, 0-9 and _ only)"
    rest = _HOLE.sub("", text)
    if "{{" in rest or "}}" in rest:
        return "{{ without its }}, or }} without its {{"
    return None


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with every hole filled; a variable without a value is empty."""
    return _HOLE.sub(lambda match: values.get(match.group(1), ""), text)


# --- what is spoken ------------------------------------------------------------------------

_LIQUID = re.compile(r"\{%|\{\{[^}]*\|")


@lru_cache(maxsize=1024)
def _liquid(text: str) -> Template:
    return Template(text)


def spoken_fault(text: str) -> str | None:
    """Why the text cannot be spoken, or None: it is plain, or Liquid (``{{ a | default: 'b' }}``,
    ``{% if a %}``)."""
    if not _LIQUID.search(text):
        return fault(text)
    try:
        _liquid(text)
    except BadInput as error:
        return error.message.removeprefix("text: ")
    return None


def names(text: str) -> list[str]:
    """The variables of a text that has no fault."""
    return sorted(_liquid(text).names) if _LIQUID.search(text) else holes(text)


def speak(text: str, values: Mapping[str, str]) -> str:
    """The text as it is spoken; one that runs over a ceiling says nothing."""
    if not _LIQUID.search(text):
        return fill(text, values)
    try:
        return _liquid(text).render(values)
    except BadInput:
        return ""
