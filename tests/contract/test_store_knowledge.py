"""KnowledgeStore: bases, documents, and what a search finds in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from telephony.accounts import knowledge as model
from telephony.accounts.knowledge import Chunk, Document, DocumentStatus, KnowledgeBase, words
from telephony.base.errors import Conflict, NotFound, StoreUnavailable

ORG = "org_default"
OTHER = "org_other"
PENDING, PROCESSING = DocumentStatus.PENDING, DocumentStatus.PROCESSING
READY, FAILED = DocumentStatus.READY, DocumentStatus.FAILED


async def a_base(store: Any, make: Any, agent: str = "agent_1", **members: Any) -> KnowledgeBase:
    make.clock.advance(1)
    now = make.clock.now()
    values: dict[str, Any] = {
        "id": make.ids.make("kb"), "organization": ORG, "agent": agent, "name": "FAQ",
        "description": None, "created_at": now, "updated_at": now,
    }  # fmt: skip
    base = KnowledgeBase(**(values | members))
    await store.knowledge.add_base(base)
    return base


async def a_document(store: Any, make: Any, base: KnowledgeBase, **members: Any) -> Document:
    make.clock.advance(1)
    now = make.clock.now()
    values: dict[str, Any] = {
        "id": make.ids.make("doc"), "organization": base.organization, "base": base.id,
        "filename": "faq ü.md", "content_type": "text/markdown", "size": 7,
        "metadata": {"deep": [1, None]}, "created_at": now, "updated_at": now,
    }  # fmt: skip
    document = Document(**(values | members))
    await store.knowledge.add_document(document)
    return document


async def ready(store: Any, make: Any, base: KnowledgeBase, *texts: Any) -> Document:
    document = await a_document(store, make, base, status=PROCESSING)
    chunks = [Chunk("", text) if isinstance(text, str) else Chunk(*text) for text in texts]
    done = replace(document, status=READY, chunks=len(chunks), ingested_at=make.clock.now())
    assert await store.knowledge.move(done, PROCESSING, chunks)
    return done


async def found(store: Any, question: str, agent: str = "agent_1", org: str = ORG) -> list[str]:
    return [p.text for p in await store.knowledge.search(org, agent, words(question), 5)]


async def test_bases_are_kept_by_organization_and_agent(store: Any, make: Any) -> None:
    first = await a_base(store, make, description="What people ask")
    second = await a_base(store, make, "agent_2")
    foreign = await a_base(store, make, organization=OTHER)
    knowledge = store.knowledge
    assert await knowledge.bases(ORG) == [first, second]
    assert await knowledge.bases(ORG, "agent_2") == [second]
    assert await knowledge.base(ORG, first.id) == first
    assert await knowledge.base(ORG, foreign.id) is None
    assert not await knowledge.remove_base(ORG, foreign.id)
    assert await knowledge.remove_base(ORG, first.id)
    assert not await knowledge.remove_base(ORG, first.id)
    assert await knowledge.bases(ORG) == [second]


async def test_a_document_goes_its_way_once(store: Any, make: Any) -> None:
    base = await a_base(store, make)
    document = await a_document(store, make, base)
    knowledge = store.knowledge
    assert await knowledge.document(ORG, base.id, document.id) == document
    assert await knowledge.unfinished() == [document]
    taken = replace(document, status=PROCESSING)
    assert await knowledge.move(taken, PENDING)
    assert not await knowledge.move(taken, PENDING)
    done = replace(taken, status=READY, chunks=2, ingested_at=make.clock.now())
    pieces = [Chunk("Hours", "From nine"), Chunk("Hours", "to five")]
    assert await knowledge.move(done, PROCESSING, pieces)
    # A second reader comes too late, and its pieces are not kept twice.
    assert not await knowledge.move(replace(done, chunks=9), PROCESSING, pieces)
    assert await knowledge.documents(ORG, base.id) == [done]
    assert await knowledge.unfinished() == []
    assert await found(store, "nine") == ["From nine"]
    assert (await knowledge.base(ORG, base.id)) == replace(base, documents=1, chunks=2)
    lost = await a_document(store, make, base, status=PROCESSING)
    broken = replace(lost, status=FAILED, error="no text in it")
    assert await knowledge.move(broken, PROCESSING)
    assert await knowledge.documents(ORG, base.id) == [done, broken]


async def test_a_document_is_its_own_organizations_and_bases(store: Any, make: Any) -> None:
    base, beside = await a_base(store, make), await a_base(store, make)
    document = await a_document(store, make, base)
    knowledge = store.knowledge
    for org, where in ((OTHER, base.id), (ORG, beside.id)):
        assert await knowledge.documents(org, where) == []
        assert await knowledge.document(org, where, document.id) is None
        assert not await knowledge.remove_document(org, where, document.id)
        moved = replace(document, organization=org, base=where, status=PROCESSING)
        assert not await knowledge.move(moved, PENDING)
    assert await knowledge.document(ORG, base.id, document.id) == document


async def test_what_is_deleted_is_found_no_more(store: Any, make: Any) -> None:
    base, other = await a_base(store, make), await a_base(store, make)
    gone = await ready(store, make, base, "Refunds take nine days")
    await ready(store, make, base, "Refunds are made by Ada")
    await ready(store, make, other, "Refunds never come")
    assert len(await found(store, "refunds")) == 3
    assert await store.knowledge.remove_document(ORG, base.id, gone.id)
    assert "Refunds take nine days" not in await found(store, "refunds")
    assert await store.knowledge.remove_base(ORG, base.id)
    assert await found(store, "refunds") == ["Refunds never come"]
    with pytest.raises(NotFound):
        await a_document(store, make, base)


async def test_a_search_finds_the_best_of_ones_own(store: Any, make: Any) -> None:
    base = await a_base(store, make)
    await ready(
        store, make, base,
        "We are open from nine to five",
        ("Invoices", "They are sent on the first of the month"),
        "Die Größe der Schuhe",
        "Delivery is free of charge",
    )  # fmt: skip
    await ready(store, make, await a_base(store, make, "agent_2"), "We are open always")
    await ready(store, make, await a_base(store, make, organization=OTHER), "We are open never")
    assert await found(store, "When do you OPEN?") == ["We are open from nine to five"]
    assert await found(store, "invoice") == ["They are sent on the first of the month"]
    assert await found(store, "GRÖSSE größe") == ["Die Größe der Schuhe"]
    assert (await found(store, "is delivery free or open"))[0] == "Delivery is free of charge"
    assert await found(store, "open", "agent_2") == ["We are open always"]
    assert await found(store, "open", org=OTHER) == ["We are open never"]
    assert await found(store, "open", "agent_3") == []
    # Short words are no beginnings of longer ones.
    assert await found(store, "op") == []


@pytest.mark.parametrize(
    "question",
    ["", "?!", '" OR *', "NEAR(", "a:* & !b | 'c'", "x' OR 1=1 --", "NOT AND OR", "²½ ٣ 東京 \x00"],
)
async def test_a_question_is_only_words(store: Any, make: Any, question: str) -> None:
    await ready(store, make, await a_base(store, make), "We are open from nine to five")
    assert await found(store, question) == []


async def test_there_are_not_more_than_may_be(
    store: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import telephony.store.knowledge
    import telephony.testing.knowledge

    for where in (telephony.store.knowledge, telephony.testing.knowledge):
        monkeypatch.setattr(where, "MAX_BASES", 1)
        monkeypatch.setattr(where, "MAX_DOCUMENTS", 1)
    base = await a_base(store, make)
    await a_document(store, make, base)
    with pytest.raises(Conflict, match="already"):
        await a_base(store, make)
    with pytest.raises(Conflict, match="already"):
        await a_document(store, make, base)
    await a_base(store, make, organization=OTHER)
    assert model.MAX_BASES == 1000


async def test_away_it_says_so(store: Any, make: Any) -> None:
    if hasattr(store, "down"):
        store.down = True
    else:
        await store.close()
    with pytest.raises(StoreUnavailable):
        await store.knowledge.bases(ORG)
    with pytest.raises(StoreUnavailable):
        await a_base(store, make)
    with pytest.raises(StoreUnavailable):
        await found(store, "open")
