"""The small parts: collecting keys, wall time, conditions, templates, routing, the schema."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import telephony
from telephony.accounts.agents import Agent
from telephony.accounts.model import NumberDirection, PhoneNumber
from telephony.calls import commands as c
from telephony.calls.outcome import Cause, Outcome
from telephony.ivr import template
from telephony.ivr.conditions import MATCHED, CallerIs, Facts, VariableIs, costly
from telephony.ivr.digits import Chooser, Collector, Result
from telephony.ivr.load import load
from telephony.ivr.model import Dialplan
from telephony.ivr.routing import Accept, Reject, choose_dialplan, direct, route_inbound
from telephony.ivr.schema import schema
from telephony.ivr.times import Window, days, is_holiday, minutes, next_time
from telephony.ivr.verbs import VERBS
from telephony.testing.scenario import Story

ROOT = Path(telephony.__file__).parent
REPOSITORY = Path(__file__).parents[3]
NOW = datetime(2026, 1, 5, tzinfo=UTC)


# --- keys ----------------------------------------------------------------------------------


def typed(collector: Collector | Chooser, keys: str) -> Result | None:
    result = None
    for key in keys:
        assert result is None
        result = collector.press(key)
    return result


@pytest.mark.parametrize(
    ("low", "high", "end", "keys", "expected"),
    [
        (1, 4, "#", "12#", Result("12", "terminator")),
        (1, 4, "#", "1234", Result("1234", "max")),
        (3, 4, "#", "12#", Result("12", "invalid")),
        (1, 4, "#", "#", Result("", "invalid")),
        (1, 4, "", "12#4", Result("12#4", "max")),
        (1, 4, "*#", "1*", Result("1", "terminator")),
        (1, 4, "#", "12", None),
    ],
)
def test_collecting(low: int, high: int, end: str, keys: str, expected: Result | None) -> None:
    assert typed(Collector(low, high, end), keys) == expected


def test_collecting_into_silence() -> None:
    assert Collector(1, 4).timeout() == Result("", "no_input")
    some = Collector(2, 4)
    typed(some, "1")
    assert some.timeout() == Result("1", "invalid")
    typed(some, "2")
    assert some.timeout() == Result("12", "timeout")


@pytest.mark.parametrize(
    ("choices", "keys", "expected"),
    [
        (("1", "2"), "1", Result("1", "choice")),
        (("1", "2"), "3", Result("3", "invalid")),
        (("1", "12"), "1", None),
        (("1", "12"), "12", Result("12", "choice")),
        (("1", "12"), "13", Result("13", "invalid")),
        (("*", "#"), "#", Result("#", "choice")),
        (("100", "200"), "10", None),
    ],
)
def test_choosing(choices: tuple[str, ...], keys: str, expected: Result | None) -> None:
    assert typed(Chooser(choices), keys) == expected


def test_choosing_into_silence() -> None:
    assert Chooser(("1",)).timeout() == Result("", "no_input")
    short = Chooser(("1", "12"))
    short.press("1")
    assert short.timeout() == Result("1", "choice")
    half = Chooser(("100",))
    half.press("1")
    assert half.timeout() == Result("1", "invalid")


# --- time ----------------------------------------------------------------------------------


def test_days_are_read() -> None:
    assert days("mon-fri") == frozenset(range(5))
    assert days("fri-mon") == frozenset({4, 5, 6, 0})
    assert days("Sat, sun") == frozenset({5, 6})
    assert days("mon-") is None and days("mo") is None and days("") is None


def test_times_of_day_are_read() -> None:
    assert minutes("09:30") == 570 and minutes("9:30") == 570
    assert minutes("24:00") is None and minutes("24:00", end=True) == 1440
    assert minutes("12:60") is None and minutes("1230") is None


OFFICE = Window(frozenset(range(5)), 9 * 60, 17 * 60)
NIGHT = Window(frozenset({4}), 22 * 60, 6 * 60)


@pytest.mark.parametrize(
    ("window", "zone", "at", "expected"),
    [
        # Monday 9:00 and 17:00 in Berlin, winter (+1) and summer (+2).
        (OFFICE, "Europe/Berlin", "2026-01-05T07:59:59Z", False),
        (OFFICE, "Europe/Berlin", "2026-01-05T08:00:00Z", True),
        (OFFICE, "Europe/Berlin", "2026-07-06T06:59:59Z", False),
        (OFFICE, "Europe/Berlin", "2026-07-06T07:00:00Z", True),
        (OFFICE, "Europe/Berlin", "2026-07-06T14:59:59Z", True),
        (OFFICE, "Europe/Berlin", "2026-07-06T15:00:00Z", False),
        (OFFICE, "Europe/Berlin", "2026-01-10T10:00:00Z", False),
        # Sunday in London is still Saturday evening in Los Angeles, and Monday in Auckland.
        (OFFICE, "America/Los_Angeles", "2026-01-06T00:30:00Z", True),
        (OFFICE, "Pacific/Auckland", "2026-01-04T20:30:00Z", True),
        # Friday night runs into Saturday, and Saturday night does not begin.
        (NIGHT, "UTC", "2026-01-09T21:59:00Z", False),
        (NIGHT, "UTC", "2026-01-09T22:00:00Z", True),
        (NIGHT, "UTC", "2026-01-10T05:59:00Z", True),
        (NIGHT, "UTC", "2026-01-10T06:00:00Z", False),
        (NIGHT, "UTC", "2026-01-10T23:00:00Z", False),
        (NIGHT, "UTC", "2026-01-09T03:00:00Z", False),
        # The night on which Berlin's clock jumps from 2:00 to 3:00.
        (Window(frozenset(range(7)), 120, 180), "Europe/Berlin", "2026-03-29T01:00:00Z", False),
        (Window(frozenset(range(7)), 180, 240), "Europe/Berlin", "2026-03-29T01:00:00Z", True),
        # The hour that it repeats counts twice.
        (Window(frozenset(range(7)), 120, 180), "Europe/Berlin", "2026-10-25T00:30:00Z", True),
        (Window(frozenset(range(7)), 120, 180), "Europe/Berlin", "2026-10-25T01:30:00Z", True),
        (Window(frozenset(range(7)), 120, 180), "Europe/Berlin", "2026-10-25T02:00:00Z", False),
        # The window's own clock goes before the dialplan's.
        (Window(frozenset(range(7)), 0, 60, "Asia/Tokyo"), "UTC", "2026-01-05T15:30:00Z", True),
    ],
)
def test_windows(window: Window, zone: str, at: str, expected: bool) -> None:
    assert window.holds(datetime.fromisoformat(at), zone) is expected


def test_holidays_are_those_of_the_zone() -> None:
    evening = datetime(2026, 12, 24, 23, 30, tzinfo=UTC)
    assert is_holiday(evening, "Europe/Berlin", ("12-25",))
    assert not is_holiday(evening, "UTC", ("12-25",))
    assert is_holiday(evening, "UTC", ("2026-12-24",))
    assert not is_holiday(evening, "UTC", ("2025-12-24",))


@pytest.mark.parametrize(
    ("at", "minute", "zone", "expected"),
    [
        ("2026-01-05T08:00:00Z", 9 * 60, "UTC", "2026-01-05T09:00:00Z"),
        ("2026-01-05T09:00:00Z", 9 * 60, "UTC", "2026-01-06T09:00:00Z"),
        ("2026-01-05T23:30:00Z", 9 * 60, "Europe/Berlin", "2026-01-06T08:00:00Z"),
        # Over the change to summer time nine o'clock comes an hour earlier.
        ("2026-03-28T20:00:00Z", 9 * 60, "Europe/Berlin", "2026-03-29T07:00:00Z"),
        # 2:30 does not exist that night.
        ("2026-03-28T20:00:00Z", 150, "Europe/Berlin", "2026-03-29T01:30:00Z"),
    ],
)
def test_the_next_time(at: str, minute: int, zone: str, expected: str) -> None:
    assert next_time(datetime.fromisoformat(at), minute, zone) == datetime.fromisoformat(expected)


# --- conditions and templates --------------------------------------------------------------


def facts(**values: Any) -> Facts:
    return Facts(now=NOW, zone="UTC", **values)


def test_callers() -> None:
    assert CallerIs(prefix=("+49", "+43")).holds(facts(caller="+4930123456"))
    assert not CallerIs(prefix=("+49",)).holds(facts(caller="+12025550123"))
    assert CallerIs(equals=("1000", "1001")).holds(facts(caller="1001"))
    assert CallerIs(anonymous=True).holds(facts(caller="Anonymous"))
    assert not CallerIs(anonymous=True).holds(facts(caller="1000"))
    assert not CallerIs(prefix=("+49",), anonymous=True).holds(facts(caller=""))


def test_variables() -> None:
    held = facts(variables={"x": "123", "empty": ""})
    assert VariableIs(name="x", exists=True).holds(held)
    assert VariableIs(name="empty", exists=False).holds(held)
    assert VariableIs(name="x", matches="[0-9]{3}").holds(held)
    assert not VariableIs(name="x", matches="12").holds(held)
    assert VariableIs(name="x", equals=("1", "123")).holds(held)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[0-9]{5}", False), ("(?:0|1)?23", False), ("a+b*c", False), (r"\(+\)", False),
        ("[(+*]+", False), ("(a+)+", True), ("((a+))*", True), ("(a|aa)+", True),
        ("(?:a*b)*", True), ("a*a*a*a*", True), ("([a-z]+){2}", True),
    ],
)  # fmt: skip
def test_expressions_that_could_take_forever_are_told(pattern: str, expected: bool) -> None:
    assert costly(pattern) is expected
    if not expected:
        re.fullmatch(pattern, "a" * MATCHED)


def test_every_way_to_ask_in_yaml() -> None:
    plan = load(
        """
start: one
variables: {tier: gold}
nodes:
  one:
    verb: if
    when:
      any:
        - caller: {equals: "1000"}
        - all:
            - variable: {name: tier, equals: [gold, silver]}
            - not: {holiday: true}
            - time: [{days: mon}, {from: "20:00"}]
    then: yes_
    else: no_
  yes_: {verb: say, text: in}
  no_: {verb: say, text: out}
""",
        "ask",
    )
    monday = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
    tuesday = datetime(2026, 1, 6, 10, 0, tzinfo=UTC)
    assert Story(plan, at=monday).begins().now_playing == "in"
    assert Story(plan, at=tuesday).begins().now_playing == "out"
    assert Story(plan, at=tuesday, from_number="1000").begins().now_playing == "in"
    late = datetime(2026, 1, 6, 21, 0, tzinfo=UTC)
    assert Story(plan, at=late).begins().now_playing == "in"
    other = Story(plan, at=monday, variables={"tier": "none"})
    assert other.begins().now_playing == "out"


def test_templates() -> None:
    assert template.holes("a {{b}} {{ c }}") == ["b", "c"]
    assert template.fill("a {{b}} {{ c }}!", {"b": "1"}) == "a 1 !"
    assert template.fault("{{ok}} {not} this") is None
    assert template.fill("{{a}}", {"a": "{{b}}", "b": "x"}) == "{{b}}"


def test_what_is_spoken_may_be_liquid() -> None:
    text = "Hello {{ name | default: 'there' }}{% if vip == 'yes' %}, dear{% endif %}."
    assert template.spoken_fault(text) is None
    assert template.names(text) == ["name", "vip"]
    assert template.speak(text, {}) == "Hello there."
    assert template.speak(text, {"name": "Ann", "vip": "yes"}) == "Hello Ann, dear."
    assert template.speak("{{ a | upcase }}", {"a": "{{b}}"}) == "{{B}}"
    assert template.speak("a {{b}} {not} {{c}}", {"b": "1"}) == "a 1 {not} "
    assert template.names("a {{b}} {{b}}") == ["b", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{a", "without its"),
        ("{{A}}", "does not name a variable"),
        ("{% if a %}", "endif"),
        ("{{ a | nothing }}", "nothing"),
        ("{% include 'x' %}", "include"),
    ],
)
def test_what_cannot_be_spoken(text: str, message: str) -> None:
    assert message in (template.spoken_fault(text) or "")


def test_a_text_that_runs_over_its_ceiling_says_nothing() -> None:
    text = "{% for i in (1..n) %}x{% endfor %}"
    assert template.spoken_fault(text) is None
    assert template.speak(text, {"n": "3"}) == "xxx"
    assert template.speak(text, {"n": "99999999"}) == ""


# --- routing -------------------------------------------------------------------------------


def number(e164: str, **more: Any) -> PhoneNumber:
    values = {"direction": NumberDirection.BOTH, **more}
    return PhoneNumber(
        id=f"num_{e164[-2:]}", organization="o", e164=e164, created_at=NOW, updated_at=NOW, **values
    )


NUMBERS = [
    number("+12025550101", dialplan="front-desk", record=True),
    number("+12025550102"),
    number("+12025550103", dialplan="gone"),
    number("+12025550104", dialplan="front-desk", direction=NumberDirection.OUTBOUND),
    number("+12025550105", dialplan="front-desk", direction=NumberDirection.INBOUND),
]
PLANS = {"front-desk", "after-hours"}
NOT_FOUND = Reject(cause=Cause.NOT_FOUND, sip_status=404)
TRUNK = {"trunk": "tr", "phone": None}
PHONE = {"trunk": None, "phone": "1000"}
STRANGER = {"trunk": None, "phone": None}


@pytest.mark.parametrize(
    ("who", "dialled", "default", "expected"),
    [
        (TRUNK, "+12025550101", None,
         Accept(dialplan="front-desk", record=True, phone_number="num_01")),
        (TRUNK, "+12025550102", None, NOT_FOUND),
        (TRUNK, "+12025550102", "after-hours",
         Accept(dialplan="after-hours", phone_number="num_02")),
        (TRUNK, "+12025550103", None, NOT_FOUND),
        (TRUNK, "+12025550104", "after-hours", NOT_FOUND),
        (TRUNK, "+12025550105", None, Accept(dialplan="front-desk", phone_number="num_05")),
        (TRUNK, "+12025550199", None, NOT_FOUND),
        (TRUNK, "+12025550199", "after-hours", Accept(dialplan="after-hours")),
        (TRUNK, "+12025550199", "gone", NOT_FOUND),
        (TRUNK, "front-desk", None, NOT_FOUND),
        (TRUNK, "1001", None, NOT_FOUND),
        (PHONE, "+12025550101", None,
         Accept(dialplan="front-desk", record=True, phone_number="num_01")),
        (PHONE, "+12025550199", "after-hours", NOT_FOUND),
        (PHONE, "front-desk", None, Accept(dialplan="front-desk")),
        (PHONE, "1001", None, Accept(dialplan="direct", dial="1001")),
        (PHONE, "1000", None, NOT_FOUND),
        (PHONE, "1002", None, NOT_FOUND),
        (STRANGER, "front-desk", None, Accept(dialplan="front-desk")),
        (STRANGER, "1001", None, NOT_FOUND),
        (STRANGER, "+12025550101", "after-hours", NOT_FOUND),
        (STRANGER, "nobody", "after-hours", NOT_FOUND),
    ],
)  # fmt: skip
def test_who_answers(
    who: dict[str, Any], dialled: str, default: str | None, expected: Accept | Reject
) -> None:
    route = route_inbound(
        dialled,
        numbers=NUMBERS,
        dialplans=PLANS,
        default=default,
        phones=("1000", "1001"),
        **who,
    )
    assert route == expected


def test_a_number_with_an_agent_is_his_to_answer() -> None:
    ada = Agent(
        id="agent_ada",
        organization="o",
        name="Ada",
        system_prompt="x",
        language="en",
        dialplan="gone",
        created_at=NOW,
        updated_at=NOW,
    )

    def who(of: PhoneNumber, *people: Agent, default: str | None = None) -> Accept | Reject:
        found = {one.id: one for one in people}
        return route_inbound(
            of.e164,
            numbers=[of],
            dialplans=PLANS,
            default=default,
            agents=found.get,
            **TRUNK,  # type: ignore[arg-type]
        )

    his = number("+12025550106", agent=ada.id)
    assert who(his, ada) == Accept(dialplan=None, phone_number="num_06", agent=ada)
    assert who(his, ada, default="after-hours") == who(his, ada), "an agent is no default's"
    assert who(his) == NOT_FOUND
    assert who(his, default="after-hours") == Accept(dialplan="after-hours", phone_number="num_06")
    own = replace(ada, dialplan="front-desk")
    assert who(his, own) == Accept(dialplan="front-desk", phone_number="num_06", agent=own)
    out = number("+12025550106", agent=ada.id, direction=NumberDirection.OUTBOUND)
    assert who(out, ada) == NOT_FOUND


@pytest.mark.parametrize(
    ("body", "metadata", "agent", "of_number", "default", "expected"),
    [
        ("a", {"dialplan": "b"}, "c", "d", "e", "a"),
        (None, {"dialplan": "b"}, "c", "d", "e", "b"),
        (None, {"dialplan": 7}, "c", "d", "e", "c"),
        (None, {}, None, "d", "e", "d"),
        (None, {}, None, None, "e", "e"),
        (None, {}, None, None, None, None),
    ],
)
def test_what_runs_a_call_that_we_make(
    body: str | None,
    metadata: dict[str, Any],
    agent: str | None,
    of_number: str | None,
    default: str | None,
    expected: str | None,
) -> None:
    ours = number("+12025550101", dialplan=of_number)
    assert choose_dialplan(body, metadata, agent, ours, default) == expected


def test_a_phone_that_calls_a_phone_is_bridged_and_ends_with_it() -> None:
    story = Story(direct("1001"), from_number="1000", to_number="1001").begins()
    story.party_rings().party_answers().party_ends()
    assert story.over
    assert Story(direct("1001")).begins().party_ends(Outcome.busy()).over


# --- the schema ----------------------------------------------------------------------------


def test_the_published_schema_is_the_one_that_the_loader_reads_by() -> None:
    published = json.loads((ROOT / "ivr" / "dialplan.schema.json").read_text())
    assert published == schema()
    jsonschema.Draft202012Validator.check_schema(published)


def as_json(text: str) -> Any:
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


@pytest.mark.parametrize("name", ["front-desk", "after-hours", "callback-desk"])
def test_what_ships_fits_the_schema(name: str) -> None:
    text = (ROOT / "dialplans" / f"{name}.yaml").read_text()
    jsonschema.Draft202012Validator(schema()).validate(as_json(text))


@pytest.mark.parametrize(
    "text",
    [
        "start: a\nnodes: {a: {verb: sing}}",
        "start: a\nnodes: {a: {verb: say}}",
        "start: a\nnodes: {a: {verb: say, text: x, nxt: a}}",
        "start: a\nnodes: {a: {verb: menu, choices: {x: a}}}",
        "start: a\nnodes: {a: {verb: dial, to: '+0'}}",
        "start: a\nnodes: {a: {verb: play, file: ../x.wav}}",
        "start: a\nnodes: {}",
        "nodes: {a: {verb: hangup}}",
        "start: a\nnodes: {a: {verb: hangup}}\nrecord: maybe",
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(text: str) -> None:
    assert list(jsonschema.Draft202012Validator(schema()).iter_errors(as_json(text)))


def test_every_verb_is_in_the_table_in_the_schema_and_in_the_reference() -> None:
    reference = (REPOSITORY / "docs" / "dialplans.md").read_text()
    for name, row in VERBS.items():
        assert name == row.verb.VERB
        assert f"verb_{name}" in schema()["$defs"]
        section = reference.split(f"\n### {name}\n", 1)[1].split("\n### ", 1)[0]
        for key in schema()["$defs"][f"verb_{name}"]["properties"]:
            assert key == "verb" or f"`{key}`" in section, f"{name}.{key} is not in the reference"


def test_the_examples_of_the_reference_are_dialplans() -> None:
    reference = (REPOSITORY / "docs" / "dialplans.md").read_text()
    examples = re.findall(r"```yaml\n(.*?)```", reference, re.DOTALL)
    whole = [text for text in examples if text.startswith("start:")]
    assert whole
    for text in whole:
        plan = load(text, "example")
        assert isinstance(plan, Dialplan)
        jsonschema.Draft202012Validator(schema()).validate(as_json(text))


def test_a_prompt_takes_the_voice_and_language_of_the_plan() -> None:
    plan = load(
        "start: a\nlanguage: de\nvoice: anna\nnodes: {a: {verb: say, text: [eins, {text: two,"
        " language: en, fallback: two.wav}]}}",
        "voices",
    )
    story = Story(plan).begins()
    prompts = [o.prompt for o in story.ordered(c.Play) if isinstance(o, c.Play)]
    assert prompts == [
        c.Prompt(text="eins", voice="anna", language="de"),
        c.Prompt(text="two", voice="anna", language="en", fallback="two.wav"),
    ]
