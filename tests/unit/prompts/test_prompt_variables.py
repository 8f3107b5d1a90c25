"""Liquid in prompts: who gives a name, what is missing, what a template cannot do."""

from __future__ import annotations

import contextlib
import time

import pytest

from telephony.base.errors import BadInput
from telephony.prompts import compile_all
from telephony.prompts.sandbox import weigh

SYSTEM = {
    "system.now": "2026-01-02T03:04:05.000Z",
    "system.caller_number": "+15550001",
    "system.call_id": "call_1",
}


def made(text: str, given: dict[str, str] | None = None, **declared: str | None) -> str:
    return compile_all({"systemPrompt": text}, given or {}, declared, SYSTEM)["systemPrompt"]


def test_a_name_is_looked_for_in_order() -> None:
    text = "{{ a | default: 'inline' }}"
    assert made(text) == "inline"
    assert made(text, a="agent") == "agent"
    assert made(text, {"a": "request"}, a="agent") == "request"
    assert made(text, a=None) == "inline"


def test_all_that_is_missing_is_named_at_once() -> None:
    texts = {"systemPrompt": "{{b}} {% if c %}{{ a.x }}{% endif %}", "firstMessage": "{{d}}{{e}}"}
    with pytest.raises(BadInput) as raised:
        compile_all(texts, {"e": "1"}, {"b": None}, SYSTEM)
    assert raised.value.code == "MISSING_TEMPLATE_VARIABLES"
    assert raised.value.message == "variables: missing a, b, c, d"


def test_every_missing_name_is_said_however_many() -> None:
    names = [f"a_rather_long_name_{n:03}" for n in range(500)]
    with pytest.raises(BadInput) as raised:
        made("".join(f"{{{{{name}}}}}" for name in names))
    assert raised.value.message == f"variables: missing {', '.join(names)}"


@pytest.mark.parametrize("name", ["self", "args", "kwargs", "template", "system_", "é", "a b"])
def test_a_name_may_be_anything(name: str) -> None:
    assert made("{{a}}", {name: "x", "a": "1"}) == "1"


def test_one_use_without_a_default_is_enough_to_need_a_name() -> None:
    with pytest.raises(BadInput, match="missing a"):
        made("{{ a | default: 'x' }} {{ a }}")
    with pytest.raises(BadInput, match="missing a"):
        made("{{ a | upcase | default: 'x' }}")


def test_names_that_a_template_makes_are_its_own() -> None:
    text = "{% assign a = 'x' %}{% for i in (1..3) %}{{i}}{{a}}{% endfor %}"
    assert made(text) == "1x2x3x"


def test_a_text_that_was_seen_before_remembers_nothing_of_it() -> None:
    text = "{% assign b = a %}{% for i in (1..2) %}{% cycle 'x', 'y' %}{% ifchanged %}{{i}}"
    text += "{% endifchanged %}{% endfor %}{{b}}"
    assert made(text, {"a": "1"}) == "x1y21"
    assert made(text, {"a": "2"}) == "x1y22"
    with pytest.raises(BadInput, match="missing a"):
        made(text)


def test_branches_are_taken_by_value() -> None:
    text = "{% if tier == 'gold' %}dear{% elsif tier %}hello{% endif %} {{ name | capitalize }}"
    assert made(text, {"tier": "gold", "name": "ann"}) == "dear Ann"
    assert made(text, {"tier": "tin", "name": "ann"}) == "hello Ann"


def test_the_service_gives_its_own_names_and_nobody_else_does() -> None:
    assert made("{{system.caller_number}} {{ system.now | date: '%H:%M' }}") == "+15550001 03:04"
    with pytest.raises(BadInput, match=r"missing system\.other"):
        made("{{system.other}}")
    for name in ("system.now", "system", "system.mine"):
        with pytest.raises(BadInput) as raised:
            made("x", {name: "y"})
        assert raised.value.field == "variables"


@pytest.mark.parametrize(
    "text",
    [
        "{{ a",
        "{% if %}",
        "{% nothing %}",
        "{% include 'x' %}",
        "{% render 'x' %}",
        "{{ 'a' | replace: '', 'b' }}",
        "{{ 2 | times: 2 }}",
        "{{ x | split: '' | size }}",
        "{% if system contains system %}x{% endif %}",
        "{% if system contains empty %}x{% endif %}",
        "{{ 'now' | date: '%Y' }}",
        "{{ system.now | date: '%999999999d' }}",
        "{% for i in (1..2000) %}x{% endfor %}",
        "{% for i in (1..999999999999) %}x{% endfor %}",
        "{% for i in (1..500) %}{% for j in (1..500) %}x{% endfor %}{% endfor %}",
        "{% if x %}" * 200 + "{% endif %}" * 200,
        "x" * 200_001,
    ],
)
def test_what_is_refused_names_the_text(text: str) -> None:
    with pytest.raises(BadInput) as raised:
        made(text, {"x": "1"})
    assert raised.value.field == "systemPrompt"


def test_output_has_a_ceiling() -> None:
    body = "{{ a }}" * 50
    with pytest.raises(BadInput, match="systemPrompt"):
        made("{% for i in (1..900) %}" + body + "{% endfor %}", {"a": "x" * 4000})


HARD = [
    "{% for i in (1..30) %}"
    + "{% if a == b or a == b or a == b %}{{ a | upcase }}{% endif %}" * 1000
    + "{% endfor %}",
    "{% for i in (1..1000) %}" + "{{a}}" * 300 + "{% endfor %}",
    "{% for i in (1..13) %}" + "{{a}}" * 300 + "{% endfor %}",
    "{{a}}" * 13_000,
    "{{a}}" * 1000,
    "{{" * 32_000,
    "{% if " + "a == b or " * 6_000 + "a %}{% endif %}",
    "{{ a " + "| upcase " * 2_000 + "}}",
    "{{ long " + "| upcase | strip " * 1_000 + "| size }}",
    "{% if long contains a %}{% endif %}" * 500,
]


@pytest.mark.parametrize("text", HARD, ids=range(len(HARD)))
def test_a_template_that_works_hard_ends_soon(text: str) -> None:
    # The loop that runs it carries calls: what is meant is 20 ms, what is asked for is more.
    began = time.process_time()
    with contextlib.suppress(BadInput):
        made(text, {"a": "1", "b": "1", "long": "x" * 65_536})
    assert time.process_time() - began < 0.2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", (0, 0)),
        ("no { tag } at all {", (0, 0)),
        ("{{a}} and {% if b %}x{% endif %}", (3, 5 + 10 + 11)),
        ("{{ never closed", (1, 15)),
    ],
)
def test_what_a_text_weighs(text: str, found: tuple[int, int]) -> None:
    assert weigh(text) == found


def test_the_texts_of_one_request_are_weighed_together() -> None:
    half = "{{a}}" * 501
    with pytest.raises(BadInput, match="firstMessage: 1000 tags"):
        compile_all({"systemPrompt": half, "firstMessage": half}, {"a": "1"}, {}, SYSTEM)
    assert made(half, {"a": "1"}) == "1" * 501
