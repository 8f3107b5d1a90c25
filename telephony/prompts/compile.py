"""Texts with ``{{name}}`` in them, made whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from liquid.ast import Node
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.expression import Expression
from liquid.static_analysis import Variable
from liquid.template import BoundTemplate

from telephony.base.errors import BadInput
from telephony.prompts.sandbox import (
    MAX_CODE,
    MAX_SOURCE,
    MAX_TAGS,
    environment,
    known_filter,
    weigh,
)

SYSTEM_NAMES = ("system.now", "system.caller_number", "system.call_id")
_SYSTEM = "system"


def check_names(names: Iterable[str], field: str) -> None:
    """Raises BadInput: a name that is ours."""
    for name in names:
        if name == _SYSTEM or name.startswith(f"{_SYSTEM}."):
            raise BadInput(f"{field}: names that start with system. are ours", field=field)


def compile_all(
    texts: Mapping[str, str],
    given: Mapping[str, str],
    declared: Mapping[str, str | None],
    system: Mapping[str, str],
) -> dict[str, str]:
    """The texts by field name, with every variable in its place.

    A name is looked for in ``given``, then among the defaults of ``declared`` (None: has none),
    then in the template's own ``default:``. ``system`` is by whole name (``system.now``).

    Raises:
        BadInput: names that nobody gave, all of them at once (code MISSING_TEMPLATE_VARIABLES);
            a text that is no Liquid, or does more than it may (the text's own field).
    """
    check_names(given, "variables")
    defaults = {name: value for name, value in declared.items() if value is not None}
    names: dict[str, object] = {**defaults, **given}
    names[_SYSTEM] = {name.removeprefix("system."): value for name, value in system.items()}
    templates = _parse_all(texts)
    missing = sorted(
        {
            name
            for template in templates.values()
            for name in template.needed
            if name not in names and name not in system
        }
    )
    if missing:
        # Every one of them (contract 1.2); MAX_CODE bounds how much that is.
        raise BadInput(
            f"variables: missing {', '.join(missing)}",
            field="variables",
            code="MISSING_TEMPLATE_VARIABLES",
        )
    return {field: template.fill(names) for field, template in templates.items()}


class Template:
    """One text of somebody who can be told what is wrong with it before it is used.

    Raises BadInput: it is no Liquid, or does more than it may.
    """

    def __init__(self, text: str, field: str = "text") -> None:
        self._made = _parse_all({field: text})[field]
        for name in self._made.filters:
            # Said now, and not when the branch that it stands in is taken for the first time.
            if not known_filter(name):
                raise BadInput(f"{field}: unknown filter '{name}'", field=field)
        self.names = self._made.names
        """What it needs or could use."""

    def render(self, values: Mapping[str, str]) -> str:
        """With these values; a name without one is empty. Raises BadInput: over a ceiling."""
        return self._made.fill({name: values.get(name, "") for name in self.names})


def _parse_all(texts: Mapping[str, str]) -> dict[str, _Text]:
    """The templates; what all of them together may be is bounded, for all are made at once."""
    templates = {}
    all_tags = all_code = 0
    for field, text in texts.items():
        if len(text) > MAX_SOURCE:
            raise BadInput(f"{field}: has more than {MAX_SOURCE} characters", field=field)
        tags, code = weigh(text)
        all_tags, all_code = all_tags + tags, all_code + code
        if all_tags > MAX_TAGS or all_code > MAX_CODE:
            raise BadInput(
                f"{field}: {MAX_TAGS} tags with {MAX_CODE} characters are the most", field=field
            )
        templates[field] = _text(field, text, tags)
    return templates


@lru_cache(maxsize=256)
def _text(field: str, text: str, tags: int) -> _Text:
    """An agent's words are the same in each of its calls."""
    return _Text(field, text, tags)


class _Text:
    """A template that is understood. ``needed``: names that it cannot do without."""

    # Whatever the library raises is the template's fault: of odd ones it is also TypeError.

    def __init__(self, field: str, text: str, tags: int) -> None:
        self._field = field
        try:
            self._template = environment(tags).from_string(text)
            found = self._template.analyze(include_partials=False)
            self.filters = tuple(found.filters)
            self.needed = frozenset(_needed(self._template, found.globals))
            self.names = frozenset(
                str(use.segments[0]) for uses in found.globals.values() for use in uses
            )
        except Exception as error:
            raise _refused(field, error) from error

    def fill(self, names: Mapping[str, object]) -> str:
        """The text with these names in it. Raises BadInput."""
        try:
            return self._template.render(names)
        except Exception as error:
            raise _refused(self._field, error) from error


def _refused(field: str, error: Exception) -> BadInput:
    said = str(error).splitlines()[0][:200] if str(error) else "nested too deep"
    return BadInput(f"{field}: {said}", field=field)


def _needed(template: BoundTemplate, found: Mapping[str, Sequence[Variable]]) -> Iterator[str]:
    """Names that a template cannot do without: those with a use that has no default."""
    optional = set(_with_default(template))
    for uses in found.values():
        for use in uses:
            if use.span.index not in optional:
                yield _name(use)


def _name(use: Variable) -> str:
    first = str(use.segments[0])
    if first == _SYSTEM and len(use.segments) > 1:
        return f"{_SYSTEM}.{use.segments[1]}"
    return first


def _with_default(template: BoundTemplate) -> Iterator[int]:
    """Where a name stands whose first filter is ``default``."""
    for node in _nodes(template.nodes):
        for expression in node.expressions():
            for part in _parts(expression):
                if not isinstance(part, FilteredExpression) or not part.filters:
                    continue
                if part.filters[0].name == "default" and isinstance(part.left, Path):
                    yield part.left.token.start_index


def _nodes(nodes: Iterable[Node]) -> Iterator[Node]:
    todo = list(nodes)
    while todo:
        node = todo.pop()
        yield node
        todo.extend(node.children(None, include_partials=False))  # type: ignore[arg-type]


def _parts(expression: Expression) -> Iterator[Expression]:
    todo = [expression]
    while todo:
        part = todo.pop()
        yield part
        todo.extend(part.children())
