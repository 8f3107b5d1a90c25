"""What happens to documents while processes come and go."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from telephony.accounts.agents import Agent
from telephony.accounts.knowledge import Chunk, Document, DocumentStatus, Form
from telephony.base.clock import ManualClock
from telephony.base.errors import Conflict, NotFound
from telephony.base.ids import Ids
from telephony.knowledge.library import Library
from telephony.knowledge.reader import ReadingFailed
from telephony.testing.store import MemoryStore

ORG, AGENT = "org_default", "agent_1"


class Reader:
    """Reads when it is let."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.seen: list[str] = []
        self.failures: list[Exception] = []

    async def __call__(self, form: Form, path: Path) -> list[Chunk]:
        self.seen.append(path.name)
        text = path.read_text()
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        return [Chunk("", text)]


class World:
    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore()
        self.clock = ManualClock()
        self.ids = Ids(random.Random(1), self.clock)
        self.folder = folder
        self.reader = Reader()
        self.library = self.another()

    def another(self) -> Library:
        """The library of the next process."""
        return Library(
            self.store.knowledge, self.store.agents, self.folder, self.clock, self.ids, self.reader
        )

    async def uploaded(self, text: str = "open") -> Document:
        base = await self.library.add_base(ORG, AGENT, "FAQ")
        now = self.clock.now()
        document = await self.library.add_document(
            Document(
                id="", organization=ORG, base=base.id, filename="a", content_type="text/plain",
                size=len(text), created_at=now, updated_at=now,
            )
        )  # fmt: skip
        await self.library.receive(document, bytes_of(text))
        return document

    async def hire(self, item: str = AGENT) -> None:
        now = self.clock.now()
        await self.library.add_agent(
            Agent(
                id=item, organization=ORG, name="Desk", system_prompt="Be kind.", language="en",
                created_at=now, updated_at=now,
            )
        )  # fmt: skip

    async def finalize(self, document: Document) -> Document:
        return await self.library.finalize(ORG, document.base, document.id)

    async def until(self, document: Document, status: DocumentStatus) -> Document:
        async with asyncio.timeout(5):
            while True:
                row = await self.library.document(ORG, document.base, document.id)
                if row.status is status:
                    return row
                await asyncio.sleep(0)


async def bytes_of(text: str) -> AsyncIterator[bytes]:
    yield text.encode()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "knowledge")


async def test_what_a_process_left_half_read_the_next_one_reads(world: World) -> None:
    await world.library.start()
    document = await world.uploaded()
    waiting = await world.uploaded("never finalized")
    assert (await world.finalize(document)).status is DocumentStatus.PROCESSING
    while not world.reader.seen:
        await asyncio.sleep(0)
    await world.library.close()
    assert await world.library.search(ORG, AGENT, "open") == []

    world.reader.gate.set()
    world.library = world.another()
    await world.library.start()
    row = await world.until(document, DocumentStatus.READY)
    assert (row.chunks, row.ingested_at) == (1, world.clock.now())
    assert [p.text for p in await world.library.search(ORG, AGENT, "open")] == ["open"]
    assert (await world.until(waiting, DocumentStatus.PENDING)) == waiting
    await world.library.close()


async def test_a_fault_of_one_does_not_keep_the_others(world: World) -> None:
    world.reader.gate.set()
    world.reader.failures += [ReadingFailed("no text in it"), ZeroDivisionError()]
    await world.library.start()
    bad, odd, good = [await world.uploaded() for _ in range(3)]
    for document in (bad, odd, good):
        await world.finalize(document)
    assert (await world.until(bad, DocumentStatus.FAILED)).error == "no text in it"
    await world.until(good, DocumentStatus.READY)
    assert (await world.until(odd, DocumentStatus.FAILED)).error == "it cannot be read"
    await world.library.close()


async def test_what_is_deleted_while_it_is_read_stays_deleted(world: World) -> None:
    await world.library.start()
    await world.hire()
    with pytest.raises(Conflict):
        await world.library.remove_agent(ORG, AGENT)
    await world.hire("agent_2")
    document, other = await world.uploaded(), await world.uploaded("other")
    await world.finalize(document)
    while not world.reader.seen:
        await asyncio.sleep(0)
    await world.library.remove_agent(ORG, AGENT)
    assert list(world.folder.iterdir()) == []
    assert [base.agent for base in await world.library.bases(ORG)] == ["agent_2"]
    with pytest.raises(NotFound):
        await world.library.remove_agent(ORG, AGENT)
    other = await world.uploaded("other")
    await world.finalize(other)
    world.reader.gate.set()
    await world.until(other, DocumentStatus.READY)
    assert await world.library.search(ORG, AGENT, "open") == []
    with pytest.raises(NotFound):
        await world.library.document(ORG, document.base, document.id)
    await world.library.close()


async def test_bytes_that_are_not_here_are_lost_after_an_hour(world: World) -> None:
    document = await world.uploaded()
    await world.finalize(document)
    (world.folder / document.id).unlink()
    for status in (DocumentStatus.PROCESSING, DocumentStatus.FAILED):
        world.library = world.another()
        await world.library.start()
        row = await world.until(document, status)
        await world.library.close()
        world.clock.advance(3600)
    assert row.error is not None and "gone" in row.error


async def test_an_old_file_that_nobody_asks_for_is_swept(world: World) -> None:
    document = await world.uploaded()
    old = world.clock.now().timestamp() - 3601
    for name in ("part_old", "part_new", document.id):
        path = world.folder / name
        path.touch()
        if name != "part_new":
            os.utime(path, (old, old))
        else:
            os.utime(path, (old + 3600, old + 3600))
    await world.library.start()
    await world.library.close()
    assert sorted(p.name for p in world.folder.iterdir()) == [document.id, "part_new"]


async def test_an_upload_that_ends_after_its_document_was_finalized_changes_nothing(
    world: World,
) -> None:
    document = await world.uploaded("good")

    async def slow() -> AsyncIterator[bytes]:
        yield b"ev"
        await world.finalize(document)
        yield b"il"

    with pytest.raises(Conflict):
        await world.library.receive(replace(document), slow())
    assert (world.folder / document.id).read_text() == "good"
    assert [p.name for p in world.folder.iterdir()] == [document.id]
