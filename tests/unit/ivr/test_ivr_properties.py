"""Random plans and random events: nothing raises, nothing is stuck, everything ends."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telephony.base.clock import ManualClock
from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.outcome import Outcome
from telephony.calls.state import Direction
from telephony.ivr.check import report
from telephony.ivr.load import load
from telephony.ivr.model import Dialplan
from telephony.ivr.program import MAX_HOPS, MAX_VISITS, Context, Program

LEG = "phone-x"
WAITING = ("menu", "gather", "record", "dial", "transfer", "join_room")


@st.composite
def plans(draw: st.DrawFn) -> Dialplan:
    """A plan that the checker takes: verbs that do not wait lead forwards only."""
    count = draw(st.integers(1, 8))
    verbs = [
        draw(st.sampled_from((*WAITING, "say", "set", "if", "queue_callback", "answer")))
        for _ in range(count)
    ]

    def anywhere() -> str:
        return f"n{draw(st.integers(0, count - 1))}"

    def ahead(index: int) -> str | None:
        return f"n{draw(st.integers(index + 1, count - 1))}" if index + 1 < count else None

    def maybe(**targets: str | None) -> dict[str, Any]:
        return {k: v for k, v in targets.items() if v is not None and draw(st.booleans())}

    nodes: dict[str, dict[str, Any]] = {}
    for index, verb in enumerate(verbs):
        node: dict[str, Any] = {"verb": verb}
        match verb:
            case "say":
                node |= {"text": ["Hello {{x}}.", "{{y}}"], "barge_in": draw(st.booleans())}
                node |= maybe(next=ahead(index))
            case "set":
                node |= {"variables": {"x": "a{{x}}", "y": draw(st.sampled_from(("", "1000")))}}
                node |= maybe(next=ahead(index))
            case "if":
                target = ahead(index)
                if target is None:
                    node = {"verb": "hangup"}
                else:
                    when = draw(
                        st.sampled_from(
                            (
                                {"time": {"from": "09:00", "to": "17:00"}},
                                {"variable": {"name": "x", "exists": True}},
                                {"not": {"caller": {"anonymous": True}}},
                            )
                        )
                    )
                    node |= {"when": when, "then": target, **maybe(**{"else": ahead(index)})}
            case "queue_callback":
                node |= {"in": "5m", "dialplan": "x", **maybe(next=ahead(index))}
            case "answer":
                node |= maybe(next=ahead(index))
            case "menu":
                keys = draw(st.sets(st.sampled_from(("1", "2", "12", "#", "*")), min_size=1))
                node |= {
                    "prompt": "Choose.",
                    "choices": {key: anywhere() for key in sorted(keys)},
                    "tries": draw(st.integers(1, 3)),
                    "barge_in": draw(st.booleans()),
                    "flush": draw(st.booleans()),
                    **maybe(on_silence=anywhere(), on_invalid=anywhere()),
                }
            case "gather":
                node |= {
                    "prompt": "Number.",
                    "variable": "digits",
                    "max": draw(st.integers(1, 4)),
                    "secret": draw(st.booleans()),
                    "barge_in": draw(st.booleans()),
                    "next": anywhere(),
                    **maybe(on_no_input=anywhere(), on_invalid=anywhere()),
                }
            case "record":
                node |= {"prompt": "Speak.", "beep": draw(st.booleans())}
                node |= maybe(next=anywhere(), on_short=anywhere(), on_failed=anywhere())
            case "dial":
                node |= {"to": draw(st.sampled_from(("1000", "{{y}}")))}
                node |= maybe(next=anywhere(), on_answered=anywhere(), on_busy=anywhere())
            case "transfer":
                node |= {"to": draw(st.sampled_from(("1000", "{{y}}")))}
                node |= maybe(on_failed=anywhere())
            case "join_room":
                node |= {"room": draw(st.sampled_from(("a", "{{y}}"))), "leave_key": "*"}
                node |= maybe(next=anywhere())
        nodes[f"n{index}"] = node
    seen, pending = {"n0"}, ["n0"]
    while pending:
        node = nodes[pending.pop()]
        found = [v for k, v in node.items() if k in TARGETS] + list(
            node.get("choices", {}).values()
        )
        for target in found:
            if target not in seen:
                seen.add(target)
                pending.append(target)
    kept = {name: node for name, node in nodes.items() if name in seen}
    text = yaml.safe_dump({"start": "n0", "variables": {"x": "", "y": ""}, "nodes": kept})
    return load(text, "random")


TARGETS = {
    "next", "then", "else", "on_silence", "on_invalid", "on_no_input", "on_short", "on_failed",
    "on_answered", "on_busy",
}  # fmt: skip


class World:
    """Answers orders at random, or not at all, and checks what must hold after every door."""

    def __init__(self, plan: Dialplan, direction: Direction) -> None:
        self.clock = ManualClock()
        self.program = Program(
            plan,
            Context(call="x", leg=LEG, direction=direction, from_number="+12025550123"),
        )
        self.playbacks: list[str] = ["stranger"]
        self.recordings: list[str] = ["stranger"]
        self.transfers: list[str] = ["stranger"]
        self.legs: list[str] = [LEG, f"{LEG}-9"]

    def begin(self, direction: Direction) -> None:
        at = self.clock.now()
        event: e.Event = e.LegAnswered(at=at, leg=LEG)
        if direction is Direction.INBOUND:
            event = e.LegOffered(at=at, leg=LEG, from_number="+12025550123", dialled="x")
        self.take(self.program.start(event, self.clock.monotonic()))

    def take(self, orders: list[c.Command]) -> None:
        assert len(orders) <= 20 * MAX_HOPS
        for index, order in enumerate(orders):
            match order:
                case c.Play():
                    self.playbacks.append(order.playback)
                case c.Record():
                    self.recordings.append(order.recording)
                case c.Transfer():
                    self.transfers.append(order.transfer)
                case c.Dial():
                    assert order.leg not in self.legs
                    self.legs.append(order.leg)
                case c.Hangup():
                    assert index == len(orders) - 1
                    assert self.program.finished
        # Never stuck: what has not ended has a time at which it goes on by itself.
        assert self.program.finished is (self.program.next_deadline() is None)
        assert len(self.program.variables) < 20

    def tell(self, draw: st.DataObject) -> None:
        at, now = self.clock.now(), self.clock.monotonic()
        leg = draw.draw(st.sampled_from(self.legs))
        playback = draw.draw(st.sampled_from(self.playbacks))
        recording = draw.draw(st.sampled_from(self.recordings))
        transfer = draw.draw(st.sampled_from(self.transfers))
        digit = draw.draw(st.sampled_from("0129#*AD"))
        played: dict[str, Any] = {
            "node": "x", "text": "", "heard_text": "", "source": "", "started_at": None,
            "heard_ms": 0, "total_ms": 0, "reason": "finished",
        }  # fmt: skip
        kept: dict[str, Any] = {"kind": "message", "path": "x"}
        sent: dict[str, Any] = {"to": "x", "mode": "refer"}
        event = draw.draw(
            st.sampled_from(
                (
                    e.DigitPressed(at=at, leg=leg, digit=digit),
                    e.DigitPressed(at=at, leg=LEG, digit=digit),
                    e.PromptPlayed(at=at, leg=LEG, playback=playback, **played),
                    e.PromptPlayed(at=at, leg=LEG, playback=self.playbacks[-1], **played),
                    e.LegAnswered(at=at, leg=leg),
                    e.LegRinging(at=at, leg=leg),
                    e.LegAnswered(at=at, leg=self.legs[-1]),
                    e.LegEnded(at=at, leg=self.legs[-1], outcome=Outcome.busy()),
                    e.LegEnded(at=at, leg=leg, outcome=Outcome.no_answer()),
                    e.RecordingReady(
                        at=at, leg=LEG, recording=recording, duration_ms=0, size=0, **kept
                    ),
                    e.RecordingFailed(at=at, leg=LEG, recording=recording, error="full", **kept),
                    e.TransferFailed(at=at, leg=LEG, transfer=transfer, cause="busy", **sent),
                    e.TransferCompleted(at=at, leg=LEG, transfer=transfer, **sent),
                    e.RoomJoined(at=at, leg=LEG, room="a"),
                    e.RoomLeft(at=at, leg=LEG, room="a"),
                    e.LegHeld(at=at, leg=LEG),
                )
            )
        )
        over = self.program.finished
        if isinstance(event, e.DigitPressed):
            self.program.masks(event)
        orders = self.program.step(event, now)
        assert not over or orders == []
        self.take(orders)


@given(plans(), st.sampled_from(list(Direction)), st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_happens_nothing_raises_and_nothing_is_stuck(
    plan: Dialplan, direction: Direction, data: st.DataObject
) -> None:
    world = World(plan, direction)
    world.begin(direction)
    for _ in range(data.draw(st.integers(0, 30))):
        if data.draw(st.booleans()):
            world.tell(data)
        else:
            world.clock.advance(data.draw(st.sampled_from((0.0, 0.1, 3.0, 60.0))))
            world.take(world.program.expire(world.clock.monotonic()))


@given(plans(), st.sampled_from(list(Direction)))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_world_that_never_answers_ends_every_call(plan: Dialplan, direction: Direction) -> None:
    world = World(plan, direction)
    world.begin(direction)
    for _ in range(20 * MAX_VISITS):
        deadline = world.program.next_deadline()
        if deadline is None:
            break
        now = world.clock.monotonic()
        assert deadline >= now
        world.clock.advance(deadline - now)
        # The clock adds up in steps of its own, so it may land a hair before the deadline.
        world.program.expire(max(deadline, world.clock.monotonic()))
    assert world.program.finished


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda b: b.decode("latin-1")))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_with_a_reason(text: str) -> None:
    problems = report(text, "any.yaml")
    assert problems
    assert all(problem.startswith("any.yaml:") for problem in problems)


WORDS = st.sampled_from(
    ("start", "nodes", "verb", "say", "menu", "text", "choices", "when", "a", "1", "#", "", "x y")
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS
TREES = st.recursive(
    LEAVES, lambda below: st.lists(below, max_size=3) | st.dictionaries(WORDS, below, max_size=4)
)


@given(TREES, TREES)
@settings(max_examples=300, deadline=None)
def test_any_tree_is_read_or_refused_with_a_reason(nodes: object, more: object) -> None:
    text = yaml.safe_dump({"start": "a", "nodes": {"a": nodes, "b": more}})
    for problem in report(text, "any.yaml"):
        assert problem.startswith("any.yaml:")
