"""Knowledge bases, and the agents whose they are: what comes in, is read, and is found.

A document's bytes lie in a folder from its upload until it was read, no longer. Rows that are
``processing`` are read again after a start: nothing of a document is written before all is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import structlog

from telephony.accounts.agents import Agent
from telephony.accounts.knowledge import (
    Chunk,
    Document,
    DocumentStatus,
    Form,
    KnowledgeBase,
    Passage,
    form_of,
    words,
)
from telephony.accounts.ports import AgentStore, KnowledgeStore
from telephony.base.clock import Clock
from telephony.base.errors import BadInput, Conflict, NotFound, StoreUnavailable
from telephony.base.ids import Ids
from telephony.knowledge.reader import ReadingFailed, read_document

log = structlog.get_logger("telephony.knowledge")

Read = Callable[[Form, Path], Awaitable[list[Chunk]]]

DEFAULT_NAME = "Default"
RETRY_SECONDS = 5.0
LOST_AFTER = timedelta(hours=1)
"""A document that is being read and whose bytes are not here may lie with another node; after
this time nobody has them."""


class Library:
    """``start`` first, ``close`` last. One document is read at a time."""

    def __init__(
        self,
        store: KnowledgeStore,
        agents: AgentStore,
        folder: Path,
        clock: Clock,
        ids: Ids,
        read: Read = read_document,
    ) -> None:
        self._store = store
        self._agents = agents
        self._folder = folder
        self._clock = clock
        self._ids = ids
        self._read = read
        self._waiting: asyncio.Queue[Document] = asyncio.Queue()
        self._reading: asyncio.Task[None] | None = None

    # --- life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up what the last process left, and sweep what nobody will ask for.

        Raises:
            StoreUnavailable: no answer.
            OSError: the folder cannot be made.
        """
        unfinished = await self._store.unfinished()
        await asyncio.to_thread(self._sweep, {document.id for document in unfinished})
        for document in unfinished:
            if document.status is DocumentStatus.PROCESSING:
                self._waiting.put_nowait(document)
        self._reading = asyncio.create_task(self._read_all(), name="knowledge")

    async def close(self) -> None:
        """End the reading; what is not read yet is read after the next start."""
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
            self._reading = None

    def _sweep(self, unfinished: set[str]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        old = self._clock.now().timestamp() - LOST_AFTER.total_seconds()
        for path in self._folder.iterdir():
            # Young ones may be another process's that uses the same folder.
            if path.name not in unfinished and path.stat().st_mtime < old:
                path.unlink(missing_ok=True)

    # --- bases -----------------------------------------------------------------------------

    async def bases(self, organization: str, agent: str | None = None) -> list[KnowledgeBase]:
        """Oldest first."""
        return await self._store.bases(organization, agent)

    async def base(self, organization: str, base: str) -> KnowledgeBase:
        """Raises NotFound."""
        found = await self._store.base(organization, base)
        if found is None:
            raise NotFound("not found")
        return found

    async def add_base(
        self, organization: str, agent: str, name: str, description: str | None = None
    ) -> KnowledgeBase:
        """Raises Conflict where there are too many."""
        base = self._new(organization, agent, name, description)
        await self._store.add_base(base)
        return base

    async def remove_base(self, organization: str, base: str) -> None:
        """With all that is in it. Raises NotFound."""
        held = await self._store.documents(organization, base)
        if not await self._store.remove_base(organization, base):
            raise NotFound("not found")
        for document in held:
            await self._drop(document.id)

    def _new(
        self, organization: str, agent: str, name: str, description: str | None = None
    ) -> KnowledgeBase:
        now = self._clock.now()
        return KnowledgeBase(
            id=self._ids.make("kb"),
            organization=organization,
            agent=agent,
            name=name,
            description=description,
            created_at=now,
            updated_at=now,
        )

    # --- agents ----------------------------------------------------------------------------

    async def add_agent(self, agent: Agent) -> None:
        """With the base that every new agent gets. Raises Conflict where there are too many."""
        await self._agents.add(agent, self._new(agent.organization, agent.id, DEFAULT_NAME))

    async def remove_agent(self, organization: str, agent: str) -> None:
        """With its tools, its bases and all that is in them.

        Raises:
            NotFound: no such agent.
            Conflict: it is the only one (code LAST_AGENT).
        """
        held = [
            document
            for base in await self._store.bases(organization, agent)
            for document in await self._store.documents(organization, base.id)
        ]
        if not await self._agents.remove(organization, agent, self._clock.now()):
            raise NotFound("not found")
        for document in held:
            await self._drop(document.id)

    # --- documents -------------------------------------------------------------------------

    async def documents(self, organization: str, base: str) -> list[Document]:
        """Oldest first. Raises NotFound."""
        await self.base(organization, base)
        return await self._store.documents(organization, base)

    async def document(self, organization: str, base: str, document: str) -> Document:
        """Raises NotFound."""
        found = await self._store.document(organization, base, document)
        if found is None:
            raise NotFound("not found")
        return found

    async def add_document(self, document: Document) -> Document:
        """The row, with its id, before its bytes. Raises NotFound, Conflict."""
        made = replace(document, id=self._ids.make("doc"))
        await self._store.add_document(made)
        return made

    async def remove_document(self, organization: str, base: str, document: str) -> None:
        """With its bytes and pieces. Raises NotFound."""
        if not await self._store.remove_document(organization, base, document):
            raise NotFound("not found")
        await self._drop(document)

    async def receive(self, document: Document, arriving: AsyncIterator[bytes]) -> None:
        """Keep a document's bytes: all of them or none.

        Raises:
            BadInput: not as many as its row says.
            Conflict: it was finalized.
            NotFound: it was deleted meanwhile.
        """
        part = self._folder / self._ids.make("part")
        try:
            with await asyncio.to_thread(_create, part) as file:
                await self._fill(file, document, arriving)
            # Looked at again: an upload takes its time.
            now = await self.document(document.organization, document.base, document.id)
            if now.status is not DocumentStatus.PENDING:
                raise Conflict("this document was finalized: its bytes stay as they are")
            await asyncio.to_thread(part.replace, self._path(document.id))
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)

    async def _fill(
        self, file: BinaryIO, document: Document, arriving: AsyncIterator[bytes]
    ) -> None:
        taken = 0
        async for data in arriving:
            taken += len(data)
            if taken > document.size:
                break
            await asyncio.to_thread(file.write, data)
        if taken != document.size:
            more = "more" if taken > document.size else f"{taken}"
            raise BadInput(f"sizeBytes says {document.size} bytes, and there are {more}")

    async def finalize(self, organization: str, base: str, document: str) -> Document:
        """All bytes are there: read them. A second time it is answered as it stands.

        Raises:
            NotFound: no such document.
            Conflict: nothing was uploaded.
        """
        found = await self.document(organization, base, document)
        if found.status is not DocumentStatus.PENDING:
            return found
        if not await asyncio.to_thread(self._path(document).is_file):
            raise Conflict("nothing was uploaded: PUT the document to its upload URL first")
        taken = replace(found, status=DocumentStatus.PROCESSING, updated_at=self._clock.now())
        if not await self._store.move(taken, DocumentStatus.PENDING):
            return await self.document(organization, base, document)
        self._waiting.put_nowait(taken)
        return taken

    # --- search ----------------------------------------------------------------------------

    async def search(
        self, organization: str, agent: str, question: str, limit: int = 5
    ) -> list[Passage]:
        """What an agent's documents say to a question, the best first."""
        return await self._store.search(organization, agent, words(question), limit)

    # --- reading ---------------------------------------------------------------------------

    async def _read_all(self) -> None:
        while True:
            document = await self._waiting.get()
            while not await self._tried(document):
                await asyncio.sleep(RETRY_SECONDS)

    async def _tried(self, document: Document) -> bool:
        """False: neither store nor system would have it now, whatever the document is."""
        try:
            await self._ingest(document)
        except (StoreUnavailable, OSError) as error:
            log.warning("a document waits to be read", error=str(error))
            return False
        return True

    async def _ingest(self, document: Document) -> None:
        path = self._path(document.id)
        now = self._clock.now()
        chunks: list[Chunk] = []
        try:
            if not await asyncio.to_thread(path.is_file):
                if now - document.updated_at < LOST_AFTER:
                    return
                raise ReadingFailed("its bytes are gone: upload it again as another document")
            chunks = await self._read(form_of(document.content_type), path)
            now = self._clock.now()
            done = replace(
                document,
                status=DocumentStatus.READY,
                chunks=len(chunks),
                updated_at=now,
                ingested_at=now,
            )
        except OSError:
            raise
        except Exception as error:
            why = str(error)
            if not isinstance(error, ReadingFailed):
                # A fault of ours, and no reason to keep the others from being read.
                log.exception("a document cannot be read", document=document.id)
                why = "it cannot be read"
            done = replace(document, status=DocumentStatus.FAILED, error=why, updated_at=now)
        await self._store.move(done, DocumentStatus.PROCESSING, chunks)
        await self._drop(document.id)

    def _path(self, document: str) -> Path:
        # Only ids of stored rows come here, and those are made by us.
        return self._folder / document

    async def _drop(self, document: str) -> None:
        await asyncio.to_thread(self._path(document).unlink, missing_ok=True)


def _create(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path.open("xb")
