"""IdempotencyStore."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from telephony.accounts.ports import Answer
from telephony.base.errors import Busy, Conflict

ORG = "org_default"


async def test_the_first_handles_and_the_rest_get_its_answer(store: Any, make: Any) -> None:
    now = make.clock.now()
    kept = store.idempotency
    assert await kept.begin(ORG, "k", "h", now) is None
    with pytest.raises(Busy) as busy:
        await kept.begin(ORG, "k", "h", now)
    assert busy.value.code == "IDEMPOTENCY_CONFLICT"
    await kept.finish(ORG, "k", Answer(200, b'{"a":1}\xff'))
    assert await kept.begin(ORG, "k", "h", now) == Answer(200, b'{"a":1}\xff')
    with pytest.raises(Conflict) as conflict:
        await kept.begin(ORG, "k", "other body", now)
    assert conflict.value.code == "IDEMPOTENCY_CONFLICT"


async def test_another_body_conflicts_even_while_the_first_is_handled(
    store: Any, make: Any
) -> None:
    assert await store.idempotency.begin(ORG, "k", "h", make.clock.now()) is None
    with pytest.raises(Conflict):
        await store.idempotency.begin(ORG, "k", "other", make.clock.now())


async def test_keys_are_their_organizations_own(store: Any, make: Any) -> None:
    now = make.clock.now()
    assert await store.idempotency.begin(ORG, "k", "h", now) is None
    assert await store.idempotency.begin("org_other", "k", "other", now) is None
    assert await store.idempotency.begin(ORG, "k2", "h", now) is None


async def test_of_many_at_once_one_handles(store: Any, make: Any) -> None:
    now = make.clock.now()
    results = await asyncio.gather(
        *(store.idempotency.begin(ORG, "k", "h", now) for _ in range(20)), return_exceptions=True
    )
    assert results.count(None) == 1
    assert sum(isinstance(r, Busy) for r in results) == 19


async def test_a_failure_before_anything_was_sent_frees_the_key(store: Any, make: Any) -> None:
    now = make.clock.now()
    assert await store.idempotency.begin(ORG, "k", "h", now) is None
    await store.idempotency.forget(ORG, "k")
    assert await store.idempotency.begin(ORG, "k", "other", now) is None
    await store.idempotency.finish(ORG, "k", Answer(200, b"{}"))
    await store.idempotency.forget(ORG, "k")
    assert await store.idempotency.begin(ORG, "k", "other", now) == Answer(200, b"{}")


async def test_an_answer_is_kept_a_day(store: Any, make: Any) -> None:
    start = make.clock.now()
    assert await store.idempotency.begin(ORG, "k", "h", start) is None
    await store.idempotency.finish(ORG, "k", Answer(200, b"{}"))
    almost = start + timedelta(hours=24) - timedelta(seconds=1)
    assert await store.idempotency.begin(ORG, "k", "h", almost) is not None
    assert await store.idempotency.begin(ORG, "k", "new", start + timedelta(hours=24)) is None


async def test_purging(store: Any, make: Any) -> None:
    start = make.clock.now()
    await store.idempotency.begin(ORG, "old", "h", start)
    await store.idempotency.begin(ORG, "new", "h", start + timedelta(hours=1))
    assert await store.idempotency.purge(start + timedelta(minutes=1)) == 1
    with pytest.raises(Busy):
        await store.idempotency.begin(ORG, "new", "h", start)


async def test_after_a_restart_answers_stand_and_what_was_open_is_free(
    store: Any, make: Any
) -> None:
    now = make.clock.now()
    await store.idempotency.begin(ORG, "done", "h", now)
    await store.idempotency.finish(ORG, "done", Answer(201, b"{}"))
    await store.idempotency.begin(ORG, "open", "h", now)
    await store.start(now)
    assert await store.idempotency.begin(ORG, "done", "h", now) == Answer(201, b"{}")
    assert await store.idempotency.begin(ORG, "open", "other", now) is None


async def test_a_key_whose_process_died_answers_where_its_call_exists(
    store: Any, make: Any
) -> None:
    now = make.clock.now()
    kept = store.idempotency
    call = make.call()
    await store.calls.append(make.life(call))
    for key, made in (("there", call.id), ("not there", "no such call"), ("unprepared", None)):
        assert await kept.begin(ORG, key, "h", now) is None
        if made is not None:
            await kept.prepare(ORG, key, made, Answer(200, b'{"sessionId":1}'))
    assert await kept.recover() == 3
    assert await kept.begin(ORG, "there", "h", now) == Answer(200, b'{"sessionId":1}')
    assert await kept.begin(ORG, "not there", "h", now) is None
    assert await kept.begin(ORG, "unprepared", "other", now) is None
