"""A trunk carrier on real sockets, and what a test needs around it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from telephony.accounts.model import Phone, PhoneNumber, Trunk
from telephony.base.trace import Trace
from telephony.calls.events import Event, LegEnded, MediaQuality
from telephony.calls.ports import (
    AnswerHeard,
    DialRequest,
    GreetingHeard,
    LegControl,
    Media,
    Offer,
    OfferedLeg,
    Played,
    Recorded,
    Sound,
)
from telephony.carriers.trunk import TrunkCarrier, TrunkConfig
from telephony.media.config import MediaConfig
from telephony.media.contract import MediaEngine
from telephony.media.engine import Engine
from telephony.media.ring import RingSockets
from telephony.media.workers.engine import WorkerEngine

T0 = datetime(2026, 1, 5, tzinfo=UTC)


def has_ring() -> bool:
    """Whether this kernel lets us use io_uring: in a container it often does not."""
    try:
        RingSockets(RealClock(), 1).close()
    except OSError:
        return False
    return True


class RealClock:
    """The system's."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class Book:
    """A directory of lists, changed as the API would."""

    def __init__(self) -> None:
        self.trunk_list: list[Trunk] = []
        self.phone_list: list[Phone] = []
        self.number_list: list[PhoneNumber] = []
        self._watchers: list[Callable[[], None]] = []

    def trunks(self, organization: str | None = None) -> tuple[Trunk, ...]:
        return tuple(self.trunk_list)

    def phones(self, organization: str | None = None) -> tuple[Phone, ...]:
        return tuple(self.phone_list)

    def numbers(self, organization: str | None = None) -> tuple[PhoneNumber, ...]:
        return tuple(self.number_list)

    def number(self, e164: str) -> PhoneNumber | None:
        return next((n for n in self.number_list if n.e164 == e164), None)

    def watch(self, changed: Callable[[], None]) -> None:
        self._watchers.append(changed)

    def changed(self) -> None:
        for watcher in self._watchers:
            watcher()

    def add_trunk(self, name: str = "main", **values: Any) -> Trunk:
        trunk = Trunk(
            id=f"tr_{name}",
            organization="org_default",
            name=name,
            created_at=T0,
            updated_at=T0,
            **values,
        )
        self.trunk_list.append(trunk)
        self.changed()
        return trunk

    def add_phone(self, user: str = "1000", password: str = "secret") -> Phone:
        phone = Phone(
            id=f"ph_{user}",
            organization="org_default",
            user=user,
            password=password,
            created_at=T0,
            updated_at=T0,
        )
        self.phone_list.append(phone)
        self.changed()
        return phone


EngineMaker = Callable[..., MediaEngine]


@pytest.fixture(params=["process", "workers"])
def new_engine(request: pytest.FixtureRequest) -> EngineMaker:
    """``new_engine(config)``: an engine in this process, or over two workers; not started."""

    def make(config: MediaConfig) -> MediaEngine:
        rng = random.Random(3)
        if request.param == "process":
            return Engine(config, RealClock(), rng=rng)
        return WorkerEngine(config, RealClock(), rng=rng, count=2)

    return make


@dataclass
class QuietLane:
    """A lane without an engine: it notes what it was told."""

    local_address: tuple[str, int]
    starts: list[dict[str, Any]] = field(default_factory=list)
    closed: bool = False
    on_digit: Callable[[str, int], None] = lambda digit, duration_ms: None
    on_timeout: Callable[[], None] = lambda: None
    on_lost: Callable[[], None] = lambda: None

    def start(self, **terms: Any) -> None:
        self.starts.append(terms)

    def end(self, done: Callable[[MediaQuality], None]) -> None:
        self.closed = True
        done(MediaQuality(codec=self.starts[-1]["codec"] if self.starts else ""))

    def play(self, sound: Sound, done: Callable[[Played], None], *, loop: bool = False) -> None:
        done(Played(0, sound.duration_ms, False, None))

    def stop(self) -> None: ...

    def send_digits(self, digits: str) -> None:
        return None

    def record_call(self, path: Path, done: Callable[[Recorded], None]) -> None: ...

    def record_message(
        self,
        path: Path,
        done: Callable[[Recorded], None],
        *,
        max_seconds: float,
        silence_seconds: float | None,
    ) -> None: ...

    def stop_message(self) -> None: ...

    def finish(self) -> None: ...

    def watch_answer(self, done: Callable[[AnswerHeard], None], *, seconds: float) -> None: ...

    def await_greeting(
        self, done: Callable[[GreetingHeard], None], *, seconds: float, beep_only: bool = False
    ) -> None: ...

    def bridge(self, other: Media) -> None: ...

    def quality(self) -> MediaQuality:
        return MediaQuality()


class QuietEngine:
    """Hands out lanes with port numbers that nobody listens on."""

    def __init__(self) -> None:
        self.lanes: list[QuietLane] = []

    def ready(self) -> str | None:
        return None

    def open(self, host: str | None = None, *, call: str = "") -> QuietLane:
        lane = QuietLane((host or "127.0.0.1", 40_000 + 2 * len(self.lanes)))
        self.lanes.append(lane)
        return lane


@dataclass
class Caught:
    """A leg that came in or was dialled, and what was told of it."""

    leg: Any = None
    offer: Offer | None = None
    events: list[Event] = field(default_factory=list)

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    @property
    def end(self) -> LegEnded:
        (ended,) = [e for e in self.events if isinstance(e, LegEnded)]
        return ended

    async def until(self, kind: str, seconds: float = 5.0) -> Event:
        async with asyncio.timeout(seconds):
            while kind not in self.kinds():
                await asyncio.sleep(0.005)
        return next(e for e in self.events if type(e).__name__ == kind)


class TrunkHouse:
    """A carrier with its directory, engine and trace; calls that come in are ``caught``."""

    def __init__(self, engine: Any = None, **config: Any) -> None:
        self.book = Book()
        self.engine = engine if engine is not None else QuietEngine()
        self.trace = Trace()
        self.caught: list[Caught] = []
        self.when_taken: Callable[[Caught], None] = lambda caught: None
        self.config = TrunkConfig(**{"port": 0, "drain": 0.5, **config})
        self.carrier = TrunkCarrier(
            self.config, self.book, self.engine, RealClock(), random.Random(7), self.trace
        )

    async def start(self) -> TrunkHouse:
        await self.carrier.start(self._take)
        return self

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.carrier.address[1])

    def uri(self, user: str) -> str:
        return f"sip:{user}@127.0.0.1:{self.address[1]}"

    def _take(self, offer: Offer, leg: OfferedLeg) -> None:
        caught = Caught(leg, offer)
        self.caught.append(caught)
        leg.name(f"phone-{len(self.caught)}", caught.events.append)
        self.when_taken(caught)

    def dial(self, to: str, **values: Any) -> Caught:
        caught = Caught()
        request = DialRequest(
            **{"leg": "phone-x", "call": "x", "to": to, "from_number": "+12025550100", **values}
        )
        leg: LegControl = self.carrier.dial(request, caught.events.append)
        caught.leg = leg
        return caught

    async def offered(self, seconds: float = 5.0) -> Caught:
        async with asyncio.timeout(seconds):
            while not self.caught:
                await asyncio.sleep(0.005)
        return self.caught[-1]


@pytest.fixture
async def house() -> AsyncIterator[Callable[..., Awaitable[TrunkHouse]]]:
    """``await house(host="0.0.0.0", …)``: a carrier that is stopped when the test ends."""
    made: list[TrunkHouse] = []

    async def make(engine: Any = None, **config: Any) -> TrunkHouse:
        one = TrunkHouse(engine, **config)
        made.append(one)
        return await one.start()

    yield make
    for one in made:
        await one.carrier.stop()


collect_ignore = [] if has_ring() else ["test_media_ring.py"]
