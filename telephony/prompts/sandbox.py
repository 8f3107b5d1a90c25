"""A Liquid environment in which a stranger's template does no harm.

No template reads another, no filter makes a text longer than a constant more, loops and output
have ceilings. The ceiling of loops falls with the template's length, so what a template costs is
bounded whatever it says, without a clock.
"""

from __future__ import annotations

import re
from typing import Any

from liquid import Environment
from liquid.exceptions import FilterArgumentError

MAX_SOURCE = 200_000
MAX_OUTPUT = 400_000
_STEPS = 2_000_000
_MAX_LOOPS = 1_000

# `liquid` and `echo` are other spellings; `include` and `render` read files.
_TAGS = ("#", "assign", "break", "capture", "case", "comment", "continue", "for", "if")
_TAGS_TOO = ("ifchanged", "illegal", "output", "unless", "content", "cycle", "doc")
_FILTERS = (
    *("capitalize", "date", "default", "downcase", "first", "last", "lstrip", "minus", "plus"),
    *("round", "rstrip", "size", "slice", "split", "squish", "strip", "strip_newlines"),
    *("truncate", "truncatewords", "upcase"),
)
_DATE_FORMAT = re.compile(r"(?:[^%]|%[-^#]?[a-zA-Z%]){0,100}")


def environment(length: int) -> Environment:
    """For a template of this length."""
    limits = {
        "output_stream_limit": MAX_OUTPUT,
        "local_namespace_limit": MAX_OUTPUT,
        "loop_iteration_limit": max(1, min(_MAX_LOOPS, _STEPS // max(1, length))),
    }
    # Liquid reads its limits from the class.
    made: Environment = type("_Limited", (Environment,), limits)(extra=False)
    kept = {*_TAGS, *_TAGS_TOO}
    made.tags = {name: tag for name, tag in made.tags.items() if name in kept}
    dates = made.filters["date"]
    made.filters = {name: made.filters[name] for name in _FILTERS}
    made.filters["date"] = _Date(dates)
    return made


class _Date:
    """``date`` of a moment that was given: what it is now is ``system.now``, and a format cannot
    ask for a field of a million places."""

    def __init__(self, dates: Any) -> None:
        self._dates = dates
        self.with_environment = True

    def __call__(self, value: Any, form: Any = "", *, environment: Environment) -> Any:
        if str(value).strip().lower() in ("now", "today"):
            raise FilterArgumentError("date: say system.now", token=None)
        if len(str(value)) > 100 or _DATE_FORMAT.fullmatch(str(form)) is None:
            raise FilterArgumentError("date: cannot use this moment or format", token=None)
        return self._dates(value, form, environment=environment)
