"""A whole switchboard in memory: a carrier that a test drives, sound that takes no time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from telephony.accounts.agents import Agent, Tool
from telephony.accounts.model import Phone, PhoneNumber, Trunk
from telephony.base.clock import ManualClock
from telephony.base.errors import SpeechUnavailable, StoreUnavailable
from telephony.base.ids import Ids
from telephony.calls.call import Call
from telephony.calls.callback import Callback, CallbackStatus
from telephony.calls.ports import Append, CallFilter, Media, Sound
from telephony.calls.public import CallEvent
from telephony.calls.record import CallReport
from telephony.calls.role import Role
from telephony.ivr.load import load
from telephony.switchboard.agents import AgentsConfig
from telephony.switchboard.journal import Journal, JournalConfig
from telephony.switchboard.kit import Kit, SwitchboardConfig
from telephony.switchboard.switchboard import Switchboard
from telephony.testing.carrier import FakeCarrier
from telephony.testing.meetings import FakeAgentRooms

PLANS = Path(__file__).parents[2] / "dialplans"


class Records:
    """What was written, as a store gives it back."""

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}
        self.rows: dict[str, list[CallEvent]] = {}
        self.reports: dict[str, CallReport] = {}
        self.away = False

    async def append(self, batch: Sequence[Append]) -> None:
        if self.away:
            raise StoreUnavailable("the disk is gone")
        for item in batch:
            self.calls[item.call.id] = item.call
            self.rows.setdefault(item.call.id, []).append(item.event)
            if item.report is not None:
                self.reports[item.call.id] = item.report

    async def unfinished(self) -> list[Call]:
        return [c for c in self.calls.values() if c.live]

    async def adopt(self, nodes: Collection[str]) -> list[Call]:
        return []

    async def events(self, session: str) -> list[CallEvent]:
        return list(self.rows.get(session, []))

    async def get(self, organization: str, session: str) -> Call | None:
        return self.calls.get(session)

    async def page(
        self, organization: str, chosen: CallFilter, limit: int, cursor: str | None
    ) -> tuple[list[Call], str | None]:
        return list(self.calls.values())[:limit], None

    async def events_of(self, organization: str, session: str) -> list[CallEvent]:
        return await self.events(session)

    async def report(self, organization: str, session: str) -> CallReport | None:
        return self.reports.get(session)


class Promises:
    """Callbacks that were queued."""

    def __init__(self) -> None:
        self.rows: list[Callback] = []

    async def add(self, callback: Callback) -> None:
        self.rows.append(callback)

    async def claim(self, now: datetime, lease_seconds: float) -> Callback | None:
        return None

    async def attempt(self, callback: Callback, session: str, now: datetime) -> None:
        return None

    async def settle(
        self, callback: Callback, status: CallbackStatus, cause: str | None, now: datetime
    ) -> None:
        return None

    async def abandoned(self, now: datetime) -> list[Callback]:
        return []


class Voice:
    """Speech of 100 ms a character, or none at all."""

    def __init__(self) -> None:
        self.mute = False

    async def render(self, text: str, voice: str = "", language: str = "") -> Sound:
        if self.mute:
            raise SpeechUnavailable("the synthesiser is gone")
        return Sound(bytes(2 * 800 * len(text)))

    async def load(self, path: Path) -> Sound:
        return Sound(bytes(16000))

    def tone(self, name: str) -> Sound:
        return Sound(bytes(1600))


class Rooms:
    def __init__(self) -> None:
        self.inside: dict[str, set[str]] = {}
        self.roles: dict[str, list[Role]] = {}

    def join(self, room: str, identity: str, media: Media, role: Role = Role.SPEAKER) -> None:
        self.inside.setdefault(room, set()).add(identity)
        self.roles.setdefault(identity, []).append(role)

    def leave(self, room: str, identity: str) -> None:
        self.inside[room].discard(identity)


class Accounts:
    """Trunks, phones and numbers that do not change."""

    def __init__(self, clock: ManualClock) -> None:
        now = clock.now()
        self._trunks = (
            Trunk(
                id="trunk_main",
                organization="org_default",
                name="main",
                gateways=("198.51.100.1",),
                caller_ids=("+12025550100",),
                created_at=now,
                updated_at=now,
            ),
        )
        self._phones = (
            Phone(
                id="phone_1000",
                organization="org_default",
                user="1000",
                created_at=now,
                updated_at=now,
            ),
        )
        self.people: dict[str, Agent] = {}
        self.things: dict[str, tuple[Tool, ...]] = {}
        self._numbers: tuple[PhoneNumber, ...] = (
            PhoneNumber(
                id="pn_1",
                organization="org_default",
                e164="+12025550100",
                dialplan="front-desk",
                trunk="trunk_main",
                direction="both",  # type: ignore[arg-type]
                created_at=now,
                updated_at=now,
            ),
        )

    def trunks(self, organization: str | None = None) -> tuple[Trunk, ...]:
        return self._trunks

    def phones(self, organization: str | None = None) -> tuple[Phone, ...]:
        return self._phones

    def numbers(self, organization: str | None = None) -> tuple[PhoneNumber, ...]:
        return self._numbers

    def number(self, e164: str) -> PhoneNumber | None:
        return next((n for n in self._numbers if n.e164 == e164), None)

    def agent(self, organization: str, agent: str) -> Agent | None:
        return self.people.get(agent)

    def tools(self, organization: str, agent: str) -> tuple[Tool, ...]:
        return self.things.get(agent, ())

    def change(self, **members: object) -> PhoneNumber:
        """Change the one number."""
        self._numbers = (replace(self._numbers[0], **members),)  # type: ignore[arg-type]
        return self._numbers[0]

    def watch(self, changed: Callable[[], None]) -> None:
        return None


class World:
    """Everything, and the means to let it run until nothing moves."""

    def __init__(self, tmp_path: Path) -> None:
        self.clock = ManualClock()
        self.records = Records()
        self.promises = Promises()
        self.voice = Voice()
        self.rooms = Rooms()
        self.agents = FakeAgentRooms(self.clock, "no LiveKit here")
        self.accounts = Accounts(self.clock)
        self.carrier = FakeCarrier(self.clock)
        fast = JournalConfig(group_seconds=0, retry_seconds=0, retry_ceiling_seconds=0.001)
        self.journal = Journal(
            self.records, self.clock, fast, lambda s, c: self.switchboard.recovered(s, c)
        )
        self.kit = Kit(
            config=SwitchboardConfig(
                recordings=tmp_path / "recordings",
                dialplans=PLANS,
                max_calls=50,
                calls_per_second=1000,
                commit_seconds=2.0,
                teardown_seconds=0.2,
            ),
            carrier=self.carrier,
            rooms=self.rooms,
            speech=self.voice,
            callbacks=self.promises,
            journal=self.journal,
            directory=self.accounts,
            agents=self.agents,
            talking=AgentsConfig(worker="desk", api="https://phone.example"),
            clock=self.clock,
            ids=Ids(random.Random(7), self.clock),
            sleep=lambda seconds: asyncio.sleep(0),
        )
        plans = {p.stem: load(p.read_text(), p.name) for p in PLANS.glob("*.yaml")}
        self.switchboard = Switchboard(self.kit, self.records, plans, None)

    def plan(self, name: str, text: str) -> None:
        """Add a dialplan."""
        self.switchboard._dialplans[name] = load(text, f"{name}.yaml")  # type: ignore[index]

    async def settle(self) -> None:
        """Let every task run until nothing moves any more."""
        for _ in range(60):
            await asyncio.sleep(0)
        await asyncio.wait_for(self.journal.idle(), 5) if not self.records.away else None
        for _ in range(20):
            await asyncio.sleep(0)

    async def until_over(self, session: str) -> list[CallEvent]:
        for _ in range(400):
            rows = self.records.rows.get(session, [])
            if rows and rows[-1].event_type == "call.hangup" and session in self.records.reports:
                return rows
            await asyncio.sleep(0.002)
        raise AssertionError([r.event_type for r in self.records.rows.get(session, [])])


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    made.journal.start()
    await made.carrier.start(made.switchboard.take)
    yield made
    made.records.away = False
    await made.switchboard.drain(0)
    assert made.switchboard.live == 0
    await made.journal.stop()
    await made.kit.tasks.cancel()
