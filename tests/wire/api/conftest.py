"""The API on a real socket, over the store in memory and a switchboard that takes notes."""

from __future__ import annotations

import asyncio
import io
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from telephony.accounts.agents import Agent
from telephony.accounts.keys import digest_key, make_pepper
from telephony.accounts.kyb import KybPolicy
from telephony.accounts.model import DEFAULT_ORGANIZATION, Key, Trunk
from telephony.accounts.pool import Pool
from telephony.accounts.ports import Offered
from telephony.api.deps import Before, BeforeRoom, Deps
from telephony.api.feeds import Feeds
from telephony.api.server import Runner, build
from telephony.base.clock import ManualClock
from telephony.base.errors import Conflict
from telephony.base.ids import Ids, phone_identity, room_name
from telephony.calls import events as e
from telephony.calls.call import Call
from telephony.calls.orders import DialOrder, DialResult, EndResult, RoomOrder, RoomResult
from telephony.calls.outcome import EndedBy, Outcome, Status
from telephony.calls.ports import Append
from telephony.calls.public import publish
from telephony.calls.state import Direction
from telephony.knowledge.library import Library
from telephony.ledger.numbers import Shop
from telephony.reports.cost import Rates
from telephony.reports.fold import fold
from telephony.store import FileRows
from telephony.switchboard.finalize import Finalizer
from telephony.testing.store import MemoryStore

SECRET = "a secret key of the tests"
KEY = "sk_live_" + "a" * 32
TEST_KEY = "sk_test_" + "b" * 32
FOREIGN_KEY = "sk_live_" + "c" * 32
FOREIGN = "org_other"
SELF_HOSTED = KybPolicy()


class FakeSwitchboard:
    """Remembers what it was asked, answers what it is told to."""

    def __init__(self) -> None:
        self.orders: list[DialOrder] = []
        self.rooms: list[RoomOrder] = []
        self.texts: list[tuple[str, str, str]] = []
        self.ends: dict[tuple[str, str], EndResult] = {}
        self.failure: BaseException | None = None
        self.gate: asyncio.Event | None = None

    async def dial(self, order: DialOrder, before: Before | None = None) -> DialResult:
        self.orders.append(order)
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        session = f"00000000-0000-4000-8000-{len(self.orders):012d}"
        result = DialResult(
            session_id=session,
            call_control_id="" if order.test else phone_identity(session),
            room_name=room_name(session),
            status="dialing-stub" if order.test else "dialing",
            to=order.to,
            from_number=order.from_number or "+12025550100",
        )
        if before is not None:
            await before(result)
        return result

    async def open(self, order: RoomOrder, before: BeforeRoom | None = None) -> RoomResult:
        self.rooms.append(order)
        if self.failure is not None:
            raise self.failure
        session = f"00000000-0000-4000-9000-{len(self.rooms):012d}"
        result = RoomResult(
            session_id=session,
            room_name=room_name(session),
            identity=order.identity,
            expires_at=datetime(2026, 1, 5, 9, 15, tzinfo=UTC),
        )
        if before is not None:
            await before(result)
        return result

    async def join(self, call: Call, identity: str, seconds: int) -> RoomResult:
        if not call.live:
            raise Conflict("the call is over", code="CALL_NOT_LIVE")
        return RoomResult(
            session_id=call.id,
            room_name=room_name(call.id),
            identity=identity,
            expires_at=datetime(2026, 1, 5, 9, 5, tzinfo=UTC),
        )

    async def tell(self, call: Call, text: str, mode: str) -> str:
        if not call.live:
            raise Conflict("the call is over", code="CALL_NOT_LIVE")
        self.texts.append((call.id, text, mode))
        return f"msg_{len(self.texts)}"

    async def end(self, organization: str, call: str) -> EndResult | None:
        return self.ends.get((organization, call))


@dataclass
class Reply:
    status: int
    headers: Any
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Service:
    """The running API and everything behind it."""

    store: MemoryStore
    board: FakeSwitchboard
    clock: ManualClock
    ids: Ids
    recordings: Path
    problems: list[str]
    nudges: list[int]
    session: aiohttp.ClientSession
    port: int
    shop: Shop
    library: Library
    key: str = KEY
    extra: dict[str, Any] = field(default_factory=dict)
    rates: Rates | None = None

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = KEY,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        sent = dict(headers or {})
        if key is not None:
            sent.setdefault("Authorization", f"Bearer {key}")
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        url = path if path.startswith("http") else self.base + path
        async with self.session.request(
            method,
            URL(url, encoded=True),
            data=io.BytesIO(data) if data else data,
            headers=sent,
            allow_redirects=False,
        ) as response:
            return Reply(response.status, response.headers, await response.read())

    async def get(self, path: str, **options: Any) -> Reply:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Reply:
        if body is None and "raw" not in options:
            body = {}
        return await self.ask("POST", path, body, **options)

    async def bytes(self, request: bytes, *, wait: float = 5.0) -> bytes:
        """The answer to exactly these bytes, until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            await writer.drain()
            async with asyncio.timeout(wait):
                return await reader.read(100_000)
        finally:
            writer.close()

    async def agent(
        self, item: str = "agent_1", organization: str = DEFAULT_ORGANIZATION, **members: Any
    ) -> Agent:
        """An agent of that id, with its knowledge base."""
        now = self.clock.now()
        values: dict[str, Any] = {"name": "Desk", "system_prompt": "Be kind.", "language": "en"}
        agent = Agent(
            id=item,
            organization=organization,
            created_at=now,
            updated_at=now,
            **(values | members),
        )
        await self.library.add_agent(agent)
        return agent

    async def keep(self, call: Call, events: list[e.Event], *, finished: bool = False) -> Call:
        """Write a call as the journal would."""
        batch = []
        rows = []
        for seq, event in enumerate(events, 1):
            call = call.apply(event)
            row = publish(event, call, seq=seq, event_id=self.ids.make("evt"), created_at=event.at)
            rows.append(row)
            last = finished and seq == len(events)
            batch.append(Append(row, call, fold(call, rows, self.rates) if last else None))
        await self.store.calls.append(batch)
        return call

    async def ended_call(
        self, organization: str = DEFAULT_ORGANIZATION, *, recorded: bool = False
    ) -> Call:
        """A front-desk call that is over, with a message left."""
        call, events = self.a_call(organization)
        leg = phone_identity(call.id)
        at = self.clock.now()
        if recorded:
            self.recordings.mkdir(parents=True, exist_ok=True)
            path = self.recordings / f"{call.id}.wav"
            path.write_bytes(b"RIFF" + bytes(range(256)) * 4)
            message = self.recordings / f"{call.id}-1.wav"
            message.write_bytes(b"RIFFmessage")
            events += [
                e.RecordingStarted(at=at, leg=leg, recording=call.id, kind="call", path=str(path)),
                e.RecordingReady(
                    at=at, leg=leg, recording="msg_1", kind="message", path=str(message),
                    duration_ms=2000, size=11, reason="key",
                ),
                e.RecordingReady(
                    at=at, leg=leg, recording=call.id, kind="call", path=str(path),
                    duration_ms=9000, size=1028,
                ),
            ]  # fmt: skip
        self.clock.advance(61)
        outcome = Outcome.completed(EndedBy.CALLER)
        quality = e.MediaQuality(packets_received=100, mos=4.3, codec="PCMU")
        events += [
            e.LegEnded(at=self.clock.now(), leg=leg, outcome=outcome, quality=quality),
            e.CallEnded(at=self.clock.now(), outcome=outcome),
        ]
        return await self.keep(call, events, finished=True)

    def a_call(self, organization: str = DEFAULT_ORGANIZATION) -> tuple[Call, list[e.Event]]:
        """An inbound call that was answered and heard a prompt; not written yet."""
        at = self.clock.now()
        session = self.ids.call()
        leg = phone_identity(session)
        call = Call(
            id=session,
            organization=organization,
            direction=Direction.INBOUND,
            created_at=at,
            updated_at=at,
            status=Status.RINGING,
            from_number="+12025550111",
            to_number="+12025550100",
            dialplan="front-desk",
            metadata={"crm": {"id": 7}},
        )
        self.clock.advance(1)
        return call, [
            e.LegOffered(at=at, leg=leg, from_number="+12025550111", dialled="+12025550100"),
            e.LegAnswered(at=at + timedelta(milliseconds=40), leg=leg, codec="PCMU"),
            e.PromptPlayed(
                at=at + timedelta(seconds=1), leg=leg, node="main", text="Welcome.",
                heard_text="Welcome.", source="", heard_ms=900, total_ms=900,
                started_at=at + timedelta(milliseconds=60), reason="finished",
            ),
            e.DigitPressed(at=at + timedelta(seconds=1), leg=leg, digit="1", duration_ms=100),
        ]  # fmt: skip


async def _key(
    store: MemoryStore, clock: ManualClock, text: str, organization: str, **members: Any
) -> None:
    await store.keys.add(
        Key(
            id=f"key_{text[-3:]}",
            organization=organization,
            name="test",
            digest=digest_key(text, make_pepper(SECRET)),
            hint=text[-4:],
            live=not text.startswith("sk_test_"),
            created_at=clock.now(),
            **members,
        )
    )


Start = Callable[..., Any]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start services; each is stopped at the end of the test."""
    stack: list[Callable[[], Any]] = []

    async def begin(
        files: FileRows | None = None,
        pool: tuple[Offered, ...] = (),
        policy: KybPolicy = SELF_HOSTED,
        prepaid: bool = False,
        **changes: Any,
    ) -> Service:
        clock = ManualClock()
        store = MemoryStore(files or FileRows())
        board = FakeSwitchboard()
        ids = Ids(random.Random(7), clock)
        problems: list[str] = []
        nudges: list[int] = []
        shop = Shop(
            provider=Pool(pool, store.directory),
            numbers=store.numbers,
            directory=store.directory,
            kyb=store.kyb,
            ledger=store.ledger,
            policy=policy,
            prepaid=prepaid,
        )
        library = Library(store.knowledge, store.agents, tmp_path / "knowledge", clock, ids)
        await library.start()
        stack.append(library.close)
        deps = Deps(
            dialler=board,
            calls=store.calls,
            turns=store.calls,
            feeds=Feeds(store.calls, store.calls.changes),
            finalize=Finalizer(store.calls, store.calls, clock).finalize,
            ledger=store.ledger,
            callbacks=store.callbacks,
            callback_queue=store.callbacks,
            numbers=store.numbers,
            trunks=store.trunks,
            phones=store.phones,
            shop=shop,
            kyb=store.kyb,
            agents=store.agents,
            tools=store.tools,
            library=library,
            webhooks=store.webhooks,
            deliveries=store.deliveries,
            directory=store.directory,
            keys=store.keys,
            organizations=store.organizations,
            idempotency=store.idempotency,
            clock=clock,
            ids=ids,
            secret_key=SECRET,
            recordings=tmp_path / "recordings",
            dialplans=frozenset({"front-desk", "after-hours"}),
            ready=lambda: problems,
            metrics=lambda: b"telephony_calls_live 0.0\n",
            nudge=lambda: nudges.append(1),
        )
        await _key(store, clock, KEY, DEFAULT_ORGANIZATION)
        await _key(store, clock, TEST_KEY, DEFAULT_ORGANIZATION)
        await _key(store, clock, FOREIGN_KEY, FOREIGN)
        runner = Runner(build(replace(deps, **changes)), shutdown_timeout=0.1)
        await runner.setup()
        stack.append(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        session = aiohttp.ClientSession()
        stack.append(session.close)
        return Service(
            store, board, clock, ids, tmp_path / "recordings", problems, nudges, session,
            int(runner.addresses[0][1]), shop, library,
        )  # fmt: skip

    yield begin
    for stop in reversed(stack):
        await stop()


@pytest.fixture
async def api(start: Start) -> Service:
    service: Service = await start()
    return service


def a_trunk(clock: ManualClock, **members: Any) -> Trunk:
    now = clock.now()
    return Trunk(
        **{
            "id": "trunk_main", "organization": DEFAULT_ORGANIZATION, "name": "main",
            "gateways": ("gw.example",), "created_at": now, "updated_at": now, **members,
        }
    )  # fmt: skip
