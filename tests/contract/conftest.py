"""One suite a port, over every implementation: memory, SQLite in a file, PostgreSQL."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from telephony.accounts.model import (
    DEFAULT_ORGANIZATION,
    MediaEncryption,
    Phone,
    PhoneNumber,
    Trunk,
    TrunkKind,
)
from telephony.base.clock import ManualClock
from telephony.base.ids import Ids
from telephony.calls.call import Call
from telephony.calls.callback import Callback
from telephony.calls.events import CallEnded, Event, LegAnswered, LegEnded, LegOffered
from telephony.calls.outcome import EndedBy, Outcome, Status
from telephony.calls.ports import Append
from telephony.calls.public import publish
from telephony.calls.state import Direction
from telephony.reports.fold import fold
from telephony.store import NO_FILE, FileRows, Store
from telephony.testing.store import MemoryStore

SECRET = "a secret for tests"


class Maker:
    """Makes what stores hold: calls with their events, callbacks, trunks, phones, numbers."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ids = Ids(random.Random(7), self.clock)

    def call(self, **members: Any) -> Call:
        now = self.clock.now()
        values: dict[str, Any] = {
            "id": self.ids.call(),
            "organization": DEFAULT_ORGANIZATION,
            "direction": Direction.INBOUND,
            "created_at": now,
            "updated_at": now,
            "status": Status.RINGING,
            "from_number": "+12025550100",
            "to_number": "+12025550123",
            "metadata": {"deep": {"list": [1, None, "ü"]}},
            "tags": {"a": "b"},
        }
        return Call(**(values | members))

    def life(self, call: Call | None = None, *, ended: bool = True) -> list[Append]:
        """The events of a short call, each a second after the last."""
        call = call or self.call()
        leg = f"phone-{call.id}"
        steps: list[Callable[[], Event]] = [
            lambda: LegOffered(
                at=self.clock.now(), leg=leg, from_number=call.from_number, dialled="front-desk"
            ),
            lambda: LegAnswered(at=self.clock.now(), leg=leg, codec="PCMU"),
        ]
        if ended:
            outcome = Outcome.completed(EndedBy.CALLER)
            steps += [
                lambda: LegEnded(at=self.clock.now(), leg=leg, outcome=outcome),
                lambda: CallEnded(at=self.clock.now(), outcome=outcome),
            ]
        batch: list[Append] = []
        events: list[Event] = []
        for seq, step in enumerate(steps, 1):
            self.clock.advance(1)
            event = step()
            events.append(event)
            call = call.apply(event)
            row = publish(event, call, seq=seq, event_id=self.ids.make("evt"), created_at=event.at)
            last = ended and seq == len(steps)
            batch.append(Append(row, call, fold(call, events) if last else None))
        return batch

    def callback(self, in_seconds: float = 0.0, **members: Any) -> Callback:
        now = self.clock.now()
        values: dict[str, Any] = {
            "id": self.ids.make("cb"),
            "organization": DEFAULT_ORGANIZATION,
            "to_number": "+12025550100",
            "scheduled_at": now + timedelta(seconds=in_seconds),
            "created_at": now,
            "updated_at": now,
            "dialplan": "callback-desk",
            "metadata": {"x": 1},
        }
        return Callback(**(values | members))

    def trunk(self, name: str = "main", **members: Any) -> Trunk:
        now = self.clock.now()
        self.clock.advance(1)
        values: dict[str, Any] = {
            "id": self.ids.make("tr"),
            "organization": DEFAULT_ORGANIZATION,
            "name": name,
            "gateways": ("gw1.example.com", "gw2.example.com:5080"),
            "kind": TrunkKind.LIVEKIT,
            "livekit_trunk": "ST_1",
            "media_encryption": MediaEncryption.REQUIRE,
            "username": "me",
            "password": "hunter2-of-trunk",
            "allowed_sources": ("192.0.2.0/24",),
            "caller_ids": ("+12025550123",),
            "headers": {"X-Account": "7"},
            "calls_per_second": 2.5,
            "created_at": now,
            "updated_at": now,
        }
        return Trunk(**(values | members))

    def phone(self, user: str = "1000", **members: Any) -> Phone:
        now = self.clock.now()
        values: dict[str, Any] = {
            "id": self.ids.make("ph"),
            "organization": DEFAULT_ORGANIZATION,
            "user": user,
            "password": "hunter2-of-phone",
            "created_at": now,
            "updated_at": now,
        }
        return Phone(**(values | members))

    def number(self, e164: str = "+12025550123", **members: Any) -> PhoneNumber:
        now = self.clock.now()
        values: dict[str, Any] = {
            "id": self.ids.make("pn"),
            "organization": DEFAULT_ORGANIZATION,
            "e164": e164,
            "created_at": now,
            "updated_at": now,
        }
        return PhoneNumber(**(values | members))


@pytest.fixture
def make() -> Maker:
    return Maker()


@pytest.fixture
def files() -> FileRows:
    """What a settings file would make."""
    made = Maker()
    return FileRows(
        trunks=(replace(made.trunk("file-trunk"), id="tr_file", from_file=True),),
        phones=(replace(made.phone("2000"), id="ph_file", from_file=True),),
        numbers=(replace(made.number("+12025550999"), id="pn_file", from_file=True),),
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/telephony.db"
    made: str = request.getfixturevalue("postgres").fresh()
    return made


Open = Callable[..., Awaitable[Any]]


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens stores over one database; closes them all at the end."""
    opened: list[Any] = []
    url = f"sqlite:///{tmp_path}/telephony.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").emptied()

    async def opening(rows: FileRows = NO_FILE) -> Any:
        store: Any
        if request.param == "memory":
            store = MemoryStore(rows)
        else:
            store = await Store.open(url, SECRET, rows)
        opened.append(store)
        return store

    yield opening
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: Open) -> Any:
    return await open_store()
