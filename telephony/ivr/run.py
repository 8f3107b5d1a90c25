"""What a verb sees of the call while it runs, and what a node that waits looks like."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from telephony.calls import commands as c
from telephony.calls import events as e
from telephony.calls.outcome import Outcome
from telephony.calls.state import Direction
from telephony.ivr.conditions import Facts
from telephony.ivr.model import Dialplan, Variable
from telephony.ivr.template import MAX_VALUE, fill, speak

MAX_TYPED_AHEAD = 32
"""Keys that wait for the next node that takes some; later ones are lost."""
MAX_VARIABLES = 200
"""Variables of one call, those handed in by whoever dialled included."""
PROMPT_SECONDS = 900.0
"""A prompt whose end was not reported by then is over."""


@dataclass(frozen=True, slots=True)
class Go:
    """Move on to a node; None hangs up."""

    target: str | None


@dataclass(frozen=True, slots=True)
class End:
    """End the call with this outcome."""

    outcome: Outcome


Move: TypeAlias = Go | End


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The call a program runs. ``leg`` is its first leg; further ones are ``<leg>-2`` and so on.

    ``variables`` override those of the dialplan. ``ring_seconds``: how long ``dial`` and
    ``transfer`` let it ring where the dialplan does not say.
    """

    call: str
    leg: str
    direction: Direction = Direction.INBOUND
    from_number: str = ""
    to_number: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    ring_seconds: float = 30.0

    @property
    def caller(self) -> str:
        """The far party's number: who calls us, or whom we called."""
        return self.from_number if self.direction is Direction.INBOUND else self.to_number


class Run:
    """One call's side of a program: orders go out through it, variables live in it."""

    def __init__(self, plan: Dialplan, context: Context) -> None:
        self.plan = plan
        self.context = context
        self.leg = context.leg
        self.node = plan.start
        self.answered = False
        self.now = 0.0
        self.typed: deque[str] = deque()
        self.dialled: set[str] = set()
        self._wall: tuple[datetime, float] | None = None
        self._orders: list[c.Command] = []
        self._counts: dict[str, int] = {}
        self._legs = 1
        self._declared: dict[str, Variable] = dict(plan.variables)
        self.values: dict[str, str] = {name: v.value for name, v in plan.variables.items()}
        for name, value in context.variables.items():
            if name in self.values or len(self.values) < MAX_VARIABLES:
                self.values[name] = str(value)[:MAX_VALUE]
        self.values |= {
            "caller": context.caller,
            "from": context.from_number,
            "to": context.to_number,
            "direction": context.direction.value,
            "call_id": context.call,
            "amd": "",
        }

    # --- time ------------------------------------------------------------------------------

    def observe(self, event: e.Event, now: float) -> None:
        """Learn the time from an event, and which names of legs are taken."""
        self.now = now
        self._wall = (event.at, now)
        if isinstance(event, e.LegEvent):
            prefix, _, number = event.leg.rpartition("-")
            if prefix == self.leg and number.isdigit():
                self._legs = max(self._legs, int(number))

    @property
    def wall(self) -> datetime:
        """Wall time now: that of the last event and what the monotonic clock ran since."""
        assert self._wall is not None
        at, when = self._wall
        return at + timedelta(seconds=max(0.0, self.now - when))

    # --- orders ----------------------------------------------------------------------------

    def order(self, command: c.Command) -> None:
        self._orders.append(command)

    def take_orders(self) -> list[c.Command]:
        orders, self._orders = self._orders, []
        return orders

    def make(self, kind: str) -> str:
        """An id unique in the call: ``<leg>:<kind><n>``."""
        number = self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{self.leg}:{kind}{number}"

    def next_leg(self) -> str:
        """A name for a further leg that nobody has yet."""
        self._legs += 1
        return f"{self.leg}-{self._legs}"

    @property
    def further(self) -> list[str]:
        """Every further leg that was heard of, also those that are over."""
        return [f"{self.leg}-{number}" for number in range(2, self._legs + 1)]

    def play(self, prompt: c.Prompt, *, loop: bool = False) -> str | None:
        """Order a prompt; None where it has nothing to say once its variables are filled in."""
        text = speak(prompt.text, self.values).strip()
        if prompt.text and not text:
            return None
        if text:
            prompt = replace(
                prompt,
                text=text,
                voice=prompt.voice or self.plan.voice,
                language=prompt.language or self.plan.language,
            )
        playback = self.make("p")
        self.order(
            c.Play(leg=self.leg, playback=playback, node=self.node, prompt=prompt, loop=loop)
        )
        return playback

    # --- variables -------------------------------------------------------------------------

    def fill(self, text: str) -> str:
        return fill(text, self.values)

    def set(self, name: str, value: str, *, secret: bool = False) -> None:
        """Give a variable a value, and write that down; of a secret only that it has one."""
        declared = self._declared.get(name, Variable())
        if name not in self.values and len(self.values) >= MAX_VARIABLES:
            return
        self.values[name] = value[:MAX_VALUE]
        hidden = secret or declared.secret
        self.order(
            c.Note(
                event=e.VariableSet(
                    at=self.wall,
                    name=name,
                    value="*" * 3 if hidden else self.values[name],
                    report=declared.report and not hidden,
                )
            )
        )

    def facts(self) -> Facts:
        """What conditions look at."""
        return Facts(
            now=self.wall,
            zone=self.plan.timezone,
            holidays=self.plan.holidays,
            caller=self.context.caller,
            variables=self.values,
        )

    # --- keys pressed ahead ----------------------------------------------------------------

    def type_ahead(self, digit: str) -> None:
        """Keep a key for the next node that takes some."""
        if len(self.typed) < MAX_TYPED_AHEAD:
            self.typed.append(digit)


class Activity:
    """A node that waits. ``deadline`` (monotonic) is always set: no call hangs for want of one.

    ``engaged``: the caller is being talked to or asked, so that leaving now is giving up.
    ``secret``: keys pressed now are not to be written down. ``ahead``: a key pressed now goes
    to the nodes that follow. ``party``: the further leg that it looks after.
    """

    party: str | None = None
    engaged = False
    secret = False
    ahead = False

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline

    def step(self, run: Run, event: e.Event) -> Move | None:
        """Take an event; None goes on waiting."""
        return None

    def expire(self, run: Run) -> Move | None:
        """The deadline has come; None goes on waiting, with a later one."""
        return Go(None)


class Playing:
    """Prompts under way: knows when the last of them has ended."""

    def __init__(self, run: Run, prompts: Sequence[c.Prompt], *, loop: bool = False) -> None:
        ordered = (run.play(prompt, loop=loop) for prompt in prompts)
        self._pending = {playback for playback in ordered if playback is not None}

    @property
    def over(self) -> bool:
        return not self._pending

    def step(self, event: e.Event) -> bool:
        """Whether this event ended the last of them."""
        if isinstance(event, e.PromptPlayed) and event.playback in self._pending:
            self._pending.discard(event.playback)
            return self.over
        return False

    def stop(self, run: Run, reason: str = "stopped") -> None:
        """Stop what is left of them; their ends are of no interest any more."""
        if self._pending:
            self._pending.clear()
            run.order(c.Stop(leg=run.leg, reason=reason))
