"""Knowledge bases, documents, and the words of their pieces: FTS5, or PostgreSQL's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

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
from telephony.base.errors import Conflict, NotFound, StoreUnavailable
from telephony.store.database import Database
from telephony.store.tables import (
    KNOWLEDGE_VECTOR,
    knowledge_bases,
    knowledge_chunks,
    knowledge_documents,
)

_BASE = tuple(column.name for column in knowledge_bases.columns)
_DOCUMENT = tuple(column.name for column in knowledge_documents.columns)
_FOUND = """
SELECT d.id AS document, d.filename, k.heading, k.text
FROM knowledge_chunks k
JOIN knowledge_documents d ON d.id = k.document
JOIN knowledge_bases b ON b.id = d.base
"""
# A word in a heading counts twice.
_SQLITE = f"""{_FOUND} JOIN knowledge_words ON knowledge_words.rowid = k.id
WHERE knowledge_words MATCH :words AND b.organization = :organization AND b.agent = :agent
ORDER BY bm25(knowledge_words, 2.0, 1.0), k.id LIMIT :limit
"""
_POSTGRESQL = f"""{_FOUND}
WHERE {KNOWLEDGE_VECTOR.replace("heading", "k.heading").replace("|| text", "|| k.text")}
  @@ to_tsquery('simple', CAST(:words AS text))
AND b.organization = :organization AND b.agent = :agent
ORDER BY ts_rank(
  setweight(to_tsvector('simple', k.heading), 'A') || setweight(to_tsvector('simple', k.text), 'B'),
  to_tsquery('simple', CAST(:words AS text)), 1) DESC, k.id LIMIT :limit
""".replace("'simple'::regconfig", "CAST('simple' AS regconfig)")


class Knowledge:
    """``KnowledgeStore`` over the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- bases -----------------------------------------------------------------------------

    async def bases(self, organization: str, agent: str | None = None) -> list[KnowledgeBase]:
        c = knowledge_bases.c
        chosen = [c.organization == organization]
        return await self._bases(*chosen, *([] if agent is None else [c.agent == agent]))

    async def base(self, organization: str, base: str) -> KnowledgeBase | None:
        c = knowledge_bases.c
        found = await self._bases(c.organization == organization, c.id == base)
        return found[0] if found else None

    async def add_base(self, base: KnowledgeBase) -> None:
        mine = knowledge_bases.c.organization == base.organization
        row = base_row(base)

        async def work(connection: AsyncConnection) -> None:
            await check_room(connection, knowledge_bases, mine, MAX_BASES, "knowledge bases")
            await connection.execute(sa.insert(knowledge_bases).values(row))

        await self._database.write(work)

    async def remove_base(self, organization: str, base: str) -> bool:
        c = knowledge_bases.c
        return await self._change(
            sa.delete(knowledge_bases).where(c.organization == organization, c.id == base)
        )

    # --- documents -------------------------------------------------------------------------

    async def documents(self, organization: str, base: str) -> list[Document]:
        c = knowledge_documents.c
        return await self._documents(c.organization == organization, c.base == base)

    async def document(self, organization: str, base: str, document: str) -> Document | None:
        found = await self._documents(*_this(organization, base, document))
        return found[0] if found else None

    async def add_document(self, document: Document) -> None:
        beside = knowledge_documents.c.base == document.base

        async def work(connection: AsyncConnection) -> None:
            await check_room(connection, knowledge_documents, beside, MAX_DOCUMENTS, "documents")
            await connection.execute(sa.insert(knowledge_documents).values(_row(document)))

        try:
            await self._database.write(work)
        except StoreUnavailable as error:
            if isinstance(error.__cause__, IntegrityError):
                raise NotFound("not found") from error
            raise

    async def move(
        self, document: Document, was: DocumentStatus, chunks: Sequence[Chunk] = ()
    ) -> bool:
        changed = (
            sa.update(knowledge_documents)
            .where(
                *_this(document.organization, document.base, document.id),
                knowledge_documents.c.status == was.value,
            )
            .values(_row(document))
        )
        rows = [{"document": document.id, "heading": c.heading, "text": c.text} for c in chunks]

        async def work(connection: AsyncConnection) -> bool:
            moved = bool((await connection.execute(changed)).rowcount)
            if moved and rows:
                await connection.execute(sa.insert(knowledge_chunks), rows)
            return moved

        return await self._database.write(work)

    async def remove_document(self, organization: str, base: str, document: str) -> bool:
        this = _this(organization, base, document)
        return await self._change(sa.delete(knowledge_documents).where(*this))

    async def unfinished(self) -> list[Document]:
        open_ones = (DocumentStatus.PENDING.value, DocumentStatus.PROCESSING.value)
        return await self._documents(knowledge_documents.c.status.in_(open_ones))

    # --- search ----------------------------------------------------------------------------

    async def search(
        self, organization: str, agent: str, words: Sequence[str], limit: int
    ) -> list[Passage]:
        if not words:
            return []
        given = {"organization": organization, "agent": agent, "limit": limit}
        if self._database.sqlite:
            query = sa.text(_SQLITE)
            asked = " OR ".join(f'"{w}"*' if len(w) >= STEM else f'"{w}"' for w in words)
        else:
            query = sa.text(_POSTGRESQL)
            asked = " | ".join(f"'{w}':*" if len(w) >= STEM else f"'{w}'" for w in words)

        async def work(connection: AsyncConnection) -> list[Passage]:
            found = await connection.execute(query, given | {"words": asked})
            return [Passage(**row._mapping) for row in found]

        return await self._database.read(work)

    # --- what they share -------------------------------------------------------------------

    async def _bases(self, *conditions: sa.ColumnElement[bool]) -> list[KnowledgeBase]:
        b, d = knowledge_bases.c, knowledge_documents.c
        query = (
            sa.select(
                *b,
                sa.func.count(d.id).label("documents"),
                sa.func.coalesce(sa.func.sum(d.chunks), 0).label("chunks"),
            )
            .select_from(knowledge_bases.outerjoin(knowledge_documents, d.base == b.id))
            .where(*conditions)
            .group_by(b.id)
            .order_by(b.created_at, b.id)
        )

        async def work(connection: AsyncConnection) -> list[KnowledgeBase]:
            return [KnowledgeBase(**row._mapping) for row in await connection.execute(query)]

        return await self._database.read(work)

    async def _documents(self, *conditions: sa.ColumnElement[bool]) -> list[Document]:
        c = knowledge_documents.c
        query = sa.select(knowledge_documents).where(*conditions).order_by(c.created_at, c.id)

        async def work(connection: AsyncConnection) -> list[Document]:
            return [_document(row) for row in await connection.execute(query)]

        return await self._database.read(work)

    async def _change(self, statement: sa.Delete) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            return bool((await connection.execute(statement)).rowcount)

        return await self._database.write(work)


def _this(organization: str, base: str, document: str) -> tuple[sa.ColumnElement[bool], ...]:
    c = knowledge_documents.c
    return (c.organization == organization, c.base == base, c.id == document)


def base_row(base: KnowledgeBase) -> dict[str, Any]:
    """The base as its table keeps it."""
    return {name: getattr(base, name) for name in _BASE}


async def check_room(
    connection: AsyncConnection,
    table: sa.Table,
    beside: sa.ColumnElement[bool],
    most: int,
    what: str,
) -> None:
    """Raises Conflict: as many of ``what`` as there may be."""
    count = await connection.scalar(sa.select(sa.func.count()).select_from(table).where(beside))
    if (count or 0) >= most:
        raise Conflict(f"there are {most} {what} already, and more are not kept")


def _row(document: Document) -> dict[str, Any]:
    row = {name: getattr(document, name) for name in _DOCUMENT}
    return row | {"status": document.status.value}


def _document(row: sa.Row[Any]) -> Document:
    members = dict(row._mapping)
    members["status"] = DocumentStatus(members["status"])
    return Document(**members)
