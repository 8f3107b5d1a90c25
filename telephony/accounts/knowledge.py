"""Knowledge bases of agents, their documents, and the pieces that a search finds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

MAX_BASES = 1000
"""In an organization; lists have no pages."""
MAX_DOCUMENTS = 1000
"""In a base."""
MAX_UPLOAD = 25 * 1024 * 1024
MAX_METADATA = 8192
"""Characters, as JSON."""
MAX_WORDS = 32
"""Of a question: more find nothing better."""
STEM = 4
"""From so many letters on a word also finds those that begin with it: "invoice", "invoices"."""


class DocumentStatus(StrEnum):
    """The contract's closed set."""

    PENDING = "pending"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class Form(StrEnum):
    """How a document is written, and so how its text is got out of it."""

    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"
    PDF = "pdf"
    DOCX = "docx"


_FORMS = {
    "text/plain": Form.TEXT,
    "text/markdown": Form.MARKDOWN,
    "text/x-markdown": Form.MARKDOWN,
    "application/x-markdown": Form.MARKDOWN,
    "text/html": Form.HTML,
    "application/xhtml+xml": Form.HTML,
    "application/pdf": Form.PDF,
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": Form.DOCX,
}


def form_of(content_type: str) -> Form:
    """The form of a content type; its parameters do not count. Raises ValueError."""
    found = _FORMS.get(content_type.partition(";")[0].strip().lower())
    if found is None:
        raise ValueError(f"must be one of {', '.join(_FORMS)}")
    return found


def words(question: str) -> tuple[str, ...]:
    """What is looked for: the first words, each once, in lower case."""
    return tuple(dict.fromkeys(re.findall(r"[^\W_]{1,64}", question.lower())))[:MAX_WORDS]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgeBase:
    """What an agent can look things up in. The counts are the store's."""

    id: str
    organization: str
    agent: str
    name: str
    description: str | None = None
    created_at: datetime
    updated_at: datetime
    documents: int = 0
    chunks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """``size`` is what its maker said; its bytes are taken only if there are so many."""

    id: str
    organization: str
    base: str
    filename: str
    content_type: str
    size: int
    status: DocumentStatus = DocumentStatus.PENDING
    error: str | None = None
    chunks: int = 0
    metadata: dict[str, Any] | None = field(default=None)
    created_at: datetime
    updated_at: datetime
    ingested_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document. ``heading``: those it stands under, the outermost first."""

    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece that was found."""

    document: str
    filename: str
    heading: str
    text: str
