"""Knowledge bases, their documents, and the uploads that need no key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from telephony.accounts.knowledge import MAX_UPLOAD
from telephony.api.body import read_object
from telephony.api.checks import known_agent
from telephony.api.peer import base_url
from telephony.api.routes import Ask, Route
from telephony.api.signing import Signer, UploadGrant
from telephony.api.wire.base import Deleted, parse, parse_query, render, render_all
from telephony.api.wire.knowledge import (
    UPLOAD_SECONDS,
    BaseCreate,
    BaseQuery,
    BaseRow,
    DocumentCreate,
    DocumentMade,
    DocumentRow,
    Passages,
    SearchQuery,
    Upload,
    Uploaded,
)
from telephony.base.errors import BadInput, Refused

SILENCE_SECONDS = 20.0
"""Without another byte of an upload …"""
WHOLE_SECONDS = 300.0
"""… and for all of it: 25 MiB at 700 kbit/s."""
PIECE = 256 * 1024


async def every(ask: Ask) -> web.StreamResponse:
    """GET /v1/knowledge-bases."""
    query = parse_query(BaseQuery, ask.request)
    found = await ask.deps.library.bases(ask.organization, query.agent_id)
    return render_all([BaseRow.of(base) for base in found])


async def add(ask: Ask) -> web.StreamResponse:
    """POST /v1/knowledge-bases."""
    body = parse(BaseCreate, await read_object(ask.request))
    known_agent(ask.deps, ask.organization, body.agent_id)
    base = await ask.deps.library.add_base(
        ask.organization, body.agent_id, body.name, body.description
    )
    return render(BaseRow.of(base))


async def get(ask: Ask) -> web.StreamResponse:
    """GET /v1/knowledge-bases/{id}."""
    return render(BaseRow.of(await ask.deps.library.base(ask.organization, ask.params["id"])))


async def remove(ask: Ask) -> web.StreamResponse:
    """DELETE /v1/knowledge-bases/{id}."""
    await ask.deps.library.remove_base(ask.organization, ask.params["id"])
    return render(Deleted())


async def every_document(ask: Ask) -> web.StreamResponse:
    """GET /v1/knowledge-bases/{id}/documents."""
    found = await ask.deps.library.documents(ask.organization, ask.params["id"])
    return render_all([DocumentRow.of(document) for document in found])


async def add_document(ask: Ask) -> web.StreamResponse:
    """POST /v1/knowledge-bases/{id}/documents: a row, and where its bytes go."""
    deps = ask.deps
    # First of all: who may not see the base learns nothing of what a document is made of.
    await deps.library.base(ask.organization, ask.params["id"])
    body = parse(DocumentCreate, await read_object(ask.request))
    now = deps.clock.now()
    document = await deps.library.add_document(body.row(ask.organization, ask.params["id"], now))
    expires = now + timedelta(seconds=UPLOAD_SECONDS)
    grant = UploadGrant(ask.organization, document.base, document.id, expires)
    url = f"{base_url(ask.request, deps)}/uploads/{Signer(deps.secret_key).sign_upload(grant)}"
    upload = Upload(url=url, headers={"Content-Type": document.content_type})
    return render(DocumentMade(document=DocumentRow.of(document), upload=upload))


async def get_document(ask: Ask) -> web.StreamResponse:
    """GET /v1/knowledge-bases/{id}/documents/{document}."""
    found = await ask.deps.library.document(
        ask.organization, ask.params["id"], ask.params["document"]
    )
    return render(DocumentRow.of(found))


async def finalize(ask: Ask) -> web.StreamResponse:
    """POST /v1/knowledge-bases/{id}/documents/{document}/finalize."""
    await read_object(ask.request)
    found = await ask.deps.library.finalize(
        ask.organization, ask.params["id"], ask.params["document"]
    )
    return render(DocumentRow.of(found))


async def remove_document(ask: Ask) -> web.StreamResponse:
    """DELETE /v1/knowledge-bases/{id}/documents/{document}."""
    await ask.deps.library.remove_document(
        ask.organization, ask.params["id"], ask.params["document"]
    )
    return render(Deleted())


async def search(ask: Ask) -> web.StreamResponse:
    """GET /v1/agents/{id}/knowledge, our own: what the builtin search_knowledge_base finds."""
    agent = ask.params["id"]
    known_agent(ask.deps, ask.organization, agent)
    query = parse_query(SearchQuery, ask.request)
    found = await ask.deps.library.search(ask.organization, agent, query.query, query.limit)
    return render(Passages.of(found))


async def put(ask: Ask) -> web.StreamResponse:
    """PUT /uploads/{token}: a document's bytes."""
    deps, request = ask.deps, ask.request
    grant = Signer(deps.secret_key).open_upload(ask.params["token"], deps.clock.now())
    if grant is None:
        raise Refused("this upload URL is not ours or has expired", code="UPLOAD_URL_INVALID")
    length = request.content_length
    if length is None:
        raise BadInput("an upload must say its Content-Length", code="LENGTH_REQUIRED")
    if length > MAX_UPLOAD:
        raise BadInput(f"the body is larger than {MAX_UPLOAD} bytes", code="BODY_TOO_LARGE")
    document = await deps.library.document(grant.organization, grant.base, grant.document)
    await deps.library.receive(document, _arriving(request))
    return render(Uploaded())


async def _arriving(request: web.Request) -> AsyncIterator[bytes]:
    """The body in pieces. Raises BadInput where it is broken, or too slow."""
    loop = asyncio.get_running_loop()
    end = loop.time() + WHOLE_SECONDS
    try:
        while True:
            async with asyncio.timeout_at(min(loop.time() + SILENCE_SECONDS, end)):
                data = await request.content.read(PIECE)
            if not data:
                return
            yield data
    except TimeoutError:
        raise BadInput("the body did not arrive in time", code="REQUEST_TIMEOUT") from None
    except (web.RequestPayloadError, HttpProcessingError):
        raise BadInput("the body cannot be read: broken encoding or length") from None


_BASES = "/v1/knowledge-bases"
_DOCUMENTS = f"{_BASES}/{{id}}/documents"
_DOCUMENT = f"{_DOCUMENTS}/{{document}}"


def routes() -> list[Route]:
    return [
        Route("GET", _BASES, every, query=BaseQuery, reply=BaseRow, many=True),
        Route("POST", _BASES, add, body=BaseCreate, reply=BaseRow, problems=(404, 409)),
        Route("GET", f"{_BASES}/{{id}}", get, reply=BaseRow),
        Route("DELETE", f"{_BASES}/{{id}}", remove, reply=Deleted),
        Route("GET", _DOCUMENTS, every_document, reply=DocumentRow, many=True),
        Route(
            "POST",
            _DOCUMENTS,
            add_document,
            body=DocumentCreate,
            reply=DocumentMade,
            problems=(409,),
        ),
        Route("GET", _DOCUMENT, get_document, reply=DocumentRow),
        Route("POST", f"{_DOCUMENT}/finalize", finalize, reply=DocumentRow, problems=(409,)),
        Route("DELETE", _DOCUMENT, remove_document, reply=Deleted),
        Route("GET", "/v1/agents/{id}/knowledge", search, query=SearchQuery, reply=Passages),
        Route("PUT", "/uploads/{token}", put, public=True),
    ]
