"""``{{variable}}`` in texts: plain substitution, nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping

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
