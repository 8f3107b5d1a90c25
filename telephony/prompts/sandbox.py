"""A Liquid environment in which a stranger's template does no harm.

No template reads another, no filter makes a text longer than a constant more; tags, loops and
output have ceilings. The ceiling of loops falls with the number of tags, so what a template costs
is bounded whatever it says, without a clock: some 20 ms, for the loop that fills it in carries
calls besides.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from liquid import Environment
from liquid.exceptions import FilterArgumentError

MAX_SOURCE = 200_000
MAX_OUTPUT = 400_000
MAX_TAGS = 1_000
"""Tags in the texts that are made at once: 7 to 20 µs each."""
MAX_CODE = 20_000
"""Characters within them."""
_STEPS = 4_000
_MAX_LOOPS = 1_000

# `liquid` and `echo` are other spellings; `include` and `render` read files.
_TAGS = ("#", "assign", "break", "capture", "case", "comment", "continue", "for", "if")
_TAGS_TOO = ("ifchanged", "illegal", "output", "unless", "content", "cycle", "doc")
# None that takes a long value apart: `split` of 64 KB takes milliseconds, each time.
_FILTERS = (
    *("capitalize", "date", "default", "downcase", "lstrip", "minus", "plus", "round", "rstrip"),
    *("size", "slice", "strip", "truncate", "upcase"),
)
_DATE_FORMAT = re.compile(r"(?:[^%]|%[-^#]?[a-zA-Z%]){0,100}")


def weigh(text: str) -> tuple[int, int]:
    """How many tags a text has, and how many characters within them."""
    tags = code = at = 0
    while (begin := text.find("{", at)) >= 0:
        closer = {"{": "}}", "%": "%}"}.get(text[begin + 1 : begin + 2])
        if closer is None:
            at = begin + 1
            continue
        end = text.find(closer, begin + 2)
        end = len(text) if end < 0 else end + 2
        tags, code, at = tags + 1, code + end - begin, end
    return tags, code


def known_filter(name: str) -> bool:
    """Whether there is such a filter."""
    return name in _FILTERS


def environment(tags: int) -> Environment:
    """For a template of so many tags."""
    return _environment(1 << (max(1, tags) - 1).bit_length())


@lru_cache(maxsize=32)
def _environment(tags: int) -> Environment:
    # Made once for each power of two: a class a template would be a cycle a call to collect.
    limits = {
        "output_stream_limit": MAX_OUTPUT,
        "local_namespace_limit": MAX_OUTPUT,
        "loop_iteration_limit": max(1, min(_MAX_LOOPS, _STEPS // tags)),
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
