"""Knowledge bases and documents over the API, and uploads that mean ill."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from telephony.accounts.knowledge import MAX_UPLOAD
from telephony.accounts.model import DEFAULT_ORGANIZATION
from telephony.agents.service import ServiceClient
from telephony.api import knowledge
from telephony.base.clock import iso
from tests.unit.knowledge.documents import bomb, pdf, word

from .conftest import FOREIGN_KEY, KEY

TEXT = b"# Hours\n\nWe are open from nine to five.\n"
MARKDOWN = "text/markdown"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.fixture
async def base(api: Any) -> str:
    await api.agent("agent_1")
    (made,) = await api.library.bases(DEFAULT_ORGANIZATION, "agent_1")
    found: str = made.id
    return found


async def a_document(api: Any, base: str, size: int, kind: str = MARKDOWN, **more: Any) -> Any:
    body = {"filename": "faq ü.md", "contentType": kind, "sizeBytes": size, **more}
    reply = await api.post(f"/v1/knowledge-bases/{base}/documents", body)
    assert reply.status == 200, reply.raw
    return reply.body


async def upload(api: Any, made: Any, raw: bytes) -> Any:
    there = made["upload"]
    return await api.ask("PUT", there["url"], raw=raw, key=None, headers=there["headers"])


def path_of(made: Any) -> str:
    row = made["document"]
    return f"/v1/knowledge-bases/{row['knowledgeBaseId']}/documents/{row['id']}"


async def ended(api: Any, made: Any) -> Any:
    """The row once it was read, and its bytes are gone: they go after the row is written."""
    async with asyncio.timeout(30):
        while True:
            row = (await api.get(path_of(made))).body
            if row["status"] in ("ready", "failed") and row["id"] not in files(api):
                return row
            await asyncio.sleep(0.02)


async def taken_in(api: Any, base: str, raw: bytes, kind: str = MARKDOWN) -> Any:
    made = await a_document(api, base, len(raw), kind)
    assert (await upload(api, made, raw)).status == 200
    assert (await api.post(f"{path_of(made)}/finalize")).body["status"] == "processing"
    return await ended(api, made)


def files(api: Any) -> list[str]:
    folder = api.recordings.parent / "knowledge"
    return sorted(path.name for path in folder.iterdir())


async def test_a_document_from_its_row_to_what_an_agent_finds(api: Any, base: str) -> None:
    made = await a_document(api, base, len(TEXT), metadata={"by": "us"})
    document = made["document"]
    now = iso(api.clock.now())
    assert document == {
        "id": document["id"], "knowledgeBaseId": base, "filename": "faq ü.md",
        "contentType": MARKDOWN, "sizeBytes": len(TEXT), "status": "pending",
        "errorMessage": None, "chunkCount": 0, "metadata": {"by": "us"}, "createdAt": now,
        "updatedAt": now, "ingestedAt": None,
    }  # fmt: skip
    there = made["upload"]
    assert there["url"].startswith(f"{api.base}/uploads/")
    assert {**there, "url": ""} == {
        "url": "", "method": "PUT", "headers": {"Content-Type": MARKDOWN},
        "expiresInSeconds": 600,
    }  # fmt: skip
    early = await api.post(f"{path_of(made)}/finalize")
    assert (early.status, early.body["code"]) == (409, "CONFLICT")
    assert (await upload(api, made, TEXT)).body == {"uploaded": True}
    # The whole again before it is finalized: somebody's connection broke before the answer.
    assert (await upload(api, made, TEXT)).status == 200
    assert files(api) == [document["id"]]
    assert (await api.post(f"{path_of(made)}/finalize")).body["status"] == "processing"
    row = await ended(api, made)
    assert (row["status"], row["chunkCount"], row["ingestedAt"]) == ("ready", 1, now)
    # Once it was read its bytes are nobody's business.
    assert files(api) == []
    again = await api.post(f"{path_of(made)}/finalize", raw=b"")
    assert (again.status, again.body) == (200, row)
    late = await upload(api, made, TEXT)
    assert (late.status, late.body["code"]) == (409, "CONFLICT")
    assert files(api) == []
    assert (await api.get(f"/v1/knowledge-bases/{base}/documents")).body == [row]
    full = (await api.get(f"/v1/knowledge-bases/{base}")).body
    assert full == {
        "id": base, "organizationId": DEFAULT_ORGANIZATION, "agentId": "agent_1",
        "name": "Default", "description": None, "embeddingModel": "full-text",
        "documentCount": 1, "chunkCount": 1, "createdAt": now, "updatedAt": now,
    }  # fmt: skip
    (found,) = await api.library.search(DEFAULT_ORGANIZATION, "agent_1", "When are you open?")
    assert (found.heading, found.text) == ("Hours", "We are open from nine to five.")
    asked = "/v1/agents/agent_1/knowledge?query=When+are+you+open%3F"
    assert (await api.get(asked)).body == {
        "passages": [
            {"documentId": document["id"], "filename": "faq ü.md", "heading": "Hours",
             "text": "We are open from nine to five."}
        ]
    }  # fmt: skip
    async with ServiceClient(api.base, KEY, "s", attempts=1) as worker:
        assert await worker.look_up("agent_1", "When are you open?") == found.text
        assert await worker.look_up("agent_1", "shut") == ""
    assert (await api.get(asked, key=FOREIGN_KEY)).status == 404
    assert (await api.get("/v1/agents/agent_1/knowledge?query=shut")).body == {"passages": []}
    assert (await api.ask("DELETE", path_of(made))).body == {"deleted": True}
    assert (await api.ask("DELETE", path_of(made))).status == 404
    assert await api.library.search(DEFAULT_ORGANIZATION, "agent_1", "open") == []


async def test_bases_by_agent_until_they_are_deleted(api: Any, base: str) -> None:
    api.clock.advance(1)
    other = await api.library.add_base(DEFAULT_ORGANIZATION, "agent_2", "FAQ", "Questions")
    rows = (await api.get("/v1/knowledge-bases?agentId=")).body
    assert [row["id"] for row in rows] == [base, other.id]
    (row,) = (await api.get("/v1/knowledge-bases?agentId=agent_2")).body
    assert (row["id"], row["description"]) == (other.id, "Questions")
    assert (await api.get("/v1/knowledge-bases?agentId=nobody")).body == []
    made = await a_document(api, base, len(TEXT))
    await upload(api, made, TEXT)
    foreign = await api.ask("DELETE", f"/v1/knowledge-bases/{base}", key=FOREIGN_KEY)
    assert (foreign.status, files(api)) == (404, [made["document"]["id"]])
    assert (await api.ask("DELETE", f"/v1/knowledge-bases/{base}")).body == {"deleted": True}
    assert files(api) == []
    assert (await api.get(path_of(made))).status == 404
    assert (await upload(api, made, TEXT)).status == 404
    assert files(api) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "query"), ("query=", "query"), ("query=" + "x" * 1001, "query"),
        ("query=x&limit=0", "limit"), ("query=x&limit=21", "limit"),
    ],
)  # fmt: skip
async def test_a_question_has_bounds(api: Any, base: str, query: str, field: str) -> None:
    reply = await api.get(f"/v1/agents/agent_1/knowledge?{query}")
    assert (reply.status, reply.body["issues"][0]["path"]) == (400, field)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("agentId", None), ("agentId", ""), ("agentId", 7), ("name", ""), ("name", "x" * 121),
        ("description", "x" * 2001),
    ],
)  # fmt: skip
async def test_a_base_has_bounds(api: Any, field: str, wrong: Any) -> None:
    body = {"agentId": "agent_1", "name": "x" * 120, "description": "x" * 2000}
    reply = await api.post("/v1/knowledge-bases", body | {field: wrong})
    assert (reply.status, reply.body["issues"][0]["path"]) == (400, field)
    # All else is right, and the agent is not there.
    assert (await api.post("/v1/knowledge-bases", body)).status == 404


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("filename", ""), ("filename", "x" * 513), ("contentType", "image/png"),
        ("contentType", f"{MARKDOWN};{'x' * 120}"), ("contentType", f"{MARKDOWN};\r\nX: y"),
        ("contentType", None), ("sizeBytes", -1), ("sizeBytes", MAX_UPLOAD + 1),
        ("sizeBytes", "1"), ("sizeBytes", 1.5), ("metadata", {"x": "y" * 8192}),
        ("metadata", []),
    ],
)  # fmt: skip
async def test_a_document_has_bounds(api: Any, base: str, field: str, wrong: Any) -> None:
    body = {"filename": "x" * 512, "contentType": MARKDOWN, "sizeBytes": MAX_UPLOAD, "metadata": {}}
    path = f"/v1/knowledge-bases/{base}/documents"
    assert (await api.post(path, body)).status == 200
    reply = await api.post(path, body | {field: wrong})
    assert (reply.status, reply.body["issues"][0]["path"]) == (400, field)


@pytest.mark.parametrize(
    ("kind", "raw", "why"),
    [
        (DOCX, bomb(), "unpacks to more"),
        ("application/pdf", pdf("Hello")[:200], "no PDF"),
        (MARKDOWN, b"", "no text"),
    ],
)
async def test_what_cannot_be_read_fails_and_says_why(
    api: Any, base: str, kind: str, raw: bytes, why: str
) -> None:
    row = await taken_in(api, base, raw, kind)
    assert (row["status"], row["chunkCount"], row["ingestedAt"]) == ("failed", 0, None)
    assert why in row["errorMessage"]
    assert files(api) == []
    # What comes after it is read all the same.
    assert (await taken_in(api, base, word("Open"), DOCX))["status"] == "ready"


async def test_an_upload_is_what_was_announced(api: Any, base: str) -> None:
    made = await a_document(api, base, 10)
    for raw in (b"x" * 9, b"x" * 11, b""):
        reply = await upload(api, made, raw)
        assert (reply.status, reply.body["code"]) == (400, "VALIDATION_ERROR")
        assert "sizeBytes" in reply.body["error"]
    assert files(api) == []
    assert (await upload(api, made, b"x" * 10)).status == 200


async def test_an_upload_url_is_good_for_one_document_and_ten_minutes(api: Any, base: str) -> None:
    made = await a_document(api, base, 1)
    url = made["upload"]["url"]
    token = url.rsplit("/", 1)[1]
    forged = (
        "x",
        token[:-1] + ("a" if token[-1] != "a" else "b"),
        "a" + token,
        "",
        "%C3%A9",
        "%00",
    )
    for wrong in forged:
        reply = await api.ask("PUT", f"/uploads/{wrong}", raw=b"x", key=None)
        assert reply.status in (403, 404), wrong
        assert isinstance(reply.body["error"], str)
    # It is no key to anything else, and a recording's token is none to this.
    assert (await api.get(f"/files/{token}", key=None)).status == 404
    call = await api.ended_call(recorded=True)
    recording = (await api.get(f"/v1/calls/{call.id}/recording")).body["url"].rsplit("/", 1)[1]
    reply = await api.ask("PUT", f"/uploads/{recording}", raw=b"x", key=None)
    assert (reply.status, reply.body["code"]) == (403, "UPLOAD_URL_INVALID")
    made = await a_document(api, base, 1)
    api.clock.advance(599)
    assert (await upload(api, made, b"x")).status == 200
    api.clock.advance(1)
    reply = await upload(api, made, b"x")
    assert (reply.status, reply.body["code"]) == (403, "UPLOAD_URL_INVALID")


def head(made: Any, *lines: str) -> bytes:
    path = made["upload"]["url"].split("/", 3)[3]
    return "\r\n".join([f"PUT /{path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


async def test_too_large_is_413_before_it_is_read(api: Any, base: str) -> None:
    made = await a_document(api, base, 1)
    close = "Connection: close"
    answer = await api.bytes(head(made, f"Content-Length: {26 * 1024 * 1024}", close))
    assert b" 413 " in answer and b'"BODY_TOO_LARGE"' in answer
    expect = "Expect: 100-continue"
    answer = await api.bytes(head(made, expect, f"Content-Length: {MAX_UPLOAD + 1}", close))
    assert answer.startswith(b"HTTP/1.1 413 ")
    chunked = head(made, "Transfer-Encoding: chunked", close) + b"1\r\nx\r\n0\r\n\r\n"
    answer = await api.bytes(chunked)
    assert b" 411 " in answer and b'"LENGTH_REQUIRED"' in answer
    whole = b"x" * (26 * 1024 * 1024)
    assert (await upload(api, made, whole)).status == 413
    assert files(api) == []


async def test_the_largest_document_is_taken(api: Any, base: str) -> None:
    made = await a_document(api, base, MAX_UPLOAD)
    assert (await upload(api, made, b"\n" * MAX_UPLOAD)).status == 200
    assert files(api) == [made["document"]["id"]]


async def test_too_slow_is_408_and_leaves_nothing(
    api: Any, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knowledge, "SILENCE_SECONDS", 0.1)
    made = await a_document(api, base, 10)
    answer = await api.bytes(head(made, "Content-Length: 10", "Connection: close") + b"four")
    assert b" 408 " in answer and b'"REQUEST_TIMEOUT"' in answer
    assert files(api) == []


async def test_who_hangs_up_leaves_nothing(api: Any, base: str) -> None:
    made = await a_document(api, base, 10)
    _, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(head(made, "Content-Length: 10") + b"four")
    await writer.drain()
    async with asyncio.timeout(5):
        while not files(api):
            await asyncio.sleep(0.01)
        writer.close()
        while files(api):
            await asyncio.sleep(0.01)
    assert (await api.get(path_of(made))).body["status"] == "pending"


async def test_a_body_that_is_packed_does_not_burst(api: Any, base: str) -> None:
    import gzip

    made = await a_document(api, base, 10)
    packed = gzip.compress(b"x" * 50_000_000)
    headers = {"Content-Encoding": "gzip"}
    reply = await api.ask("PUT", made["upload"]["url"], raw=packed, key=None, headers=headers)
    assert reply.status == 400
    assert files(api) == []
