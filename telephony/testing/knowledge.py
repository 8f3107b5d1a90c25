"""Knowledge bases in memory, held to the same tests as the database's."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from telephony.accounts.knowledge import (
    MAX_BASES,
    MAX_DOCUMENTS,
    STEM,
    Chunk,
    Document,
    DocumentStatus,
    KnowledgeBase,
    Passage,
)
from telephony.base.errors import Conflict, NotFound


class MemoryKnowledge:
    """``KnowledgeStore``. ``check`` raises while the store is away."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self.base_rows: dict[str, KnowledgeBase] = {}
        self.document_rows: dict[str, Document] = {}
        self.chunk_rows: dict[str, tuple[Chunk, ...]] = {}

    async def bases(self, organization: str, agent: str | None = None) -> list[KnowledgeBase]:
        self._check()
        found = [
            self._counted(row)
            for row in self.base_rows.values()
            if row.organization == organization and agent in (None, row.agent)
        ]
        return sorted(found, key=lambda row: (row.created_at, row.id))

    async def base(self, organization: str, base: str) -> KnowledgeBase | None:
        return next((row for row in await self.bases(organization) if row.id == base), None)

    async def add_base(self, base: KnowledgeBase) -> None:
        if len(await self.bases(base.organization)) >= MAX_BASES:
            raise Conflict(f"there are {MAX_BASES} knowledge bases already")
        self.base_rows[base.id] = base

    async def remove_base(self, organization: str, base: str) -> bool:
        if await self.base(organization, base) is None:
            return False
        del self.base_rows[base]
        for row in [row for row in self.document_rows.values() if row.base == base]:
            self._forget(row.id)
        return True

    async def documents(self, organization: str, base: str) -> list[Document]:
        self._check()
        found = [
            row
            for row in self.document_rows.values()
            if (row.organization, row.base) == (organization, base)
        ]
        return sorted(found, key=lambda row: (row.created_at, row.id))

    async def document(self, organization: str, base: str, document: str) -> Document | None:
        rows = await self.documents(organization, base)
        return next((row for row in rows if row.id == document), None)

    async def add_document(self, document: Document) -> None:
        beside = await self.documents(document.organization, document.base)
        if document.base not in self.base_rows:
            raise NotFound("not found")
        if len(beside) >= MAX_DOCUMENTS:
            raise Conflict(f"there are {MAX_DOCUMENTS} documents already")
        self.document_rows[document.id] = document

    async def move(
        self, document: Document, was: DocumentStatus, chunks: Sequence[Chunk] = ()
    ) -> bool:
        old = await self.document(document.organization, document.base, document.id)
        if old is None or old.status is not was:
            return False
        self.document_rows[document.id] = document
        if chunks:
            self.chunk_rows[document.id] = tuple(chunks)
        return True

    async def remove_document(self, organization: str, base: str, document: str) -> bool:
        if await self.document(organization, base, document) is None:
            return False
        self._forget(document)
        return True

    async def unfinished(self) -> list[Document]:
        self._check()
        open_ones = (DocumentStatus.PENDING, DocumentStatus.PROCESSING)
        rows = [row for row in self.document_rows.values() if row.status in open_ones]
        return sorted(rows, key=lambda row: (row.created_at, row.id))

    async def search(
        self, organization: str, agent: str, words: Sequence[str], limit: int
    ) -> list[Passage]:
        scored: list[tuple[int, Passage]] = []
        for base in await self.bases(organization, agent):
            for row in await self.documents(organization, base.id):
                for chunk in self.chunk_rows.get(row.id, ()):
                    said = re.findall(r"[^\W_]+", f"{chunk.heading} {chunk.text}".lower())
                    score = sum(any(_meant(word, one) for one in said) for word in words)
                    passage = Passage(row.id, row.filename, chunk.heading, chunk.text)
                    scored.append((score, passage))
        best = sorted((s for s in scored if s[0]), key=lambda s: -s[0])
        return [passage for _, passage in best[:limit]]

    def _counted(self, base: KnowledgeBase) -> KnowledgeBase:
        rows = [row for row in self.document_rows.values() if row.base == base.id]
        return replace(base, documents=len(rows), chunks=sum(row.chunks for row in rows))

    def _forget(self, document: str) -> None:
        del self.document_rows[document]
        self.chunk_rows.pop(document, None)


def _meant(word: str, said: str) -> bool:
    return said.startswith(word) if len(word) >= STEM else said == word
