"""Knowledge bases and documents (contract section 8)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from telephony.accounts.knowledge import (
    MAX_METADATA,
    MAX_UPLOAD,
    Document,
    KnowledgeBase,
    Passage,
    form_of,
)
from telephony.api.wire.base import Body, Camel, Int, Query, stamp
from telephony.base.clock import iso

UPLOAD_SECONDS = 600


def _readable(content_type: str) -> str:
    form_of(content_type)
    # It comes back as a header that the client is to send.
    if not content_type.isascii() or not content_type.isprintable():
        raise ValueError("must be one line of ASCII")
    return content_type


def _small(metadata: dict[str, Any] | None) -> dict[str, Any] | None:
    if metadata is not None and len(json.dumps(metadata)) > MAX_METADATA:
        raise ValueError(f"must have at most {MAX_METADATA} characters as JSON")
    return metadata


class BaseCreate(Body):
    agent_id: Annotated[str, Field(min_length=1, max_length=200)]
    name: Annotated[str, Field(min_length=1, max_length=120)]
    description: Annotated[str | None, Field(max_length=2000)] = None


class BaseQuery(Query):
    agent_id: Annotated[str | None, Field(alias="agentId", max_length=200)] = None


class SearchQuery(Query):
    """``query``: a question, or words of it."""

    query: Annotated[str, Field(min_length=1, max_length=1000)]
    limit: Annotated[int, Field(ge=1, le=20)] = 5


class DocumentCreate(Body):
    """``contentType`` also takes HTML, PDF and .docx, our own addition."""

    filename: Annotated[str, Field(min_length=1, max_length=512)]
    content_type: Annotated[str, Field(max_length=120), AfterValidator(_readable)]
    size_bytes: Annotated[Int, Field(ge=0, le=MAX_UPLOAD)]
    metadata: Annotated[dict[str, Any] | None, AfterValidator(_small)] = None

    def row(self, organization: str, base: str, now: datetime) -> Document:
        """Its id is made where it is kept."""
        return Document(
            id="",
            organization=organization,
            base=base,
            filename=self.filename,
            content_type=self.content_type,
            size=self.size_bytes,
            metadata=self.metadata,
            created_at=now,
            updated_at=now,
        )


class BaseRow(Camel):
    """``embeddingModel`` says how it is searched: by its words."""

    id: str
    organization_id: str
    agent_id: str
    name: str
    description: str | None
    embedding_model: str = "full-text"
    document_count: int
    chunk_count: int
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, base: KnowledgeBase) -> BaseRow:
        return cls(
            id=base.id,
            organization_id=base.organization,
            agent_id=base.agent,
            name=base.name,
            description=base.description,
            document_count=base.documents,
            chunk_count=base.chunks,
            created_at=iso(base.created_at),
            updated_at=iso(base.updated_at),
        )


class DocumentRow(Camel):
    id: str
    knowledge_base_id: str
    filename: str
    content_type: str
    size_bytes: int
    status: Literal["pending", "processing", "ready", "failed"]
    error_message: str | None
    chunk_count: int
    metadata: dict[str, Any] | None
    created_at: str
    updated_at: str
    ingested_at: str | None

    @classmethod
    def of(cls, document: Document) -> DocumentRow:
        return cls(
            id=document.id,
            knowledge_base_id=document.base,
            filename=document.filename,
            content_type=document.content_type,
            size_bytes=document.size,
            status=document.status.value,
            error_message=document.error,
            chunk_count=document.chunks,
            metadata=document.metadata,
            created_at=iso(document.created_at),
            updated_at=iso(document.updated_at),
            ingested_at=stamp(document.ingested_at),
        )


class PassageRow(Camel):
    """A piece of a document, and the headings it stands under."""

    document_id: str
    filename: str
    heading: str
    text: str


class Passages(Camel):
    passages: list[PassageRow]

    @classmethod
    def of(cls, found: Sequence[Passage]) -> Passages:
        rows = [
            PassageRow(document_id=p.document, filename=p.filename, heading=p.heading, text=p.text)
            for p in found
        ]
        return cls(passages=rows)


class Upload(Camel):
    """Where to PUT the bytes, with exactly these headers and no key."""

    url: str
    method: Literal["PUT"] = "PUT"
    headers: dict[str, str]
    expires_in_seconds: int = UPLOAD_SECONDS


class DocumentMade(Camel):
    document: DocumentRow
    upload: Upload


class Uploaded(Camel):
    """The bytes are there; finalize is next."""

    uploaded: bool = True
