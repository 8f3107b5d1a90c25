"""Scripts: what is near enough to a phrase, and what is no script."""

from __future__ import annotations

import pytest

from telephony.agents import script
from telephony.agents.script import CallBack, End, LookUp, Rule, Script, Silence, Transfer
from telephony.base.errors import BadInput

TEXT = """
greeting: Hello.
rules:
  - hear: [when are you open, what are your opening hours]
    say: From nine to five.
  - hear: when are you open
    when: Gold customer
    say: For you, always.
  - hear: [goodbye]
    key: "9"
    say: Goodbye.
    do: end
  - hear: put me through
    do: {transfer: "+12025550123"}
    failed: Nobody is there.
  - hear: put me through to sales please
    do: {transfer: {to: "sip:sales@example.org", warm: true}}
  - hear: call me back
    do: {callback: {after: 60, to: "+12025550199", reason: asked}}
  - hear: what does it cost
    do: look_up
  - hear: may I give it back
    do: {look_up: " refunds "}
otherwise: Pardon?
silence: {after: 5, say: "Still there?", times: 1, end: false}
"""


def test_a_whole_script() -> None:
    made = script.load(TEXT)
    assert made.greeting == "Hello."
    assert made.otherwise == "Pardon?"
    assert made.silence == Silence(after=5.0, say="Still there?", times=1, end=False)
    assert [rule.do for rule in made.rules] == [
        None,
        None,
        End(),
        Transfer("+12025550123"),
        Transfer("sip:sales@example.org", warm=True),
        CallBack(after=60, to="+12025550199", reason="asked"),
        LookUp(),
        LookUp("refunds"),
    ]
    assert made.rules[3].failed == "Nobody is there."
    # Each once, however many rules have it.
    assert made.phrases().count("when are you open") == 1


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("When are you open?", "From nine to five."),
        ("when are you open today", "From nine to five."),
        ("tell me what are your opening hours", "From nine to five."),
        ("when are you", "From nine to five."),
        ("are you closed", None),
        ("so " * 500 + "when are you open", None),
        ("goodbye", "Goodbye."),
        ("", None),
        ("...", None),
        ("日本語", None),
    ],
)
def test_what_is_near_enough(said: str, answer: str | None) -> None:
    rule = script.load(TEXT).answer(said)
    assert (rule.say if rule else None) == answer


def test_the_longer_of_two_phrases_is_meant_when_all_of_it_was_said() -> None:
    made = script.load(TEXT)
    short, long = made.answer("put me through"), made.answer("put me through to sales please")
    assert short is not None and short.do == Transfer("+12025550123")
    assert long is not None and long.do == Transfer("sip:sales@example.org", warm=True)


def test_what_the_agent_was_told_decides() -> None:
    made = script.load(TEXT)
    plain = made.answer("when are you open", ["a silver customer"])
    gold = made.answer("when are you open", ["something", "he is a gold customer now"])
    assert plain is not None and plain.say == "From nine to five."
    assert gold is not None and gold.say == "For you, always."


def test_keys() -> None:
    made = script.load(TEXT)
    assert made.pressed("9") is made.rules[2]
    assert made.pressed("8") is None
    assert Script(rules=(Rule(hear=("x",)),)).pressed("") is None


def test_a_prompt_may_hold_one() -> None:
    prompt = "You are kind.\n```script\ngreeting: Hi.\n```\nBe brief."
    written = script.in_prompt(prompt)
    assert written is not None
    assert script.load(written) == Script(greeting="Hi.")
    assert script.in_prompt("You are kind. ```script``` is a word.") is None
    assert script.in_prompt("```yaml\ngreeting: Hi.\n```") is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{", "script"),
        ("- a", "script"),
        ("greeting: 3", "greeting"),
        ("greetings: hi", "script"),
        ("rules: {}", "rules"),
        ("rules: [{say: hi}]", r"rules\[0\]"),
        ("rules: [{hear: '...'}]", r"rules\[0\].hear"),
        ("rules: [{hear: [a, 3]}]", r"rules\[0\].hear"),
        ("rules: [{key: x}]", r"rules\[0\].key"),
        ("rules: [{key: '12'}]", r"rules\[0\].key"),
        ("rules: [{hear: a, do: hangup}]", r"rules\[0\].do"),
        ("rules: [{hear: a, do: {}}]", r"rules\[0\].do"),
        ("rules: [{hear: a, do: {transfer: '12'}}]", r"rules\[0\].do.transfer.to"),
        ("rules: [{hear: a, do: {transfer: {to: 5}}}]", r"rules\[0\].do.transfer.to"),
        ("rules: [{hear: a, do: {callback: {after: -1}}}]", r"rules\[0\].do.callback.after"),
        ("rules: [{hear: a, do: {callback: {after: true}}}]", r"rules\[0\].do.callback.after"),
        ("rules: [{hear: a, do: {callback: {to: you}}}]", r"rules\[0\].do.callback.to"),
        ("silence: 5", "silence"),
        ("silence: {after: 0}", "silence.after"),
        ("silence: {times: 101}", "silence.times"),
        ("otherwise: " + "x" * 2001, "otherwise"),
        ("rules: [" + "{hear: a}," * 201 + "]", "rules"),
        ("rules: [{hear: [" + "a," * 21 + "]}]", r"rules\[0\].hear"),
        ("x: " + "y" * 300_000, "256 KiB"),
        ("greeting: &a hi\notherwise: *a", "aliases"),
        ("[" * 50_000, "YAML"),
    ],
)
def test_no_script_says_where(text: str, place: str) -> None:
    with pytest.raises(BadInput, match=place):
        script.load(text)


def test_the_one_that_ships_answers_and_ends() -> None:
    rule = script.DEFAULT.answer("thank you, goodbye")
    assert rule is not None and rule.do == End()
    assert script.DEFAULT.greeting
