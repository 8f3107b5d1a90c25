"""Every class of mistake is found, with its line and key path, and all of them at once."""

from __future__ import annotations

import textwrap

import pytest

from telephony.base.errors import DialplanError
from telephony.ivr.check import check, report
from telephony.ivr.load import load, load_all
from telephony.ivr.source import MAX_BYTES, MAX_DEPTH, MAX_NODES

GOOD = """\
start: main
nodes:
  main:
    verb: menu
    choices:
      1: hours
      "#": end
  hours:
    verb: say
    text: Nine to five.
    next: main
  end:
    verb: hangup
"""


def found(text: str, name: str = "front-desk.yaml") -> list[str]:
    return report(textwrap.dedent(text), name)


def nodes(body: str, head: str = "") -> list[str]:
    """What is wrong with nodes that begin on line 3; the start is ``one``."""
    indented = textwrap.indent(textwrap.dedent(body).strip("\n"), "  ")
    return report(f"start: one\nnodes:\n{indented}\n{head}", "a.yaml")


def test_a_good_plan_has_no_problem() -> None:
    assert found(GOOD) == []
    assert check(load(GOOD, "front-desk")) == []


def test_a_dangling_target_is_named_with_its_line_and_path() -> None:
    wrong = GOOD.replace("1: hours", "1: hourz")
    problems = found(wrong)
    assert problems[0] == (
        "front-desk.yaml:6: nodes.main.choices.1: unknown target 'hourz'; did you mean 'hours'?"
    )
    assert "nodes.hours: unreachable" in problems[1]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("one: {verb: sayy, text: a}", "a.yaml:3: nodes.one.verb: unknown verb 'sayy'; did you"),
        ("one: {verb: xyzzy}", "a.yaml:3: nodes.one.verb: unknown verb 'xyzzy'"),
        ("one:\n  text: a", "a.yaml:3: nodes.one: the key 'verb' is missing"),
        ("one: hangup", "a.yaml:3: nodes.one: a node is a mapping"),
        ("one:\n  verb: say\n  txet: a", "a.yaml:5: nodes.one.txet: unknown key 'txet'; did you"),
        ("one:\n  verb: say", "a.yaml:3: nodes.one: the key 'text' is missing"),
        ("one:\n  verb: say\n  text: [1, [2]]", "nodes.one.text.1: must be text to be spoken"),
        ("one:\n  verb: say\n  text: a\n  barge_in: 1", "a.yaml:6: nodes.one.barge_in: must be tr"),
        ("one:\n  verb: say\n  text: {text: a, file: b.wav}", "one of text, file and tone"),
        ("one:\n  verb: say\n  text: {tone: moo}", "nodes.one.text.tone: must be one of beep"),
        ("one:\n  verb: play\n  file: ../x.wav", "a.yaml:5: nodes.one.file: '../x.wav' leaves"),
        ("one:\n  verb: play\n  file: /etc/x.wav", "leaves the folder"),
        ("one:\n  verb: play\n  file: a/../../x.wav", "leaves the folder"),
        ("one:\n  verb: play\n  file: C:\\x.wav", "leaves the folder"),
        ("one:\n  verb: play\n  file: x.mp3", "is no WAV file"),
        ("one:\n  verb: say\n  text: {file: ../../x.wav}", "leaves the folder"),
        ("one:\n  verb: dial\n  to: '+0123'", "a.yaml:5: nodes.one.to: must be an E.164 number"),
        ("one:\n  verb: dial\n  to: 12025550123", "must be an E.164 number"),
        ("one:\n  verb: dial\n  to: 'sip:x@y'", "must be an E.164 number"),
        ("one:\n  verb: queue_callback\n  to: '1000'\n  in: 5m\n  dialplan: a", "E.164"),
        ("one:\n  verb: queue_callback\n  dialplan: a", "give either in (such as 15m) or at"),
        (
            "one:\n  verb: queue_callback\n  at: 25:00\n  dialplan: a",
            "nodes.one.at: must be a time",
        ),
        ("one:\n  verb: queue_callback\n  at: 9:00\n  zone: Mars\n  dialplan: a", "no time zone"),
        ("one:\n  verb: queue_callback\n  in: 5 min\n  dialplan: a", "must be a time from 0"),
        ("one:\n  verb: reject\n  cause: bored", "nodes.one.cause: must be one of busy"),
        (
            "one:\n  verb: menu\n  choices: {x: one}",
            "nodes.one.choices.x: 'x' is no telephone keys",
        ),
        ("one:\n  verb: menu\n  choices: {}", "nodes.one.choices: has no choice"),
        ("one:\n  verb: menu\n  choices: {*: one}", "anchors and aliases are not allowed"),
        ("one:\n  verb: menu\n  tries: 0\n  choices: {1: one}", "a whole number from 1 to 10"),
        ("one:\n  verb: gather\n  variable: to\n  next: one", "what the service sets itself"),
        ("one:\n  verb: gather\n  variable: X\n  next: one", "is no name of a variable"),
        ("one:\n  verb: gather\n  variable: x\n  min: 5\n  max: 4\n  next: one", "min (5) is more"),
        ("one:\n  verb: gather\n  variable: x\n  terminator: #\n  next: one", "(quote '#')"),
        ("one:\n  verb: join_room\n  room: a b", "nodes.one.room: must be a room"),
        (
            "one:\n  verb: say\n  text: hi {{who}}",
            "a.yaml:5: nodes.one.text: unknown variable 'who'",
        ),
        ("one:\n  verb: say\n  text: hi {{who", "{{ without its }}"),
        ("one:\n  verb: say\n  text: hi {{a b}}", "does not name a variable"),
        ("one:\n  verb: set\n  variables: {from: x}", "nodes.one.variables.from: 'from' is what"),
        ("one: {verb: goto, next: one}", "nodes.one: a loop that takes no input: one → one"),
        ("one:\n  verb: if\n  when: {moon: full}\n  then: one", "unknown key 'moon'"),
        ("one:\n  verb: if\n  when: {}\n  then: one", "nodes.one.when: must be a condition"),
        ("one:\n  verb: if\n  when: {time: {from: '9:00', to: '9:00'}}\n  then: one", "same time"),
        ("one:\n  verb: if\n  when: {time: {days: mon-fun}}\n  then: one", "must be days such as"),
        ("one:\n  verb: if\n  when: {time: {zone: Mars}}\n  then: one", "no time zone 'Mars'"),
        ("one:\n  verb: if\n  when: {caller: {prefix: abc}}\n  then: one", "the start of a number"),
        ("one:\n  verb: if\n  when: {caller: {equals: '+12'}}\n  then: one", "no E.164 number"),
        ("one:\n  verb: if\n  when: {variable: {name: x}}\n  then: one", "needs name, and one of"),
        (
            "one:\n  verb: if\n  when: {variable: {name: x, matches: '('}}\n  then: one",
            "no regular",
        ),
        (
            "one:\n  verb: if\n  when: {variable: {name: x, matches: '(a+)+'}}\n  then: one",
            "forever",
        ),
        (
            "one:\n  verb: if\n  when: {variable: {name: x, exists: true}}\n  then: one",
            "unknown var",
        ),
    ],
)
def test_a_mistake_in_a_node(body: str, expected: str) -> None:
    problems = nodes(body)
    assert any(expected in problem for problem in problems), problems
    assert all(problem.startswith("a.yaml:") for problem in problems)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a.yaml:1: the file is empty"),
        ("- a", "a.yaml:1: a dialplan is a mapping with start and nodes"),
        ("start: a", "a.yaml:1: the key 'nodes' is missing"),
        ("nodes: {a: {verb: hangup}}", "a.yaml:1: the key 'start' is missing"),
        ("start: b\nnodes: {a: {verb: hangup}}", "a.yaml:1: start: unknown target 'b'"),
        ("start: a\nnodes: {}", "a.yaml:2: nodes: must be a mapping of names to nodes"),
        (
            "start: a\nnodes:\n  a: {verb: hangup}\n  a: {verb: hangup}",
            "a.yaml:4: nodes.a: duplicate",
        ),
        (
            "start: a\nstart: a\nnodes: {a: {verb: hangup}}",
            "duplicate key (the first is on line 1)",
        ),
        (
            "start: a\nnodes: {a: {verb: hangup}}\ntimezone: Mars/One",
            "a.yaml:3: timezone: there is no",
        ),
        ("start: a\nnodes: {a: {verb: hangup}}\nholidays: [13-01]", "holidays.0: must be a day"),
        ("start: a\nnodes: {a: {verb: hangup}}\nholidays: [2026-02-30]", "must be a day such as"),
        ("start: a\nnodes: {a: {verb: hangup}}\nname: b", "a.yaml:3: name: the file is called a"),
        (
            "start: a\nnodes: {a: {verb: hangup}}\nrecords: true",
            "unknown key 'records'; did you mean",
        ),
        ("start: a\nnodes: {a: {verb: hangup}}\n---\nb: 1", "more than one YAML document"),
        ("start: a\nnodes: {a b: {verb: hangup}}", "'a b' is no name for a node"),
        ("start: a\nnodes: [a", "a.yaml:2: not YAML: "),
        ("start: &x a\nnodes: {a: {verb: hangup}}", "a.yaml:1: start: anchors and aliases"),
        ("start: a\nnodes: {a: &y {verb: hangup}, b: *y}", "anchors and aliases are not allowed"),
        ("start: !!python/name:os.system a\nnodes: {a: {verb: hangup}}", "the tag "),
        ("start: a\nnodes: {a: {verb: hangup, <<: {x: 1}}}", "unknown key '<<'"),
        ("start: a\0", "a character that YAML does not allow: #x0000"),
        ("start: a\n? [x]\n: 1\nnodes: {a: {verb: hangup}}", "a key must be a word"),
        ("#" * (MAX_BYTES + 1), "larger than 256 KiB"),
        ("a: " + "[" * (MAX_DEPTH + 1), f"nested deeper than {MAX_DEPTH} levels"),
        ("a: " + "[" * 5000, f"nested deeper than {MAX_DEPTH} levels"),
        ("a: [" + "x," * 30_000 + "]", "more than 20000 values"),
        (
            "start: n0\nnodes:\n"
            + "".join(f"  n{i}: {{verb: hangup}}\n" for i in range(MAX_NODES + 1)),
            "more than 500 nodes",
        ),
    ],
)
def test_a_mistake_in_the_file(text: str, expected: str) -> None:
    problems = report(text, "a.yaml")
    assert any(expected in problem for problem in problems), problems


def test_a_file_that_would_grow_by_aliases_is_refused_at_once() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
    )
    assert any("anchors and aliases" in problem for problem in report(bomb, "a"))


def test_every_mistake_is_told_at_once_in_the_order_of_the_file() -> None:
    problems = nodes(
        """
        one:
          verb: menu
          choices: {1: two, 2: nowhere}
          tries: many
        two:
          verb: dial
          to: "+1"
        three:
          verb: say
          text: "{{unknown}}"
        """
    )
    lines = [int(problem.split(":")[1]) for problem in problems]
    assert lines == sorted(lines)
    text = "\n".join(problems)
    for part in ("'nowhere'", "tries", "E.164", "nodes.three: unreachable", "'unknown'"):
        assert part in text
    # ``two`` is reached from a node that could not be read: one mistake makes no second one.
    assert "nodes.two: unreachable" not in text


def test_a_loop_of_several_nodes_is_told_once_with_its_way() -> None:
    problems = nodes(
        """
        one: {verb: say, text: a, next: two}
        two: {verb: set, variables: {x: "1"}, next: three}
        three: {verb: goto, next: one}
        """
    )
    assert problems == ["a.yaml:3: nodes.one: a loop that takes no input: one → two → three → one"]


def test_a_loop_through_an_input_is_allowed() -> None:
    assert (
        nodes(
            """
        one: {verb: say, text: a, next: two}
        two: {verb: menu, choices: {1: one}, on_silence: one}
        """
        )
        == []
    )


def test_verbs_for_before_the_answer_cannot_come_after_it() -> None:
    assert nodes(
        """
        one: {verb: say, text: a, next: two}
        two: {verb: reject}
        """
    ) == [
        "a.yaml:4: nodes.two: reject is for calls that are not answered; 'one' has answered by then"
    ]
    assert nodes("one: {verb: answer, next: two}\ntwo: {verb: ring}") != []
    assert (
        nodes(
            """
            one: {verb: if, when: {caller: {anonymous: true}}, then: no, else: yes}
            no: {verb: reject}
            yes: {verb: ring, next: hello}
            hello: {verb: say, text: hello}
            """
        )
        == []
    )


@pytest.mark.parametrize(
    ("body", "head", "expected"),
    [
        (
            "one: {verb: hangup}",
            "variables: {pin: {secret: true, report: true}}",
            "variables.pin: a secret cannot go into the report",
        ),
        (
            "one: {verb: gather, variable: pin, secret: true, next: two}\ntwo: {verb: hangup}",
            "variables: {pin: {report: true}}",
            "nodes.one.variable: the digits are secret, but 'pin' goes into the report",
        ),
        (
            "one: {verb: gather, variable: pin, next: two}\ntwo: {verb: hangup}",
            "variables: {pin: {secret: true}}",
            "nodes.one.variable: 'pin' is secret, so the gather needs secret: true",
        ),
        (
            "one: {verb: gather, variable: pin, secret: true, next: two}\n"
            "two: {verb: say, text: 'You said {{pin}}'}",
            "",
            "nodes.two.text: 'pin' is secret: it can be compared (if), not said or passed on",
        ),
        (
            "one: {verb: say, text: \"{% if pin == '1' %}yes{% endif %}\"}",
            "variables: {pin: {secret: true}}",
            "nodes.one.text: 'pin' is secret: it can be compared (if), not said or passed on",
        ),
        (
            "one: {verb: set, variables: {copy: '{{pin}}'}}",
            "variables: {pin: {secret: true}}",
            "nodes.one.variables.copy: 'pin' is secret",
        ),
        (
            "one: {verb: queue_callback, in: 5m, dialplan: a, reason: 'code {{pin}}'}",
            "variables: {pin: {secret: true}}",
            "nodes.one.reason: 'pin' is secret",
        ),
    ],
)
def test_secrets_stay_secret(body: str, head: str, expected: str) -> None:
    problems = nodes(body, head)
    assert len(problems) == 1
    assert expected in problems[0]


def test_loading_raises_everything_in_one_error() -> None:
    with pytest.raises(DialplanError) as caught:
        load(GOOD.replace("hours\n", "hourz\n").replace("hangup", "hung"), "front-desk")
    text = caught.value.message
    assert text.count("\n") >= 1
    assert text.startswith("front-desk.yaml:")


def test_plans_are_checked_against_each_other() -> None:
    promise = "start: a\nnodes:\n  a: {verb: queue_callback, in: 5m, dialplan: other}\n"
    with pytest.raises(DialplanError, match=r"one.yaml:3: nodes.a.dialplan: there is no dialplan"):
        load_all({"one.yaml": promise})
    other = "start: a\nnodes: {a: {verb: hangup}}\n"
    assert sorted(load_all({"one.yaml": promise, "other.yaml": other})) == ["one", "other"]


def test_a_file_in_a_folder_is_named_as_given_and_called_by_its_stem() -> None:
    assert report("start: x", "/etc/plans/desk.yaml")[0].startswith("/etc/plans/desk.yaml:1: ")
    assert "is no name for a dialplan" in report(GOOD, "My Plan.yaml")[0]
    plan = load(GOOD, "desk")
    assert (plan.name, plan.file) == ("desk", "desk.yaml")


def test_values_mean_what_was_written() -> None:
    plan = load(
        textwrap.dedent(
            """
            name: desk
            language: no
            timezone: Europe/Berlin
            holidays: [2026-12-24, 12-25]
            start: one
            variables: {a: 010, b: {value: yes, report: true}}
            nodes:
              one: {verb: if, when: {time: {from: 22:00, to: 6:30, days: fri-mon}}, then: two}
              two: {verb: record, max_seconds: 90s, terminator: "*#", next: three}
              three: {verb: dial, to: +12025550123, ring_seconds: 500}
            """
        ).replace("ring_seconds: 500", "ring_seconds: 1m"),
        "desk",
    )
    assert plan.language == "no"
    assert plan.holidays == ("2026-12-24", "12-25")
    assert plan.variables["a"].value == "010"
    assert (plan.variables["b"].value, plan.variables["b"].report) == ("yes", True)
    assert plan.nodes["two"].max_seconds == 90.0  # type: ignore[attr-defined]
    assert plan.nodes["three"].to == "+12025550123"  # type: ignore[attr-defined]
    assert plan.nodes["three"].ring_seconds == 60.0  # type: ignore[attr-defined]
