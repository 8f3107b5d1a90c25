"""Knowledge bases and their documents, as the official client fills them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.interop.official.agents import made
from tests.interop.official.kit import World

TEXT = b"# Hours\n\nWe are open from nine to five.\n"


async def a_document_becomes_ready(world: World) -> None:
    agent = await made(world)
    base = await world.call(
        "knowledge_bases.create", {"agent_id": agent.id, "name": "FAQ", "description": None}
    )
    assert (base.name, base.agent_id, base.description) == ("FAQ", agent.id, None)
    assert (base.document_count, base.chunk_count) == (0, 0)
    assert await world.call("knowledge_bases.get", base.id) == base
    assert base in await world.call("knowledge_bases.list", agent_id=agent.id)
    assert base in await world.call("knowledge_bases.list")

    # In one go, as the client does it ...
    sent = await world.call(
        "knowledge_bases.upload_document",
        base.id,
        {
            "filename": "faq é.md",
            "content_type": "text/markdown",
            "data": TEXT,
            "metadata": {"by": "us"},
        },
    )
    assert sent.status in ("processing", "ready")
    ready = await world.call(
        "knowledge_bases.poll_document_ready", base.id, sent.id, interval_seconds=0.05
    )
    assert (ready.status, ready.filename, ready.size_bytes) == ("ready", "faq é.md", len(TEXT))
    assert ready.chunk_count >= 1 and ready.ingested_at is not None
    assert ready.metadata == {"by": "us"}
    assert await world.call("knowledge_bases.get_document", base.id, ready.id) == ready

    # ... and step by step.
    registered = await world.call(
        "knowledge_bases.create_document",
        base.id,
        {"filename": "b.txt", "content_type": "text/plain", "size_bytes": 5},
    )
    upload = registered.upload
    assert (registered.document.status, upload.method) == ("pending", "PUT")
    assert upload.expires_in_seconds == 600
    assert upload.url.startswith(world.service.api.base)
    early = await world.call.fails(
        "knowledge_bases.finalize_document", base.id, registered.document.id
    )
    assert 400 <= early.status < 500
    put = await asyncio.to_thread(_put, upload, b"hello")
    assert put.status_code < 300
    done = await world.call("knowledge_bases.finalize_document", base.id, registered.document.id)
    assert done.status in ("processing", "ready")
    await world.call("knowledge_bases.poll_document_ready", base.id, done.id, interval_seconds=0.05)
    rows = await world.call("knowledge_bases.list_documents", base.id)
    assert {row.id: row.status for row in rows} == {ready.id: "ready", done.id: "ready"}
    full = await world.call("knowledge_bases.get", base.id)
    assert full.document_count == 2
    assert full.chunk_count == sum(row.chunk_count for row in rows)

    assert await world.call("knowledge_bases.delete_document", base.id, done.id) is True
    for gone in (done.id, "a/b"):
        await world.call.not_found("knowledge_bases.get_document", base.id, gone)
        await world.call.not_found("knowledge_bases.finalize_document", base.id, gone)
        await world.call.not_found("knowledge_bases.delete_document", base.id, gone)
    assert await world.call("knowledge_bases.delete", base.id) is True
    for gone in (base.id, "a/b"):
        await world.call.not_found("knowledge_bases.get", gone)
        await world.call.not_found("knowledge_bases.delete", gone)
        await world.call.not_found("knowledge_bases.list_documents", gone)


def _put(upload: Any, data: bytes) -> httpx.Response:
    """With what the server said, and no key."""
    return httpx.put(upload.url, content=data, headers=upload.headers)


async def an_agent_has_a_base_from_the_start(world: World) -> None:
    agent, _ = await made(world), await made(world)
    (base,) = await world.call("knowledge_bases.list", agent_id=agent.id)
    assert (base.name, base.agent_id) == ("Default", agent.id)
    assert await world.call("knowledge_bases.list", agent_id="nobody") == []
    assert await world.call("agents.delete", agent.id) is True
    await world.call.not_found("knowledge_bases.get", base.id)


async def what_cannot_be_kept_is_refused(world: World) -> None:
    agent = await made(world)
    plain = {"agent_id": agent.id, "name": "FAQ"}
    await world.call.not_found("knowledge_bases.create", {**plain, "agent_id": "agent/nobody"})
    await world.call.refuses("name", "knowledge_bases.create", {**plain, "name": "x" * 121})
    base = await world.call("knowledge_bases.create", plain)
    document = {"filename": "a.txt", "content_type": "text/plain", "size_bytes": 1}
    for wrong in ({"filename": ""}, {"size_bytes": -1}, {"content_type": "image/png"}):
        (name,) = wrong
        camel = {"filename": "filename", "size_bytes": "sizeBytes", "content_type": "contentType"}
        await world.call.refuses(
            camel[name], "knowledge_bases.create_document", base.id, {**document, **wrong}
        )
    broken = await world.call(
        "knowledge_bases.upload_document",
        base.id,
        {"filename": "a.pdf", "content_type": "application/pdf", "data": b"%PDF-no"},
    )
    error = await world.call.fails(
        "knowledge_bases.poll_document_ready", base.id, broken.id, interval_seconds=0.05
    )
    assert (error.status, error.code) == (500, "DOCUMENT_INGEST_FAILED")
    row = await world.call("knowledge_bases.get_document", base.id, broken.id)
    assert (row.status, row.error_message) == ("failed", error.message)
