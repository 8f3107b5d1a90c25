"""Calls that are over and calls that live: recordings, end, pages, callbacks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import pytest

from telephony.accounts.model import DEFAULT_ORGANIZATION
from telephony.calls.events import RecordingReady, RecordingStarted
from telephony.calls.orders import EndResult


async def test_a_recording_is_a_url_that_needs_no_key(api: Any) -> None:
    call = await api.ended_call(recorded=True)
    reply = await api.get(f"/v1/calls/{call.id}/recording")
    assert reply.status == 200
    url = reply.body["url"]
    assert url.startswith(api.base + "/")
    whole = await api.get(url, key=None)
    assert whole.status == 200
    assert whole.headers["Content-Type"] == "audio/wav"
    assert whole.raw.startswith(b"RIFF")
    part = await api.get(url, key=None, headers={"Range": "bytes=4-7"})
    assert (part.status, part.raw) == (206, whole.raw[4:8])
    head = await api.ask("HEAD", url, key=None)
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(whole.raw)))
    beyond = await api.get(url, key=None, headers={"Range": "bytes=99999-"})
    assert beyond.status == 416


async def test_the_session_recording_redirects_with_no_body(api: Any) -> None:
    call = await api.ended_call(recorded=True)
    reply = await api.get(f"/v1/sessions/{call.id}/recording")
    assert (reply.status, reply.raw) == (302, b"")
    assert (await api.get(reply.headers["Location"], key=None)).status == 200


async def test_a_signed_url_lives_five_minutes_and_cannot_be_bent(api: Any) -> None:
    call = await api.ended_call(recorded=True)
    url = (await api.get(f"/v1/calls/{call.id}/recording")).body["url"]
    token = url.rpartition("/")[2]
    body, _, mac = token.partition(".")
    last = "A" if mac[-1] != "A" else "B"
    for bent in (token[:-1] + last, token + "x", body, f"x{token}", f".{mac}", "a" * 5000):
        reply = await api.get(f"/files/{bent}", key=None)
        assert (reply.status, reply.body["code"]) == (404, "RECORDING_NOT_AVAILABLE")
    api.clock.advance(299)
    assert (await api.get(url, key=None)).status == 200
    api.clock.advance(1)
    assert (await api.get(url, key=None)).status == 404


async def test_a_message_has_a_url_too(api: Any) -> None:
    call = await api.ended_call(recorded=True)
    report = (await api.get(f"/v1/calls/{call.id}/report")).body
    (message,) = report["artifacts"]["messages"]
    assert (await api.get(message["url"], key=None)).raw == b"RIFFmessage"


async def test_the_url_is_the_one_the_world_knows(start: Any) -> None:
    api = await start(public_url="https://phone.example/base/")
    call = await api.ended_call(recorded=True)
    url = (await api.get(f"/v1/calls/{call.id}/recording")).body["url"]
    assert url.startswith("https://phone.example/base/files/")


async def test_a_forwarded_host_is_believed_from_a_proxy_of_ours_only(start: Any) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "phone.example"}
    for proxies, prefix in (((), "http://127.0.0.1"), ((ip_network("127.0.0.1"),), "https://pho")):
        api = await start(trusted_proxies=proxies)
        call = await api.ended_call(recorded=True)
        reply = await api.get(f"/v1/calls/{call.id}/recording", headers=headers)
        assert reply.body["url"].startswith(prefix)


@pytest.mark.parametrize("what", ["none", "pending", "gone", "outside"])
async def test_a_recording_that_is_not_there_is_404(api: Any, what: str, tmp_path: Any) -> None:
    call, events = api.a_call()
    outside = tmp_path / "secret.wav"
    outside.write_bytes(b"x")
    path = str(outside if what == "outside" else api.recordings / "gone.wav")
    leg, at = f"phone-{call.id}", api.clock.now()
    if what != "none":
        events.append(RecordingStarted(at=at, leg=leg, recording=call.id, kind="call", path=path))
    if what in ("gone", "outside"):
        events.append(
            RecordingReady(
                at=at, leg=leg, recording=call.id, kind="call", path=path, duration_ms=1, size=1
            )
        )
    await api.keep(call, events)
    for noun in ("calls", "sessions"):
        reply = await api.get(f"/v1/{noun}/{call.id}/recording")
        assert (reply.status, reply.body["code"]) == (404, "RECORDING_NOT_AVAILABLE")


async def test_end_says_which_it_was(api: Any) -> None:
    at = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
    api.board.ends = {
        (DEFAULT_ORGANIZATION, "live"): EndResult("ending"),
        (DEFAULT_ORGANIZATION, "over"): EndResult("already_ended", at),
    }
    assert (await api.post("/v1/calls/live/end")).body == {"ok": True, "status": "ending"}
    assert (await api.post("/v1/calls/over/end")).body == {
        "ok": True,
        "status": "already_ended",
        "ended_at": "2026-01-05T09:00:00.000Z",
    }
    reply = await api.post("/v1/calls/none/end")
    assert (reply.status, reply.body["code"]) == (404, "SESSION_NOT_FOUND")


async def test_a_report_is_404_until_there_is_one(api: Any) -> None:
    call = await api.keep(*api.a_call())
    assert (await api.get(f"/v1/calls/{call.id}/report")).status == 404


async def test_a_live_call_has_its_transcript_so_far(api: Any) -> None:
    call = await api.keep(*api.a_call())
    entries = (await api.get(f"/v1/sessions/{call.id}/transcript")).body["entries"]
    assert entries[0]["text"] == "Welcome."
    assert entries[0]["source"] == "agent"


# --- pages ---------------------------------------------------------------------------------


async def test_the_list_is_walked_by_cursor(api: Any) -> None:
    made = []
    for _ in range(5):
        made.append((await api.ended_call()).id)
    seen, cursor = [], ""
    while True:
        page = (await api.get(f"/v1/sessions?limit=2{cursor}")).body
        seen += [entry["sessionId"] for entry in page["entries"]]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert seen == made[::-1]


async def test_filters_are_anded_and_empty_ones_are_none(api: Any) -> None:
    call = await api.ended_call()
    live, events = api.a_call()
    await api.keep(replace(live, agent="agent_1"), events)

    async def found(query: str) -> list[str]:
        reply = await api.get(f"/v1/sessions?{query}")
        assert reply.status == 200, reply.body
        return [entry["sessionId"] for entry in reply.body["entries"]]

    assert await found("status=ended") == [call.id]
    assert await found("status=active&agent=agent_1") == [live.id]
    assert await found("status=active&agent=agent_2") == []
    assert len(await found("status=&cursor=&agent=&limit=&unknown=1")) == 2
    assert await found("kind=s2s") == []
    start = live.created_at.isoformat().replace("+", "%2B")
    assert await found(f"from={start}") == [live.id]
    assert await found(f"to={start}") == [call.id]
    assert await found(f"from={start.replace('%2B', '+')}") == [live.id]


@pytest.mark.parametrize(
    ("query", "path"),
    [("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("from=x", "from"),
     ("to=2026-13-01", "to"), ("cursor=%00", "cursor"), ("status=%00", "status"),
     ("cursor=zzz", "cursor")],
)  # fmt: skip
async def test_a_bad_query_is_named(api: Any, query: str, path: str) -> None:
    reply = await api.get(f"/v1/sessions?{query}")
    assert (reply.status, reply.body["code"]) == (400, "VALIDATION_ERROR")
    assert path in reply.body["error"]


# --- callbacks -----------------------------------------------------------------------------


async def test_callbacks_are_filtered(api: Any) -> None:
    for to, source in (("+12025550123", "s1"), ("+12025550124", "s2")):
        reply = await api.post(
            "/v1/callbacks",
            {"to": to, "sourceSessionId": source, "dialplan": "front-desk", "reason": "r"},
        )
        assert reply.status == 201

    async def found(query: str) -> list[str]:
        reply = await api.get(f"/v1/callbacks?{query}")
        return sorted(row["to_number"] for row in reply.body["callbacks"])

    assert await found("") == ["+12025550123", "+12025550124"]
    assert await found("source_session_id=s2") == ["+12025550124"]
    assert await found("status=cancelled") == []
    assert len(await found("status=scheduled&limit=1")) == 1


async def test_a_callback_is_due_when_it_is_said(api: Any) -> None:
    body = {"to": "+12025550123", "scheduledAt": "2026-02-01T10:00:00+01:00"}
    row = (await api.post("/v1/callbacks", body)).body
    assert row["scheduled_at"] == "2026-02-01T09:00:00.000Z"
    row = (await api.post("/v1/callbacks", {"to": "+12025550123"})).body
    assert row["scheduled_at"] == "2026-01-05T09:00:00.000Z"


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({}, 400, "to"),
        ({"to": "x"}, 400, "to"),
        ({"to": "+12025550123", "scheduledAt": "tomorrow"}, 400, "scheduledAt"),
        ({"to": "+12025550123", "dialplan": "nope"}, 400, "dialplan"),
        ({"to": "+12025550123", "reason": "x" * 501}, 400, "reason"),
        ({"to": "+12025550123", "delaySeconds": -1}, 400, "delaySeconds"),
        ({"to": "+12025550123", "agentId": "agent_x"}, 404, None),
    ],
)
async def test_a_wrong_callback_is_named(
    api: Any, body: dict[str, Any], status: int, path: str | None
) -> None:
    reply = await api.post("/v1/callbacks", body)
    assert reply.status == status
    if path is not None:
        assert path in [issue["path"] for issue in reply.body["issues"]]
    assert (await api.get("/v1/callbacks")).body == {"callbacks": []}


@pytest.mark.parametrize("query", ["status=done", "limit=0", "limit=101"])
async def test_a_wrong_callback_query_is_400(api: Any, query: str) -> None:
    assert (await api.get(f"/v1/callbacks?{query}")).status == 400
