"""Sessions as they happen: backlog, news, cursors, the end; and a worker's own transcript."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from telephony.api import feeds, streams
from telephony.base.clock import parse_iso
from telephony.base.errors import StoreUnavailable
from telephony.base.ids import phone_identity
from telephony.calls import events as e
from telephony.calls.outcome import EndedBy, Outcome
from telephony.calls.ports import Append
from telephony.calls.public import CallEvent, publish
from telephony.reports.fold import fold

from .conftest import FOREIGN_KEY, KEY

TURN = {"source": "user", "text": "hello", "startedAt": "2026-01-05T09:00:00.000Z"}


class Live:
    """A call whose events a test writes one by one, as the journal would."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self.call, facts = api.a_call()
        leg, over = phone_identity(self.call.id), Outcome.completed(EndedBy.CALLER)
        at = facts[-1].at
        self.facts = [
            *facts,
            e.LegEnded(at=at, leg=leg, outcome=over),
            e.CallEnded(at=at, outcome=over),
        ]
        self.written: list[CallEvent] = []

    async def go_on(self, count: int = 1) -> None:
        for fact in self.facts[len(self.written) :][:count]:
            self.call = self.call.apply(fact)
            self.api.clock.advance(1)
            row = publish(
                fact,
                self.call,
                seq=len(self.written) + 1,
                event_id=self.api.ids.make("evt"),
                created_at=self.api.clock.now(),
            )
            self.written.append(row)
            over = len(self.written) == len(self.facts)
            report = fold(self.call, self.written) if over else None
            await self.api.store.calls.append([Append(row, self.call, report)])

    async def finish(self) -> None:
        await self.go_on(len(self.facts))


class Client:
    """Reads one stream, frame by frame."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> tuple[str, Any]:
        lines: list[str] = []
        while line := (await asyncio.wait_for(self.response.content.readline(), 5)).strip():
            lines.append(line.decode())
        if not lines:
            return "", None
        if lines[0].startswith(":"):
            return "ping", None
        assert lines[0].startswith("event: ") and lines[1].startswith("data: ")
        return lines[0][7:], json.loads(lines[1][6:])

    async def rest(self) -> list[tuple[str, Any]]:
        found = []
        while (one := await self.next())[0]:
            found.append(one)
        return found


async def open_stream(api: Any, call: str, cursor: str = "-1:0", key: str = KEY) -> Client:
    response = await api.session.get(
        f"{api.base}/v1/sessions/{call}/stream?cursor={cursor}",
        headers={"Authorization": f"Bearer {key}"},
    )
    assert response.status == 200, await response.text()
    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert response.headers["X-Request-ID"]
    return Client(response)


async def test_a_session_that_is_over_is_told_whole_and_ends(api: Any) -> None:
    call = await api.ended_call()
    frames = await (await open_stream(api, call.id)).rest()
    names = [name for name, _ in frames]
    assert names[0] == "status" and names[-1] == "end"
    assert frames[0][1]["status"] == "ended" and frames[0][1]["endedAt"].endswith("Z")
    assert frames[-1][1] == {"reason": "session_ended"}
    transcript = (await api.get(f"/v1/sessions/{call.id}/transcript")).body["entries"]
    assert [data for name, data in frames if name == "transcript"] == transcript
    events = (await api.get(f"/v1/calls/{call.id}/events")).body["events"]
    assert [data for name, data in frames if name == "event"] == events


async def test_what_happens_is_told_as_it_happens(api: Any) -> None:
    live = Live(api)
    await live.go_on(1)
    client = await open_stream(api, live.call.id)
    assert (await client.next())[0] == "status"
    assert (await client.next())[1]["event_type"] == "call.initiated"
    await live.go_on(1)
    found = [await client.next(), await client.next()]
    assert {name for name, _ in found} == {"status", "event"}
    assert dict(found)["status"]["status"] == "active"
    await live.finish()
    rest = await client.rest()
    assert rest[-1] == ("end", {"reason": "session_ended"})
    seen = [data["id"] for name, data in rest if name == "event"]
    assert len(seen) == len(set(seen)) == len(live.facts) - 2


async def test_a_cursor_leaves_out_what_was_seen(api: Any) -> None:
    call = await api.ended_call()
    events = (await api.get(f"/v1/calls/{call.id}/events")).body["events"]
    entries = (await api.get(f"/v1/sessions/{call.id}/transcript")).body["entries"]
    last = events[-1]["created_at"]
    millis = int(parse_iso(last).timestamp() * 1000)
    frames = await (await open_stream(api, call.id, f"{entries[0]['index']}:{millis}")).rest()
    assert [d for n, d in frames if n == "transcript"] == entries[1:]
    told = [data["id"] for name, data in frames if name == "event"]
    # Two seconds before the cursor are told again, and clients drop what they have.
    at = [parse_iso(event["created_at"]).timestamp() * 1000 for event in events]
    since = [row["id"] for row, when in zip(events, at, strict=True) if when >= millis - 2000]
    assert told == since
    assert 0 < len(told) < len(events)


@pytest.mark.parametrize(
    "cursor", ["", "x", "1", "-1", "1:-5", "9" * 30 + ":1", "1:9999999999999999"]
)
async def test_a_bad_cursor_is_the_beginning(api: Any, cursor: str) -> None:
    call = await api.ended_call()
    whole = await (await open_stream(api, call.id)).rest()
    assert await (await open_stream(api, call.id, cursor)).rest() == whole


async def test_unknown_and_foreign_sessions_are_404_at_once(api: Any) -> None:
    call = await api.ended_call()
    for session, key in ((call.id, FOREIGN_KEY), ("x", KEY)):
        reply = await api.get(f"/v1/sessions/{session}/stream", key=key)
        assert (reply.status, reply.body["code"]) == (404, "SESSION_NOT_FOUND")


async def test_many_who_listen_cost_one_reading(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(api)
    await live.go_on(1)
    clients = [await open_stream(api, live.call.id) for _ in range(50)]
    for client in clients:
        assert [(await client.next())[0] for _ in range(2)] == ["status", "event"]
    reads = 0
    read = api.store.calls.events_of

    async def counted(*arguments: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read(*arguments)

    monkeypatch.setattr(api.store.calls, "events_of", counted)
    await live.go_on(1)
    for client in clients:
        assert {(await client.next())[0] for _ in range(2)} == {"status", "event"}
    assert reads == 1
    await live.finish()
    for client in clients:
        assert (await client.rest())[-1][0] == "end"


async def test_silence_is_kept_alive_and_the_stream_turns_over(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PING_SECONDS", 0.05)
    monkeypatch.setattr(streams, "ROTATE_SECONDS", 0.3)
    live = Live(api)
    await live.go_on(1)
    frames = await (await open_stream(api, live.call.id)).rest()
    names = [name for name, _ in frames]
    assert names[:2] == ["status", "event"] and "ping" in names
    assert frames[-1] == ("end", {"reason": "timeout"})


async def test_who_reads_too_slowly_is_sent_away_to_come_again(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "MAX_WAITING", 3)
    call = await api.ended_call()
    frames = await (await open_stream(api, call.id)).rest()
    assert len(frames) == 3 and frames[-1][0] != "end"


async def test_too_many_streams_are_refused(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "MAX_LISTENERS", 1)
    live = Live(api)
    await live.go_on(1)
    client = await open_stream(api, live.call.id)
    reply = await api.get(f"/v1/sessions/{live.call.id}/stream")
    assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
    await live.finish()
    assert (await client.rest())[-1][0] == "end"
    again = await open_stream(api, live.call.id)
    assert (await again.rest())[-1][0] == "end"


async def test_while_the_store_is_away_a_stream_waits_and_goes_on(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "RETRY_SECONDS", 0.01)
    live = Live(api)
    await live.go_on(1)
    client = await open_stream(api, live.call.id)
    await client.next()
    await client.next()
    api.store.down = True
    api.store.calls.changes.wrote([live.call.id])
    await asyncio.sleep(0.03)
    api.store.down = False
    await live.finish()
    assert (await client.rest())[-1] == ("end", {"reason": "session_ended"})


READS = ["get", "events_of", "turns_of"]


@pytest.mark.parametrize("when", ["before", "behind"])
@pytest.mark.parametrize("name", READS)
async def test_an_end_that_is_written_amidst_a_reading_is_told_whole(
    api: Any, monkeypatch: pytest.MonkeyPatch, name: str, when: str
) -> None:
    live = Live(api)
    await live.go_on(2)
    client = await open_stream(api, live.call.id)
    told = [await client.next() for _ in range(3)]
    read = getattr(api.store.calls, name)

    async def amidst(*args: Any) -> Any:
        monkeypatch.setattr(api.store.calls, name, read)
        if when == "before":
            await live.finish()
        found = await read(*args)
        await live.finish()
        return found

    monkeypatch.setattr(api.store.calls, name, amidst)
    api.store.calls.changes.wrote([live.call.id])
    told += await client.rest()
    assert [data["status"] for kind, data in told if kind == "status"] == ["active", "ended"]
    events = (await api.get(f"/v1/calls/{live.call.id}/events")).body["events"]
    assert [data["id"] for kind, data in told if kind == "event"] == [row["id"] for row in events]


@pytest.mark.parametrize("name", READS)
async def test_a_reading_that_fails_half_way_leaves_no_gap(
    api: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(feeds, "RETRY_SECONDS", 0.0)
    live = Live(api)
    await live.go_on(1)
    client = await open_stream(api, live.call.id)
    told = [await client.next() for _ in range(2)]
    read = getattr(api.store.calls, name)

    async def fails(*args: Any) -> Any:
        monkeypatch.setattr(api.store.calls, name, read)
        raise StoreUnavailable("away")

    monkeypatch.setattr(api.store.calls, name, fails)
    await live.finish()
    told += await client.rest()
    events = (await api.get(f"/v1/calls/{live.call.id}/events")).body["events"]
    assert [data["id"] for kind, data in told if kind == "event"] == [row["id"] for row in events]
    assert any(kind == "transcript" for kind, _ in told)


# --- a worker's transcript -----------------------------------------------------------------


async def test_posted_turns_are_the_transcript_everywhere(api: Any) -> None:
    call = await api.ended_call()
    path = f"/v1/sessions/{call.id}"
    agent = TURN | {"index": 1, "source": "agent", "text": "Hi!", "provider": "p", "model": "m"}
    reply = await api.post(f"{path}/turns", {"turns": [agent, TURN | {"index": 0}]})
    assert (reply.status, reply.raw) == (202, b"")
    corrected = TURN | {"index": 0, "text": "Hello", "endedAt": "2026-01-05T09:00:01Z"}
    assert (await api.post(f"{path}/turns", {"turns": [corrected]})).status == 202
    entries = (await api.get(f"{path}/transcript")).body["entries"]
    assert [(turn["index"], turn["text"]) for turn in entries] == [(0, "Hello"), (1, "Hi!")]
    assert (entries[1]["provider"], entries[1]["model"]) == ("p", "m")
    assert entries[0]["endedAt"] == "2026-01-05T09:00:01.000Z"
    detail = (await api.get(f"/v1/calls/{call.id}")).body
    report = (await api.get(f"/v1/calls/{call.id}/report")).body
    for said in (detail["transcript"], detail["report"]["transcript"], report["transcript"]):
        assert [turn["text"] for turn in said["entries"]] == ["Hello", "Hi!"]


async def test_posted_turns_reach_the_stream(api: Any) -> None:
    live = Live(api)
    await live.go_on(1)
    client = await open_stream(api, live.call.id)
    await client.next()
    await client.next()
    await api.post(f"/v1/sessions/{live.call.id}/turns", {"turns": [TURN | {"index": 0}]})
    name, data = await client.next()
    assert (name, data["index"], data["text"]) == ("transcript", 0, "hello")
    await live.finish()
    await client.rest()


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "turns"),
        ({"turns": []}, "turns"),
        ({"turns": [TURN | {"index": i} for i in range(201)]}, "turns"),
        ({"turns": [TURN]}, "turns.0.index"),
        ({"turns": [TURN | {"index": -1}]}, "turns.0.index"),
        ({"turns": [TURN | {"index": 0, "source": "robot"}]}, "turns.0.source"),
        ({"turns": [TURN | {"index": 0, "text": ""}]}, "turns.0.text"),
        ({"turns": [TURN | {"index": 0, "text": "x" * 16385}]}, "turns.0.text"),
        ({"turns": [TURN | {"index": 0, "startedAt": "now"}]}, "turns.0.startedAt"),
    ],
)
async def test_turns_that_are_none_are_refused_by_name(api: Any, body: Any, path: str) -> None:
    call = await api.ended_call()
    reply = await api.post(f"/v1/sessions/{call.id}/turns", body)
    assert (reply.status, reply.body["code"]) == (400, "VALIDATION_ERROR")
    assert reply.body["issues"][0]["path"] == path


async def test_turns_of_an_unknown_session_are_404(api: Any) -> None:
    reply = await api.post("/v1/sessions/x/turns", {"turns": [TURN | {"index": 0}]})
    assert (reply.status, reply.body["code"]) == (404, "SESSION_NOT_FOUND")
